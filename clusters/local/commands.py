"""Run the system's commands: bounded in time, with their own words when they fail."""

import os
import subprocess

from medstack.failures import Failure

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


def environment() -> dict[str, str]:
    """Return what a command may know: the console's own variables stay with the console."""
    passed = {name: os.environ[name] for name in PROXIES if name in os.environ}
    return {"PATH": PATH, "LC_ALL": "C", **passed}


def run(*command: str, timeout: float = 20) -> str:
    """Run a command and return what it printed."""
    done = attempt(*command, timeout=timeout)
    if done.returncode:
        words = (done.stderr or done.stdout).strip() or f"it ended with {done.returncode}"
        raise Failure(f"“{' '.join(command)}” failed: {words}")
    return done.stdout


def succeeds(*command: str) -> bool:
    """Say whether a command that only asks says yes."""
    return attempt(*command, timeout=20).returncode == 0


def attempt(*command: str, timeout: float) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, whatever that is."""
    try:
        return subprocess.run(
            command,
            capture_output=True,
            check=False,
            env=environment(),
            errors="replace",
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        raise Failure(f"“{command[0]}” did not end within {timeout:g} seconds.") from None
    except OSError as error:
        raise Failure(f"“{command[0]}” could not be started: {error.strerror}.") from None
