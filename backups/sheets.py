"""Make the row of a repository from a recovery sheet."""

import json
import re
import secrets
from pathlib import Path
from urllib.parse import unquote

from django.conf import settings

from backups.models import Repository
from backups.recovery import Sheet
from backups.server import serving
from clusters.models import Cluster
from medstack.failures import Failure

CREDENTIALS = re.compile(r"(?<=//)(?P<user>[^/@:]*):(?P<password>[^/@]*)@")


def repository_of(sheet: Sheet, cluster: Cluster) -> Repository:
    """Return the row, unsaved; the nodes' own credentials are set by whoever restores to nodes."""
    url = sheet.url
    row = Repository(cluster=cluster, password=sheet.password, ca=sheet.ca)
    if url.startswith("/"):
        path = Path(url)
        if path.parent != Path(settings.REPOSITORIES_ROOT):
            raise Failure(
                f"The sheet's repository was in {path.parent}. Put its folder {path.name} into "
                f"{settings.REPOSITORIES_ROOT} and write that into the sheet, or set "
                "MEDSTACK_REPOSITORIES_ROOT."
            )
        row.kind, row.folder = Repository.Kind.EMBEDDED, path.name
        row.node_access = json.dumps({"password": secrets.token_urlsafe(32)})
        row.ca = serving.authority()
        return row
    found = CREDENTIALS.search(url)
    row.url = CREDENTIALS.sub("", url)
    if url.startswith("sftp://"):
        row.kind, row.url, row.ssh_host_key = Repository.Kind.SFTP, url, sheet.ssh_host_key
        access = {"ssh_key": sheet.ssh_key}
    elif url.startswith("s3:"):
        row.kind, row.region = Repository.Kind.S3, sheet.environment.get("AWS_DEFAULT_REGION", "")
        access = {
            "key_id": sheet.environment["AWS_ACCESS_KEY_ID"],
            "secret": sheet.environment["AWS_SECRET_ACCESS_KEY"],
        }
    else:
        row.kind = Repository.Kind.REST
        names = found.groupdict() if found else {"user": "", "password": ""}
        access = {
            "username": unquote(names["user"]),
            "password": unquote(names["password"]),
        }
    row.console_access = row.node_access = json.dumps(access)
    return row
