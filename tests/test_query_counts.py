"""What a page asks of the database does not grow with the rows that there are."""

from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backups.models import EvidenceReport, Restore, Snapshot, VolumeBackup
from clusters.models import (
    Cluster,
    Config,
    DomainMapping,
    Network,
    Node,
    Registry,
    Secret,
    Service,
    Task,
    Volume,
)
from medstack.models import (
    AccessToken,
    Company,
    Event,
    Invitation,
    Membership,
    Operation,
    User,
)
from medstack.models.events import Actor
from tests.belongings import Belongings, addresses, belongings
from tests.pages import SignIn
from tests.running import spec_of

MOST = 15
# They lead on, follow a log without end, or are the library's own.
LEFT_OUT = ("accept_invitation", "service_log_stream", "mfa_", "usersessions", "account_")
PAGES = sorted(name for name, _ in addresses() if name and not name.startswith(LEFT_OUT))
# The lists: whoever adds one finds it here by its context.
LISTS = {
    "clusters",
    "company_evidence",
    "company_volume_backups",
    "configs",
    "dashboard",
    "events",
    "evidence",
    "load_balancer",
    "networks",
    "operations",
    "registries",
    "restores",
    "secrets",
    "services",
    "snapshots",
    "tokens",
    "volume_backups",
    "volumes",
}


class Counts(NamedTuple):
    """How often a page reads rows, how often it asks at all, and whether it is a list."""

    rows: int
    all: int
    is_list: bool


@pytest.fixture
def ours(company: Company, owner: User) -> Belongings:
    return belongings(company, "ours", owner)


def test_no_page_asks_more_with_more_rows_and_none_more_than_fifteen_times(
    ours: Belongings, owner: User, client_for: SignIn
) -> None:
    browser = client_for(owner)
    no_refresh_is_due()
    # What a session does once is done.
    browser.get(ours.url("clusters"))
    others(ours, owner, range(1))
    more(ours, owner, range(2))
    no_refresh_is_due()
    few = counted(browser, ours)
    others(ours, owner, range(1, 4))
    more(ours, owner, range(2, 9))
    no_refresh_is_due()
    many = counted(browser, ours)
    grown = {name: (few[name], many[name]) for name in few if many[name].rows > few[name].rows}
    assert grown == {}
    assert {name: counts for name, counts in many.items() if counts.all > MOST} == {}
    assert {name for name, counts in many.items() if counts.is_list} == LISTS


def test_none_asks_more_than_fifteen_times_when_it_queues_a_look_at_the_cluster_as_well(
    ours: Belongings, owner: User, client_for: SignIn
) -> None:
    browser = client_for(owner)
    browser.get(ours.url("clusters"))
    others(ours, owner, range(1))
    more(ours, owner, range(2))
    found = counted(browser, ours, before=a_refresh_is_due)
    assert {name: counts for name, counts in found.items() if counts.all > MOST} == {}


def a_refresh_is_due() -> None:
    """Let the next page queue a look at its cluster."""
    Cluster.objects.update(refresh_claimed_at=None)


def no_refresh_is_due() -> None:
    """Let no page queue a look at its cluster, which it does every few seconds."""
    Cluster.objects.update(refresh_claimed_at=timezone.now() + timedelta(hours=1))


def counted(
    browser: Client, ours: Belongings, *, before: Callable[[], None] = lambda: None
) -> dict[str, Counts]:
    """Return of each page that the owner can open how often it asks the database."""
    found = {}
    for name in PAGES:
        before()
        with CaptureQueriesContext(connection) as queries:
            answer = browser.get(ours.url(name))
        if answer.status_code == 200:
            asked = [one["sql"] for one in queries if "SAVEPOINT" not in one["sql"]]
            # A session is written now and then, whatever the page.
            rows = sum(sql.startswith("SELECT") for sql in asked)
            found[name] = Counts(rows, len(asked), "listing" in (answer.context or {}))
    return found


def others(ours: Belongings, owner: User, numbers: range) -> None:
    """Give the owner more clusters and more companies."""
    for number in numbers:
        belongings(ours.company, f"other{number}", owner)
        another = Company.objects.create(name=f"Another {number}")
        Membership.objects.create(user=owner, company=another, role="owner")
        belongings(another, f"another{number}", owner)


