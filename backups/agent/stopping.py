"""Whether this program was asked to end, so that what runs beside the main thread ends as well."""

import signal
import threading
from types import FrameType

STOPPED = threading.Event()


def stop(_number: int, _frame: FrameType | None) -> None:
    """Interrupt the main thread, once: what cleans up is not to be interrupted, too."""
    if not STOPPED.is_set():
        STOPPED.set()
        raise KeyboardInterrupt


def listen() -> None:
    """End in order when a container is stopped: restic then removes its lock."""
    signal.signal(signal.SIGTERM, stop)
