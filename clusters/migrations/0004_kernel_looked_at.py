from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import F


def take_the_present_one(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    """What is known about a node was read from the kernel that it was created with."""
    nodes = apps.get_model("clusters", "Node").objects.exclude(has_esp=None)
    nodes.update(abilities_kernel=F("kernel"))


class Migration(migrations.Migration):
    dependencies = [
        ("clusters", "0003_ingress"),
    ]

    operations = [
        migrations.AddField(
            model_name="node",
            name="abilities_kernel",
            field=models.CharField(
                blank=True, help_text="The kernel that was looked at for these two.", max_length=100
            ),
        ),
        migrations.RunPython(take_the_present_one, migrations.RunPython.noop),
    ]
