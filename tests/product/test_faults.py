"""Whatever is killed in the middle of mixed work: nothing is stuck, doubled or lost."""

import os
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from clusters.engine import Engine
from tests.engines.acting import QUICK, problems_on
from tests.engines.workers import until
from tests.product.installation import PROGRAMS, Installation, eventually
from tests.product.visitor import Unanswered, Visitor, accepted

pytestmark = [pytest.mark.engines, pytest.mark.on_postgresql]

# `make endurance` kills a hundred times; on every commit there is time for some.
KILLS = int(os.environ.get("FAULT_KILLS", "14"))
SEED = 20261124
DEMO = "/clusters/demo/"
IMAGE = "demo.invalid/visits:1"


@dataclass
class Work:
    """Mixed work on the demo cluster, and how it should look in the end."""

    visitor: Visitor
    installation: Installation
    chance: random.Random
    replicas: int = 2
    rotations: int = 0
    volumes: set[str] = field(default_factory=set)
    secrets: set[str] = field(default_factory=set)
    number: int = 0

    def ask(self, path: str, **fields: Any) -> None:
        """Send a form until it is accepted; what it needs may be away for a while, not for long."""
        said: list[str] = []

        def answered() -> bool:
            try:
                response = self.visitor.post(DEMO + path, fields)
            except Unanswered:
                return False
            # A change whose answer was lost may be at work still.
            if response.status_code == 409 or "wait until it has ended" in response.text:
                return False
            said[:] = problems_on(response.text)
            # Or it is done, and the name is taken. What else is refused may be possible again
            # when an Engine is back.
            return response.status_code == 302 or any("already" in one for one in said)

        try:
            eventually(answered, within=180, what=path)
        except AssertionError as error:
            error.add_note(f"The last answer said: {said}")
            raise

    def next(self) -> None:
        """Ask for something."""
        self.number += 1
        choices: list[Callable[[], None]] = [
            self.scale,
            self.rotate,
            self.add_secret,
            self.add_volume,
            self.snapshot,
            self.restart,
            self.restore,
        ]
        # Each kind once, then by chance.
        turn = self.number - 1
        what = choices[turn] if turn < len(choices) else self.chance.choice(choices)
        what()

    def scale(self) -> None:
        self.replicas = self.chance.randint(1, 4)
        self.ask("docker/services/shop/scale/", replicas=self.replicas)

    def restart(self) -> None:
        self.ask("docker/services/shop/restart/")

    def rotate(self) -> None:
        self.ask("docker/secrets/shop-key/rotate/", text=f"planted-rotated-{self.number}")

    def add_secret(self) -> None:
        name = f"key-{self.number}"
        self.secrets.add(name)
        self.ask("docker/secrets/new/", name=name, text=f"planted-{self.number}")

    def add_volume(self) -> None:
        name = f"data-{self.number}"
        self.volumes.add(name)
        self.ask("docker/volumes/new/", name=name, node=self.node, kind="local")

    def snapshot(self) -> None:
        self.ask("backups/snapshots/now/")

    def restore(self) -> None:
        name = f"again-{self.number}"
        self.volumes.add(name)
        fields = {"node": self.node, "mode": "new", "name": name}
        self.ask(f"backups/volumes/{self.backup}/restore/", **fields)

    @property
    def node(self) -> int:
        """Return the demo's first node."""
        found = self.installation.sql("SELECT id FROM clusters_node WHERE name = 'node-1'")
        return int(found[0][0])

    @property
    def backup(self) -> int:
        """Return the newest backup of the volume with data."""
        found = self.installation.sql(
            "SELECT id FROM backups_volumebackup WHERE volume_name = 'orders'"
            " AND state = 'captured' ORDER BY due DESC LIMIT 1"
        )
        return int(found[0][0])


