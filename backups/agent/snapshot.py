"""One node's part of one snapshot: its volumes, on one node the environment, and the report."""

import io
from dataclasses import replace
from datetime import datetime

from backups import restic
from backups.agent import environment, freezing, halting, secrets, volumes
from backups.agent.capture import now
from backups.agent.messages import say
from backups.agent.patience import patiently
from backups.agent.tags import REPORT, tags
from backups.agent.volumes import Setting
from backups.manifest import serialise
from backups.parts import Report, Trigger


def take(
    setting: Setting,
    *,
    trigger: Trigger,
    version: str,
    with_environment: bool | None = None,
    earlier: Report | None = None,
) -> Report:
    """Capture this node's part and put its report into the repository; return the report.

    `with_environment` None leaves it to the leading manager. What an `earlier` report of the same
    snapshot has is not captured again. Raise ResticError when the report
    cannot be stored: then nothing of this part counts, and it has to be taken again.
    """
    patiently(lambda: restic.unlock(setting.repository))
    freezing.sweep(setting.engine)
    halting.sweep(setting.engine)
    secrets.sweep(setting.engine)
    begun = now()
    seen = volumes.listed(setting.engine)
    known = {part.volume: part for part in (earlier.volumes if earlier else ())}
    good = {name: part for name, part in known.items() if part.state != "failed"}
    report = Report(
        cluster=setting.cluster,
        due=setting.due,
        node=setting.node,
        seen=tuple(sorted({one.name for one in seen} | {*known})),
        started=begun,
        version=version,
        trigger=trigger,
    )
    if with_environment is None:
        with_environment = environment.is_leading(setting.engine)
    wanted = [one for one in seen if one.name not in good]
    keys = {f"{setting.node}/{one.name}": one for one in wanted}
    stopping = setting.policy.stopping
    # Again only for what this node lacks: the others' services were stopped at the first time.
    halting_for = stopping & {*keys} if earlier else stopping
    by_agents = trigger == "hourly"
    with halting.halted(setting, halting_for if with_environment else (), by_agents=by_agents):
        first = [one for key, one in keys.items() if key in stopping]
        fresh = volumes.capture_all(setting, first)
    fresh += volumes.capture_all(setting, [one for one in wanted if one not in first])
    parts = (known | {part.volume: part for part in fresh}).values()
    found = earlier.environment if earlier else None
    if found is None or found.failures:
        found = environment.capture(setting) if with_environment else found
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


def is_whole(report: Report) -> bool:
    """Say whether nothing failed, so that nothing has to be tried again."""
    failures = report.environment.failures if report.environment else ()
    return not failures and all(part.state != "failed" for part in report.volumes)


def is_reported(repository: restic.Repository, node: str, due: datetime) -> bool:
    """Say whether a node's report of a snapshot is in the repository."""
    found = restic.snapshots(repository, tags=tags("report", due))
    return any(one.host == node for one in found)
