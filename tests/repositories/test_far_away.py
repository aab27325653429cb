"""Repositories elsewhere: a REST server, S3 and SSH, whose nodes can add and read, never delete."""

import base64
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from backups import opening, restic
from backups.models import Repository
from clusters.models import Cluster
from medstack.models import Event, Operation, User
from tests.pages import SignIn, carried
from tests.repositories.servers import SERVERS, Form, rest_servers, ssh_server

pytestmark = pytest.mark.on_sqlite

PASSWORD = "correct-horse-battery"


@pytest.fixture
def rest(tmp_path: Path) -> Iterator[Form]:
    with rest_servers(tmp_path) as form:
        yield form


@pytest.fixture(params=[*SERVERS])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Form]:
    """Each of the storages, on a server of its own."""
    with SERVERS[request.param](tmp_path) as form:
        yield form


def asked(client_for: SignIn, owner: User, cluster: Cluster, form: Form) -> Any:
    return client_for(owner).post(reverse("change_repository", args=[cluster.slug]), form)


def test_nodes_can_add_and_read_there_and_delete_nothing(
    storage: Form, client_for: SignIn, owner: User, cluster: Cluster, tmp_path: Path
) -> None:
    assert asked(client_for, owner, cluster, storage).status_code == 302
    operation = carried(cluster)
    assert operation.state == "done", (operation.error, operation.log)
    assert "Refused, as it must be" in operation.log
    row = Repository.objects.current().get(cluster=cluster)
    assert row.is_append_only
    assert (row.kind, row.test_error) == (storage["kind"], "")
    # Their test left nothing behind, and shows no credential.
    assert restic.snapshots(opening.for_console(row)) == []
    page = client_for(owner).get(reverse("repository", args=[cluster.slug])).text
    assert "a deletion was seen refused" in page
    kept = page + operation.log + str(list(Event.objects.values()))
    for name in ("console_secret", "node_secret", "console_key", "node_key"):
        assert storage.get(name, "?no such field") not in kept
    opens_with_plain_restic(row, client_for(owner), tmp_path)


def opens_with_plain_restic(row: Repository, client: Client, tmp_path: Path) -> None:
    """Get the recovery sheet, and do what it says with nothing else at hand."""
    (tmp_path / "note").write_text("from the node")
    restic.backup(opening.for_nodes(row), [tmp_path / "note"], host="one")
    url = reverse("recovery_sheet", args=[row.cluster.slug])
    sheet = client.post(url, {"confirmation": row.cluster.name})
    assert sheet.status_code == 200
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for name, content in re.findall(r"save it as (\S+)[^\n]*:\n(.*?\n)\n", sheet.text, re.DOTALL):
        (folder / name).write_text(content)
        (folder / name).chmod(0o600)
    script = re.findall(r"^  (export .*|restic\(\) .*|restic snapshots)", sheet.text, re.MULTILINE)
    ran = subprocess.run(
        ["sh", "-ec", "\n".join(script)],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "1 snapshots" in ran.stdout


def test_over_ssh_only_the_pinned_host_key_is_accepted(
    client_for: SignIn, owner: User, cluster: Cluster, tmp_path: Path
) -> None:
    with ssh_server(tmp_path) as form:
        assert asked(client_for, owner, cluster, form).status_code == 302
        assert carried(cluster).state == "done"
        row = Repository.objects.current().get(cluster=cluster)
        other = replace(opening.for_console(row), ssh_host_key=other_key())
        with pytest.raises(restic.ResticError):
            restic.snapshots(other, timeout=20)


def other_key() -> str:
    return (
        "ssh-ed25519 " + base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(32)).decode()
    )


def test_credentials_that_can_delete_are_refused_and_nothing_changes(
    rest: Form, client_for: SignIn, owner: User, cluster: Cluster
) -> None:
    former = Repository.objects.create(cluster=cluster, folder="former", password=PASSWORD)
    # The console's own server is not append-only.
    assert asked(client_for, owner, cluster, rest | {"node_url": ""}).status_code == 302
    operation = carried(cluster)
    assert "could write over" in operation.error
    assert Repository.objects.current().get(cluster=cluster) == former
    stored = str(list(Repository.objects.values("url"))) + str(list(Event.objects.values()))
    assert "console-pass" not in stored


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"console_secret": "wrong"}, "401|Unauthorized|refused|let"),
        ({"url": "rest:http://127.0.0.1:9/"}, "refused|answer|reach"),
    ],
)
def test_what_is_wrong_with_a_storage_is_said(
    change: Form,
    words: str,
    rest: Form,
    client_for: SignIn,
    owner: User,
    cluster: Cluster,
) -> None:
    assert asked(client_for, owner, cluster, rest | change).status_code == 302
    # What may pass by itself is tried until its time is over.
    Operation.objects.update(deadline="2020-01-01T00:00Z")
    operation = carried(cluster)
    assert operation.state == "failed"
    assert re.search(words, operation.error), operation.error
    assert not Repository.objects.current().filter(cluster=cluster).exists()


def test_the_wrong_password_of_an_existing_repository_is_said(
    rest: Form, client_for: SignIn, owner: User, cluster: Cluster
) -> None:
    url = rest["url"].replace("//", "//console:console-pass@")
    restic.initialise(restic.Repository(url, PASSWORD))
    asked(client_for, owner, cluster, rest | {"password": "another-one-entirely"})
    assert "password" in carried(cluster).error


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"kind": "rest", "url": "https://x.example/"}, "url"),
        ({"kind": "s3", "url": "s3:https://k:s@x.example/b"}, "url"),
        ({"kind": "sftp", "url": "sftp://x.example/relative"}, "url"),
        ({"kind": "sftp", "url": "sftp://root@x.example//b"}, "host_key"),
        ({"kind": "embedded", "url": "/somewhere"}, "url"),
        ({"kind": "rest", "url": "rest:https://x.example/"}, "node_secret"),
        ({"kind": "rest", "url": "rest:https://x/", "node_url": "rest:https://u:p@x/"}, "node_url"),
        ({"kind": "rest", "url": "rest:https://x/", "node_url": "https://x/"}, "node_url"),
        ({"kind": "s3", "url": "s3:https://x/b", "node_url": "s3:https://x/b"}, "node_url"),
    ],
)
def test_bad_input_is_refused_at_its_field(
    form: Form, field: str, client_for: SignIn, owner: User, cluster: Cluster
) -> None:
    answer = asked(client_for, owner, cluster, form)
    assert answer.status_code == 422
    assert field in answer.context["form"].errors
    assert not Repository.objects.exists()
