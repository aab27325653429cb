"""Find a node's processes and end them, never anybody else's."""

import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from clusters.local.node import LocalNode
from medstack.failures import Failure

NAMESPACES = Path("/run/netns")
CGROUPS = Path("/sys/fs/cgroup")


def engine_process(node: LocalNode) -> int | None:
    """Return the Engine's process if it is alive; a recycled number is somebody else."""
    try:
        number, start, boot = (node.folder / "engine.pid").read_text().split()
    except (FileNotFoundError, ValueError):
        return None
    same_boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip() == boot
    return int(number) if same_boot and started(int(number)) == start else None


def started(process: int) -> str | None:
    """Return when a process started, in ticks since boot; None if it has ended."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]


def members(node: LocalNode) -> list[int]:
    """Return every process in the node's network namespace or control groups."""
    belongs = membership(node)
    return [int(entry.name) for entry in Path("/proc").iterdir() if belongs(entry)]


def membership(node: LocalNode) -> Callable[[Path], bool]:
    """Return the question whether a folder of /proc is one of the node's processes."""
    namespace = NAMESPACES / node.namespace
    inside = f"/{node.cgroup}/"

    def belongs(entry: Path) -> bool:
        if not entry.name.isdecimal():
            return False
        try:
            # Shims and the Engine share the namespace; an orphaned container only the group.
            if namespace.exists() and namespace.samefile(entry / "ns/net"):
                return started(int(entry.name)) is not None
            groups = (entry / "cgroup").read_text().splitlines()
        except OSError:
            return False  # It ended while we looked.
        grouped = any(inside in f"{line}/" for line in groups)
        return grouped and started(int(entry.name)) is not None

    return belongs


def ask_to_end(process: int, *, seconds: float) -> None:
    """Ask a process to end and wait for it."""
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(process)
        try:
            signal.pidfd_send_signal(handle, signal.SIGTERM)
            end = select.poll()
            end.register(handle, select.POLLIN)
            end.poll(seconds * 1000)
        finally:
            os.close(handle)


def end_members(node: LocalNode) -> None:
    """Kill whatever still belongs to the node."""
    belongs = membership(node)
    deadline = time.monotonic() + 20
    while remaining := members(node):
        if time.monotonic() > deadline:
            raise Failure(f"Processes of {node.name} do not end: {remaining}.")
        for process in remaining:
            with suppress(ProcessLookupError):
                handle = os.pidfd_open(process)
                try:
                    # Asked again through the handle: the number may be somebody else's by now.
                    if belongs(Path(f"/proc/{process}")):
                        signal.pidfd_send_signal(handle, signal.SIGKILL)
                finally:
                    os.close(handle)
        time.sleep(0.05)


def engine_groups(node: LocalNode) -> list[Path]:
    """Return the groups to put the Engine itself in, so that ending the console spares it."""
    if (CGROUPS / "cgroup.controllers").exists():
        hierarchies = [CGROUPS]
    else:
        hierarchies = [CGROUPS / "systemd", CGROUPS / "unified"]
    return [path / node.cgroup / "engine" for path in hierarchies if path.is_dir()]


def remove_groups(node: LocalNode, *, seconds: float = 10) -> None:
    """Remove the node's control groups, which hold no process any more.

    One that has ended counts as a member until its parent, or init, has taken note of it.
    """
    deadline = time.monotonic() + seconds
    while groups := [
        group
        for group in (CGROUPS / node.cgroup, *CGROUPS.glob(f"*/{node.cgroup}"))
        if group.is_dir()
    ]:
        for group in groups:
            remove_group(group)
        if time.monotonic() > deadline:
            return  # An empty group that is left does no harm; the next start takes it over.
        if any(group.is_dir() for group in groups):
            time.sleep(0.05)


def remove_group(group: Path) -> None:
    """Remove a control group with those inside it, as far as they are empty."""
    for folder, _, _ in os.walk(group, topdown=False):
        with suppress(OSError):
            Path(folder).rmdir()
    with suppress(OSError):
        group.parent.rmdir()  # Other nodes of the same root may still be in it.
