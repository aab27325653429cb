"""End forked processes with their parent: an orphan would go on beside its successor.

Linux only; elsewhere the time-outs of queue and server have to do.
"""

import ctypes
import os
import signal

PR_SET_PDEATHSIG = 1
parent = 0


def end_with_parent() -> None:
    """Let every process that is forked from now on be killed when its parent ends."""
    os.register_at_fork(before=remember_parent, after_in_child=die_with_parent)


def remember_parent() -> None:
    """Note who forks, so that the child can tell whether its parent is still the same."""
    global parent  # noqa: PLW0603  # it passes from before a fork to after it
    parent = os.getpid()


def die_with_parent() -> None:
    """Ask the kernel for the parent's death to be one's own."""
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    except (AttributeError, OSError):
        return
    if os.getppid() != parent:
        # The parent died before its death could be heard of.
        os._exit(1)
