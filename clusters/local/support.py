"""Say whether this machine can run local nodes."""

import os
import shutil
import sys
from pathlib import Path

from clusters.local.commands import PATH

COMMANDS = {
    "dockerd": "the Docker Engine (Debian: docker.io)",
    "iptables": "iptables",
    "ip": "ip (Debian: iproute2)",
    "nsenter": "nsenter (Debian: util-linux)",
    "unshare": "unshare (Debian: util-linux)",
    "setsid": "setsid (Debian: util-linux)",
    "mount": "mount",
}
CAPABILITIES = {12: "CAP_NET_ADMIN", 21: "CAP_SYS_ADMIN"}


def supported() -> list[str]:
    """Return the reasons why local nodes cannot run here; none means that they can."""
    if sys.platform != "linux":
        return ["Local nodes need Linux."]
    reasons = []
    if os.geteuid() != 0:
        reasons.append("Local nodes need root.")
    else:
        held = effective_capabilities()
        reasons += [
            f"Local nodes need {name}, which this container's root does not have."
            for bit, name in CAPABILITIES.items()
            if not held >> bit & 1
        ]
    reasons += [
        f"Local nodes need {what}, which is not installed."
        for command, what in COMMANDS.items()
        if not shutil.which(command, path=PATH)
    ]
    return reasons


def effective_capabilities() -> int:
    """Return what this process may do, one bit each."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0
