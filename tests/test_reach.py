"""Where the console does not connect, whoever names the address."""

import socket
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from backups.forms.repository import RepositoryForm
from clusters.images import InvalidReference, parse
from clusters.models import Cluster, Node, Registry
from tests.authorities import issue
from tests.fake_engine import FakeEngine

METADATA = "169.254.169.254"
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"


def attach(browser: Client, cluster: Cluster, url: str, **more: str) -> str:
    """Ask for a node; return what the form says at the endpoint."""
    form = {"name": "node-9", "endpoint_url": url, "address": "192.0.2.19", "role": "worker"}
    answer = browser.post(reverse("attach_node", args=[cluster.slug]), form | more)
    if answer.status_code == 302:
        return ""
    assert not Node.objects.exists()
    return str(answer.context["form"].errors["endpoint_url"][0])


def test_a_socket_of_the_consoles_machine_is_attached_only_where_that_is_allowed(
    browser: Client, cluster: Cluster, tmp_path: Path, settings: Any
) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "closed").mkdir()
    with FakeEngine(tmp_path / "closed" / "docker.sock") as fake:
        (tmp_path / "open" / "link.sock").symlink_to(tmp_path / "closed" / "docker.sock")
        closed = [
            fake.url,
            f"unix://{tmp_path}/open/../closed/docker.sock",
            f"unix://{tmp_path}/open/link.sock",
            f"unix://{tmp_path}/opened/docker.sock",
        ]
        for allowed in ([], [str(tmp_path / "open")]):
            settings.UNIX_ENDPOINTS = allowed
            for url in closed:
                assert "MEDSTACK_UNIX_ENDPOINTS" in attach(browser, cluster, url)
        settings.UNIX_ENDPOINTS = [str(tmp_path / "closed" / "docker.sock")]
        assert "MEDSTACK_UNIX_ENDPOINTS" not in attach(browser, cluster, fake.url)


@pytest.mark.parametrize("host", [METADATA, "[fd00:ec2::254]", "[::ffff:169.254.169.254]", "inner"])
@pytest.mark.parametrize("way", ["ssh", "tcp"])
def test_an_endpoint_is_never_where_a_cloud_keeps_its_credentials(
    way: str, host: str, browser: Client, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    leads_to_metadata(monkeypatch, "inner")
    if way == "ssh":
        more = {"ssh_key": "never used", "ssh_host_key": HOST_KEY}
        said = attach(browser, cluster, f"ssh://root@{host}", **more)
    else:
        own = issue("console", authority=True)
        more = {"tls_ca": own.pem, "tls_cert": own.pem, "tls_key": own.key_pem}
        said = attach(browser, cluster, f"tcp://{host}:2376", **more)
    assert "where the console connects to nothing" in said


def leads_to_metadata(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let a name server say that a name has two addresses, one of them the forbidden one."""
    real = socket.getaddrinfo

    def answer(host: str, port: int, *args: Any, **more: Any) -> Any:
        found = real(METADATA if host == name else host, port, *args, **more)
        return [*real("192.0.2.1", port, *args, **more), *found] if host == name else found

    monkeypatch.setattr(socket, "getaddrinfo", answer)


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("rest", f"rest:http://{METADATA}/latest/"),
        ("rest", "rest:https://inner:8000/"),
        ("s3", f"s3:https://{METADATA}/bucket"),
        ("s3", f"s3:{METADATA}/bucket"),
        ("sftp", f"sftp://root@{METADATA}//srv"),
    ],
)
def test_a_repository_is_never_there_either(
    kind: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    leads_to_metadata(monkeypatch, "inner")
    assert "connects to nothing" in errors_at_url(kind, url)


@pytest.mark.parametrize(
    "url",
    [
        "sftp://-oProxyCommand=id@storage.example//srv",
        "sftp://root@-oProxyCommand=id//srv",
        "sftp://root@storage.example:99999//srv",
        "sftp://root;id@storage.example//srv",
    ],
)
def test_an_address_that_ssh_would_take_for_an_option_is_refused(url: str) -> None:
    assert errors_at_url("sftp", url)


def errors_at_url(kind: str, url: str) -> str:
    form = RepositoryForm({"kind": kind, "url": url})
    assert not form.is_valid()
    return str(form.errors["url"])


def test_no_registry_is_named_by_such_an_address(browser: Client, cluster: Cluster) -> None:
    url = reverse("new_registry", args=[cluster.slug])
    for host in (METADATA, f"{METADATA}:5000", "[fd00:ec2::254]:5000"):
        answer = browser.post(url, {"address": host, "username": "", "password": ""})
        assert "is not a registry's address" in answer.context["form"].errors["address"][0]
        with pytest.raises(InvalidReference, match="is not a registry's address"):
            parse(f"{host}/app:1")
    assert not Registry.objects.exists()
    assert parse("192.0.2.7:5000/app:1").host == "192.0.2.7:5000"


@pytest.mark.parametrize("path", ["/clusters/%00/", "/?q=%00", "/activity/?kind=a%00b"])
def test_an_address_with_a_null_character_is_a_bad_request(browser: Client, path: str) -> None:
    assert browser.get(path).status_code == 400
