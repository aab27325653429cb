"""The plan of a restore, and what is known of the cluster that it is made for; pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from backups.wanted import Place

Json = dict[str, Any]
Verdict = Literal["create", "present", "conflict"]


@dataclass(frozen=True)
class Item:
    """One object of the plan: what becomes of it, and more words about that."""

    kind: str
    name: str
    verdict: Verdict = "create"
    detail: str = ""


@dataclass(frozen=True)
class Plan:
    """What a restore would do, in its order, and what of the snapshot does not come back."""

    items: tuple[Item, ...] = ()
    warnings: tuple[str, ...] = ()

    def having(self, verdict: Verdict) -> list[Item]:
        """Return the objects with one fate."""
        return [item for item in self.items if item.verdict == verdict]

    @property
    def created(self) -> list[Item]:
        """Return what will be created."""
        return self.having("create")

    @property
    def present(self) -> list[Item]:
        """Return what is there already."""
        return self.having("present")

    @property
    def conflicts(self) -> list[Item]:
        """Return what has to be decided before anything is touched."""
        return self.having("conflict")

    def plain(self) -> Json:
        """Return the plan as a restore's row keeps it."""
        items = [
            {"kind": i.kind, "name": i.name, "verdict": i.verdict, "detail": i.detail}
            for i in self.items
        ]
        return {"items": items, "warnings": list(self.warnings)}


@dataclass(frozen=True, kw_only=True)
class Target:
    """What the cluster has to which everything is restored."""

    places: tuple[Place, ...] = ()
    networks: Mapping[str, Json] = field(default_factory=dict)
    registries: Mapping[str, str] = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()
    configs: Mapping[str, str] = field(default_factory=dict)
    volumes: frozenset[str] = frozenset()
    services: Mapping[str, Json] = field(default_factory=dict)
    # Domains of other services in this installation, and whose they are.
    domains: Mapping[str, str] = field(default_factory=dict)
    load_balancer: Json = field(default_factory=dict)
    # What former restores of the same snapshot have made here: volumes filled, volumes begun,
    # secrets. A restore that was cut short goes on where it ended.
    filled: frozenset[str] = frozenset()
    begun: frozenset[str] = frozenset()
    restored_secrets: frozenset[str] = frozenset()
    is_plain: bool = False
