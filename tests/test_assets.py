"""A page of one version finds its style sheets while another version answers."""

from pathlib import Path

import pytest
from django.conf import LazySettings
from django.test import Client


@pytest.fixture(autouse=True)
def collected(settings: LazySettings, tmp_path: Path) -> None:
    settings.STATIC_ROOT = tmp_path / "static"
    (tmp_path / "static" / "css").mkdir(parents=True)
    (tmp_path / "static" / "css" / "base.css").write_text("body {}")
    (tmp_path / "secret.css").write_text("a key")


def test_a_file_with_another_versions_digest_is_this_versions_own(client: Client) -> None:
    answer = client.get("/static/css/base.0123456789ab.css")
    assert b"".join(answer.streaming_content) == b"body {}"  # type: ignore[attr-defined]
    assert answer.headers["Content-Type"] == "text/css"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    [
        "css/nothing.0123456789ab.css",
        "css/base.0123.css",
        "../secret.0123456789ab.css",
        "%2e%2e/secret.0123456789ab.css",
        "css.0123456789ab",
    ],
)
def test_nothing_else_is_found(client: Client, path: str) -> None:
    assert client.get(f"/static/{path}").status_code == 404
