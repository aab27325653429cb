"""Read rows in pieces, by their place in an index and not by counting: memory stays flat."""

from collections.abc import Iterator
from typing import Any

from django.db.models import Q, QuerySet

PIECE = 2_000


def in_order(
    rows: QuerySet[Any], *fields: str, by: str = "due", piece: int = PIECE
) -> Iterator[dict[str, Any]]:
    """Yield the rows as dicts, oldest first; rows that are added meanwhile are left out.

    Each piece is a query of its own: a slow reader of a download holds no transaction open.
    """
    newest = rows.model._default_manager.order_by("-pk").values_list("pk", flat=True).first()
    rows = rows.filter(pk__lte=newest or 0).order_by(by, "-pk")
    last: dict[str, Any] | None = None
    while True:
        rest = rows
        if last:
            # First the range, which an index answers; then not what was read of its first moment.
            rest = rows.filter(**{f"{by}__gte": last[by]})
            rest = rest.exclude(Q(**{by: last[by]}) & Q(pk__gte=last["pk"]))
        found = list(rest.values("pk", by, *fields)[:piece])
        yield from found
        if len(found) < piece:
            return
        last = found[-1]