@pytest.fixture(scope="module")
def work(installation: Installation, visitor: Visitor, demo: str) -> Work:
    """Make a service with a secret, and a volume with a backup, on the demo cluster."""
    found = Work(visitor, installation, random.Random(SEED))
    found.ask("docker/volumes/new/", name="orders", node=found.node, kind="local")
    found.ask("docker/secrets/new/", name="shop-key", text="the-first-planted-value")
    installation.settle()
    fields = {
        **QUICK,
        "name": "shop",
        "image": IMAGE,
        "args": "api",
        "constraints": "node.hostname==node-1",
        "secrets-0-name": "shop-key",
        "volumes-0-volume": "orders",
        "volumes-0-path": "/srv/data",
        "replicas": 2,
    }
    installation.wait_for_image(IMAGE, "demo")
    accepted(visitor.fill_in(DEMO + "docker/services/new/", "image", **fields))
    found.ask("backups/snapshots/now/")
    installation.settle()
    newest = installation.sql("SELECT state, reasons FROM backups_snapshot ORDER BY due DESC")[0]
    assert newest == ("complete", []), installation.sql(
        "SELECT kind, state, error, log FROM medstack_operation ORDER BY id DESC LIMIT 1"
    )
    assert found.backup
    return found


class Killer:
    """Kills one part of the installation, and does what the machine would do about it."""

    def __init__(self, installation: Installation, chance: random.Random) -> None:
        self.installation, self.chance = installation, chance
        self.killed: Counter[str] = Counter()
        self.parts = [*PROGRAMS, "worker", "PostgreSQL", "Engine", "agent"]

    def strike(self) -> None:
        """Kill a part at a random moment of the work, every part as often as the others."""
        turn = sum(self.killed.values()) % len(self.parts)
        if turn == 0:
            self.chance.shuffle(self.parts)
        part = self.parts[turn]
        with suppress(AssertionError):
            # Quick work may be over before it is seen.
            until(self.installation.active, within=2)
        # Not a wait for something: the moment itself is what is random.
        time.sleep(self.chance.uniform(0, 2))
        self.kill(part)
        self.killed[part] += 1
        eventually(self.installation.is_well, within=60, what=f"the console after {part}")

    def kill(self, part: str) -> None:
        database = self.installation.database
        if part == "PostgreSQL":
            database.kill()
            database.start()
        elif part == "Engine":
            engines = self.installation.nodes("demo")
            self.installation.kill_engine(self.chance.choice([*engines.values()]))
            ended = self.installation.manage("local_engines", "up")
            assert ended.returncode == 0, ended.stdout + ended.stderr
        elif part == "agent":
            name = self.chance.choice([*self.installation.nodes("demo").values()])
            with self.installation.engine(name) as engine:
                kill_containers(engine, self.chance)
        else:
            self.installation.kill_program(part)


def kill_containers(engine: Engine, chance: random.Random) -> None:
    """Kill one container of ours: an agent, a capture or a restore, whichever is there."""
    found = [
        one
        for name in ("medstack-op-", "medstack-capture-", "medstack-agent")
        for one in engine.containers(filters={"name": [name]})
    ]
    if found:
        engine.container_kill(chance.choice(found)["Id"])


def test_killing_parts_at_random_moments_of_mixed_work_loses_nothing(
    work: Work, installation: Installation, say: Callable[[str], None]
) -> None:
    killer = Killer(installation, work.chance)
    for _ in range(KILLS):
        work.next()
        killer.strike()
        # A few at a time, as people work; a queue that only grows would test the queue alone.
        eventually(lambda: len(installation.active()) < 4, within=600, what="room for more work")
    installation.settle(within=900)
    killed = ", ".join(f"{part} {times}" for part, times in sorted(killer.killed.items()))
    say(f"Killed {sum(killer.killed.values())} times: {killed}.")
    assert sum(killer.killed.values()) == KILLS


