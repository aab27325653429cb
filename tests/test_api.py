"""What programs get done: a deployment, a secret, a snapshot, a restore, evidence."""

from pathlib import Path

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from backups.evidence.signing import signing_keys, verify
from backups.models import EvidenceReport, Repository, Restore
from clusters.models import Secret
from medstack.models import Company, Event, Operation, User
from tests.belongings import Belongings, belongings
from tests.pages import queued_operations
from tests.programs import ADDRESS, program, sent, token_of

VALUE = "never-to-be-seen-again"


@pytest.fixture
def ours(company: Company, owner: User) -> Belongings:
    cache.clear()
    return belongings(company, "ours", owner)


@pytest.fixture
def client(ours: Belongings, operator: User) -> Client:
    return program(token_of(operator))


def test_a_deployment_is_one_request_and_can_be_followed_to_its_end(
    ours: Belongings, client: Client, operator: User
) -> None:
    answer = client.post(ours.url("api:refresh"))
    assert answer.status_code == 202
    operation = answer.json()
    assert operation["state"] == "queued"
    assert operation["id"] in queued_operations()
    followed = client.get(f"/api/v1/operations/{operation['id']}").json()
    assert followed["target_name"] == ours.service.name
    event = Event.objects.get(action="service.image_refreshed")
    assert event.actor == operator
    assert event.actor_name == f"{operator.email} (token ci)"
    assert event.address == ADDRESS


def test_a_secret_goes_in_and_its_value_never_comes_out(ours: Belongings, client: Client) -> None:
    url = ours.url("api:secrets")
    made = sent(client, "post", url, {"name": "api-key", "value": VALUE})
    assert made.status_code == 202
    row = Secret.objects.get(name="api-key")
    assert row.pending_value
    listed = client.get(url)
    assert "api-key" in [one["name"] for one in listed.json()["items"]]
    assert VALUE not in made.text + listed.text
    assert VALUE not in str([(one.before, one.after) for one in Event.objects.all()])


def test_a_secrets_new_value_is_its_next_version(ours: Belongings, client: Client) -> None:
    answer = sent(client, "put", ours.url("api:rotate_secret"), {"value": VALUE})
    assert answer.status_code == 202
    assert Secret.objects.current().get(name=ours.secret.name).version == 2
    missing = ours.url("api:rotate_secret").replace(ours.secret.name, "unknown")
    assert sent(client, "put", missing, {"value": VALUE}).status_code == 404


def test_what_a_form_refuses_is_named_at_its_field(ours: Belongings, client: Client) -> None:
    url = ours.url("api:create_secret")
    taken = sent(client, "post", url, {"name": ours.secret.name, "value": VALUE})
    assert taken.status_code == 422
    assert "already" in taken.json()["fields"]["name"][0]
    assert VALUE not in taken.text
    empty = sent(client, "post", url, {"name": "fine", "value": ""})
    assert list(empty.json()["fields"]) == ["text"]
    nothing = sent(client, "post", url, {"name": "fine"})
    assert list(nothing.json()["fields"]) == ["sent.value"]


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "[]",
        '"text"',
        '{"name": "a", "value": "\\ud800"}',
        '{"name": "a\\u0000", "value": "b"}',
        "[" * 100_000,
        b"\xff",
        b'{"value": "%s"}' % (b"x" * 5_000_000),
    ],
    ids=range(8),
)
def test_what_is_no_proper_value_is_refused_as_a_problem(
    body: str | bytes, ours: Belongings, client: Client
) -> None:
    answer = sent(client, "post", ours.url("api:create_secret"), body)
    assert answer.status_code in (400, 422)
    assert answer.json()["error"]
    assert not Operation.objects.filter(kind="secret.create").exists()


def test_an_address_that_is_none_is_answered_as_a_problem(client: Client) -> None:
    for url in ("/api/v2/clusters", "/api/v1/nothing", "/api/v1/clusters/x/y/z", "/api/v1/%00"):
        answer = client.get(url)
        assert answer.status_code in (400, 404)
        assert answer.json()["error"]
    assert client.get("/api/v1/operations/99999999999999999999999").status_code == 422
    assert client.get("/api/v1/clusters?offset=99999999999999999999").status_code == 422


def test_a_snapshot_can_be_asked_for_and_is_listed(ours: Belongings, client: Client) -> None:
    refused = client.post(ours.url("api:snapshot_now"))
    assert refused.status_code == 409
    assert refused.json()["error"] == "The cluster's repository is not ready yet."
    Repository.objects.update(initialised_at=timezone.now())
    answer = client.post(ours.url("api:snapshot_now"))
    assert answer.status_code == 202
    listed = client.get(ours.url("api:snapshots")).json()
    assert {one["state"] for one in listed["items"]} == {"taking", "complete"}
    assert client.get(ours.url("api:snapshots") + "?limit=1&offset=1").json()["count"] == 2
    volumes = client.get(ours.url("api:snapshot_volumes")).json()["items"]
    assert [one["volume_name"] for one in volumes] == [ours.volume.name]
    assert volumes[0]["verification"] == "plausible"


def test_a_backup_is_restored_as_a_new_volume_and_never_over_one(
    ours: Belongings, client: Client, operator: User
) -> None:
    url = ours.url("api:restore_volume")
    body = {"node": ours.node.name, "name": ours.volume.name}
    refused = sent(client, "post", url, body)
    assert refused.status_code == 422
    assert "has a volume of this name already" in refused.json()["fields"]["name"][0]
    answer = sent(client, "post", url, body | {"name": "again", "mode": "over"})
    assert answer.status_code == 202
    row = Restore.objects.get(volume_name="again")
    assert row.mode == Restore.Mode.NEW
    assert row.requested_by == operator
    shown = client.get(f"/api/v1/clusters/{ours.cluster.slug}/restores/{row.pk}").json()
    assert shown["operation_id"] == answer.json()["id"]
    assert shown["outcome"] == "running"


@pytest.mark.parametrize("where", ["company_report", "cluster_report"])
def test_evidence_comes_signed_and_its_download_is_recorded(
    where: str, ours: Belongings, auditor: User, tmp_path: Path
) -> None:
    reader = program(token_of(auditor, "auditor", name="archive"))
    day = f"{ours.backup.due:%Y-%m-%d}"
    answer = sent(reader, "post", ours.url(f"api:{where}"), {"first": day, "last": day})
    assert answer.status_code == 200
    content = b"".join(answer)
    assert ours.volume.name.encode() in content
    made = EvidenceReport.objects.get()
    assert made.made_by_name.endswith("(token archive)")
    assert made.signature
    event = Event.objects.get(action="evidence.downloaded")
    assert event.after and event.after["complete"]
    listed = reader.get(ours.url("api:reports")).json()["items"][0]
    assert listed["sha256"] == made.sha256
    file = tmp_path / "report.json"
    file.write_bytes(content)
    assert verify(file, signing_keys().known).digest == made.sha256


def test_the_description_names_every_address_and_holds_nothing_of_anybody(
    ours: Belongings,
) -> None:
    answer = Client().get("/api/v1/openapi.json")
    described = answer.json()
    assert described["openapi"].startswith("3.")
    assert "/api/v1/clusters/{slug}/services/{name}/refresh" in described["paths"]
    for methods in described["paths"].values():
        for one in methods.values():
            assert one["security"] == [{"Bearer": []}]
    assert ours.cluster.slug not in answer.text
