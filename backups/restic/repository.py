"""Where a repository is, and what is needed to be let in."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

URL_PASSWORD = re.compile(r"(?<=//)(?P<user>[^/@:]*):(?P<password>[^/]*)@")
SECRET_NAME = re.compile(r"KEY|SECRET|TOKEN|PASS|CREDENTIAL", re.IGNORECASE)
SHORTEST_HIDDEN = 4


def known_host(url: str, key: str) -> str:
    """Return the line of known_hosts that lets in the one host of a URL with its one key."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 22
    return f"{host if port == 22 else f'[{host}]:{port}'} {key.strip()}"


@dataclass(frozen=True)
class Repository:
    """Name a repository as restic does: /path, rest:https://…, s3:https://…, sftp://user@host//path.

    `environment` is for what restic takes from nowhere else, such as the keys of S3; `ca` is the
    PEM text of the certificates to trust instead of the system's. `ssh_key` and `ssh_host_key` are
    a private key and the one host key that is accepted, as a line of known_hosts without its name.
    With `by_command` the server's forced command answers (`rclone serve restic --stdio`), which
    alone decides what the key may do; else it is SFTP.
    """

    url: str
    password: str = field(repr=False)
    environment: Mapping[str, str] = field(
        default_factory=dict, repr=False, kw_only=True, hash=False
    )
    ca: str = field(default="", repr=False, kw_only=True)
    ssh_key: str = field(default="", repr=False, kw_only=True)
    ssh_host_key: str = field(default="", repr=False, kw_only=True)
    by_command: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        if not self.url or self.url != self.url.strip() or not self.url.isprintable():
            raise ValueError("A repository needs a URL without blanks around it.")
        # restic strips what it reads from a file, so such a password would fail when typed in.
        if not self.password or self.password != self.password.strip():
            raise ValueError("A repository's password is not empty and has no blanks around it.")
        if not self.password.isprintable():
            raise ValueError("A repository's password is one line of printable characters.")

    def __repr__(self) -> str:
        return f"Repository({self.shown_url!r})"

    @property
    def shown_url(self) -> str:
        """Return the URL without its password, for people."""
        return URL_PASSWORD.sub(r"\g<user>:***@", self.url)

    def hide(self, text: str) -> str:
        """Return the text without any secret of this repository."""
        found = URL_PASSWORD.search(self.url)
        inside = found["password"] if found else ""
        secrets = [self.url] if found else []
        secrets += [self.password, inside, unquote(inside), self.ssh_key]
        secrets += [value for name, value in self.environment.items() if SECRET_NAME.search(name)]
        for secret in sorted(secrets, key=len, reverse=True):
            # A value of a letter or two would eat up the words themselves.
            if len(secret) >= SHORTEST_HIDDEN:
                text = text.replace(secret, "***")
        return text
