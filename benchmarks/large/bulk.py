"""Write very many rows, the quickest ways that PostgreSQL has."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def insert(
    table: str, columns: Mapping[str, str], source: str, values: Mapping[str, Any] | None = None
) -> None:
    """Insert what a query finds; `columns` are expressions of it."""
    names, expressions = ", ".join(columns), ", ".join(columns.values())
    execute(f"INSERT INTO {table} ({names}) SELECT {expressions} {source}", values or {})


def execute(statement: str, values: Any = None) -> None:
    """Run one statement."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def copy(target: str, rows: Iterable[Sequence[Any]]) -> None:
    """Copy rows into a table, the quickest way there is."""
    from django.db import connection

    connection.ensure_connection()
    with connection.connection.cursor() as cursor, cursor.copy(f"COPY {target} FROM STDIN") as into:
        for row in rows:
            into.write_row(row)
