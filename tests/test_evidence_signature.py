"""Who may trust a report: seals in all three formats, verified by the console and by openssl."""

import hashlib
import io
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.conf import settings
from django.core.management import CommandError, call_command
from pypdf import PdfReader

from backups.actions import evidence as actions
from backups.evidence import download
from backups.evidence.facts import Question
from backups.evidence.signing import BadEvidence, signing_keys, verify
from backups.models import EvidenceReport
from backups.schedule import Window
from clusters.models import Cluster, Node
from medstack.models import User
from medstack.models.events import Actor
from tests.catalogues import filled, protected

FIRST = datetime(2026, 10, 1, tzinfo=UTC)
WINDOW = Window(FIRST, datetime(2026, 10, 3, tzinfo=UTC))
FORMS = ("csv", "json", "pdf")
Made = Callable[[str], Path]


@pytest.fixture
def made(cluster: Cluster, node: Node, auditor: User, tmp_path: Path) -> Made:
    """Return what makes a report's file in a format."""
    filled(cluster, node, protected(cluster, FIRST), first=FIRST, hours=48)
    by = Actor(auditor)

    def make(form: str) -> Path:
        keys = signing_keys()
        report = actions.begin(cluster.company, cluster, WINDOW, form, by=by)
        question = Question(
            number=report.pk,
            company=cluster.company,
            clusters=[cluster],
            window=WINDOW,
            made_at=report.made_at,
            made_by=by.name,
            signing_key=keys.public.fingerprint,
        )
        path = tmp_path / download.file_name(report)
        path.write_bytes(b"".join(download.sealed(report, question, keys, by=by)))
        return path

    return make


def verified(path: Path, *options: str) -> str:
    """Run the command and return what it says."""
    said = StringIO()
    call_command("verify_evidence", path, *options, stdout=said)
    return said.getvalue()


def commands() -> str:
    """Return the commands of the documentation."""
    text = (settings.BASE_DIR / "docs" / "evidence.md").read_text()
    found = re.search(r"<!-- commands -->\n```\n(.*?)```", text, re.DOTALL)
    assert found
    return found.group(1)


def by_openssl(path: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the documented commands with nothing but the report and the public key."""
    folder.mkdir(exist_ok=True)
    shutil.copy(path, folder / "REPORT")
    (folder / "medstack-evidence-key.pem").write_text(signing_keys().public.pem)
    return subprocess.run(
        ["sh", "-c", commands()], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("form", FORMS)
def test_the_console_verifies_what_it_signed_and_names_its_row(made: Made, form: str) -> None:
    said = verified(made(form))
    report = EvidenceReport.objects.get()
    assert "Verified" in said and f"Format: {form.upper()}" in said
    assert report.sha256 in said
    assert f"Report {report.pk}, made" in said and report.made_by_name in said


@pytest.mark.parametrize("form", FORMS)
def test_openssl_alone_verifies_it_by_the_documented_commands(
    made: Made, tmp_path: Path, form: str
) -> None:
    path = made(form)
    good = by_openssl(path, tmp_path / "auditor")
    assert (good.returncode, good.stdout.strip()) == (0, "Signature Verified Successfully")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert by_openssl(path, tmp_path / "auditor").returncode != 0


def test_the_page_shows_the_documented_commands() -> None:
    shown = settings.BASE_DIR / "templates" / "backups" / "evidence_commands.txt"
    assert shown.read_text() == commands()


@pytest.mark.parametrize("form", FORMS)
def test_each_changed_byte_is_found_wherever_it_is(made: Made, form: str) -> None:
    path = made(form)
    content, keys = path.read_bytes(), signing_keys().known
    assert verify(path, keys).form == form
    seal = range(content.rstrip(b"\n").rfind(b"\n") + 1, len(content))
    spread = range(0, len(content), max(1, len(content) // 60))
    for at in [*spread, *seal]:
        changed = bytearray(content)
        changed[at] ^= 1
        path.write_bytes(changed)
        with pytest.raises(BadEvidence):
            verify(path, keys)


@pytest.mark.parametrize("form", FORMS)
def test_what_is_wrong_is_named(made: Made, form: str, tmp_path: Path) -> None:
    path = made(form)
    content = path.read_bytes()
    last = content.rstrip(b"\n").rfind(b"\n") + 1

    def complaint(changed: bytes, *options: str) -> str:
        path.write_bytes(changed)
        with pytest.raises(CommandError) as caught:
            verified(path, *options)
        return str(caught.value)

    assert "Its content was changed" in complaint(content[:99] + b"?" + content[100:])
    for cut in (content[:last], content[: last - 40], content[: last + 90], content[:-5], b""):
        assert "no seal at its end" in complaint(cut)
    assert "no seal at its end" in complaint(content + b"backup,added\n")
    foreign = tmp_path / "foreign.pem"
    keys = signing_keys(key_file(tmp_path / "other"))
    foreign.write_text(keys.public.pem)
    assert "signed with another key" in complaint(content, "--key", str(foreign))
    digest = hashlib.sha256(content[:last]).hexdigest()
    forged = keys.seal(form, digest)[0].replace(
        keys.public.fingerprint.encode(), signing_keys().public.fingerprint.encode()
    )
    assert "Its signature is wrong" in complaint(content[:last] + forged)
    path.unlink()
    with pytest.raises(CommandError, match="cannot be read"):
        verified(path)


def key_file(path: Path) -> Path:
    """Write a new key where another console would have its own."""
    key = Ed25519PrivateKey.generate()
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def test_after_the_key_was_rotated_older_reports_are_still_verified(
    made: Made, tmp_path: Path, settings: Any
) -> None:
    older = made("csv")
    former = settings.SIGNING_KEY_FILE.read_text()
    rotated = key_file(tmp_path / "rotated")
    rotated.write_text(rotated.read_text() + former)
    settings.SIGNING_KEY_FILE = rotated
    newer = made("json")
    assert "Verified" in verified(older) and "Verified" in verified(newer)
    assert verify(newer, signing_keys().known).key != verify(older, signing_keys().known).key
    public = tmp_path / "public.pem"
    public.write_text("".join(key.pem for key in signing_keys().known))
    assert "Verified" in verified(older, "--key", str(public))


def test_sealed_files_are_still_files_of_their_format(made: Made) -> None:
    records = json.loads(made("json").read_bytes())["records"]
    assert records[0]["record"] == "report" and records[-1]["record"] == "total"
    digest = hashlib.sha256()
    for record in records:
        if record.pop("record") == "backup":
            text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            digest.update(text.encode() + b"\n")
    assert records[-1]["backups_sha256"] == digest.hexdigest()
    reader = PdfReader(io.BytesIO(made("pdf").read_bytes()), strict=True)
    assert digest.hexdigest() in reader.pages[-1].extract_text() + "".join(
        page.extract_text() for page in reader.pages
    )
    assert "Backup evidence" in reader.pages[0].extract_text()


def test_the_key_is_made_once_and_is_readable_by_its_owner_only(
    settings: Any, tmp_path: Path
) -> None:
    settings.SIGNING_KEY_FILE = tmp_path / "keys" / "signing_key"
    call_command("init_keys", stdout=StringIO())
    first = settings.SIGNING_KEY_FILE.read_bytes()
    assert settings.SIGNING_KEY_FILE.stat().st_mode & 0o777 == 0o600
    call_command("init_keys", stdout=StringIO())
    assert settings.SIGNING_KEY_FILE.read_bytes() == first
    assert signing_keys().public.pem.startswith("-----BEGIN PUBLIC KEY-----")
