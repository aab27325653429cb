"""One run of restic: secrets through memory, output as it comes, and nothing left behind."""

import contextlib
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import IO, Protocol
from urllib.parse import urlsplit

from backups.restic.errors import (
    HOPELESS,
    VANISHED,
    Cancelled,
    LockVanished,
    Unreachable,
    from_words,
    plain,
)
from backups.restic.installed import program, refuse_unknown
from backups.restic.repository import Repository, known_host

CHUNK = 1 << 16
# How often a run looks whether it is still wanted.
TICK = 0.2
# restic removes its lock on an interrupt, which may need an answer from a storage far away.
GRACE = 5.0
MOST_WORDS = 500
SHORT = 60.0
# Everything else of ours stays with us: the console's environment holds its own secrets.
PASSED_ON = """PATH HOME TMPDIR LANG XDG_CACHE_HOME RESTIC_CACHE_DIR SSL_CERT_FILE SSL_CERT_DIR
    HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy""".split()


class Source(Protocol):
    """Whatever bytes can be read from."""

    def read(self, size: int, /) -> bytes:
        """Return at most so many bytes; none at the end."""


def never() -> bool:
    """Say that the work is still wanted."""
    return False


def attempt(
    repository: Repository,
    arguments: Sequence[str],
    *,
    words: list[str] | None = None,
    accept: Sequence[int] = (0,),
    source: Source | None = None,
    timeout: float | None = SHORT,
    cancelled: Callable[[], bool] = never,
    started: Callable[[int], object] = lambda _pid: None,
    inherited: Sequence[int] = (),
    last: bool = True,
) -> Generator[bytes, None, None]:
    """Run restic once and yield its output as it comes, and nothing (b"") now and then.

    `words` receives the lines of its standard error; `inherited` are descriptors that it needs.
    Raise the sorted error when it ends with a code that is not accepted, and LockVanished where it
    is not the `last` attempt. Leaving the generator ends restic and all its children.
    """
    words = [] if words is None else words
    deadline = None if timeout is None else time.monotonic() + timeout
    doing = arguments[0]
    with run(repository, arguments, fed=source is not None, inherited=inherited) as process:
        started(process.pid)
        feeder = Feeder(source, process.stdin) if source and process.stdin else None
        ears = Ears(process)
        while not ears.deaf:
            yield ears.listen(words)
            if cancelled():
                raise Cancelled(f"restic {doing} was cancelled.")
            if feeder and feeder.failure:
                # Without this, half of the input would be stored as a good backup.
                raise feeder.failure
            if deadline is not None and time.monotonic() > deadline:
                said = repository.hide(" ".join(words[-2:])) or "it said nothing."
                raise Unreachable(f"restic {doing} was not done in {timeout:g} seconds: {said}")
            if any(HOPELESS.search(line) for line in words[-20:]):
                raise from_words(repository, words, code=1, doing=doing)
            if not last and any(VANISHED.search(line) for line in words[-20:]):
                raise LockVanished("A lock vanished.")
        code = process.wait()
        if feeder and feeder.failure:
            raise feeder.failure
    if code not in accept:
        raise from_words(repository, words, code=code, doing=doing)


