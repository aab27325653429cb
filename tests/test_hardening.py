"""What the settings promise: HTTPS alone, safe cookies, passwords worth the name, small uploads."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from clusters.models import Cluster, Node, Secret
from medstack.models import User
from tests.conftest import PASSWORD
from tests.pages import SignIn

ROOT = Path(__file__).parents[1]
VISIT = """
import django
django.setup()
from django.test import Client
client = Client(HTTP_HOST="localhost")
plain = client.get("/sign-in/?next=/")
print(plain.status_code, plain.headers["Location"])
page = client.get("/sign-in/", secure=True)
print(page.status_code, page.headers["Strict-Transport-Security"])
cookie = page.cookies["csrftoken"]
print(cookie["secure"], cookie["samesite"])
from django.conf import settings
print(settings.SESSION_COOKIE_SECURE, settings.SESSION_COOKIE_HTTPONLY)
"""


@pytest.mark.no_database
def test_behind_https_nothing_is_answered_without_it_and_cookies_stay_with_it(
    tmp_path: Path,
) -> None:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MEDSTACK_")}
    kept.pop("DATABASE_URL", None)
    environment = {
        **kept,
        "DJANGO_SETTINGS_MODULE": "medstack.settings",
        "MEDSTACK_STATE": str(tmp_path),
        "MEDSTACK_HTTPS": "1",
    }

    def run(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, *command],
            check=False,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("manage.py", "init_keys")
    run("manage.py", "migrate", "--verbosity=0")
    run("manage.py", "collectstatic", "--noinput", "--verbosity=0")
    assert run("-c", VISIT).splitlines() == [
        "301 https://localhost/sign-in/?next=/",
        "200 max-age=31536000; includeSubDomains; preload",
        "True Lax",
        "True True",
    ]


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("short-9", "at least 12 characters"),
        ("password1234", "too common"),
        ("olive@northside", "too similar"),
    ],
)
def test_a_password_that_is_easily_guessed_is_refused_at_its_field(
    owner: User, client_for: SignIn, password: str, words: str
) -> None:
    form = {"old_password": PASSWORD, "new_password1": password, "new_password2": password}
    page = client_for(owner).post(reverse("change_password"), form)
    assert words in page.text
    owner.refresh_from_db()
    assert owner.check_password(PASSWORD)


def test_an_upload_that_is_far_too_large_is_refused_at_its_field_and_nothing_is_kept(
    browser: Client, cluster: Cluster, node: Node
) -> None:
    file = SimpleUploadedFile("dump", b"x" * (5 << 20))
    page = browser.post(reverse("new_secret", args=[cluster.slug]), {"name": "dump", "file": file})
    assert page.status_code in (413, 422)
    assert "too large" in page.text
    assert not Secret.objects.exists()
