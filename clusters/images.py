"""Read image references, and find the registry that an image is pulled from."""

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, TypeVar

from clusters.reach import forbidden
from medstack.failures import Failure

DOCKER_HUB = "docker.io"
HUB_NAMES = ("docker.io", "index.docker.io", "registry-1.docker.io")
DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}")
TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
PART = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
HOST_PART = r"(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])"
HOST = re.compile(rf"(?:{HOST_PART}(?:\.{HOST_PART})*|\[[0-9A-Fa-f:]+\])(?::(\d+))?")
LONGEST_NAME = 255


class InvalidReference(Failure):
    """Refuse what is not an image reference; the text says what is wrong with it."""


class HasAddress(Protocol):
    """Anything with a registry's address: host, port and library path."""

    @property
    def address(self) -> str:
        """Return host, port and library path."""
        ...


R = TypeVar("R", bound=HasAddress)


@dataclass(frozen=True)
class ImageReference:
    """An image by the registry that holds it, its path there, its tag and its digest."""

    host: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """Return the reference without tag and digest."""
        return f"{self.host}/{self.path}"

    def familiar(self) -> str:
        """Return the reference as people write it, without what Docker adds by itself."""
        name = self.name
        if self.host == DOCKER_HUB:
            name = self.path.removeprefix("library/")
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{name}{tag}{digest}"

    def __str__(self) -> str:
        return self.familiar()


def parse(text: str) -> ImageReference:
    """Read an image reference such as registry.example.com:5000/lib/app:1.2."""
    text = text.strip()
    if not text:
        raise InvalidReference("Write the image's name, such as nginx:1.27.")
    if "://" in text:
        raise InvalidReference("An image's name begins with the host, without https://.")
    rest, at, digest = text.partition("@")
    if at and not is_digest(digest):
        raise InvalidReference("After @ comes a digest: sha256: and 64 characters 0-9 and a-f.")
    name, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        name, tag = rest, ""
    elif not TAG.fullmatch(tag):
        raise InvalidReference(
            "After : comes a tag of at most 128 letters, digits, points, dashes and underscores."
        )
    if re.fullmatch(r"[0-9a-f]{64}", name):
        raise InvalidReference("A name of 64 characters 0-9 and a-f is an image's id.")
    host, path = split_host(name)
    check_host(host)
    check_path(path)
    if len(f"{host}/{path}") > LONGEST_NAME:
        raise InvalidReference(f"An image's name has at most {LONGEST_NAME} characters.")
    return ImageReference(host, path, tag, digest)


def names_host(text: str) -> bool:
    """Say whether the text begins with a registry's host, as Docker decides it."""
    first, slash, _ = text.partition("/")
    return bool(slash) and (
        "." in first or ":" in first or first == "localhost" or first.lower() != first
    )


def split_host(name: str) -> tuple[str, str]:
    """Return host and path, with Docker Hub's where none is named."""
    if names_host(name):
        host, _, path = name.partition("/")
    else:
        host, path = DOCKER_HUB, name
    if host in HUB_NAMES:
        return DOCKER_HUB, path if "/" in path else f"library/{path}"
    return host, path


def is_digest(text: str) -> bool:
    """Say whether the text is a digest; sha256 has exactly 64 hexadecimal characters."""
    algorithm, _, value = text.partition(":")
    return bool(DIGEST.fullmatch(text)) and (algorithm != "sha256" or len(value) == 64)


def check_host(host: str) -> None:
    """Refuse a host that cannot be one, and a port out of range."""
    match = HOST.fullmatch(host)
    if not match:
        raise InvalidReference(f"“{host}” is not a registry's host.")
    if match[1] and not 1 <= int(match[1]) <= 65535:
        raise InvalidReference(f"The port {match[1]} is not between 1 and 65535.")
    bare = host.removesuffix(f":{match[1]}").strip("[]") if match[1] else host.strip("[]")
    with suppress(ValueError):
        if forbidden(bare, allow_private=True):
            # A cloud hands its machine's credentials to whoever asks there.
            raise InvalidReference(f"{bare} is not a registry's address.")


def check_path(path: str) -> None:
    """Refuse a path that the Engine refuses, saying why."""
    if path != path.lower():
        raise InvalidReference("An image's name has no capital letters.")
    parts = path.split("/")
    if not all(PART.fullmatch(part) for part in parts):
        raise InvalidReference(
            "An image's name has small letters and digits, with single points, dashes or "
            "underscores between them, in parts separated by /."
        )


def matching_registry(reference: ImageReference, registries: Iterable[R]) -> R | None:
    """Return the registry whose address is the longest beginning of the image's name."""
    name = f"{reference.host.lower()}/{reference.path}/"
    matches = [one for one in registries if name.startswith(f"{normal_address(one.address)}/")]
    return max(matches, key=lambda one: len(normal_address(one.address)), default=None)


def normal_address(address: str) -> str:
    """Return a registry's address in the one way that it is compared."""
    bare = re.sub(r"^[a-z]+://", "", address.strip()).rstrip("/")
    host, slash, path = bare.partition("/")
    host = host.lower()
    if host in HUB_NAMES:
        # Logins to Docker Hub are often written with its API's path.
        return DOCKER_HUB if path in ("", "v1", "v2") else f"{DOCKER_HUB}/{path}"
    return f"{host}{slash}{path}"
