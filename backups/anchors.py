"""Where the end of an audit chain is written down outside of the chain: in snapshots' manifests."""

import json
from collections.abc import Iterator

from backups import opening, restic
from backups.models import Repository, Snapshot

Heads = dict[int, str]


def from_rows(company_id: int) -> Heads:
    """Return the heads in the manifests that the console's own rows keep."""
    rows = Snapshot.objects.filter(cluster__company=company_id).exclude(manifest="")
    texts = rows.order_by("pk").values_list("manifest", flat=True)
    return dict(found for text in texts.iterator() for found in heads_in(text.encode()))


def from_repositories(company_id: int) -> Heads:
    """Return the heads in the manifests of all repositories, which a stolen database cannot alter.

    Raise restic.ResticError where a repository cannot be read.
    """
    heads: Heads = {}
    for row in Repository.objects.filter(cluster__company=company_id).exclude(initialised_at=None):
        repository = opening.for_console(row)
        for snapshot in restic.snapshots(repository, tags=["kind:manifest"]):
            content = b"".join(restic.dump(repository, snapshot.id, "/manifest.json"))
            heads.update(heads_in(content))
    return heads


def heads_in(manifest: bytes) -> Iterator[tuple[int, str]]:
    """Yield the head that a manifest holds, if it holds one."""
    anchor = json.loads(manifest).get("anchor") or {}
    if anchor.get("number") and anchor.get("hash"):
        yield int(anchor["number"]), str(anchor["hash"])
