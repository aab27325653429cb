"""Ask about a port of this machine: is it free, and does the console answer on it yet.

Usage: port.py free PORT | port.py wait PORT PROCESS
"""

import errno
import http.client
import os
import socket
import sys
import time

# As long as its process lives: a busy or small machine may take minutes to load the programs.
PATIENCE = 240


def main(question: str, port: str, process: str = "0") -> str | None:
    """Return what is wrong, in plain words, or nothing."""
    if not port.isdecimal() or not 0 < int(port) < 65536:
        return f"MEDSTACK_PORT must be a port number, not {port!r}."
    if question == "free":
        return why_not_free(int(port))
    return why_no_answer(int(port), int(process))


def why_not_free(port: int) -> str | None:
    """Try to listen there, as the console will."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return (
                    f"Port {port} is used by another program.\n"
                    "Stop that one, or choose another port: MEDSTACK_PORT=8001 make up"
                )
            return f"Port {port} cannot be used: {error.strerror}."
    return None


def why_no_answer(port: int, process: int) -> str | None:
    """Wait until a page is served, as long as the process that is to serve it lives."""
    until = time.monotonic() + PATIENCE
    problem = "nothing listens"
    while alive(process) and time.monotonic() < until:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/")
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            problem = str(error)
        else:
            if status < 500:
                return None
            problem = f"it answers {status}"
        finally:
            connection.close()
        time.sleep(0.1)
    return f"No page is served on port {port}: {problem}."


def alive(process: int) -> bool:
    """Say whether a process exists."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