def lines(chunks: Iterator[bytes]) -> Iterator[str]:
    """Yield whole lines, and an empty one whenever nothing came."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)
        if not whole:
            yield ""
    if rest:
        yield rest.decode(errors="replace")


@contextlib.contextmanager
def run(
    repository: Repository,
    arguments: Sequence[str],
    *,
    fed: bool,
    inherited: Sequence[int] = (),
) -> Iterator[subprocess.Popen[bytes]]:
    """Start restic in a session of its own; end whatever is left of it on leaving."""
    refuse_unknown()
    with contextlib.ExitStack() as files:
        url = "rclone:medstack" if repository.by_command else repository.url
        options = {"--repository-file": url, "--password-file": repository.password}
        if repository.ca:
            options["--cacert"] = repository.ca
        memory = {option: files.enter_context(in_memory(text)) for option, text in options.items()}
        named = [f"{option}=/proc/self/fd/{number}" for option, number in memory.items()]
        if repository.ssh_key:
            named.append(files.enter_context(over_ssh(repository)))
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        process = subprocess.Popen(
            [program(), *named, *arguments],
            stdin=subprocess.PIPE if fed else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**environment, "RESTIC_PROGRESS_FPS": "4", **repository.environment},
            pass_fds=(*memory.values(), *inherited),
            # Also takes the terminal away, on which restic would ask for a password.
            start_new_session=True,
        )
        try:
            yield process
        finally:
            end(process)


@contextlib.contextmanager
def over_ssh(repository: Repository) -> Iterator[str]:
    """Yield the option that makes restic reach a repository by ssh, with the one host key pinned.

    ssh closes what it inherits and refuses a key that others could read: so both files are this
    process's, named by its number.
    """
    parts = urlsplit(repository.url)
    host, port = parts.hostname or "", parts.port or 22
    with contextlib.ExitStack() as files:
        key = files.enter_context(in_memory(repository.ssh_key.strip() + "\n"))
        line = known_host(repository.url, repository.ssh_host_key)
        known = files.enter_context(in_memory(f"{line}\n"))
        for number in (key, known):
            os.fchmod(number, 0o600)
        own = f"/proc/{os.getpid()}/fd"
        command = (
            f"ssh -F none -T -i {own}/{key} -o IdentitiesOnly=yes -o BatchMode=yes"
            f" -o UserKnownHostsFile={own}/{known} -o GlobalKnownHostsFile=/dev/null"
            f" -o StrictHostKeyChecking=yes -o ConnectTimeout=15 -p {port}"
            f" {parts.username or 'root'}@{host}"
        )
        if repository.by_command:
            yield f"--option=rclone.program={command}"
        else:
            yield f"--option=sftp.command={command} -s sftp"


@contextlib.contextmanager
def in_memory(text: str) -> Iterator[int]:
    """Hold a text in a file without a name, for a child to inherit; yield its descriptor."""
    number = os.memfd_create("restic")
    try:
        os.write(number, text.encode())
        yield number
    finally:
        os.close(number)


def end(process: subprocess.Popen[bytes]) -> None:
    """End restic, kindly and then not, with every process of its session.

    Within its first moments restic 0.14 leaves its lock behind even so: `unlock` knows it as stale.
    """
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    # restic puts its ssh or rclone into groups of their own; the session is still ours.
    for pid in members(process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe:
            with contextlib.suppress(OSError):
                pipe.close()


def members(session: int) -> list[int]:
    """Return the processes of a session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The name in parentheses may hold anything, blanks and parentheses too.
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
            if int(fields[3]) == session:
                found.append(int(stat.parent.name))
    return found


class Ears:
    """Read a process's output and its words side by side, until it has ended."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.selector = selectors.DefaultSelector()
        self.begun = b""
        self.deaf = False
        for pipe in (process.stdout, process.stderr):
            assert pipe
            self.selector.register(pipe, selectors.EVENT_READ)

    def listen(self, words: list[str]) -> bytes:
        """Return what was put out within a tick; add whole lines of error to `words`."""
        ended = self.process.poll() is not None
        ready = self.selector.select(0 if ended else TICK)
        heard = b""
        for key, _ in ready:
            data = os.read(key.fd, CHUNK)
            if not data:
                self.selector.unregister(key.fileobj)
            elif key.fileobj is self.process.stdout:
                heard = data
            else:
                *whole, self.begun = (self.begun + data).split(b"\n")
                words.extend(plain(line.decode(errors="replace")) for line in whole)
        # A child that outlives restic may hold its pipes open: silence after the end is enough.
        if not self.selector.get_map() or (ended and not ready):
            if self.begun:
                words.append(plain(self.begun.decode(errors="replace")))
            self.selector.close()
            self.deaf = True
        # The first words say what went wrong, the last ones why it ended.
        del words[MOST_WORDS // 2 : -MOST_WORDS // 2]
        return heard


class Feeder(threading.Thread):
    """Pump a source into restic; the pipe is only closed, which means "done", when it is whole."""

    def __init__(self, source: Source, sink: IO[bytes]) -> None:
        super().__init__(daemon=True, name="restic-feeder")
        self.source = source
        self.sink = sink
        self.failure: Exception | None = None
        self.start()

    def run(self) -> None:
        """Pump until the end of the source, or of restic, whose own words then say why."""
        while True:
            try:
                chunk = self.source.read(CHUNK)
            except Exception as error:  # noqa: BLE001 (raised again by the thread that waits)
                self.failure = error
                return
            with contextlib.suppress(OSError, ValueError):
                if chunk:
                    self.sink.write(chunk)
                    continue
                self.sink.close()
            return
