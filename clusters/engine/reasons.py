"""Turn what the transports raise into our exceptions, in words for people."""

import http.client
import ssl
from collections.abc import Iterator

import urllib3

from clusters.engine.errors import EngineError, Refused, Unreachable

# Everything that urllib3, http.client, ssl or the system may raise.
CAUSES = (
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    EOFError,
    OSError,
    ValueError,
)
CLIENT_CERTIFICATE = ("alert certificate", "alert bad certificate", "alert unknown ca",
                      "alert unsupported certificate")  # fmt: skip


def explain(error: BaseException, url: str, seconds: float) -> EngineError:
    """Return our exception for a transport's; nothing of the original hangs on it."""
    chain = list(causes(error))
    for cause in chain:
        if isinstance(cause, EngineError):
            return cause
    for cause in chain:
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
            return explain_tls(cause, url, seconds)
    if any(isinstance(cause, TIMEOUTS) for cause in chain):
        return Unreachable(f"{url} does not answer within {seconds:g} s.")
    for cause in chain:
        if isinstance(cause, CLOSED):
            guess = "it is not a Docker Engine"
            if url.startswith("tcp:"):
                # With TLS 1.3 the refusal comes after the handshake, and may get lost.
                guess += ", or does not accept the client certificate"
            return Unreachable(f"{url} closes the connection without an answer: perhaps {guess}.")
        if isinstance(cause, http.client.BadStatusLine | http.client.UnknownProtocol):
            return Refused(f"{url} is not a Docker Engine.")
        if isinstance(cause, BROKEN_OFF):
            return Unreachable(f"{url} breaks off in the middle of its answer.")
        if isinstance(cause, PermissionError):
            return Refused(f"{url} cannot be used: permission denied.")
        if isinstance(cause, OSError) and cause.strerror:
            return Unreachable(f"{url} does not answer: {cause.strerror.lower()}.")
    return Unreachable(f"{url} does not answer as it should.")


TIMEOUTS = (
    TimeoutError,
    urllib3.exceptions.TimeoutError,
)
CLOSED = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, ssl.SSLEOFError)
BROKEN_OFF = (
    http.client.IncompleteRead,
    urllib3.exceptions.IncompleteRead,
    urllib3.exceptions.InvalidChunkLength,
    EOFError,
)


def explain_tls(error: ssl.SSLError, url: str, seconds: float) -> EngineError:
    """Return our exception for a failed handshake."""
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message.rstrip(".")
        return Refused(f"The certificate of {url} is not trusted: {why}.")
    words = (error.reason or str(error)).replace("_", " ").lower()
    if "timed out" in words:
        return Unreachable(f"{url} does not answer within {seconds:g} s.")
    if any(alert in words for alert in CLIENT_CERTIFICATE):
        return Refused(f"{url} does not accept the client certificate.")
    return Refused(f"{url} is not a Docker Engine with TLS: {words}.")


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and all that it wraps, the inner ones after the outer ones."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        found = waiting.pop(0)
        if id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        inner = (found.__cause__, found.__context__, getattr(found, "reason", None), *found.args)
        waiting.extend(cause for cause in inner if isinstance(cause, BaseException))
