"""Do one job that came over the standard input, or the secrets' capture of a Swarm job."""

import json
import os
import select
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from backups import restic
from backups.agent import capture, policy, restoring, snapshot
from backups.agent.messages import Job, Json, decode, say
from backups.agent.patience import patiently
from backups.agent.secrets import CREDENTIALS
from backups.agent.tags import SECRETS, tags
from backups.agent.volumes import Setting
from clusters.engine import Endpoint, connect
from medstack.failures import Failure

Tell = Callable[[str], None]
SOCKET = "unix:///var/run/docker.sock"
MOUNTED = Path("/run/secrets") / CREDENTIALS
# Docker's answers are quick, but a busy node's are not.
PATIENCE = 60.0
NO_JOB = 3


def tell(line: str) -> None:
    """Print one line; whoever watches reads it at once."""
    print(line, flush=True)  # noqa: T201 - what a container prints is what it has to say


def main(stdin: BinaryIO) -> int:
    """Read one job and do it; return 0 when it is done, and 3 when none came."""
    # A console that lost its power never closes the connection that the job was to come through.
    heard, _, _ = select.select([stdin], [], [], PATIENCE)
    line = stdin.readline() if heard else b""
    if not line.strip():
        return NO_JOB
    try:
        job = decode(line)
        if job.kind not in WORK:
            raise Failure(f"This version of the agent cannot do “{job.kind}”.")
        WORK[job.kind](job, tell)
    except (Failure, OSError, ValueError) as error:
        # That a backup cannot be read says something about it; that nobody could look does not.
        damaged = isinstance(error, restic.Damaged | restic.NotFound)
        tell(say("failed", reason=str(error), damaged=damaged))
    else:
        return 0
    return 1


def take(job: Job, tell: Tell) -> None:
    """Take this node's part of a snapshot that the console asked for."""
    values = job.values
    with connect(Endpoint(SOCKET), timeout=PATIENCE) as engine:
        setting = Setting(
            engine=engine,
            repository=job.repository,
            cluster=job.cluster,
            node=str(values["node"]),
            due=datetime.fromisoformat(values["due"]),
            policy=policy.from_json(values["policy"]),
            tell=tell,
        )
        report = snapshot.take(
            setting,
            trigger=values["trigger"],
            version=str(values["version"]),
            with_environment=bool(values["environment"]),
        )
    counts = dict.fromkeys(("captured", "failed", "excluded"), 0)
    for part in report.volumes:
        counts[part.state] += 1
    tell(say("done", **counts))


def restore_secrets(job: Job, tell: Tell) -> None:
    """Create the Swarm secrets of a snapshot; this node must be a manager."""
    with connect(Endpoint(SOCKET), timeout=PATIENCE) as engine:
        restoring.secrets(job, engine, tell)


WORK: Mapping[str, Callable[[Job, Tell], None]] = {
    "snapshot": take,
    "capture": capture.run,
    "restore": restoring.restore,
    "drill": restoring.drill,
    "restore_secrets": restore_secrets,
    "room": restoring.room,
}


def credentials(path: Path = MOUNTED) -> tuple[str, restic.Repository]:
    """Return the cluster and its repository, as the Swarm secret brings them."""
    found: Json = json.loads(path.read_text())
    return str(found["cluster"]), restic.Repository(**found["repository"])


def secrets() -> int:
    """Put all secrets that are mounted here into the repository."""
    _, repository = credentials()
    due = datetime.fromisoformat(os.environ["MEDSTACK_DUE"])
    try:
        patiently(
            lambda: restic.backup(
                repository, [SECRETS], host=os.environ["MEDSTACK_NODE"], tags=tags("secrets", due)
            )
        )
    except restic.ResticError as error:
        tell(say("failed", reason=str(error)))
        return 1
    return 0
