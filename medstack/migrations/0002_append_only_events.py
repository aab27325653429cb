"""Let the database itself refuse to change or delete an audit record."""

from typing import Any

from django.db import migrations

SQLITE = (
    """CREATE TRIGGER event_no_update BEFORE UPDATE ON medstack_event
       BEGIN SELECT RAISE(ABORT, 'Events are append-only.'); END""",
    """CREATE TRIGGER event_no_delete BEFORE DELETE ON medstack_event
       BEGIN SELECT RAISE(ABORT, 'Events are append-only.'); END""",
)
POSTGRESQL = (
    """CREATE FUNCTION event_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN RAISE EXCEPTION 'Events are append-only.' USING ERRCODE = '23001'; END $$""",
    """CREATE TRIGGER event_append_only BEFORE UPDATE OR DELETE ON medstack_event
       FOR EACH ROW EXECUTE FUNCTION event_append_only()""",
    """CREATE TRIGGER event_no_truncate BEFORE TRUNCATE ON medstack_event
       FOR EACH STATEMENT EXECUTE FUNCTION event_append_only()""",
)
UNDO = {
    "sqlite": ("DROP TRIGGER event_no_update", "DROP TRIGGER event_no_delete"),
    "postgresql": (
        "DROP TRIGGER event_no_truncate ON medstack_event",
        "DROP TRIGGER event_append_only ON medstack_event",
        "DROP FUNCTION event_append_only()",
    ),
}


def create(apps: Any, schema_editor: Any) -> None:
    """Create the triggers of this database."""
    vendor = schema_editor.connection.vendor
    for statement in SQLITE if vendor == "sqlite" else POSTGRESQL:
        schema_editor.execute(statement, params=None)


def drop(apps: Any, schema_editor: Any) -> None:
    """Drop them again."""
    for statement in UNDO[schema_editor.connection.vendor]:
        schema_editor.execute(statement, params=None)


class Migration(migrations.Migration):
    dependencies = [("medstack", "0001_initial")]
    operations = [migrations.RunPython(create, drop)]
