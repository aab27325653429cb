"""Services, their tasks, and the containers that these run in."""

from collections.abc import Mapping, Sequence
from typing import Any

from clusters.engine.client import Client, Json
from clusters.engine.registries import RegistryAuth, auth_headers, secrets_of

Filters = Mapping[str, Sequence[str]]


def services(client: Client, *, status: bool = True, filters: Filters | None = None) -> list[Json]:
    """Return the swarm's services, with the counts of their tasks if `status`."""
    return list(client.get("/services", status=status, filters=listed(filters)))


def service(client: Client, name_or_id: str) -> Json:
    """Return one service just as it was written, without defaults filled in."""
    return dict(client.get("/services/{0}", name_or_id, insertDefaults=False))


def service_create(client: Client, spec: Json, auth: RegistryAuth | None = None) -> str:
    """Create a service from a whole spec; return its id."""
    answer = client.post(
        "/services/create", body=spec, headers=auth_headers(auth), hide=secrets_of(auth)
    )
    return str(answer["ID"])


def service_update(
    client: Client,
    service_id: str,
    version: int,
    spec: Json,
    auth: RegistryAuth | None = None,
    *,
    rollback: bool = False,
) -> list[str]:
    """Replace a service's whole spec, or go back to the one before; return the warnings.

    Raise Conflict if the service is no longer at this version: read again, then decide.
    """
    params: dict[str, Any] = {"version": version}
    if rollback:
        params["rollback"] = "previous"
    answer = client.post(
        "/services/{0}/update",
        service_id,
        body=spec,
        params=params,
        headers=auth_headers(auth),
        hide=secrets_of(auth),
    )
    return list((answer or {}).get("Warnings") or [])


def service_remove(client: Client, service_id: str) -> None:
    """Remove a service and stop its tasks."""
    client.delete("/services/{0}", service_id)


def tasks(client: Client, filters: Filters | None = None) -> list[Json]:
    """Return the swarm's tasks, old ones included."""
    return list(client.get("/tasks", filters=listed(filters)))


def task(client: Client, task_id: str) -> Json:
    """Return one task."""
    return dict(client.get("/tasks/{0}", task_id))


def containers(client: Client, *, all: bool = False, filters: Filters | None = None) -> list[Json]:
    """Return the running containers of this Engine, or all of them."""
    return list(client.get("/containers/json", all=all, filters=listed(filters)))


def container(client: Client, container_id: str) -> Json:
    """Return one container."""
    return dict(client.get("/containers/{0}/json", container_id))


def listed(filters: Filters | None) -> Json:
    """Return filters in the only form that the Engine takes."""
    return {key: list(values) for key, values in (filters or {}).items()}
