"""Which indexes a page's queries use, as PostgreSQL's EXPLAIN (ANALYZE) says."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

Json = dict[str, Any]
# The tables that grow with the years; nobody may read one of them from end to end.
LARGE = (
    "medstack_event",
    "medstack_seal",
    "medstack_operation",
    "backups_snapshot",
    "backups_volumebackup",
    "clusters_task",
)


def scans(queries: Iterable[tuple[str, Any]]) -> list[Json]:
    """Return how each query reads the large tables: table, way, index and rows."""
    from django.db import connection

    found = []
    with connection.cursor() as cursor:
        for sql, values in queries:
            if sql.startswith("SELECT") and any(f'"{table}"' in sql for table in LARGE):
                cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", values)
                answer = cursor.fetchone()[0]
                plan = json.loads(answer) if isinstance(answer, str) else answer
                found += [one for one in leaves(plan[0]["Plan"]) if one["table"] in LARGE]
    return found


def leaves(node: Json, index: str = "") -> Iterator[Json]:
    """Yield the parts of a plan that read tables."""
    children = node.get("Plans", [])
    if node["Node Type"] == "Bitmap Heap Scan":
        index = ", ".join(dict.fromkeys(one["Index Name"] for one in bitmap(node)))
    if table := node.get("Relation Name"):
        rows = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
        yield {
            "table": table,
            "way": node["Node Type"],
            "index": node.get("Index Name") or index,
            "rows": round(rows * node["Actual Loops"]),
        }
    for child in children:
        yield from leaves(child)


def bitmap(node: Json) -> Iterator[Json]:
    """Yield the indexes that a bitmap is made of."""
    for child in node.get("Plans", []):
        if "Index Name" in child:
            yield child
        yield from bitmap(child)


def summary(name: str, found: Iterable[Json]) -> list[str]:
    """Return one line for each way in which a page reads a large table."""
    ways: dict[tuple[str, str, str], list[int]] = {}
    for one in found:
        key = (one["table"], one["way"], one["index"])
        ways.setdefault(key, []).append(one["rows"])
    return [
        f"{name:<44} {table:<21} {way:<17} {index or '—':<32} {max(rows):>7,}"
        for (table, way, index), rows in ways.items()
    ]


def faults(found: Iterable[Json], sizes: dict[str, int]) -> list[str]:
    """Say which large tables were read as a whole, and how many rows that was."""
    return sorted(
        {
            f"{one['table']}: {one['way']}, {one['rows']:,} rows"
            for one in found
            if one["rows"] >= sizes[one["table"]]
        }
    )
