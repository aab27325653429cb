"""The form that makes and changes services, as the browser sends it."""

from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from clusters.models import Cluster, Node, Registry, Service, Volume
from medstack.models import Event, Operation, User
from tests.fake_engine import FakeEngine
from tests.pages import SignIn
from tests.running import IMAGE, engine_behind, errors_at, filled, running_service

Json = dict[str, Any]
SERVICES = "/clusters/production/docker/services/"


@pytest.fixture
def web(cluster: Cluster, node: Node) -> Service:
    """Return a service that runs as it is wanted."""
    return running_service(cluster, node)


@pytest.fixture
def fake(tmp_path: Path, node: Node) -> Iterator[FakeEngine]:
    """Put an Engine that speaks the wire behind the node."""
    with engine_behind(node, tmp_path) as fake:
        yield fake


def test_an_operator_creates_a_service(
    cluster: Cluster, fake: FakeEngine, operator: User, client_for: SignIn
) -> None:
    fake.answer(
        "/distribution/nginx:1.27/json", b'{"Descriptor": {"digest": "sha256:1"}}', kind="json"
    )
    client, url = client_for(operator), f"{SERVICES}new/"
    response = client.post(url, filled(client, url, name="shop", image="nginx:1.27"))
    assert response.status_code == 302
    assert response["Location"] == f"{SERVICES}shop/"
    assert Service.objects.get(name="shop").image == "nginx:1.27"
    assert Operation.objects.get().kind == "service.apply"
    assert Event.objects.get(action="service.created").actor == operator


@pytest.mark.parametrize(
    ("status", "words", "said"),
    [
        (404, "manifest unknown: manifest unknown", "does not know this image"),
        (401, "unauthorized: authentication required", "add the registry docker.io"),
        (500, "dial tcp: lookup registry-1.docker.io: no such host", "No node has this image"),
    ],
)
def test_an_image_that_cannot_be_had_is_refused_at_its_field(
    status: int,
    words: str,
    said: str,
    cluster: Cluster,
    fake: FakeEngine,
    operator: User,
    client_for: SignIn,
) -> None:
    fake.fail("/distribution/nginx:1.27/json", words, status=status)
    client, url = client_for(operator), f"{SERVICES}new/"
    response = client.post(url, filled(client, url, name="shop", image="nginx:1.27"))
    errors = errors_at(response, "image")
    assert said in errors
    assert words in errors
    assert not Service.objects.exists()


def test_an_image_that_a_node_has_needs_no_registry(
    cluster: Cluster, node: Node, fake: FakeEngine, operator: User, client_for: SignIn
) -> None:
    Node.objects.filter(pk=node.pk).update(images=["<none>:<none>", "nginx:latest"])
    client, url = client_for(operator), f"{SERVICES}new/"
    response = client.post(url, filled(client, url, name="shop", image="docker.io/library/nginx"))
    assert response.status_code == 302
    assert not [call for call in fake.calls if "distribution" in call]


def test_an_engine_that_is_slow_does_not_hold_the_form(
    cluster: Cluster, fake: FakeEngine, operator: User, client_for: SignIn
) -> None:
    fake.delay("/distribution/nginx:1.27/json", 30)
    client, url = client_for(operator), f"{SERVICES}new/"
    data, began = filled(client, url, name="shop", image="nginx:1.27"), monotonic()
    assert client.post(url, data).status_code == 302
    assert monotonic() - began < 3.5


def test_the_registry_is_asked_with_its_credentials(
    cluster: Cluster, fake: FakeEngine, operator: User, client_for: SignIn
) -> None:
    Registry.objects.create(
        cluster=cluster, address="registry.example.com/portal", username="ci", password="pull-me"
    )
    path = f"/distribution/{IMAGE}/json"
    fake.fail(path, "denied: requested access to the resource is denied", status=403)
    client, url = client_for(operator), f"{SERVICES}new/"
    response = client.post(url, filled(client, url, name="shop", image=IMAGE))
    assert "check the registry's credentials" in errors_at(response, "image")
    assert "pull-me" not in response.content.decode()
    assert "X-Registry-Auth" in fake.headers[fake.calls.index(f"GET {path}")]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "-shop"),
        ("name", "web"),
        ("image", "Nginx:1.27"),
        ("constraints", "node.role=worker"),
        ("replicas", "-1"),
        ("memory_limit", "much"),
    ],
)
def test_bad_input_is_refused_at_its_field(
    field: str, value: str, web: Service, operator: User, client_for: SignIn
) -> None:
    client, url = client_for(operator), f"{SERVICES}new/"
    data = filled(client, url, **{"name": "shop", "image": IMAGE, field: value})
    assert errors_at(client.post(url, data), field)
    assert Service.objects.count() == 1


def test_an_empty_form_is_refused_and_not_opened_anew(
    cluster: Cluster, node: Node, operator: User, client_for: SignIn
) -> None:
    assert client_for(operator).post(f"{SERVICES}new/").status_code == 422


def test_two_operators_cannot_overwrite_each_other(
    web: Service, operator: User, owner: User, client_for: SignIn
) -> None:
    url = f"{SERVICES}web/edit/"
    hers, his = client_for(owner), client_for(operator)
    first, second = filled(hers, url, replicas="4"), filled(his, url, replicas="3")
    assert hers.post(url, first).status_code == 302
    response = his.post(url, second)
    assert response.status_code == 422
    assert "changed this service while the form was open" in response.content.decode()
    web.refresh_from_db()
    assert web.replicas == 4


def test_an_unchanged_image_is_not_asked_for_again(
    web: Service, fake: FakeEngine, operator: User, client_for: SignIn
) -> None:
    client, url = client_for(operator), f"{SERVICES}web/edit/"
    assert client.post(url, filled(client, url, replicas="3")).status_code == 302
    assert not [call for call in fake.calls if "distribution" in call]


def test_a_volume_is_offered_with_its_node(
    web: Service, node: Node, operator: User, client_for: SignIn
) -> None:
    Volume.objects.create(node=node, name="data")
    Volume.objects.create(node=node, name="ab" * 32, is_anonymous=True)
    page = client_for(operator).get(f"{SERVICES}new/").content.decode()
    assert "swarmnode1/data" in page
    assert "ab" * 32 not in page
