"""What tests of pages share."""

from collections.abc import Callable
from typing import Any

from django.test import Client
from django.urls import reverse
from django_q.models import OrmQ

from clusters.models import Cluster, Config, Secret, Service
from medstack import operations
from medstack.models import Operation, User

SignIn = Callable[[User], Client]
Model = type[Config] | type[Secret]


def queued_operations() -> list[int]:
    """Return the operations that wait in the queue for a worker."""
    tasks = [row.task for row in OrmQ.objects.all()]
    return [task["args"][0] for task in tasks if task["func"] == operations.RUN]


def carried(cluster: Cluster) -> Operation:
    """Carry the cluster's newest operation to its end."""
    found = Operation.objects.filter(cluster=cluster).first()
    assert found
    while found.is_active:
        Operation.objects.filter(pk=found.pk).update(not_before=None)
        operations.advance(found.pk)
        found.refresh_from_db()
    return found


def noun(model: Model) -> str:
    """Return what a config or secret is called."""
    return "secret" if model is Secret else "config"


def page(name: str, model: Model, *args: Any) -> str:
    """Return the address of one of the pages; {} stands for the kind."""
    return reverse(name.format(noun(model)), args=args)


def existing(model: Model, cluster: Cluster, name: str = "app", **values: Any) -> Any:
    """Make one that the Engine has."""
    return model.objects.create(
        cluster=cluster, name=name, engine_id=f"id-of-{name}", size_bytes=5, **values
    )


def using(cluster: Cluster, model: Model, engine_name: str, *, service: str = "web") -> Service:
    """Make a service that mounts a version."""
    kind = noun(model).capitalize()
    container = {
        "Image": "nginx:1.27",
        f"{kind}s": [{f"{kind}Name": engine_name, "File": {"Name": "/etc/app"}}],
    }
    spec = {"Name": service, "TaskTemplate": {"ContainerSpec": container}}
    return Service.objects.create(cluster=cluster, name=service, spec=spec)
