"""Keep out of the logs what nobody may read there, however it came into a message. No Django."""

import logging
import re

HIDDEN = "[redacted]"
# A name of which the value is hidden: DB_PASSWORD=…, "apiKey": "…".
NAME = r"[\w.-]*(?:passw|passphrase|secret|token|api_?key|private_?key|credential)[\w.-]*"
RULES = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), with_what)
    for pattern, with_what in (
        # Until the end of the key, or of the message that was cut.
        (
            r"-----BEGIN ([A-Z ]*)PRIVATE KEY-----.*?(?:-----END \1PRIVATE KEY-----|\Z)",
            HIDDEN,
        ),
        (r"\bmst_[\w-]{16,}", f"mst_{HIDDEN}"),
        (r"\bSWMTKN-\d-[\w-]+", f"SWMTKN-{HIDDEN}"),
        # The link of an invitation is its key.
        (r"(/join/)[\w-]+", rf"\1{HIDDEN}"),
        (r"(://[^/\s:@'\"]*:)[^/\s@'\"]+@", rf"\1{HIDDEN}@"),
        (
            r"\b((?:proxy-)?authorization|x-registry-auth|cookie|set-cookie)"
            r"(['\"]?\s*[:=]\s*['\"]?)[^\r\n'\"]+",
            rf"\1\2{HIDDEN}",
        ),
        (rf"({NAME}=)(?:'[^']*'|\"[^\"]*\"|[^\s&,;'\"]+)", rf"\1{HIDDEN}"),
        (rf"(['\"]{NAME}['\"]\s*:\s*)(?:'[^']*'|\"(?:\\.|[^\"\\])*\")", rf"\1'{HIDDEN}'"),
    )
)


def redacted(text: str) -> str:
    """Return a text without what looks like a credential."""
    for pattern, with_what in RULES:
        text = pattern.sub(with_what, text)
    return text


class Formatter(logging.Formatter):
    """Write a record, its traceback included, without credentials."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record."""
        return redacted(super().format(record))