def test_every_operation_has_an_end_that_is_recorded_once(
    work: Work, installation: Installation
) -> None:
    rows = installation.sql(
        "SELECT o.id, o.kind, o.state, o.error, count(e.id) FROM medstack_operation o"
        " LEFT JOIN medstack_event e ON e.subject_kind = 'operation' AND e.subject_id = o.id"
        " AND e.action IN ('operation.done', 'operation.failed') GROUP BY o.id ORDER BY o.id"
    )
    assert rows
    for pk, kind, state, error, endings in rows:
        assert state in ("done", "failed"), (pk, kind, state)
        assert endings == 1, (pk, kind, endings)
        assert "Unexpected error" not in error, (pk, kind, error)
        assert "could not be undone" not in error, (pk, kind, error)
    # A restore or a snapshot whose container was killed may say so, and an update that the swarm
    # paused because a task met an Engine that had only just started; nothing else may fail.
    bad = [(kind, error) for _, kind, state, error, _ in rows if state == "failed"]
    excused = ("snapshot.take", "volume.restore", "volume.drill")
    early = "when swarm is not active"
    assert not [(k, error) for k, error in bad if k not in excused and early not in error], bad


def test_the_record_is_unbroken(work: Work, installation: Installation) -> None:
    ended = installation.manage("verify_events")
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_swarm_has_exactly_one_of_everything_that_was_asked_for(
    work: Work, installation: Installation
) -> None:
    manager, *others = installation.nodes("demo").values()
    with installation.engine(manager) as engine:
        services = {one["Spec"]["Name"]: one["Spec"] for one in engine.services()}
        secrets = Counter(
            one["Spec"]["Name"].partition("-v")[0]
            for one in engine.secrets()
            if not one["Spec"]["Name"].startswith("medstack-")
        )
        networks = [net["Name"] for net in engine.networks()]
        volumes = {volume["Name"] for volume in engine.volumes()}
        members = engine.nodes()
    assert len(members) == 1 + len(others)
    assert services["shop"]["Mode"]["Replicated"]["Replicas"] == work.replicas
    assert networks.count("internal") == 1
    assert work.secrets | {"shop-key"} <= set(secrets)
    assert all(secrets[name] == 1 for name in work.secrets), secrets
    # The one before the newest is kept, to roll back to.
    assert secrets["shop-key"] <= 2
    lost = {
        name
        for (name,) in installation.sql(
            "SELECT target_name FROM medstack_operation WHERE state = 'failed'"
        )
    }
    missing = {name for name in work.volumes if name not in volumes}
    assert all(any(name in text for text in lost) for name in missing), (missing, lost)


def test_nothing_is_left_behind_frozen_or_running(work: Work, installation: Installation) -> None:
    def leftovers() -> list[str]:
        found = []
        for name in installation.nodes("demo").values():
            with installation.engine(name) as engine:
                for mark in ("medstack-op-", "medstack-capture-"):
                    found += engine.containers(all=True, filters={"name": [mark]})
                found += engine.containers(filters={"status": ["paused"]})
        return [str(one["Names"]) for one in found]

    eventually(lambda: not leftovers(), within=90, what="our containers are gone")
    states = installation.sql("SELECT count(*) FROM backups_restore WHERE outcome = 'running'")
    assert states == [(0,)]


def test_a_snapshot_is_complete_again_and_comes_back(
    work: Work, installation: Installation
) -> None:
    work.snapshot()
    installation.settle()
    newest = installation.sql("SELECT state, reasons FROM backups_snapshot ORDER BY due DESC")[0]
    assert newest == ("complete", [])
    work.restore()
    installation.settle()
    restored = installation.sql("SELECT outcome FROM backups_restore ORDER BY id DESC")[0]
    assert restored == ("passed",)


def test_the_application_and_the_console_answer(work: Work, installation: Installation) -> None:
    assert work.visitor.get(DEMO).status_code == 200
    assert requests.get(f"{installation.url}/healthz", timeout=5).ok
    words = installation.logs
    assert "Traceback" not in "".join(
        part for part in words.split("Traceback")[1:] if "OperationalError" not in part[:6000]
    )
