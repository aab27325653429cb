"""What logs never hold, however it came into a message."""

import io
import logging
import logging.config
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from gunicorn.config import Config

from medstack.redaction import redacted

pytestmark = pytest.mark.no_database
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\nhunter2\n-----END OPENSSH PRIVATE KEY-----"
HUNTER = "hunter2hunter2hunter2"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {HUNTER}",
        f"headers={{'Authorization': 'Basic {HUNTER}', 'Accept': 'x'}}",
        f'{{"X-Registry-Auth": "{HUNTER}"}}',
        f"the token mst_{HUNTER} was shown",
        f"docker swarm join --token SWMTKN-1-{HUNTER}-{HUNTER} 10.0.0.1",
        f"GET /join/{HUNTER}/ HTTP/1.1",
        f"rest:https://node:{HUNTER}@storage.example/ does not answer",
        f"env DB_PASSWORD={HUNTER} LANG=C",
        f"POSTGRES_PASSWORD='{HUNTER} {HUNTER}'",
        f"https://api.example/?api_key={HUNTER}&page=2",
        f"{{'password': '{HUNTER}', 'user': 'robot'}}",
        f'{{"clientSecret": "{HUNTER}\\"{HUNTER}"}}',
        f"before {KEY} after",
        KEY[:50],
    ],
)
def test_what_looks_like_a_credential_is_hidden(text: str) -> None:
    assert "hunter2" in text
    assert "hunter2" not in redacted(text)


@pytest.mark.parametrize(
    "text",
    [
        "POST /clusters/production/docker/secrets/new/ 302",
        "Operation 7 of “api-token” failed: no such image: registry.example.com:5000/app:1.2",
        "https://registry.example.com:5000/v2/ does not answer",
        "2 tokens expired, 1 secret is created",
        "ssh://root@node-1.example:22 does not answer",
    ],
)
def test_other_words_stay(text: str) -> None:
    assert redacted(text) == text


def logged(logger: logging.Logger) -> str:
    """Log a message and an error that hold a credential; return what was written."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logger.handlers[0].formatter)
    own = logging.Logger("own")  # noqa: LOG001 - one that nobody else has
    own.addHandler(handler)
    own.warning("It said %s", f"DB_PASSWORD={HUNTER}")
    try:
        raise ValueError(f"rest:https://node:{HUNTER}@storage.example/")
    except ValueError:
        own.exception("It failed")
    return written.getvalue()


def test_the_consoles_processes_write_their_logs_so() -> None:
    known: dict[str, Any] = settings.LOGGING
    assert {one["formatter"] for one in known["handlers"].values()} == {"line"}
    dictionary = {**known, "loggers": {"probe": {"handlers": ["console"]}}, "root": {}}
    logging.config.dictConfig(dictionary)
    try:
        text = logged(logging.getLogger("probe"))
    finally:
        logging.config.dictConfig(settings.LOGGING)
    assert "It failed" in text
    assert "storage.example" in text
    assert "hunter2" not in text


def test_the_web_server_writes_its_log_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medstack.children.end_with_parent", lambda: None)
    found = SimpleNamespace(**runpy.run_path(str(Path("deploy/gunicorn.conf.py"))))
    config = Config()
    config.set("accesslog", found.accesslog)
    logger = found.logger_class(config)
    for log in (logger.error_log, logger.access_log):
        text = logged(log)
        assert "storage.example" in text
        assert "hunter2" not in text
