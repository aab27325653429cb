"""Where Django admin's own change lists stand, with the columns that the console's lists have."""

from collections.abc import Sequence

from django.contrib import admin
from django.db.models import Model
from django.urls import path

from backups.models import Snapshot, VolumeBackup
from clusters.models import Cluster, Node, Service
from medstack.models import Event, Operation

site = admin.AdminSite()


def listed(model: type[Model], columns: Sequence[str], related: Sequence[str] = ()) -> None:
    """Register a model as its documentation shows it."""
    options = {
        "list_display": columns,
        "list_select_related": related,
        "list_per_page": 50,
        "search_fields": [columns[0]],
    }
    site.register(model, type(f"{model.__name__}Admin", (admin.ModelAdmin,), options))


listed(Cluster, ("name", "company", "observed_at"), ("company",))
listed(Node, ("name", "cluster", "role", "seen_at"), ("cluster",))
listed(Service, ("name", "cluster", "running", "desired"), ("cluster",))
listed(
    Operation,
    ("title", "target_name", "cluster", "state", "requested_by", "requested_at"),
    ("cluster", "requested_by"),
)
listed(
    Event,
    ("at", "actor_name", "address", "action", "subject_name", "cluster"),
    ("cluster",),
)
listed(Snapshot, ("due", "cluster", "state", "trigger", "bytes"), ("cluster",))
listed(
    VolumeBackup,
    ("volume_name", "node_name", "due", "state", "bytes", "added_bytes", "cluster"),
    ("cluster",),
)

urlpatterns = [path("admin/", site.urls)]
