"""Count rows of other tables beside the listed ones, in one query and without joining them."""

from typing import Any

from django.db import models
from django.db.models.functions import Coalesce


def number_of(rows: models.QuerySet[Any], owner: str) -> Coalesce:
    """Return the number of rows that belong to the listed one."""
    counted = rows.filter(**{owner: models.OuterRef("pk")}).order_by().values(owner)
    return Coalesce(models.Subquery(counted.annotate(n=models.Count("pk")).values("n")), 0)
