"""Read what a cluster's Engines say now, all of them at once; nothing here writes a row."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import Any

from clusters import engine
from clusters.engine import Endpoint

Json = dict[str, Any]
READ_TIMEOUT = 5.0
# An Engine that is slow at everything must not keep its cluster's refresh for long.
LONGEST_READ = 12.0
AT_ONCE = 256


@dataclass(frozen=True)
class NodeFacts:
    """What one Engine said, or why it did not; what was made since `asked_at` it cannot know."""

    error: str = ""
    asked_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    info: Json = field(default_factory=dict)
    api_version: str = ""
    clock_skew: float | None = None
    containers: list[Json] = field(default_factory=list)
    volumes: list[Json] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    sizes: dict[str, int] | None = None


@dataclass(frozen=True)
class SwarmFacts:
    """What a manager said about the swarm, or why none did."""

    error: str = ""
    asked_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    nodes: list[Json] = field(default_factory=list)
    services: list[Json] = field(default_factory=list)
    tasks: list[Json] = field(default_factory=list)
    networks: list[Json] = field(default_factory=list)
    secrets: list[Json] = field(default_factory=list)
    configs: list[Json] = field(default_factory=list)


def read_node(endpoint: Endpoint, *, sizes: bool = False) -> NodeFacts:
    """Read one Engine; an Engine that does not answer is a fact, too."""
    try:
        end = monotonic() + LONGEST_READ
        with engine.connect(endpoint, timeout=READ_TIMEOUT) as connection:
            ask = partial(hurried, connection, end)
            asked = datetime.now(UTC)
            info = ask().info()
            middle = asked + (datetime.now(UTC) - asked) / 2
            return NodeFacts(
                asked_at=asked,
                info=info,
                api_version=ask().version().get("ApiVersion", ""),
                clock_skew=skew(info.get("SystemTime", ""), middle),
                containers=[brief(container) for container in ask().containers()],
                volumes=ask().volumes(),
                images=sorted(
                    tag
                    for image in ask().images()
                    for tag in [*(image.get("RepoTags") or []), *(image.get("RepoDigests") or [])]
                ),
                sizes=volume_sizes(ask()) if sizes else None,
            )
    except engine.EngineError as error:
        return NodeFacts(error=str(error))


def hurried(connection: engine.Engine, end: float) -> engine.Engine:
    """Return the Engine with no more time for its next answer than is left."""
    connection.timeout = max(min(READ_TIMEOUT, end - monotonic()), 0.1)
    return connection


def volume_sizes(connection: engine.Engine) -> dict[str, int] | None:
    """Return the volumes' sizes; where measuring takes too long the node is well all the same."""
    try:
        return connection.df_volumes()
    except engine.EngineError:
        return None


def skew(system_time: str, now: datetime) -> float | None:
    """Return how many seconds an Engine's clock is ahead of ours."""
    if not system_time:
        return None
    # The Engine writes nanoseconds, Python reads microseconds.
    return round((moment(system_time) - now).total_seconds(), 1)


def moment(text: str) -> datetime:
    """Read one of the Engine's times."""
    head, dot, rest = text.partition(".")
    if not dot:
        return datetime.fromisoformat(text)
    digits = len(rest) - len(rest.lstrip("0123456789"))
    return datetime.fromisoformat(f"{head}.{rest[:digits][:6].ljust(6, '0')}{rest[digits:]}")


def brief(container: Json) -> Json:
    """Keep of a container what the node page shows; its labels may be long."""
    labels = container.get("Labels") or {}
    return {
        "id": container["Id"][:12],
        "name": (container.get("Names") or ["/"])[0].lstrip("/"),
        "image": container.get("Image", "").split("@")[0],
        "state": container.get("State", ""),
        "status": container.get("Status", ""),
        "service": labels.get("com.docker.swarm.service.name", ""),
    }


def read_swarm(managers: Iterable[Endpoint]) -> SwarmFacts:
    """Read the swarm from the first manager that answers."""
    reasons = []
    end = monotonic() + LONGEST_READ
    for endpoint in managers:
        try:
            with engine.connect(endpoint, timeout=READ_TIMEOUT) as manager:
                ask = partial(hurried, manager, end)
                return SwarmFacts(
                    asked_at=datetime.now(UTC),
                    nodes=ask().nodes(),
                    services=ask().services(),
                    tasks=ask().tasks(),
                    networks=[net for net in ask().networks() if net.get("Scope") == "swarm"],
                    secrets=ask().secrets(),
                    configs=ask().configs(),
                )
        except engine.EngineError as error:
            reasons.append(str(error))
    return SwarmFacts(error="; ".join(reasons) or "The cluster has no manager.")


def read_cluster(
    nodes: dict[int, Endpoint], managers: list[Endpoint], *, sizes: bool
) -> tuple[dict[int, NodeFacts], SwarmFacts]:
    """Read all nodes and the swarm at once: it takes about as long as the slowest of them."""

    def read(item: tuple[int, Endpoint]) -> tuple[int, NodeFacts]:
        return item[0], read_node(item[1], sizes=sizes)

    with ThreadPoolExecutor(min(AT_ONCE, len(nodes) + 1)) as pool:
        swarm = pool.submit(read_swarm, managers)
        found = dict(pool.map(read, nodes.items()))
        return found, swarm.result()
