"""The agent's image on the nodes: its name, and how it gets there."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings

from backups import agent_image
from clusters.engine import Engine, NotFound
from clusters.gateway import on_node
from clusters.models import Node
from medstack.failures import Failure

REPOSITORY = "medstack/agent"
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


def ensure_on(engine: Engine) -> None:
    """Load the image into an Engine that lacks it."""
    try:
        engine.image(name())
    except NotFound:
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
