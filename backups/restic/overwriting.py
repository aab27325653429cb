"""Whether a storage lets somebody overwrite what is there: restic itself never tries."""

import base64
import ssl
from collections.abc import Mapping
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from backups.restic.errors import Unreachable
from backups.restic.process import SHORT
from backups.restic.repository import Repository

ACCEPTED = {"Accept": "application/vnd.x.restic.rest.v2"}


class Straight(HTTPRedirectHandler):
    """Follow nobody: the credentials are for this server only."""

    def redirect_request(self, *_: object) -> None:
        """Take a redirection for an answer."""


def can_overwrite(repository: Repository, identity: str) -> bool | None:
    """Say whether a snapshot's file could be written over; None where that cannot be tried.

    It is written with its own bytes: where the storage allows it, nothing is lost.
    """
    if not repository.url.startswith(("rest:http://", "rest:https://")):
        return None
    url, headers = address(repository)
    target = f"{url}snapshots/{identity}"
    content = answer(repository, request(target, headers))
    if content is None:
        raise Unreachable("The storage did not give back what was just stored there.")
    return answer(repository, request(target, headers, content)) is not None


def request(url: str, headers: Mapping[str, str], content: bytes | None = None) -> Request:
    """Return what is sent: a question, or something to be stored."""
    method = "GET" if content is None else "POST"
    # Only http and https come here, see above.
    return Request(url, data=content, headers=dict(headers), method=method)  # noqa: S310


def address(repository: Repository) -> tuple[str, Mapping[str, str]]:
    """Return a REST repository's URL without its credentials, and these as a header."""
    parts = urlsplit(repository.url.removeprefix("rest:"))
    headers = dict(ACCEPTED)
    if parts.username:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, place, f"{parts.path.rstrip('/')}/", "", "")), headers


def answer(repository: Repository, asked: Request) -> bytes | None:
    """Return what the storage answers, or None where it refuses."""
    trusted = ssl.create_default_context(cadata=repository.ca or None)
    opener = build_opener(HTTPSHandler(context=trusted), Straight())
    try:
        with opener.open(asked, timeout=SHORT) as found:
            return bytes(found.read())
    except HTTPError as error:
        if error.code < 500:
            return None
        raise Unreachable(f"The storage answers with {error.code}.") from None
    except OSError as error:
        words = repository.hide(str(error))
        raise Unreachable(f"The storage of the repository cannot be reached. {words}") from None
