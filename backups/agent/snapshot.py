"""One node's part of one snapshot: its volumes, on one node the environment, and the report."""

import io
from dataclasses import replace
from datetime import datetime

from backups import restic
from backups.agent import environment, volumes
from backups.agent.capture import now
from backups.agent.messages import say
from backups.agent.patience import patiently
from backups.agent.tags import REPORT, tags
from backups.agent.volumes import Setting
from backups.manifest import serialise
from backups.parts import Report, Trigger


def take(
    setting: Setting, *, trigger: Trigger, version: str, with_environment: bool | None = None
) -> Report:
    """Capture this node's part and put its report into the repository; return the report.

    `with_environment` None leaves it to the leading manager. Raise ResticError when the report
    cannot be stored: then nothing of this part counts, and it has to be taken again.
    """
    patiently(lambda: restic.unlock(setting.repository))
    volumes.sweep(setting.engine)
    begun = now()
    seen = volumes.listed(setting.engine)
    report = Report(
        cluster=setting.cluster,
        due=setting.due,
        node=setting.node,
        seen=tuple(one.name for one in seen),
        started=begun,
        version=version,
        trigger=trigger,
    )
    parts = volumes.capture_all(setting, seen)
    if with_environment is None:
        with_environment = environment.is_leading(setting.engine)
    found = environment.capture(setting) if with_environment else None
    whole = replace(report, volumes=tuple(parts), environment=found, finished=now())
    store(setting, whole)
    bad = [part for part in parts if part.state == "failed"]
    for part in bad:
        setting.tell(say("note", text=f"{part.key}: {part.reason}"))
    return whole


def store(setting: Setting, report: Report) -> None:
    """Put a report into the repository."""
    content = serialise(report)
    patiently(
        lambda: restic.backup_stdin(
            setting.repository,
            io.BytesIO(content),
            REPORT.lstrip("/"),
            host=setting.node,
            tags=tags("report", setting.due),
        )
    )


def is_reported(repository: restic.Repository, node: str, due: datetime) -> bool:
    """Say whether a node's report of a snapshot is in the repository."""
    found = restic.snapshots(repository, tags=tags("report", due))
    return any(one.host == node for one in found)
