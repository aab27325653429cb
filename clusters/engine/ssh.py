"""Reach an Engine through the system's ssh client, with the one host key that is pinned."""

import base64
import binascii
import hashlib
import math
import os
import re
import socket
import subprocess
from dataclasses import dataclass

from clusters.engine.endpoint import HOST, Address
from clusters.engine.errors import EngineError, Refused, Unreachable
from clusters.engine.memory import MemoryFile
from clusters.engine.sockets import PlainSocket, remaining, resolve

# The name under which the host key is pinned, whatever the host is called.
ALIAS = "medstack-node"
KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
         "ssh-rsa")  # fmt: skip
KEY = re.compile(rf"(?P<kind>{'|'.join(KINDS)})\s+(?P<key>[A-Za-z0-9+/]+=*)")
OPTIONS = (
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "GlobalKnownHostsFile=/dev/null",
    "UpdateHostKeys=no",
    f"HostKeyAlias={ALIAS}",
    "CheckHostIP=no",
    "IdentitiesOnly=yes",
    "IdentityAgent=none",
    "PreferredAuthentications=publickey",
    "PasswordAuthentication=no",
    "KbdInteractiveAuthentication=no",
    "ControlPath=none",
    "ServerAliveInterval=15",
    "ServerAliveCountMax=2",
    "LogLevel=ERROR",
)
# What the ssh client, or the shell behind it, says when trying again later will not help.
HOPELESS = {
    "Host key verification failed": "its host key is not the pinned one",
    "REMOTE HOST IDENTIFICATION HAS CHANGED": "its host key is not the pinned one",
    "no matching host key type": "it has no host key of the pinned kind",
    "Permission denied (": "it does not accept the key of this user",
    "error in libcrypto": "the private key cannot be read",
    "invalid format": "the private key cannot be read",
    "incorrect passphrase": "the private key is protected by a passphrase",
    "command not found": "it has no docker command",
    "docker: not found": "it has no docker command",
    "permission denied while trying to connect": "its user may not use Docker there",
    "docker.sock: connect: permission denied": "its user may not use Docker there",
}


@dataclass(frozen=True)
class HostKey:
    """A host's public key as a form shows it: the line to pin and its fingerprint."""

    line: str
    fingerprint: str


class SshTunnel:
    """Start `docker system dial-stdio` on the host, once for each connection."""

    def __init__(self, address: Address, *, key: str, host_key: str) -> None:
        self._address = address
        self._processes: list[subprocess.Popen[bytes]] = []
        pinned = "".join(f"{ALIAS} {line}\n" for line in host_key_lines(host_key))
        self._known_hosts = MemoryFile(pinned)
        self._key = MemoryFile(key.replace("\r\n", "\n").strip() + "\n")

    def dial(self, deadline: float) -> PlainSocket:
        """Return a socket whose other end is the Engine; errors show at the first read."""
        self._forget_ended()
        resolve(self._address.host, self._address.port, deadline)
        ours, theirs = socket.socketpair()
        try:
            process = subprocess.Popen(
                self._command(remaining(deadline)),
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.PIPE,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
                start_new_session=True,
            )
        except BaseException as error:
            ours.close()
            if isinstance(error, FileNotFoundError):
                raise Refused("The ssh client is not installed on this machine.") from None
            raise
        finally:
            theirs.close()
        self._processes.append(process)
        connection = PlainSocket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=ours.detach())
        connection.deadline = deadline
        return connection

    def _forget_ended(self) -> None:
        for process in [process for process in self._processes if process.poll() is not None]:
            self._processes.remove(process)
            if process.stderr is not None:
                process.stderr.close()

    def _command(self, seconds: float) -> list[str]:
        address = self._address
        options = [
            *OPTIONS,
            f"UserKnownHostsFile={self._known_hosts.path}",
            f"ConnectTimeout={min(5, math.ceil(seconds))}",
        ]
        # No configuration file: what a user of this machine prefers must not change the result.
        return [
            "ssh", "-T", "-F", "none", *(part for option in options for part in ("-o", option)),
            "-i", self._key.path, "-l", address.user, "-p", str(address.port), "--", address.host,
            "docker system dial-stdio",
        ]  # fmt: skip

    def complaint(self) -> EngineError | None:
        """Return what the ssh client said when it gave up, if it did."""
        for process in reversed(self._processes):
            try:
                # It has closed its output a moment before it ends.
                process.wait(timeout=0.5)
            except subprocess.TimeoutExpired:
                continue
            words = self._last_words(process)
            if words:
                return self._sorted(words)
        return None

    def _last_words(self, process: subprocess.Popen[bytes]) -> str:
        if process.stderr is None or process.stderr.closed:
            return ""
        os.set_blocking(process.stderr.fileno(), False)
        heard = process.stderr.read(8192) or b""
        return heard.decode(errors="replace").strip()

    def _sorted(self, words: str) -> EngineError:
        name = f"ssh://{self._address.user}@{self._address.host}"
        for phrase, meaning in HOPELESS.items():
            if phrase in words:
                return Refused(f"{name} cannot be used: {meaning}.")
        return Unreachable(f"{name} does not answer: {words.splitlines()[-1][:300]}")

    def close(self) -> None:
        """End the ssh clients and forget the credentials."""
        for process in self._processes:
            if process.poll() is None:
                process.terminate()
        for process in self._processes:
            try:
                process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._forget_ended()
        self._key.close()
        self._known_hosts.close()


def host_key_lines(text: str) -> list[str]:
    """Return the public keys in a text, be it known_hosts lines or bare keys."""
    lines = [f"{found['kind']} {found['key']}" for found in KEY.finditer(text)]
    if not lines:
        raise Refused("The host key is not an OpenSSH public key.")
    return lines


def fingerprint(line: str) -> str:
    """Return a public key's SHA256 fingerprint, as ssh-keygen writes it."""
    kind, _, key = host_key_lines(line)[0].partition(" ")
    try:
        digest = hashlib.sha256(base64.b64decode(key, validate=True)).digest()
    except binascii.Error:
        raise Refused(f"The host's {kind} key is damaged.") from None
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def scan_host_key(host: str, port: int = 22, *, timeout: float = 5) -> HostKey:
    """Ask a host for its public key, so that a person can compare the fingerprint."""
    if not HOST.fullmatch(host) or not 0 < port < 65536:
        raise Refused(f"“{host}” is not a valid host.")
    command = ["ssh-keyscan", "-T", str(math.ceil(timeout)), "-p", str(port), "-t",
               "ed25519,ecdsa,rsa", "--", host]  # fmt: skip
    try:
        answer = subprocess.run(
            command, capture_output=True, timeout=timeout, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise Unreachable(f"{host} does not show its host key within {timeout:g} s.") from None
    except FileNotFoundError:
        raise Refused("ssh-keyscan is not installed on this machine.") from None
    found = {match["kind"]: match[0] for match in KEY.finditer(answer.stdout.decode("latin-1"))}
    for kind in KINDS:
        if kind in found:
            line = " ".join(found[kind].split())
            return HostKey(line, fingerprint(line))
    raise Unreachable(f"{host} does not show a host key on port {port}.")
