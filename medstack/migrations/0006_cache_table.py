"""Make the table in which all processes count attempts together."""

from typing import Any

from django.core.management import call_command
from django.db import migrations


def create(apps: Any, schema_editor: Any) -> None:
    """Let Django make its own cache table."""
    call_command("createcachetable", database=schema_editor.connection.alias, verbosity=0)


class Migration(migrations.Migration):
    dependencies = [("medstack", "0005_seal")]
    operations = [migrations.RunPython(create, migrations.RunPython.noop)]
