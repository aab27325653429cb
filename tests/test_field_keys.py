"""What is encrypted at rest, and how a field key is exchanged."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from cryptography.fernet import Fernet, InvalidToken
from django.apps import apps
from django.core.management import call_command
from django.db import connection

from backups.models import Repository
from clusters.models import Node, Registry, Secret, Volume
from medstack import crypto
from medstack.models import Company, User
from tests.belongings import Belongings, belongings
from tests.signing import SECRET, give_factor

OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))


def use(settings: Any, *keys: str) -> None:
    """Let the console start with these keys."""
    settings.FIELD_KEYS = list(keys)
    crypto.cipher.cache_clear()
    vars(get_adapter()).pop("cipher", None)


@pytest.fixture
def ours(company: Company, owner: User, settings: Any) -> Any:
    use(settings, OLD)
    found = belongings(company, "ours", owner)
    give_factor(owner)
    RecoveryCodes.activate(owner)
    Node.objects.update(ssh_key="a private key", tls_key="another")
    Registry.objects.update(password="of a registry")
    Volume.objects.update(options='{"o": "password=of-a-share"}')
    Secret.objects.update(pending_value="c2VjcmV0", engine_id="")
    yield found
    settings.FIELD_KEYS = settings.FIELD_KEYS[:1]
    crypto.cipher.cache_clear()
    vars(get_adapter()).pop("cipher", None)


def stored() -> str:
    """Return everything that the database holds of models with encrypted fields."""
    texts: list[str] = []
    with connection.cursor() as cursor:
        for model in apps.get_models():
            if model._meta.label == "mfa.Authenticator" or any(
                isinstance(field, crypto.EncryptedTextField) for field in model._meta.fields
            ):
                cursor.execute(f'SELECT * FROM "{model._meta.db_table}"')
                texts += map(str, cursor.fetchall())
    return "\n".join(texts)


def codes(user: User) -> list[str]:
    found = Authenticator.objects.get(user=user, type="recovery_codes")
    return list(RecoveryCodes(found).get_unused_codes())


def test_after_a_rotation_everything_is_read_with_the_new_key_alone(
    ours: Belongings, owner: User, settings: Any
) -> None:
    before = codes(owner)
    use(settings, NEW, OLD)
    assert Node.objects.get().ssh_key == "a private key"
    out = StringIO()
    call_command("encrypt_anew", stdout=out)
    assert "nodes: 1 encrypted with the first key" in out.getvalue()
    assert "1 former key" in out.getvalue()
    use(settings, NEW)
    assert Node.objects.get().ssh_key == "a private key"
    assert Registry.objects.get().password == "of a registry"
    assert Volume.objects.get().options == '{"o": "password=of-a-share"}'
    assert Secret.objects.get().pending_value == "c2VjcmV0"
    assert Repository.objects.get().password == "ours-cluster-repository-password"
    factor = Authenticator.objects.get(user=owner, type="totp")
    assert get_adapter().decrypt(factor.data["secret"]) == SECRET
    assert codes(owner) == before


def test_what_was_not_encrypted_anew_needs_the_former_key(ours: Belongings, settings: Any) -> None:
    use(settings, NEW)
    with pytest.raises(InvalidToken):
        Node.objects.get()


def test_the_database_alone_gives_no_credential(ours: Belongings) -> None:
    found = stored()
    assert "ours-node" in found
    for secret in ("a private key", "of a registry", "of-a-share", "c2VjcmV0", SECRET):
        assert secret not in found
    assert "repository-password" not in found


def test_a_new_key_is_put_before_the_former_one(settings: Any, tmp_path: Path) -> None:
    for name in ("SECRET_KEY_FILE", "FIELD_KEYS_FILE", "SIGNING_KEY_FILE"):
        setattr(settings, name, tmp_path / name)
    call_command("init_keys", stdout=StringIO())
    first = settings.FIELD_KEYS_FILE.read_text().split()
    call_command("init_keys", new_field_key=True, stdout=StringIO())
    second = settings.FIELD_KEYS_FILE.read_text().split()
    assert len(second) == 2
    assert second[1:] == first
    assert settings.FIELD_KEYS_FILE.stat().st_mode & 0o777 == 0o600
    assert len({path.name for path in tmp_path.iterdir()}) == 3