def more(ours: Belongings, by: User, numbers: range) -> None:
    """Give a cluster more of everything."""
    now, cluster = timezone.now(), ours.cluster
    for number in numbers:
        node = Node.objects.create(
            cluster=cluster,
            name=f"node-{number}",
            endpoint_url=f"unix:///nonexistent/{number}.sock",
            swarm_node_id=f"id-{number}",
            swarm_state="ready",
            seen_at=now,
        )
        volume = Volume.objects.create(node=node, name=f"volume-{number}", observed_at=now)
        Volume.objects.create(node=ours.node, name=f"volume-{number}", observed_at=now)
        spec = spec_of(f"service-{number}")
        service = Service.objects.create(
            cluster=cluster,
            name=f"service-{number}",
            spec=spec,
            applied=spec,
            observed=spec,
            engine_id=f"service-{number}",
        )
        for owner in (service, ours.service):
            Task.objects.create(
                cluster=cluster,
                service=owner,
                node=node,
                engine_id=f"{owner.pk}-{number}",
                slot=number,
                state="running",
                desired_state="running",
                since=now,
            )
            DomainMapping.objects.create(
                service=owner, domain=f"{number}.{owner.pk}.example", port=80
            )
        Registry.objects.create(cluster=cluster, address=f"registry-{number}.example")
        Config.objects.create(cluster=cluster, name=f"config-{number}", engine_id=f"c{number}")
        Secret.objects.create(cluster=cluster, name=f"secret-{number}", engine_id=f"s{number}")
        Network.objects.create(cluster=cluster, name=f"net-{number}", engine_id=f"n{number}")
        happened(ours, volume, number, by)


def happened(ours: Belongings, volume: Volume, number: int, by: User) -> None:
    """Let something more have happened: operations, snapshots, restores, reports, people."""
    now, cluster = timezone.now(), ours.cluster
    due = now - timedelta(hours=number)
    state, ended = ("done", due) if number % 2 else ("running", None)
    for target in (ours.service, cluster, volume):
        Operation.objects.create(
            kind="service.apply",
            title="Apply",
            state=state,
            company=ours.company,
            cluster=cluster,
            target_kind=target._meta.model_name or "",
            target_id=target.pk,
            target_name=str(target),
            requested_by=by,
            ended_at=ended,
            deadline=now,
        )
        Event.objects.record(
            "service.updated", target, by=Actor(by), company=ours.company, cluster_id=cluster.pk
        )
    repository = ours.backup.snapshot.repository
    snapshot = Snapshot.objects.create(
        cluster=cluster, repository=repository, due=due, state="complete", manifest_sha256="0" * 64
    )
    for place, within in enumerate((snapshot, ours.backup.snapshot)):
        backup = VolumeBackup.objects.create(
            snapshot=within,
            cluster=cluster,
            due=within.due,
            node=volume.node,
            node_name=volume.node.name,
            volume_name=f"{volume.name}-{place}",
            state="captured",
            restic_id="1" * 64,
        )
        Restore.objects.create(
            mode="new",
            cluster=cluster,
            snapshot=within,
            volume_backup=backup,
            node=volume.node,
            volume_name=f"restored-{number}",
            requested_by=by,
            requested_by_name=by.email,
        )
    for of in (cluster, None):
        EvidenceReport.objects.create(
            company=ours.company,
            cluster=of,
            starts_at=due,
            ends_at=now,
            format="pdf",
            made_by=by,
            made_by_name=by.email,
        )
    person = User.objects.create(email=f"person-{number}@ours.example")
    Membership.objects.create(user=person, company=ours.company, role="operator")
    AccessToken.objects.create(
        user=person,
        company=ours.company,
        name=f"token-{number}",
        sha256=f"token-{number}",
        expires_at=now + timedelta(days=1),
    )
    Invitation.objects.create(
        company=ours.company,
        email=f"{number}@invited.example",
        token_sha256=f"token-{number}",
        invited_by=by,
        expires_at=now + timedelta(days=1),
    )
