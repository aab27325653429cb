"""The restic of this machine: where it is, and whether its words and options are known."""

import functools
import re
import shutil
import subprocess

from backups.restic.errors import ResticFailed, UnknownVersion

OLDEST = (0, 14)
PATIENCE = 60.0


def program() -> str:
    """Return where restic is installed."""
    found = shutil.which("restic")
    if not found:
        raise ResticFailed("restic is not installed on this machine.")
    return found


def version() -> tuple[int, int]:
    """Return the version of restic, of which the first two numbers matter."""
    return version_of(program())


@functools.cache
def version_of(path: str) -> tuple[int, int]:
    """Return the version of one restic, asked once."""
    said = subprocess.run(
        [path, "version"], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    found = re.match(r"restic (\d+)\.(\d+)", said.stdout)
    if not found:
        raise UnknownVersion(
            f"{path} says no version of restic: {(said.stdout + said.stderr)[:200]}"
        )
    return int(found[1]), int(found[2])


def refuse_unknown() -> None:
    """Refuse a restic whose words and options are not known, before it touches anything."""
    if version() < OLDEST:
        shown, oldest = (".".join(map(str, one)) for one in (version(), OLDEST))
        raise UnknownVersion(f"{program()} is restic {shown}; {oldest} or newer is needed.")
