"""Captures and restores on real Engines stay close to bare restic, and far below tar and zstd.

- many small volumes, unchanged: a snapshot of 20 volumes on 2 nodes takes at most 1.5 times as long
  as 20 bare `restic backup` commands over the same folders;
- few large volumes, unchanged: 4 volumes on 2 nodes take at most 1/20 of `tar | zstd` of them all,
  and with 1 % changed at most 1/8;
- the first backup of a large volume and its restore take at most 1.3 times as long as bare restic.

Bare restic runs on this machine and uses the same server, one repository beside ours. Of the data,
one half cannot be compressed, as pictures, and the other is text. BENCH_SCALE (1) multiplies the
sizes of the promise: 100 MB, 5 GB and 2 GB, which need 60 GB of room; below it, starting containers
weighs more, and the promises are not made. Needs Linux and root.
"""

import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

SCALE = float(os.environ.get("BENCH_SCALE", "1"))
SMALL, LARGE, SINGLE = (int(size * SCALE) for size in (100_000_000, 5_000_000_000, 2_000_000_000))
PIECE = 1 << 20
Step = Callable[[], object]


class Bench:
    """Two nodes, a repository that they reach, and a time of its own for every snapshot."""

    def __init__(self, root: Path) -> None:
        import django

        os.environ["MEDSTACK_STATE"] = str(root / "state")
        os.environ["MEDSTACK_LOCAL_ROOT"] = str(root / "nodes")
        os.environ["MEDSTACK_LOCAL_BRIDGE"] = "msbench"
        os.environ["MEDSTACK_LOCAL_SUBNET"] = "10.89.0.0/24"
        os.environ["MEDSTACK_REPOSITORY_PORT"] = "8290"
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "medstack.settings")
        command = [sys.executable, "manage.py", "init_keys"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        django.setup()
        self.root = root
        self.due = datetime(2026, 1, 1, tzinfo=UTC)

    @contextmanager
    def running(self) -> Iterator["Bench"]:
        """Start nodes and server; leave nothing behind."""
        from backups import image, opening, restic
        from backups.restic import keys
        from backups.server import certificate, serving, whole
        from clusters import local
        from clusters.engine import Endpoint, connect

        names = ["bench-1", "bench-2"]
        try:
            engines = [local.ensure_running(name, hostname=name) for name in names]
            self.nodes = {
                name: connect(Endpoint(one.endpoint_url), timeout=120)
                for name, one in zip(names, engines, strict=True)
            }
            for engine in self.nodes.values():
                image.ensure_on(engine)
            stored, password = self.root / "repositories", secrets.token_urlsafe(32)
            for name in ("bench", "bare"):
                (stored / name).mkdir(parents=True)
                restic.initialise(restic.Repository(str(stored / name), password))
            # As the product makes its own, and restic anybody else's.
            keys.ease(stored / "bench", password)
            own = self.root / "keys"
            ca = certificate.ensure(own, ["127.0.0.1", opening.host()]).read_text()
            command = serving.command([opening.host()], 8290)
            plain = [
                one for one in command if not one.startswith(("--htpasswd", "--cert", "--key"))
            ]
            plain[3] = whole.remote(stored)
            plain.remove("--private-repos")
            plain += [f"--cert={own / 'server.crt'}", f"--key={own / 'server.key'}"]
            server = subprocess.Popen(plain, stderr=subprocess.DEVNULL)
            url = f"rest:https://{opening.host()}:8290"
            self.repository = restic.Repository(f"{url}/bench/", password, ca=ca)
            self.other = restic.Repository(f"{url}/bare/", password, ca=ca)
            wait(lambda: restic.exists(self.repository))
            self.image = image.name()
            yield self
        finally:
            with suppress(UnboundLocalError):
                server.terminate()
                server.wait(10)
            for name in names:
                local.destroy(name)

    def volume(self, node: str, name: str, size: int) -> Path:
        """Make a volume with so many random bytes; return its folder on this machine."""
        made = self.nodes[node].volume_create({"Name": name, "Driver": "local"})
        place = str(made["Mountpoint"]).removeprefix("/var/lib/docker/")
        folder = next(self.root.glob(f"nodes/{node}/**/{place}"))
        for number in range(0, size, 50 * PIECE):
            with (folder / f"file-{number}").open("wb") as file:
                left = min(50 * PIECE, size - number)
                while left > 0:
                    file.write(content(min(PIECE, left), number))
                    left -= PIECE
        return folder

    def remove(self, names: Sequence[str]) -> None:
        """Remove volumes."""
        for engine in self.nodes.values():
            for name in names:
                with suppress(Exception):
                    engine.volume_remove(name)

    def snapshot(self) -> None:
        """Capture both nodes at the same time, as their agents do."""
        from backups.agent import snapshot
        from backups.agent.policy import Policy
        from backups.agent.volumes import Setting

        self.due += timedelta(hours=1)
        problems: list[Any] = []

        def take(node: str) -> None:
            setting = Setting(
                engine=self.nodes[node],
                repository=self.repository,
                cluster="bench",
                node=node,
                due=self.due,
                policy=Policy(image=self.image),
                tell=lambda _line: None,
            )
            report = snapshot.take(
                setting, trigger="hourly", version="bench", with_environment=False
            )
            problems.extend(part for part in report.volumes if part.state != "captured")

        threads = [threading.Thread(target=take, args=(node,)) for node in self.nodes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not problems, problems

    def bare(self, folders: Sequence[Path]) -> None:
        """Back the same folders up with restic alone, one command each."""
        from backups import restic

        for folder in folders:
            restic.backup(self.other, [folder], host="bare")


def content(size: int, at: int) -> bytes:
    """Return so many bytes: of every other file text, and else what cannot be compressed."""
    if at // (50 * PIECE) % 2:
        return os.urandom(size // 2 + 1).hex().encode()[:size]
    return os.urandom(size)


def wait(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with suppress(Exception):
            if condition():
                return
        time.sleep(0.1)
    raise RuntimeError("The repository server does not answer.")


def seconds(step: Step) -> float:
    """Return how long a step takes; what was written before it is on the disk by then."""
    os.sync()
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def promise(what: str, ours: float, theirs: float, limit: float) -> bool:
    """Print a ratio and say whether it is within its limit."""
    ratio = ours / theirs
    kept = ratio <= limit
    mark = "kept" if kept else "NOT KEPT"
    print(f"{what}: {ours:.1f} s against {theirs:.1f} s = {ratio:.2f} (at most {limit:.2f}) {mark}")
    return kept


def small(bench: Bench) -> Iterator[bool]:
    """Measure many small volumes, unchanged."""
    names = [f"small-{number}" for number in range(20)]
    nodes = list(bench.nodes)
    folders = [bench.volume(nodes[at % 2], name, SMALL) for at, name in enumerate(names)]
    bench.snapshot()
    bench.bare(folders)
    theirs = seconds(lambda: bench.bare(folders))
    yield promise("20 small volumes, unchanged", seconds(bench.snapshot), theirs, 1.5)
    bench.remove(names)


def large(bench: Bench) -> Iterator[bool]:
    """Measure few large volumes, unchanged and then with 1 % changed."""
    names = [f"large-{number}" for number in range(4)]
    nodes = list(bench.nodes)
    folders = [bench.volume(nodes[at % 2], name, LARGE) for at, name in enumerate(names)]
    bench.snapshot()

    def tar() -> None:
        for folder in folders:
            command = f"tar -C '{folder}' -cf - . | zstd -q -T0 > /dev/null"
            subprocess.run(["/bin/sh", "-c", command], check=True)

    theirs = seconds(tar)
    yield promise("4 large volumes, unchanged", seconds(bench.snapshot), theirs, 1 / 20)
    for folder in folders:
        with (folder / "file-0").open("r+b") as file:
            file.write(os.urandom(LARGE // 100))
    yield promise("4 large volumes, 1 % changed", seconds(bench.snapshot), theirs, 1 / 8)
    bench.remove(names)


def first(bench: Bench) -> Iterator[bool]:
    """Measure the first backup of one large volume, and its restore."""
    from backups import restic
    from backups.agent.tags import tags

    folder = bench.volume("bench-1", "single", SINGLE)
    ours = seconds(bench.snapshot)
    theirs = seconds(lambda: bench.bare([folder]))
    yield promise("First backup", ours, theirs, 1.3)
    target = bench.root / "restored"
    identity = restic.snapshots(bench.other)[-1].id
    stored = restic.snapshots(bench.repository, tags=tags("volume", bench.due, "single"))[-1].id
    yield promise(
        "Restore",
        seconds(lambda: restore(bench, stored)),
        seconds(lambda: restic.restore(bench.other, identity, target)),
        1.3,
    )


def restore(bench: Bench, snapshot: str) -> None:
    """Restore a backup into a new volume, in a container on the node."""
    from backups.agent.messages import Job
    from backups.agent.tags import path_of
    from backups.agent.volumes import cache_mount

    engine = bench.nodes["bench-2"]
    engine.volume_create({"Name": "restored", "Driver": "local"})
    mount = {"Type": "volume", "Source": "restored", "Target": path_of("single")}
    values = {"snapshot": snapshot, "volume": "single", "bytes": SINGLE, "files": 0}
    job = Job(kind="restore", cluster="bench", repository=bench.repository, values=values)
    body = {
        "Image": bench.image,
        "Cmd": ["job"],
        "OpenStdin": True,
        "StdinOnce": True,
        "HostConfig": {"Mounts": [cache_mount(), mount]},
    }
    container = engine.container_create("bench-restore", body)
    engine.container_start(container, job.encode())
    while engine.container(container)["State"]["Status"] == "running":
        time.sleep(0.1)
    assert engine.container(container)["State"]["ExitCode"] == 0


def main() -> int:
    """Measure everything; return how many promises are not kept."""
    if os.geteuid() != 0:
        print("This needs Linux and root.")
        return 1
    print(f"Sizes: {SMALL / 1e6:.0f} MB, {LARGE / 1e6:.0f} MB, {SINGLE / 1e6:.0f} MB")
    with (
        tempfile.TemporaryDirectory(prefix="msb") as folder,
        Bench(Path(folder)).running() as bench,
    ):
        kept = [one for part in (small, large, first) for one in part(bench)]
    return kept.count(False)


if __name__ == "__main__":
    sys.exit(main())
