"""Keys of a generated password, which open without the long computation that a typed one needs.

restic derives a key from the password with scrypt, for half a second of a processor and 60 MB each
time a repository is opened, so that passwords cannot be tried out. 32 random bytes cannot be tried
out anyway, and an hourly snapshot opens a repository for each of its volumes. restic reads the cost
from the key's file, but has no option to set it: so the same master key is put into a file that
says less. The format is that of restic's design document, "Keys, Encryption and MAC":
https://restic.readthedocs.io/en/stable/100_references.html
"""

import json
import os
from base64 import b64decode, b64encode
from contextlib import suppress
from hashlib import scrypt, sha256
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR, ECB
from cryptography.hazmat.primitives.poly1305 import Poly1305

# What 32 random bytes take in letters; nothing shorter is taken for generated.
GENERATED = 43
COST = {"N": 1 << 10, "r": 8, "p": 1}
SALT, NONCE, TAG = 64, 16, 16
# Well above what restic itself chooses.
MOST_MEMORY = 1 << 30

Json = dict[str, Any]


def ease(folder: Path, password: str) -> None:
    """Replace the keys of a generated password in a repository's folder by ones that open quickly.

    The repository opens with the same password throughout; other passwords' keys stay. Does nothing
    for a password that may have been chosen by a person.
    """
    if len(password) < GENERATED:
        return
    for path in [*(folder / "keys").iterdir()]:
        with suppress(InvalidSignature):
            content = json.loads(path.read_bytes())
            if content["N"] > COST["N"]:
                put(folder / "keys", eased(content, password))
                path.unlink()


def put(keys: Path, content: bytes) -> None:
    """Store a key under the name that restic expects, whole or not at all."""
    path = keys / sha256(content).hexdigest()
    beside = keys.parent / f".key-{path.name}"
    with beside.open("wb") as file:
        os.fchmod(file.fileno(), 0o400)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.rename(path)


def eased(key: Json, password: str) -> bytes:
    """Return the same key with less computation; raise InvalidSignature for another password."""
    master = opened(b64decode(key["data"]), derived(password, key))
    found = {**key, **COST, "salt": b64encode(os.urandom(SALT)).decode()}
    found["data"] = b64encode(sealed(master, derived(password, found))).decode()
    return json.dumps(found).encode()


def derived(password: str, key: Json) -> bytes:
    """Return the 64 bytes that a key's file asks for: for encryption 32, for the MAC 16 and 16."""
    salt, cost = b64decode(key["salt"]), {"n": key["N"], "r": key["r"], "p": key["p"]}
    return scrypt(password.encode(), salt=salt, dklen=64, maxmem=MOST_MEMORY, **cost)


def sealed(text: bytes, key: bytes) -> bytes:
    """Return nonce, text in AES-256-CTR, and its Poly1305-AES, as restic seals everything."""
    nonce = os.urandom(NONCE)
    encryptor = Cipher(AES(key[:32]), CTR(nonce)).encryptor()
    hidden = encryptor.update(text) + encryptor.finalize()
    return nonce + hidden + Poly1305.generate_tag(mac_key(key, nonce), hidden)


def opened(data: bytes, key: bytes) -> bytes:
    """Return what was sealed; raise InvalidSignature where the key is another one."""
    nonce, hidden, tag = data[:NONCE], data[NONCE:-TAG], data[-TAG:]
    Poly1305.verify_tag(mac_key(key, nonce), hidden, tag)
    decryptor = Cipher(AES(key[:32]), CTR(nonce)).decryptor()
    return decryptor.update(hidden) + decryptor.finalize()


def mac_key(key: bytes, nonce: bytes) -> bytes:
    """Return the one-time key of Poly1305-AES: r, and the nonce under AES-128 with k."""
    encryptor = Cipher(AES(key[32:48]), ECB()).encryptor()  # noqa: S305 - one block, by definition
    return key[48:64] + encryptor.update(nonce) + encryptor.finalize()
