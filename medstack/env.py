"""Read configuration from the environment, once, and fail loudly."""

import os
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

TRUE, FALSE = {"1", "true", "yes", "on"}, {"", "0", "false", "no", "off"}


def text(name: str, default: str | None = None) -> str:
    """Return a setting's text; without a default the setting is required."""
    value = os.environ.get(name, default)
    if value is None:
        raise ImproperlyConfigured(f"Set {name} in the environment.")
    return value


def boolean(name: str, *, default: bool = False) -> bool:
    """Return a setting that is on or off; any other word is refused."""
    value = os.environ.get(name)
    if value is None:
        return default
    if value.lower() in TRUE:
        return True
    if value.lower() in FALSE:
        return False
    raise ImproperlyConfigured(f"{name} must be 1 or 0, not {value!r}.")


def words(name: str, default: str = "") -> list[str]:
    """Return a comma-separated setting as a list."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def networks(name: str) -> list[IPv4Network | IPv6Network]:
    """Return a comma-separated setting of addresses and networks such as 10.0.0.0/24."""
    try:
        return [ip_network(word) for word in words(name)]
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {error}.") from None


def secret_lines(name: str, default: Path) -> list[str]:
    """Return the lines of a secret file: the first is current, the others are former ones."""
    path = Path(os.environ.get(name, default))
    try:
        lines = [line.strip() for line in path.read_text().splitlines() if line.strip()]
    except OSError as error:
        raise ImproperlyConfigured(
            f"{name}: {path} cannot be read ({error.strerror}). "
            "`python manage.py init_keys` creates it."
        ) from None
    if not lines:
        raise ImproperlyConfigured(f"{name}: {path} is empty.")
    return lines
