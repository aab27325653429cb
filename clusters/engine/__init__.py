"""The gateway to Docker Engines; nothing else imports the Docker SDK."""

from clusters.engine.connection import Engine, connect
from clusters.engine.endpoint import Endpoint
from clusters.engine.errors import Conflict, EngineError, NotFound, Refused, Unreachable
from clusters.engine.frames import LogLine
from clusters.engine.logs import LogStream
from clusters.engine.registries import RegistryAuth
from clusters.engine.ssh import HostKey, fingerprint, scan_host_key
from clusters.engine.terminals import ExecSession

__all__ = [
    "Conflict",
    "Endpoint",
    "Engine",
    "EngineError",
    "ExecSession",
    "HostKey",
    "LogLine",
    "LogStream",
    "NotFound",
    "Refused",
    "RegistryAuth",
    "Unreachable",
    "connect",
    "fingerprint",
    "scan_host_key",
]
