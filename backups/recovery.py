"""The recovery sheet: what is needed to get at a repository when the console is lost; pure text."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from urllib.parse import urlsplit

from backups.restic import Repository, known_host
from medstack.sheet import OTHER_VERSION, BadSheet, block, unblocked

__all__ = ["BadSheet", "Sheet", "make", "parse"]
TITLE = "MEDSTACK"


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """One cluster's repository, as whoever restores it opens it."""

    cluster: str
    name: str
    made: str
    url: str
    password: str = field(repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca: str = field(default="", repr=False)
    ssh_key: str = field(default="", repr=False)
    ssh_host_key: str = ""

    @property
    def repository(self) -> Repository:
        """Return the repository to open."""
        return Repository(
            self.url,
            self.password,
            environment=dict(self.environment),
            ca=self.ca,
            ssh_key=self.ssh_key,
            ssh_host_key=self.ssh_host_key,
        )


def make(cluster: str, name: str, repository: Repository, now: datetime) -> str:
    """Write the sheet: for a person with plain restic, and a block that the console reads."""
    sheet = Sheet(
        cluster=cluster,
        name=name,
        made=now.strftime("%Y-%m-%d %H:%M UTC"),
        url=repository.url,
        password=repository.password,
        environment=dict(repository.environment),
        ca=repository.ca,
        ssh_key=repository.ssh_key,
        ssh_host_key=repository.ssh_host_key,
    )
    exports = "\n".join(f"  export {key}='{value}'" for key, value in sheet.environment.items())
    return f"""RECOVERY SHEET of the cluster "{name}" ({cluster})
Made {sheet.made}. Keep it where the building's keys are. Whoever has it can read all backups.

Repository: {sheet.url}
Password:   {sheet.password}
{files(sheet)}
With plain restic (0.14 or newer), on any machine that reaches the repository:

{exports}
  export RESTIC_REPOSITORY='{sheet.url}'
  export RESTIC_PASSWORD='{sheet.password}'{options(sheet)}
  restic snapshots                          # kind:volume, volume:NAME, due:TIME are tags
  restic restore ID --target /somewhere     # files stand below volumes/NAME
  restic dump ID /manifest.json             # of a kind:manifest: all objects of the cluster
  restic dump ID /medstack-secrets/NAME     # of a kind:secrets: a secret's value

With a new console, on the machine that it runs on:

  manage.py rebuild_catalogue --sheet THIS-FILE
  manage.py restore environment --sheet THIS-FILE --to CLUSTER

{block(TITLE, json.dumps(asdict(sheet), sort_keys=True))}
"""


def files(sheet: Sheet) -> str:
    """Return what has to stand in files beside plain restic, each with the name of its file."""
    found = ""
    if sheet.ca:
        found += f"\nCertificate authority, save it as ca.pem:\n{sheet.ca.strip()}\n"
    if sheet.ssh_key:
        found += f"\nPrivate key for SSH, save it as ssh.key (mode 600):\n{sheet.ssh_key.strip()}\n"
        host = known_host(sheet.url, sheet.ssh_host_key)
        found += f"\nHost key for SSH, save it as ssh.hosts:\n{host}\n"
    return found


def options(sheet: Sheet) -> str:
    """Return the line of shell that gives plain restic these files, if there are any."""
    given = " --cacert ca.pem" if sheet.ca else ""
    if sheet.ssh_key:
        parts = urlsplit(sheet.url)
        given += (
            " -o sftp.command='ssh -F none -i ssh.key -o IdentitiesOnly=yes -o"
            f" UserKnownHostsFile=ssh.hosts -p {parts.port or 22}"
            f" {parts.username or 'root'}@{parts.hostname} -s sftp'"
        )
    return f'\n  restic() {{ command restic{given} "$@"; }}' if given else ""


def parse(text: str, *, cluster: str = "") -> Sheet:
    """Read a sheet; raise BadSheet for what is none, was mistyped, or is of another cluster."""
    content = unblocked(TITLE, text)
    try:
        sheet = Sheet(**json.loads(content))
    except (ValueError, TypeError):
        raise BadSheet(OTHER_VERSION) from None
    if cluster and sheet.cluster != cluster:
        raise BadSheet(f"This sheet is of the cluster “{sheet.cluster}”, not of “{cluster}”.")
    return sheet
