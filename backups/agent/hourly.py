"""Take a snapshot at every full hour of UTC, whether or not the console is there."""

import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from backups import restic
from backups.agent import freezing, halting, policy, secrets, snapshot, work
from backups.agent.messages import say
from backups.agent.policy import Policy
from backups.agent.volumes import Setting
from backups.parts import Report
from backups.schedule import hour_of
from clusters.engine import Endpoint, Engine, EngineError, connect

# How often it looks at the clock; how long after a failure it tries the same hour again, and twice
# as long after each further one.
LOOK, AGAIN = 5.0, timedelta(seconds=30)


def present() -> datetime:
    """Return the present time."""
    return datetime.now(UTC)


def own_engine() -> AbstractContextManager[Engine]:
    """Open the Engine of the node that the agent runs on."""
    return connect(Endpoint(work.SOCKET), timeout=work.PATIENCE)


@dataclass
class Agent:
    """An agent: where it stores, what it knows, and how it reads the clock."""

    cluster: str
    repository: restic.Repository = field(repr=False)
    policy: Policy
    version: str = ""
    open_engine: Callable[[], AbstractContextManager[Engine]] = own_engine
    clock: Callable[[], datetime] = present
    tell: Callable[[str], None] = print
    done: datetime | None = None
    tried: datetime | None = None
    not_before: datetime | None = None
    pause: timedelta = AGAIN
    earlier: Report | None = None

    def begin(self) -> None:
        """Remove the locks of agents that were killed here before, which nobody else can tell dead.

        Their processes had the numbers that this container's own will have soon: later, restic
        would take their locks for those of the living, and keep prunes out for half an hour.
        """
        try:
            restic.unlock(self.repository)
        except restic.ResticError as error:
            self.tell(say("note", text=str(error)))

    def look(self) -> bool:
        """Take the running hour's snapshot unless it is there; say whether it was taken now.

        An agent that starts in the middle of an hour takes that hour's, too. A failure is said, and
        tried again within the hour; the next hour does not wait for it.
        """
        now = self.clock()
        due = hour_of(now)
        if self.done == due or not self.policy.is_active:
            return False
        if self.tried != due:
            # A new hour waits for nothing that an earlier one left.
            self.tried, self.not_before, self.pause, self.earlier = due, None, AGAIN, None
        if self.not_before and now < self.not_before:
            return False
        try:
            with self.open_engine() as engine:
                taken = self.take(engine, due)
        except (EngineError, restic.ResticError, OSError, ValueError) as error:
            self.again()
            self.tell(say("failed", reason=str(error), due=due.isoformat()))
            return False
        if self.earlier:
            self.again()
        else:
            self.done = due
        return taken

    def again(self) -> None:
        """Try the same hour once more in a while, and then in a longer one."""
        self.not_before = self.clock() + self.pause
        self.pause *= 2

    def take(self, engine: Engine, due: datetime) -> bool:
        """Take one hour's part unless the repository has it."""
        info = engine.info()
        node = self.policy.node_name(info["Swarm"].get("NodeID", ""), info["Name"])
        if not self.earlier and snapshot.is_reported(self.repository, node, due):
            return False
        setting = Setting(
            engine=engine,
            repository=self.repository,
            cluster=self.cluster,
            node=node,
            due=due,
            policy=self.policy,
            # Nobody watches it; lines without end would only fill the log.
            tell=lambda _line: None,
        )
        report = snapshot.take(
            setting, trigger="hourly", version=self.version, earlier=self.earlier
        )
        # What failed may pass: it is tried again, and its report replaced by a better one.
        self.earlier = None if snapshot.is_whole(report) else report
        failed = [part.volume for part in report.volumes if part.state == "failed"]
        captured = sum(part.state == "captured" for part in report.volumes)
        self.tell(say("done", due=due.isoformat(), captured=captured, failed=failed))
        return True

    def sweep(self) -> None:
        """Thaw, start and remove what was left behind; what cannot be now is tried again soon."""
        try:
            with self.open_engine() as engine:
                freezing.sweep(engine)
                halting.sweep(engine)
                secrets.sweep(engine)
        except EngineError as error:
            self.tell(say("note", text=str(error)))


def serve() -> int:
    """Look at the clock for ever."""
    known = policy.read()
    cluster, repository = work.credentials()
    agent = Agent(cluster, repository, known, version=known.image.rpartition(":")[2])
    agent.begin()
    while True:
        try:
            agent.sweep()
            agent.look()
        except Exception:  # noqa: BLE001
            # Whatever breaks: an agent that ends would be started again into the same.
            agent.tell(say("note", text=traceback.format_exc()))
        time.sleep(LOOK)
