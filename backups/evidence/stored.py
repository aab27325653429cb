"""Where backups are stored, in words that hold no credentials."""

import re
from collections.abc import Iterator

from backups.canonical import plain
from backups.evidence.report import Entry, entry
from backups.models import Repository
from clusters.models import Cluster

# A form refuses them in addresses; what slipped in otherwise must not reach a report.
CREDENTIALS = re.compile(r"//[^/@]*@")


def storage_name(repository: Repository) -> str:
    """Return a repository's kind and address."""
    address = CREDENTIALS.sub("//", repository.url)
    if repository.kind == Repository.Kind.EMBEDDED:
        address = f"folder {repository.folder}"
    return f"{repository.get_kind_display()}: {address}"


def repositories(cluster: Cluster) -> list[Repository]:
    """Return a cluster's repositories, former ones too, without what has to be decrypted."""
    rows = Repository.objects.filter(cluster=cluster).order_by("pk")
    return list(rows.defer("password", "console_access", "node_access"))


def storage_of(cluster: Cluster) -> dict[int | None, str]:
    """Map the keys of a cluster's repositories to their names."""
    return {row.pk: storage_name(row) for row in repositories(cluster)}


def storages(cluster: Cluster) -> Iterator[Entry]:
    """Yield each repository of a cluster."""
    for row in repositories(cluster):
        seen = {None: "not tested", True: "yes", False: "no"}[row.is_append_only]
        yield entry(
            "storage",
            cluster=cluster.name,
            storage=storage_name(row),
            region=row.region,
            used_since=plain(row.created_at.replace(microsecond=0)),
            retired_at=plain(row.retired_at),
            append_only_for_nodes=seen,
            tested_at=plain(row.tested_at),
            size_bytes=row.size_bytes,
        )
