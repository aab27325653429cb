"""The support site: who enters it, what it shows, what it may do, and what it never shows."""

from collections.abc import Iterable
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.admin import ModelAdmin
from django.db import connection, models
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from backups.models import Drill, Repository, Snapshot
from clusters.models import Cluster, DomainMapping, Node, Registry, Service
from medstack import operations
from medstack.admin.site import site
from medstack.crypto import EncryptedTextField
from medstack.models import Company, Event, Operation, User
from medstack.models.events import Actor
from tests.belongings import Belongings, belongings
from tests.pages import SignIn
from tests.signing import give_factor

pytestmark = pytest.mark.django_db
SECRET = "planted-in-a-row"
BAD = ("password", "secret", "token", "key", "access", "spec", "options", "intent", "session")


@pytest.fixture
def ours(company: Company, owner: User) -> Belongings:
    return with_the_rest(belongings(company, "ours", owner))


@pytest.fixture
def staff(db: None) -> User:
    return User.objects.create_user(
        "sue@support.example", "a-long-enough-passphrase", is_staff=True
    )


@pytest.fixture
def desk(staff: User, client_for: SignIn) -> Client:
    return client_for(staff)


def with_the_rest(found: Belongings) -> Belongings:
    """Add rows of the models that the console's pages show within others."""
    DomainMapping.objects.create(
        service=found.service, domain=f"{found.cluster.slug}.example", port=80
    )
    Drill.objects.create(volume_backup=found.backup)
    return found


