"""A company with one of everything, and every address there is."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from backups.models import Repository, Restore, Snapshot, VolumeBackup
from clusters.models import Cluster, Config, Network, Node, Registry, Secret, Service, Task, Volume
from medstack import operations
from medstack.models import AccessToken, Company, Event, Invitation, Operation, User
from medstack.models.events import Actor
from tests.running import running_service
from tests.signing import sign_in

DAY = timedelta(days=1)


def addresses(patterns: list[Any] | None = None, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the name and the pattern of every address there is, but the support site's own."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        here = f"{path}{pattern.pattern}"
        namespace = getattr(pattern, "namespace", None)
        if namespace == "admin":
            continue
        if isinstance(pattern, URLResolver):
            for name, whole in addresses(pattern.url_patterns, here):
                yield f"{namespace}:{name}" if namespace and name else name, whole
        else:
            assert isinstance(pattern, URLPattern)
            yield pattern.name or "", here


@dataclass
class Belongings:
    """A company with one of everything; all of it carries the company's mark in its name."""

    company: Company
    cluster: Cluster
    node: Node
    registry: Registry
    config: Config
    secret: Secret
    volume: Volume
    service: Service
    task: Task
    operation: Operation
    invitation: Invitation
    backup: VolumeBackup
    restore: Restore
    token: AccessToken

    def url(self, name: str) -> str:
        """Return the address of one of the company's pages."""
        pattern = dict(addresses())[name]
        if "<" not in pattern:
            return reverse(name)
        alone: dict[str, tuple[object, ...]] = {
            "operation": (self.operation.pk,),
            "cancel_operation": (self.operation.pk,),
            "api:operation": (self.operation.pk,),
            "mfa_edit_webauthn": (0,),
            "mfa_remove_webauthn": (0,),
            "unknown_address": ("v0/nothing",),
            "revoke_token": (self.token.pk,),
            "help": ("operating",),
            "asset": ("nothing.css",),
            "revoke_invitation": (self.invitation.pk,),
            "accept_invitation": ("unknown",),
            "certificate": (self.company.pk,),
            "export_events": (self.cluster.company_id, "csv"),
        }
        if name in alone:
            return reverse(name, args=alone[name])
        if name == "change_member":
            return reverse(name, args=[self.company.memberships.get(role="owner").pk])
        if "tasks/<int:pk>" in pattern:
            return reverse(name, args=[self.cluster.slug, self.service.name, self.task.pk])
        return reverse(name, args=[self.cluster.slug, *self.own(pattern)])

    def own(self, pattern: str) -> list[object]:
        """Return what stands in a pattern for the company's own object, if there is one."""
        keys = {
            "nodes/<str:name>": self.node.name,
            "registries/<int:pk>": self.registry.pk,
            "configs/<str:name>": self.config.name,
            "secrets/<str:name>": self.secret.name,
            "docker/volumes/<int:pk>": self.volume.pk,
            "services/<str:name>": self.service.name,
            "backups/snapshots/<int:pk>": self.backup.snapshot.pk,
            "backups/coverage/<int:pk>": self.volume.pk,
            "backups/volumes/<int:pk>": self.backup.pk,
            "backups/restores/<int:pk>": self.restore.pk,
            "services/<name>": self.service.name,
            "secrets/<name>": self.secret.name,
            "snapshots/<pk>": self.backup.snapshot.pk,
            "volume-backups/<pk>": self.backup.pk,
            "restores/<pk>": self.restore.pk,
        }
        return [key for part, key in keys.items() if part in pattern]


def belongings(company: Company, mark: str, by: User) -> Belongings:
    """Give a company one of everything."""
    now = timezone.now()
    cluster = Cluster.objects.create(
        company=company, name=f"{mark}-cluster", slug=f"{mark}-cluster", swarm_id=f"{mark}-swarm"
    )
    node = Node.objects.create(
        cluster=cluster,
        name=f"{mark}-node",
        endpoint_url=f"unix:///nonexistent/{mark}.sock",
        role=Node.Role.MANAGER,
        swarm_node_id=f"{mark}-node-id",
        swarm_state="ready",
        availability="active",
        seen_at=now,
    )
    service = running_service(cluster, node)
    Service.objects.filter(pk=service.pk).update(name=f"{mark}-service")
    service.refresh_from_db()
    Network.objects.create(cluster=cluster, name=f"{mark}-network", engine_id=f"{mark}-net")
    with transaction.atomic():
        operation = operations.start(
            "service.apply",
            service,
            by=Actor(by),
            company=company,
            cluster_id=cluster.pk,
        )
    Event.objects.record(
        "service.updated", service, by=Actor(by), company=company, cluster_id=cluster.pk
    )
    volume = Volume.objects.create(node=node, name=f"{mark}-volume", observed_at=now)
    backup = backup_of(volume, now)
    return Belongings(
        company=company,
        cluster=cluster,
        node=node,
        registry=Registry.objects.create(cluster=cluster, address=f"{mark}.registry.example"),
        config=Config.objects.create(cluster=cluster, name=f"{mark}-config", engine_id=f"{mark}c"),
        secret=Secret.objects.create(cluster=cluster, name=f"{mark}-secret", engine_id=f"{mark}s"),
        volume=volume,
        service=service,
        task=service.tasks.get(slot=1),
        operation=operation,
        invitation=Invitation.objects.create(
            company=company,
            email=f"{mark}@invited.example",
            token_sha256=mark,
            invited_by=by,
            expires_at=now + DAY,
        ),
        backup=backup,
        restore=Restore.objects.create(
            mode=Restore.Mode.NEW,
            cluster=cluster,
            snapshot=backup.snapshot,
            volume_backup=backup,
            node=node,
            volume_name=f"{mark}-restored",
            requested_by_name=by.email,
        ),
        token=AccessToken.objects.create(
            user=by, company=company, name=f"{mark}-token", sha256=mark, expires_at=now + DAY
        ),
    )


def backup_of(volume: Volume, now: datetime) -> VolumeBackup:
    """Give a volume a backup, in a repository of which only the row is there."""
    cluster = volume.node.cluster
    repository = Repository.objects.create(
        cluster=cluster,
        folder=f"{cluster.slug}-repository",
        password=f"{cluster.slug}-repository-password",
        node_access=json.dumps({"password": f"{cluster.slug}-node-password"}),
    )
    snapshot = Snapshot.objects.create(
        cluster=cluster,
        repository=repository,
        due=now,
        state=Snapshot.State.COMPLETE,
        manifest="{}",
        manifest_sha256="0" * 64,
    )
    return VolumeBackup.objects.create(
        snapshot=snapshot,
        cluster=cluster,
        due=now,
        node=volume.node,
        node_name=volume.node.name,
        volume_name=volume.name,
        state=VolumeBackup.State.CAPTURED,
        restic_id="1" * 64,
        tree="2" * 64,
        files=3,
        bytes=4096,
    )


def asked(user: User | None, method: str, url: str, *, enforce_csrf: bool = False) -> HttpResponse:
    """Ask for a page, and undo whatever that has done."""
    with transaction.atomic():
        client = Client(enforce_csrf_checks=enforce_csrf)
        if user:
            sign_in(client, user)
        # A browser always sends the token along, so that no form comes quite empty.
        data = {"csrfmiddlewaretoken": "forged"} if method == "post" else {}
        answer: HttpResponse = getattr(client, method)(url, data)
        transaction.set_rollback(True)
    return answer
