"""The agent's image on the nodes: its name, and how it gets there."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.conf import settings

from backups import agent_image
from clusters.engine import Engine, NotFound, RegistryAuth
from clusters.gateway import on_node
from clusters.images import matching_registry, parse
from clusters.models import Node, Registry
from medstack.failures import Failure

# A name that no registry can ever have. A swarm asks the registry first, whatever the node has: who
# owned the name there would be let in on every node.
REPOSITORY = "medstack.invalid/agent"
ARCHITECTURES: Mapping[str, str] = {"x86_64": "amd64", "aarch64": "arm64"}


def name() -> str:
    """Return the image that agents, and the containers beside them, are made of."""
    return str(settings.AGENT_IMAGE) or f"{REPOSITORY}:{agent_image.version()}"


def ensure(node: Node) -> None:
    """Load the image into a node that lacks it; one that is configured is pulled by the Engine."""
    if settings.AGENT_IMAGE:
        return
    with on_node(node, timeout=60) as engine:
        ensure_on(engine)


def auth(registries: Iterable[Registry]) -> RegistryAuth | None:
    """Return what a configured image is pulled with; one that is loaded needs nothing."""
    if not settings.AGENT_IMAGE:
        return None
    found = matching_registry(parse(name()), registries)
    return RegistryAuth(found.address, found.username, found.password) if found else None


def ensure_on(engine: Engine) -> None:
    """Load the image into an Engine that lacks it."""
    try:
        engine.image(name())
    except NotFound:
        if settings.AGENT_IMAGE:
            raise NotFound(
                f"The node has not pulled {name()} yet; it does so with its agent."
            ) from None
        refuse_other_architecture(engine.info())
        repository, _, tag = name().rpartition(":")
        engine.image_import(agent_image.archive(), repository, tag, agent_image.CHANGES)


def refuse_other_architecture(info: Mapping[str, Any]) -> None:
    """Refuse to load this machine's programs into a node that cannot run them."""
    import platform

    here = platform.machine()
    there = str(info.get("Architecture", here))
    if ARCHITECTURES.get(here, here) != ARCHITECTURES.get(there, there):
        raise Failure(
            f"The node is of another kind ({there}) than the console's machine ({here}). Build "
            "the agent's image for it with deploy/agent/Dockerfile and set MEDSTACK_AGENT_IMAGE."
        )
