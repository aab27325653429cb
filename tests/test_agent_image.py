"""The agent's image: all that the agent needs is in it, and nothing of the console."""

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from django.conf import LazySettings

from backups import agent_image, image
from medstack.failures import Failure


def test_the_agent_starts_from_nothing_but_the_files_of_its_image(tmp_path: Path) -> None:
    for name, path in agent_image.our_files():
        target = tmp_path / Path(name).relative_to(agent_image.HOME)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from backups.agent.__main__ import main\n"
        "assert not [name for name in sys.modules if name.split('.')[0] == 'django']\n"
        "sys.exit(main(['nothing']))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (2, "")


def test_an_image_is_made_once_and_is_small(settings: LazySettings, tmp_path: Path) -> None:
    settings.STATE_DIR = tmp_path
    path = agent_image.archive()
    made = path.stat().st_mtime_ns

    assert path.stat().st_size < 120_000_000
    assert agent_image.archive().stat().st_mtime_ns == made
    with tarfile.open(path) as tar:
        names = set(tar.getnames())
    assert {"usr/bin/python3", "usr/bin/restic", "usr/bin/ssh"} <= names
    assert not [name for name in names if "django" in name or "/backups/models" in name]


def test_the_images_name_follows_from_its_content_or_the_setting(settings: LazySettings) -> None:
    settings.AGENT_IMAGE = ""
    assert image.name() == f"medstack.invalid/agent:{agent_image.version()}"
    settings.AGENT_IMAGE = "registry.example/agent:1"
    assert image.name() == "registry.example/agent:1"


def test_a_node_of_another_architecture_is_refused_with_the_way_out() -> None:
    with pytest.raises(Failure, match="MEDSTACK_AGENT_IMAGE"):
        image.refuse_other_architecture({"Architecture": "riscv64"})


def test_the_dockerfile_copies_the_same_files_of_ours(settings: LazySettings) -> None:
    text = Path(settings.BASE_DIR, "deploy/agent/Dockerfile").read_text().replace("\\\n", " ")
    copied = {
        source
        for line in text.splitlines()
        if line.startswith("COPY") and agent_image.HOME in line
        for source in line.split()[1:-1]
    }
    assert copied == {*agent_image.OURS}


def test_the_dockerfile_installs_the_locked_packages_with_their_digests(
    settings: LazySettings,
) -> None:
    base = Path(settings.BASE_DIR)
    command = [sys.executable, str(base / "deploy/agent/only.py"), str(base / "requirements.txt")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    packages = [line for line in said.splitlines() if "==" in line]
    assert len(packages) == len(agent_image.LIBRARIES)
    assert said.count("--hash=sha256:") >= len(packages)