def address(model: type[models.Model], what: str, *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{what}", args=args)


def row_of(model: type[models.Model]) -> models.Model:
    row = model._default_manager.order_by("pk").last()
    assert row is not None, model
    return row


def pages() -> list[str]:
    """Return the list and one row's page of everything that is shown."""
    found = [reverse("admin:index")]
    for model in site._registry:
        found.append(address(model, "changelist"))
        found.append(address(model, "change", row_of(model).pk))
        found.append(address(model, "history", row_of(model).pk))
    return found


def every_address() -> list[str]:
    """Return every address of the support site, as its URLconf has them."""

    def walk(resolver: URLResolver, path: str) -> list[str]:
        found = []
        for one in resolver.url_patterns:
            here = f"{path}{one.pattern}"
            found += [here] if isinstance(one, URLPattern) else walk(one, here)
        return found

    resolver = next(
        one for one in get_resolver().url_patterns if getattr(one, "namespace", "") == "admin"
    )
    assert isinstance(resolver, URLResolver)
    kinds = ("<path:object_id>", "<path:pk>", "<int:content_type_id>", "<path:object_id>")
    addresses = []
    for pattern in walk(resolver, "/admin/"):
        for kind in kinds:
            pattern = pattern.replace(kind, "1")  # noqa: PLW2901
        addresses.append(pattern.replace("(?P<url>.*)$", "nothing").replace("^", ""))
    return addresses


def test_staff_with_a_second_factor_see_every_list_and_every_row(
    ours: Belongings, desk: Client
) -> None:
    for url in pages():
        response = desk.get(url)
        assert response.status_code == 200, url


def test_nobody_else_learns_that_there_is_anything(
    ours: Belongings, owner: User, client_for: SignIn
) -> None:
    signed_in, stranger = client_for(owner), Client()
    found = every_address()
    assert len(found) > 60
    for url in found:
        if url in ("/admin/login/", "/admin/logout/", "/admin/password_change/"):
            continue
        answer = signed_in.get(url, follow=True)
        assert answer.status_code == 404, (url, answer.redirect_chain)
        assert signed_in.post(url, follow=True).status_code in (404, 405), url
        away = stranger.get(url, follow=True)
        assert "/sign-in/" in away.request["PATH_INFO"], url


def test_staff_without_a_second_factor_set_one_up_first(staff: User) -> None:
    client = Client()
    client.force_login(staff)
    assert client.get("/admin/")["Location"] == reverse("mfa_activate_totp")


def test_nothing_can_be_added_changed_or_deleted(ours: Belongings, desk: Client) -> None:
    for model in site._registry:
        pk = row_of(model).pk
        before = model._default_manager.count()
        assert desk.get(address(model, "add")).status_code == 403
        assert desk.post(address(model, "delete", pk), {"post": "yes"}).status_code == 403
        assert desk.post(address(model, "change", pk), {"name": "other"}).status_code == 403
        desk.post(address(model, "changelist"), {"action": "delete_selected"})
        # That somebody looked is recorded.
        assert model is Event or model._default_manager.count() == before


def test_no_page_names_a_field_that_holds_a_secret() -> None:
    for model, page in site._registry.items():
        assert isinstance(page, ModelAdmin)
        shown = flat(page.fields) + flat(page.list_display) + flat(page.search_fields)
        assert shown, "A page without a list of fields would show all of them."
        encrypted = {
            field.name
            for field in model._meta.get_fields()
            if isinstance(field, EncryptedTextField)
        }
        assert not encrypted & set(shown), model
        allowed = {"must_change_password"}
        assert not [n for n in shown if any(bad in n for bad in BAD) and n not in allowed], model


def flat(names: Any) -> list[str]:
    """Return the names of fields, those that stand in one line included."""
    found: list[str] = []
    for name in names or ():
        found += flat(name) if isinstance(name, tuple | list) else [str(name)]
    return found


def test_no_secret_value_is_on_any_page(ours: Belongings, owner: User, desk: Client) -> None:
    cluster = ours.cluster
    Node.objects.filter(pk=ours.node.pk).update(ssh_key=SECRET, tls_key=SECRET)
    Registry.objects.filter(pk=ours.registry.pk).update(password=SECRET)
    Repository.objects.filter(cluster=cluster).update(password=SECRET, node_access=SECRET)
    env = [f"DB_PASSWORD={SECRET}"]
    service = Service.objects.get(pk=ours.service.pk)
    for spec in (service.spec, service.observed, service.applied):
        assert spec
        spec["TaskTemplate"]["ContainerSpec"]["Env"] = env
    service.save()
    give_factor(owner)
    Authenticator.objects.filter(user=owner).update(data={"secret": SECRET})
    for url in pages():
        assert SECRET not in desk.get(url).text, url
    for query in ("?q=planted", f"?q={SECRET}"):
        listed = desk.get(address(Node, "changelist") + query)
        assert ours.node.name not in listed.text


@pytest.mark.parametrize(
    ("model", "word"),
    [
        (Company, "Northside"),
        (Cluster, "ours-cluster"),
        (Node, "ours-node"),
        (Service, "ours-service"),
    ],
)
def test_a_list_is_searched(
    model: type[models.Model], word: str, ours: Belongings, desk: Client
) -> None:
    url = address(model, "changelist")
    row = address(model, "change", row_of(model).pk)
    assert row in desk.get(f"{url}?q={word}").text
    assert row not in desk.get(f"{url}?q=somebody-else").text


def test_rows_are_linked_to_each_other_and_to_the_console(ours: Belongings, desk: Client) -> None:
    page = desk.get(address(Node, "change", ours.node.pk)).text
    assert address(Cluster, "change", ours.cluster.pk) in page
    assert address(Company, "change", ours.company.pk) in page
    assert f'href="{ours.node.get_absolute_url()}"' in page


def test_the_number_of_queries_does_not_grow_with_the_rows(
    ours: Belongings, owner: User, desk: Client
) -> None:
    urls = [address(model, "changelist") for model in site._registry]
    add_companies(range(2), owner)
    # What a session does once is done.
    desk.get(reverse("admin:index"))
    few = {url: queries(desk, url) for url in urls}
    add_companies(range(2, 8), owner)
    many = {url: queries(desk, url) for url in urls}
    assert many == few
    assert max(many.values()) <= 15


def add_companies(numbers: Iterable[int], by: User) -> None:
    for number in numbers:
        other = Company.objects.create(name=f"Company {number}")
        with_the_rest(belongings(other, f"other{number}", by))


def queries(client: Client, url: str) -> int:
    with CaptureQueriesContext(connection) as found:
        assert client.get(url).status_code == 200
    # The session is written now and then, whatever the page.
    return len([one for one in found if one["sql"].startswith("SELECT")])


def test_what_staff_look_at_is_in_the_companys_record_once_an_hour(
    ours: Belongings, staff: User, desk: Client, owner: User, client_for: SignIn
) -> None:
    for _ in range(2):
        desk.get(address(Node, "change", ours.node.pk))
    desk.get(address(Company, "change", ours.company.pk))
    seen = Event.objects.filter(action="support.viewed", company=ours.company)
    assert sorted(event.subject_kind for event in seen) == ["company", "node"]
    assert {event.actor_name for event in seen} == {"sue@support.example (support staff)"}
    record = client_for(owner).get(reverse("events")).text
    assert "sue@support.example (support staff)" in record


def press(desk: Client, row: models.Model, button: str, **fields: Any) -> Any:
    return desk.post(address(type(row), button, row.pk), {"reason": "Ticket 7.", **fields})


def test_every_button_asks_first_and_wants_a_reason(ours: Belongings, desk: Client) -> None:
    url = address(Cluster, "check-domains", ours.cluster.pk)
    assert url in desk.get(address(Cluster, "change", ours.cluster.pk)).text
    assert desk.get(url).status_code == 200
    refused = desk.post(url, {})
    assert refused.status_code == 422
    assert "This field is required" in refused.text
    assert not Operation.objects.filter(kind="domains.check").exists()


def test_domains_are_checked_again_by_the_consoles_own_action(
    ours: Belongings, staff: User, desk: Client
) -> None:
    assert press(desk, ours.cluster, "check-domains").status_code == 302
    operation = Operation.objects.get(kind="domains.check")
    assert operation.requested_by == staff
    asked = Event.objects.get(action="support.acted")
    assert asked.after == {"what": "Re-check domains", "reason": "Ticket 7."}
    done = Event.objects.get(action="domains.checked")
    assert done.actor_name == "sue@support.example (support staff)"


def test_a_snapshot_is_taken_at_once(ours: Belongings, desk: Client) -> None:
    refused = press(desk, ours.cluster, "snapshot-now")
    assert refused.status_code == 422
    assert "repository is not ready" in refused.text
    assert not Event.objects.filter(action="support.acted").exists()
    Repository.objects.filter(cluster=ours.cluster).update(initialised_at=timezone.now())
    if not Repository.objects.filter(cluster=ours.cluster).exists():
        Repository.objects.create(
            cluster=ours.cluster, folder="f", password="p", initialised_at=timezone.now()
        )
    assert press(desk, ours.cluster, "snapshot-now").status_code == 302
    assert Snapshot.objects.filter(cluster=ours.cluster, state="taking").exists()


def test_a_failed_operation_is_retried(ours: Belongings, desk: Client) -> None:
    Operation.objects.filter(pk=ours.operation.pk).update(
        state="failed", error="No.", ended_at=timezone.now()
    )
    failed = Operation.objects.get(pk=ours.operation.pk)
    answer = press(desk, failed, "retry")
    again = Operation.objects.order_by("pk").last()
    assert again
    assert answer["Location"] == address(Operation, "change", again.pk)
    assert (again.kind, again.target_id, again.state) == (failed.kind, failed.target_id, "queued")
    second = press(desk, failed, "retry")
    assert second.status_code == 422
    assert "Something newer was asked for since" in second.text


def test_what_was_undone_after_its_failure_cannot_be_retried(
    ours: Belongings, staff: User, desk: Client
) -> None:
    operation = operations.start(
        "node.create", ours.node, by=Actor(staff), company=ours.company, cluster_id=ours.cluster.pk
    )
    Operation.objects.filter(pk=operation.pk).update(state="failed", ended_at=timezone.now())
    assert press(desk, operation, "retry").status_code == 404


def test_a_subscription_is_set_and_its_grace_extended(ours: Belongings, desk: Client) -> None:
    company = ours.company
    assert press(desk, company, "grace", days=60).status_code == 404
    assert press(desk, company, "subscription", state="cancelled").status_code == 302
    assert press(desk, company, "grace", days=10).status_code == 422
    assert press(desk, company, "grace", days=60).status_code == 302
    company.refresh_from_db()
    assert (company.subscription, company.grace_days) == ("cancelled", 60)
    names = set(Event.objects.values_list("action", flat=True))
    assert {"subscription.changed", "subscription.grace"} <= names


def test_an_account_is_locked_and_its_sessions_end(
    ours: Belongings, operator: User, desk: Client, client_for: SignIn
) -> None:
    theirs = client_for(operator)
    assert theirs.get("/").status_code == 200
    assert press(desk, operator, "lock").status_code == 302
    assert theirs.get("/").status_code == 302
    operator.refresh_from_db()
    assert not operator.is_active
    assert press(desk, operator, "unlock").status_code == 302
    operator.refresh_from_db()
    assert operator.is_active


def test_a_lost_second_factor_is_reset(ours: Belongings, operator: User, desk: Client) -> None:
    give_factor(operator)
    assert press(desk, operator, "reset-factor").status_code == 302
    assert not Authenticator.objects.filter(user=operator).exists()
    assert Event.objects.filter(action="user.second_factor_reset").exists()


def test_staff_cannot_lock_themselves_out(staff: User, desk: Client) -> None:
    assert press(desk, staff, "lock").status_code == 422
    staff.refresh_from_db()
    assert staff.is_active


def test_a_button_needs_somebody_who_was_sure_of_themselves_a_moment_ago(
    ours: Belongings, staff: User
) -> None:
    client = Client()
    give_factor(staff)
    client.force_login(staff)
    answer = press(client, ours.cluster, "check-domains")
    assert answer["Location"].startswith(reverse("account_reauthenticate"))


def test_long_lists_are_counted_no_further_than_anybody_turns_the_pages(
    ours: Belongings, desk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medstack.admin.reading.MOST_ROWS", 3)
    for number in range(5):
        Event.objects.record(
            f"number.{number}", ours.cluster, by=Actor(), company=ours.company, cluster_id=None
        )
    listed = desk.get(address(Event, "changelist"))
    assert "3 events" in listed.text
