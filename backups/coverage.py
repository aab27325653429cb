"""Which volumes are protected, and which are not and why."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from backups.parts import VolumeKey
from backups.schedule import freshness

State = Literal["protected", "excluded", "anonymous", "unprotected"]

NEVER = "It has never been backed up."


@dataclass(frozen=True)
class Volume:
    """A volume that is on a node now; whoever knows its labels and name says if it is anonymous."""

    key: VolumeKey
    is_anonymous: bool = False


@dataclass(frozen=True)
class Row:
    """One volume's state, the age of its last good backup if there is one, and the reason."""

    key: VolumeKey
    state: State
    age: timedelta | None
    reason: str


def coverage(
    volumes: Iterable[Volume],
    backups: Mapping[VolumeKey, datetime],
    exclusions: Mapping[VolumeKey, str],
    now: datetime,
) -> list[Row]:
    """Return the state of every volume, by node and name.

    `backups` holds the time of each volume's last good backup, `exclusions` an operator's reasons.
    Where the age of a backup is critical, the volume is unprotected: an old backup is a history, no
    protection.
    """
    ordered = sorted(volumes, key=lambda volume: volume.key)
    return [_row(one, backups.get(one.key), exclusions.get(one.key), now) for one in ordered]


def _row(volume: Volume, taken: datetime | None, exclusion: str | None, now: datetime) -> Row:
    """Return the state of one volume; what a person decided goes before what is seen."""
    age = None if taken is None else now.astimezone(UTC) - taken.astimezone(UTC)
    if exclusion is not None:
        return Row(volume.key, "excluded", age, exclusion)
    if volume.is_anonymous:
        return Row(volume.key, "anonymous", age, "Anonymous volumes are never backed up.")
    if age is None:
        return Row(volume.key, "unprotected", None, NEVER)
    if freshness(taken, now) == "critical":
        old = "is too old" if age > timedelta(0) else "lies in the future"
        return Row(volume.key, "unprotected", age, f"Its last good backup {old}.")
    return Row(volume.key, "protected", max(age, timedelta(0)), "")
