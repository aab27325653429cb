"""The services of a restore's plan, and the load balancer in front of them; pure."""

from collections.abc import Callable, Iterator
from typing import Any

from backups.manifest import Manifest
from backups.placement import unplaceable
from backups.planned import Item, Target
from backups.wanted import Wanted, comparable, environment_of
from clusters import spec as specs
from clusters.ingress.routes import of_labels

Json = dict[str, Any]


def services(
    manifest: Manifest,
    wanted: Wanted,
    target: Target,
    warnings: list[str],
) -> Iterator[Item]:
    """Plan the services: what they need, where they can run, and whose their domains are."""
    absent = missing(manifest, wanted, target)
    for spec in wanted.services:
        name, image = spec["Name"], specs.uses(spec).image
        problems = [*absent(spec), *domains_taken(spec, target)]
        if there := target.services.get(name):
            same = comparable(there) == comparable(spec)
            detail = pinned(image) if same else "Another service of this name runs. Delete it."
            yield Item("service", name, "present" if same else "conflict", detail)
            continue
        if "@" not in image:
            warnings.append(
                f"The digest of “{image}” is not known: the service {name} runs what its nodes or "
                "its registry have under this name now."
            )
        if any(mode.endswith("Job") for mode in spec.get("Mode") or {}):
            warnings.append(f"The service {name} is a job: it runs once more.")
        if problem := unplaceable(spec, target.places, wanted.labels):
            problems.append(problem)
        detail = " ".join(problems) or pinned(image)
        yield Item("service", name, "conflict" if problems else "create", detail)


def pinned(image: str) -> str:
    """Return an image for people: its digest in short."""
    name, at, digest = image.partition("@")
    return f"{name}, pinned to {digest.removeprefix('sha256:')[:12]}" if at else name


def missing(manifest: Manifest, wanted: Wanted, target: Target) -> Callable[[Json], Iterator[str]]:
    """Return what says which things a service needs that nobody will have made."""
    secret_names = {one["Name"] for one in wanted.secrets} | target.secrets
    config_names = {one["Name"] for one in wanted.configs} | set(target.configs)
    own = {one["Name"] for one in environment_of(manifest).networks}
    network_names = own | set(target.networks) | {"ingress", "host", "bridge"}

    def of(spec: Json) -> Iterator[str]:
        uses = specs.uses(spec)
        for kind, needed, there in (
            ("secret", uses.secrets, secret_names),
            ("config", uses.configs, config_names),
            ("network", uses.networks, network_names),
        ):
            for name in sorted(needed - there):
                yield f"It needs the {kind} “{name}”, which is not restored; create it first."

    return of


def domains_taken(spec: Json, target: Target) -> Iterator[str]:
    """Say which of a service's domains belong to another one."""
    for route in of_labels(spec["Name"], spec.get("Labels") or {}):
        if owner := target.domains.get(route.domain):
            yield f"Its domain {route.domain} belongs to {owner}; remove it there first."


def load_balancer(wanted: Wanted, target: Target) -> Iterator[Item]:
    """Plan the load balancer, which is deployed anew from its settings."""
    settings = wanted.load_balancer
    if not settings:
        return
    place = next((p for p in target.places if p.name == settings.get("node")), None)
    if target.load_balancer:
        same = all(settings.get(key) == text for key, text in target.load_balancer.items())
        detail = "" if same else "Another one is deployed. Remove it first, or change it to this."
        yield Item("load balancer", "loadbalancer", "present" if same else "conflict", detail)
    elif place and place.role != "manager":
        detail = f"{place.name} is no manager. Map its node to a manager, or promote that one."
        yield Item("load balancer", "loadbalancer", "conflict", detail)
    else:
        yield Item("load balancer", "loadbalancer", detail=f"on {place.name}" if place else "")
