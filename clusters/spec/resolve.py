"""Between the names that the console stores and the ids that the Engine wants."""

import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from clusters.spec.alter import container_of, inner
from clusters.spec.defaults import GENERATION_LABEL, SERVICE_LABEL
from clusters.spec.mounts import is_volume
from clusters.spec.read import attachments, part
from medstack.failures import Failure

Json = dict[str, Any]
ENGINE_ID = re.compile(r"[a-z0-9]{25}|[0-9a-f]{64}")


@dataclass(frozen=True)
class Uses:
    """The names of all that a service needs from its cluster."""

    secrets: frozenset[str] = frozenset()
    configs: frozenset[str] = frozenset()
    volumes: frozenset[str] = frozenset()
    networks: frozenset[str] = frozenset()
    image: str = ""


def uses(spec: Json) -> Uses:
    """Return what a service needs."""
    container = part(part(spec, "TaskTemplate"), "ContainerSpec")
    return Uses(
        secrets=known(item.get("SecretName") for item in container.get("Secrets") or []),
        configs=known(item.get("ConfigName") for item in container.get("Configs") or []),
        volumes=known(m["Source"] for m in container.get("Mounts") or [] if is_volume(m)),
        networks=known(item.get("Target") for item in attachments(spec)),
        image=container.get("Image", ""),
    )


def resolve(
    spec: Json,
    *,
    generation: int,
    secrets: Mapping[str, str],
    configs: Mapping[str, str],
    networks: Mapping[str, str],
) -> Json:
    """Return the spec with ids for names, and the generation on its label."""
    result = deepcopy(spec)
    container = container_of(result)
    missing = []
    for kind, ids in (("Secret", secrets), ("Config", configs)):
        for item in container.get(f"{kind}s") or []:
            name = item.get(f"{kind}Name", "")
            if name in ids:
                item[f"{kind}ID"] = ids[name]
            else:
                missing.append(f"the {kind.lower()} “{name}”")
    for item in attachments(result):
        target = item.get("Target", "")
        if target in networks:
            item["Target"] = networks[target]
        elif not ENGINE_ID.fullmatch(target):
            missing.append(f"the network “{target}”")
    if missing:
        raise Failure(f"The cluster does not have what the service needs: {', '.join(missing)}.")
    inner(result, "Labels")[GENERATION_LABEL] = str(generation)
    return result


def named(
    live: Json, wanted: Json | None = None, *, networks: Mapping[str, str] | None = None
) -> Json:
    """Return a live spec as the console stores it: names for ids, and no labels of ours.

    Where the live image is the wanted one with a digest, the wanted one stays: the digest came
    from us. A network that is not among the known names keeps its id, which `resolve` takes.
    """
    result = with_network_names(live, networks or {})
    container = container_of(result)
    for kind in ("Secret", "Config"):
        for item in container.get(f"{kind}s") or []:
            item.pop(f"{kind}ID", None)
    labels = inner(result, "Labels")
    for ours in (GENERATION_LABEL, SERVICE_LABEL):
        labels.pop(ours, None)
    image = uses(wanted or {}).image
    if image and uses(result).image.partition("@")[0] == image:
        container["Image"] = image
    return result


def with_network_names(spec: Json, networks: Mapping[str, str]) -> Json:
    """Return the spec with the networks' names where they are known."""
    result = deepcopy(spec)
    names = {engine_id: name for name, engine_id in networks.items()}
    for item in attachments(result):
        item["Target"] = names.get(item["Target"], item["Target"])
    return result


def known(found: Iterable[str | None]) -> frozenset[str]:
    """Return the names that there are."""
    return frozenset(name for name in found if name)
