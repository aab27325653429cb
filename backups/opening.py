"""Open a repository: for the console, which may delete, or for nodes, which may add and read."""

import json
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import quote

from django.conf import settings

from backups import restic
from backups.models import Repository
from medstack.failures import Failure

Access = dict[str, str]


def for_console(row: Repository) -> restic.Repository:
    """Return the repository with the credentials that may also delete.

    The embedded one is a folder of this machine; its server would refuse to delete.
    """
    if row.kind == Repository.Kind.EMBEDDED:
        return restic.Repository(str(folder(row)), row.password)
    return opened(row, row.console_access)


def for_nodes(row: Repository) -> restic.Repository:
    """Return the repository as nodes reach it, with credentials that can only add and read."""
    if row.kind != Repository.Kind.EMBEDDED:
        return opened(row, row.node_access)
    access = access_of(row.node_access)
    user, password = quote(row.folder, safe=""), quote(access["password"], safe="")
    address = f"{host()}:{settings.REPOSITORY_PORT}"
    return restic.Repository(
        f"rest:https://{user}:{password}@{address}/{row.folder}/", row.password, ca=row.ca
    )


def folder(row: Repository) -> Path:
    """Return where an embedded repository lies."""
    return Path(settings.REPOSITORIES_ROOT) / row.folder


def host() -> str:
    """Return the address by which nodes reach the embedded repositories."""
    if settings.REPOSITORY_HOST:
        return str(settings.REPOSITORY_HOST)
    return str(next(ip_network(settings.LOCAL_NODES_SUBNET).hosts()))


def opened(row: Repository, access: str) -> restic.Repository:
    """Return a repository somewhere else, with some credentials for it."""
    values = access_of(access)
    # Those of the nodes may name an address of their own.
    url, environment = values.get("url") or row.url, {}
    if row.kind == Repository.Kind.REST and values.get("username"):
        user, password = (quote(values[name], safe="") for name in ("username", "password"))
        url = url.replace("://", f"://{user}:{password}@", 1)
    if row.kind == Repository.Kind.S3:
        environment = {
            "AWS_ACCESS_KEY_ID": values["key_id"],
            "AWS_SECRET_ACCESS_KEY": values["secret"],
        }
        if row.region:
            environment["AWS_DEFAULT_REGION"] = row.region
    if row.kind == Repository.Kind.SFTP:
        return restic.Repository(
            url,
            row.password,
            ssh_key=values["ssh_key"],
            ssh_host_key=row.ssh_host_key,
            by_command=bool(values.get("by_command")),
        )
    return restic.Repository(url, row.password, environment=environment, ca=row.ca)


def access_of(text: str) -> Access:
    """Read stored credentials."""
    if not text:
        raise Failure("The repository has no credentials yet.")
    found: Access = json.loads(text)
    return found
