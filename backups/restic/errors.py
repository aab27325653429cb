"""The ways in which restic can fail us, sorted by what a caller can do about it."""

import json
import os
import re
from collections.abc import Sequence

from backups.restic.repository import Repository
from medstack.failures import Failure, Transient

LONGEST = 2000
MOST_FINDINGS = 50


class ResticError(Failure):
    """Say what went wrong between us and a repository, in words for people."""


class WrongPassword(ResticError):
    """The repository is there, but not for this password: ask for the right one."""


class NoRepository(ResticError):
    """Nothing is there: initialise one, or correct the URL."""


class Locked(ResticError, Transient):
    """Somebody else works on it, or died doing so: try later, or unlock."""


class LockVanished(Locked):
    """Another's lock was removed while restic was about to read it: run it anew."""


class Full(ResticError):
    """No space is left: make some."""


class Unreachable(ResticError, Transient):
    """The storage does not answer now: try later."""


class Refused(ResticError):
    """The storage does not let us: its credentials, or append-only."""


class NotFound(ResticError):
    """The repository has no such snapshot, or the snapshot or this machine no such file."""


class Damaged(ResticError):
    """The repository has lost data; `findings` are restic's words about what."""

    def __init__(self, words: str, findings: Sequence[str] = ()) -> None:
        super().__init__(words)
        self.findings = tuple(findings)


class UnknownVersion(ResticError):
    """No such restic, or no such format of a repository, is known here: install another."""


class Cancelled(ResticError):
    """The caller did not want it any more."""


class ResticFailed(ResticError):
    """Something else, in restic's own words: tell the person."""


# By exit code since restic 0.17; older ones only say it.
CODES: dict[int, type[ResticError]] = {10: NoRepository, 11: Locked, 12: WrongPassword}
DAMAGE = re.compile(
    r"repository contains errors|ciphertext verification failed|invalid data returned"
    r"|pack id does not match|hash mismatch|^error for tree|^pack [0-9a-f]+:? "
    r"|load\(<(data|index|snapshot)/.*(no such file|does not exist)"
    r"|could not load snapshot|not found in (any )?index",
    re.IGNORECASE,
)
# In this order: the words about an unreachable one also say that no configuration was found.
WORDS: tuple[tuple[re.Pattern[str], type[ResticError]], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), kind)
    for pattern, kind in (
        (r"no space left|quota ?exceeded|storage ?full|\(507\)|insufficient storage", Full),
        (r"wrong password or no key found", WrongPassword),
        (r"already locked", Locked),
        (r"unsupported repository version|unknown repository version", UnknownVersion),
        (DAMAGE.pattern, Damaged),
        (
            r"\b40[13]\b|access ?denied|forbidden|unauthori[sz]ed|permission denied"
            r"|SignatureDoesNotMatch|InvalidAccessKeyId|read-only file system",
            Refused,
        ),
        (
            r"connection (refused|reset)|no such host|time[d -]*out|deadline exceeded"
            r"|no route to host|network is unreachable|server misbehaving|broken pipe"
            r"|unable to start the sftp session|\b50[0234]\b|x509|tls: |: EOF|retrying after",
            Unreachable,
        ),
        (
            r"unable to open config file|is there a repository|NoSuchBucket"
            r"|repository does not exist",
            NoRepository,
        ),
        (r"not found in snapshot|no matching id|do not exist|no snapshot found", NotFound),
    )
)
PLAIN: dict[type[ResticError], str] = {
    WrongPassword: "The password of the repository is wrong.",
    NoRepository: "There is no repository at this place.",
    Locked: "The repository is locked by other work.",
    Full: "No space is left.",
    Unreachable: "The storage of the repository cannot be reached.",
    Refused: "The storage of the repository does not allow it.",
    NotFound: "There is no such thing.",
    Damaged: "The repository is damaged.",
    UnknownVersion: "The repository's format is newer than this restic knows.",
    ResticFailed: "restic failed.",
}
NOISE = re.compile(r"^(Is there a repository at|The `unlock` command|storage ID )", re.IGNORECASE)
# restic would try for minutes what can only be refused again.
HOPELESS = re.compile(r"retrying after .*(\b(401|403|507)\b|access ?denied)", re.IGNORECASE)
# Up to restic 0.16 it would look for the lock ten times, 43 seconds long, and then go on without.
VANISHED = re.compile(r"^Load\(<lock/.*retrying after .*(does not exist|no such)", re.IGNORECASE)


def from_words(
    repository: Repository, lines: Sequence[str], *, code: int, doing: str
) -> ResticError:
    """Return the exception for what restic wrote on its standard error."""
    lines = [repository.hide(line) for line in lines if line.strip()]
    kind = CODES.get(code) or kind_of("\n".join(lines))
    own = [line for line in lines if not NOISE.match(line) and line != repository.shown_url]
    # The last words say why it ended; the first retry is as good as the tenth.
    said = " ".join(list(dict.fromkeys(own))[-5:])[-LONGEST:] or f"it ended with code {code}"
    words = f"{PLAIN[kind]} restic {doing}: {said}"
    if kind is Damaged:
        return Damaged(words, damage(lines))
    return kind(words)


def kind_of(text: str) -> type[ResticError]:
    """Return the class of error that the words speak of."""
    return next((kind for pattern, kind in WORDS if pattern.search(text)), ResticFailed)


def damage(lines: Sequence[str]) -> list[str]:
    """Return the lines that name what is lost, each once."""
    named: dict[str, None] = {}
    for previous, line in zip(["", *lines], lines, strict=False):
        if previous.startswith("error for tree") and line.startswith(" "):
            named.pop(previous, None)
            line = f"{previous} {line.strip()}"  # noqa: PLW2901 (the two lines are one sentence)
        if DAMAGE.search(line) and not line.startswith("Fatal: repository contains"):
            named[line] = None
    return list(named)[:MOST_FINDINGS]


def plain(line: str) -> str:
    """Return one line of restic's standard error as words, also when it is JSON."""
    if not line.startswith("{"):
        return line
    try:
        said = json.loads(line)
    except ValueError:
        return line
    error = said.get("error")
    if isinstance(error, dict):
        number = error.get("Err")
        reason = os.strerror(number) if isinstance(number, int) else error.get("message", number)
        return f"{said.get('item') or error.get('Path', '')}: {reason or 'cannot be read'}"
    return str(said.get("message", line))
