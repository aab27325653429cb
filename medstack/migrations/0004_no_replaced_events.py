"""Close SQLite's other way to lose a row: REPLACE deletes without telling a delete trigger."""

from typing import Any

from django.db import migrations

CREATE = """CREATE TRIGGER event_no_replace BEFORE INSERT ON medstack_event
    WHEN EXISTS (SELECT 1 FROM medstack_event WHERE id = NEW.id)
    BEGIN SELECT RAISE(ABORT, 'Events are append-only.'); END"""


def create(apps: Any, schema_editor: Any) -> None:
    """Create the trigger where it is needed."""
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute(CREATE, params=None)


def drop(apps: Any, schema_editor: Any) -> None:
    """Drop it again."""
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute("DROP TRIGGER event_no_replace", params=None)


class Migration(migrations.Migration):
    dependencies = [("medstack", "0003_operation_attempts")]
    operations = [migrations.RunPython(create, drop)]
