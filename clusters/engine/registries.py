"""Images of an Engine, and the registries they come from."""

import json
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlencode

from docker.auth import INDEX_NAME, INDEX_URL, encode_header

from clusters.engine.client import Client, Json, decoded, path_of
from clusters.engine.errors import NotFound, Refused, from_words

# Bytes of an image have to travel: this call alone may take longer than the connection's others.
UPLOAD_TIMEOUT = 600.0


@dataclass(frozen=True)
class RegistryAuth:
    """Credentials of a registry; its address may include a library path."""

    address: str
    username: str
    password: str = field(repr=False)

    @property
    def server(self) -> str:
        """Return the registry itself, without a library path."""
        host = self.address.strip().partition("://")[2] or self.address.strip()
        host = host.split("/")[0]
        return INDEX_URL if host in ("", INDEX_NAME, f"index.{INDEX_NAME}") else host

    def body(self) -> dict[str, str]:
        """Return the credentials as the Engine reads them."""
        return {
            "username": self.username,
            "password": self.password,
            "serveraddress": self.server,
        }


def auth_headers(auth: RegistryAuth | None) -> dict[str, str]:
    """Return the header that carries the credentials of one request."""
    return {"X-Registry-Auth": encode_header(auth.body()).decode()} if auth else {}


def secrets_of(auth: RegistryAuth | None) -> tuple[str, ...]:
    """Return what must never show in an error."""
    return (auth.password, *auth_headers(auth).values()) if auth else ()


def images(client: Client) -> list[Json]:
    """Return the images that the Engine has."""
    return list(client.get("/images/json"))


def image(client: Client, name: str) -> Json:
    """Return one image that the Engine has."""
    return dict(client.get("/images/{0}/json", name))


def image_import(
    client: Client,
    source: str | Path | BinaryIO,
    repository: str,
    tag: str,
    changes: list[str] | None = None,
    *,
    timeout: float = UPLOAD_TIMEOUT,
) -> str:
    """Make an image of a tar archive with a root folder; return its id."""
    if isinstance(source, str | Path):
        with open(source, "rb") as file:
            return image_import(client, file, repository, tag, changes, timeout=timeout)
    query = {"fromSrc": "-", "repo": repository, "tag": tag, "changes": changes or []}
    begin = source.tell()
    length = source.seek(0, os.SEEK_END) - begin
    source.seek(begin)
    answer = client.send(
        "POST",
        f"/images/create?{urlencode(query, doseq=True)}",
        data=source,
        headers={"Content-Type": "application/x-tar", "Content-Length": str(length)},
        timeout=timeout,
    )
    # The Engine says 200 first and what went wrong later, one JSON object a line.
    status = ""
    for line in filter(None, answer.splitlines()):
        told = json.loads(line)
        if "error" in told:
            raise from_words(500, str(told["error"]))
        status = str(told.get("status", status))
    if not status.startswith("sha256:"):
        raise Refused("The Engine did not say which image it made.")
    return status


def image_remove(client: Client, image_id: str) -> None:
    """Remove an image with all its names; one that is gone is removed, too."""
    with suppress(NotFound):
        client.delete("/images/{0}", image_id, force=True)


def distribution(client: Client, name: str, auth: RegistryAuth | None = None) -> Json:
    """Return what the registry says about an image: its digest and platforms."""
    answer = client.send(
        "GET",
        path_of("/distribution/{0}/json", [name]),
        headers=auth_headers(auth),
        hide=secrets_of(auth),
    )
    return dict(decoded(answer, client.url))


def registry_login(client: Client, auth: RegistryAuth) -> str:
    """Let the Engine log in to the registry; return what it says."""
    answer = client.post("/auth", body=auth.body(), hide=secrets_of(auth))
    return str((answer or {}).get("Status", ""))
