"""What a domain is and which name stands for it."""

import re

import idna

LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
LONGEST = 253


class InvalidDomain(ValueError):
    """Say in plain words what is wrong with a domain."""


def normal(text: str) -> str:
    """Return a domain as it is stored and compared: lower-case punycode without a last dot."""
    domain = text.strip().lower().removesuffix(".")
    if not domain:
        raise InvalidDomain("Type a domain, such as app.example.com.")
    if "/" in domain or ":" in domain:
        raise InvalidDomain("Type the domain alone: no https://, no port, no path.")
    star, rest = ("*.", domain[2:]) if domain.startswith("*.") else ("", domain)
    ascii_name = in_ascii(rest)
    labels = ascii_name.split(".")
    if not ascii_name or not all(LABEL.fullmatch(label) for label in labels):
        raise InvalidDomain(
            f"“{text.strip()}” is no domain: use letters, digits and hyphens between the dots."
        )
    if len(star + ascii_name) > LONGEST or (len(labels) < 2 and ascii_name != "localhost"):
        raise InvalidDomain(f"“{text.strip()}” is no full domain, such as app.example.com.")
    if NUMBER.fullmatch(labels[-1]):
        raise InvalidDomain("An IP address cannot be mapped; a certificate is made for a domain.")
    return star + ascii_name


def in_ascii(name: str) -> str:
    """Return a name in punycode; empty when no name has these letters."""
    try:
        if not name.isascii():
            return idna.encode(name, uts46=True).decode()
        for label in name.split("."):
            if label.startswith("xn--"):
                # Punycode that stands for nothing gets no certificate anywhere.
                idna.ulabel(label)
    except idna.IDNAError:
        return ""
    return name


def shown(domain: str) -> str:
    """Return a domain as people read it, with the stored name where that differs."""
    star, rest = ("*.", domain[2:]) if domain.startswith("*.") else ("", domain)
    try:
        readable = star + idna.decode(rest)
    except idna.IDNAError:
        return domain
    return domain if readable == domain else f"{readable} ({domain})"


def is_wildcard(domain: str) -> bool:
    """Say whether the domain stands for all names below it."""
    return domain.startswith("*.")


def reachable(domain: str) -> str:
    """Return a name to ask for: a wildcard has no address itself, but the names below it do."""
    return f"medstack-check.{domain[2:]}" if is_wildcard(domain) else domain


def covers(certified: str, domain: str) -> bool:
    """Say whether a certificate's name is good for a domain (RFC 6125: one label only)."""
    if certified == domain:
        return True
    if not is_wildcard(certified):
        return False
    return not is_wildcard(domain) and domain.partition(".")[2] == certified[2:]
