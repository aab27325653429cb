"""Local nodes: isolated Docker Engines of our own, each in a network namespace of this machine."""

from clusters.local.configuration import LocalNetwork
from clusters.local.provider import (
    LocalEngine,
    destroy,
    disconnect,
    ensure_running,
    existing,
    is_running,
    stop,
    sweep,
)
from clusters.local.support import supported

__all__ = [
    "LocalEngine",
    "LocalNetwork",
    "destroy",
    "disconnect",
    "ensure_running",
    "existing",
    "is_running",
    "stop",
    "supported",
    "sweep",
]
