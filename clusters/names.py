"""Say which names and addresses the Engine takes, before it is asked."""

import re

from django.core.exceptions import ValidationError

from clusters.images import HUB_NAMES, InvalidReference, check_host, check_path, normal_address

SERVICE = re.compile(r"[a-zA-Z0-9]+(?:[a-zA-Z0-9-_]*[a-zA-Z0-9])?")
OBJECT = re.compile(r"[a-zA-Z0-9]+(?:[a-zA-Z0-9-_.]*[a-zA-Z0-9])?")
VOLUME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
LABEL_VALUE = re.compile(r"[a-zA-Z0-9:_\s.*()?+\[\]\\^$|/-]*")
HOST_NAME = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9-]+)*")
RESERVED_SERVICES = "medstack-"
# What the load balancer keeps on the swarm, and removes when it needs it no longer.
RESERVED_OBJECTS = "loadbalancer-"
RESERVED_LABELS = ("medstack.", "traefik.")
RESERVED_NETWORKS = ("bridge", "default", "docker_gwbridge", "host", "ingress", "none")

# Versions add to the name: “-v99999” must still fit into the Engine's 64 characters.
LONGEST_OBJECT = 57
LONGEST_SERVICE = LONGEST_HOST_NAME = 63
LONGEST_VOLUME = 255
LONGEST_LABEL = 255


def service(value: str) -> str:
    """Return a service's name."""
    name = matching(
        value,
        SERVICE,
        "A service's name has letters, digits, dashes and underscores, and begins and ends with a "
        "letter or digit.",
        longest=LONGEST_SERVICE,
    )
    if name.startswith(RESERVED_SERVICES):
        raise ValidationError(f"Names that begin with {RESERVED_SERVICES} are the console's own.")
    return name


def config(value: str) -> str:
    """Return a config's name."""
    return not_ours(matching(value, OBJECT, object_rule("config"), longest=LONGEST_OBJECT))


def secret(value: str) -> str:
    """Return a secret's name."""
    return not_ours(matching(value, OBJECT, object_rule("secret"), longest=LONGEST_OBJECT))


def not_ours(name: str) -> str:
    """Refuse the names of what the load balancer may remove."""
    if name.startswith(RESERVED_OBJECTS):
        raise ValidationError(f"Names that begin with {RESERVED_OBJECTS} are the console's own.")
    return name


def network(value: str) -> str:
    """Return a network's name."""
    name = matching(value, OBJECT, object_rule("network"), longest=LONGEST_SERVICE)
    if name in RESERVED_NETWORKS:
        raise ValidationError(f"Docker has a network of its own named “{name}”.")
    return name


def object_rule(kind: str) -> str:
    """Return the rule for the swarm's own objects in words."""
    return (
        f"A {kind}'s name has letters, digits, points, dashes and underscores, and begins and ends "
        "with a letter or digit."
    )


def volume(value: str) -> str:
    """Return a volume's name."""
    name = matching(
        value,
        VOLUME,
        "A volume's name has at least two letters, digits, points, dashes or underscores, and "
        "begins with a letter or digit.",
        longest=LONGEST_VOLUME,
    )
    if re.fullmatch(r"[0-9a-f]{64}", name):
        raise ValidationError("64 characters 0-9 and a-f are how Docker names nameless volumes.")
    return name


def registry_address(value: str) -> str:
    """Return a registry's host, port and library path, without scheme."""
    text = value.strip()
    if text.startswith("http://"):
        raise ValidationError("Write the address without http://.")
    address = normal_address(text)
    host, slash, path = address.partition("/")
    try:
        check_host(host)
        if slash:
            check_path(path)
    except InvalidReference as error:
        raise ValidationError(str(error)) from None
    if not ("." in host or ":" in host or host == "localhost" or host in HUB_NAMES):
        raise ValidationError(
            "Write the registry's host with its domain or port, such as registry.example.com."
        )
    return address


def node_label_key(value: str) -> str:
    """Return a node label's key; a placement constraint must be able to name it."""
    key = matching(
        value,
        re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9._-]*[a-zA-Z0-9])?"),
        "A label's key has letters, digits, points, dashes and underscores, and begins and ends "
        "with a letter or digit.",
        longest=LONGEST_LABEL,
    )
    return not_reserved(key)


def node_label_value(value: str) -> str:
    """Return a node label's value; a placement constraint must be able to name it."""
    text = value.strip()
    if len(text) > LONGEST_LABEL:
        raise ValidationError(f"Use at most {LONGEST_LABEL} characters.")
    if not LABEL_VALUE.fullmatch(text):
        raise ValidationError("A placement constraint could not name this value: use plain text.")
    return text


def service_label_key(value: str) -> str:
    """Return the key of a label on a service or its containers."""
    key = value.strip()
    if not key or re.search(r"[\s=\"']", key):
        raise ValidationError("A label's key has no spaces, quotation marks or =.")
    return not_reserved(key)


def not_reserved(key: str) -> str:
    """Refuse the labels that the console and its load balancer write."""
    for prefix in RESERVED_LABELS:
        if key.lower().startswith(prefix):
            raise ValidationError(f"Labels that begin with {prefix} are the console's own.")
    return key


def variable(value: str) -> str:
    """Return an environment variable's name."""
    return matching(
        value,
        VARIABLE,
        f"“{value}” is not a variable's name: it has letters, digits and underscores, and does "
        "not begin with a digit.",
        longest=LONGEST_LABEL,
    )


def host_name(value: str) -> str:
    """Return a container's host name; it may be one of Docker's templates."""
    if "{{" in value:
        return value.strip()
    return matching(
        value,
        HOST_NAME,
        "A host name has letters, digits and dashes, and begins with a letter or digit.",
        longest=LONGEST_HOST_NAME,
    )


def absolute_path(value: str) -> str:
    """Return a path inside the container, in its one normal form."""
    path = value.strip()
    if not path.startswith("/"):
        raise ValidationError("Write the whole path; it begins with /.")
    if "\0" in path or ".." in path.split("/"):
        raise ValidationError("Write the path without “..”.")
    return "/" + "/".join(part for part in path.split("/") if part not in ("", "."))


def matching(value: str, pattern: re.Pattern[str], rule: str, *, longest: int) -> str:
    """Return the trimmed value if it follows the rule."""
    text = value.strip()
    if not pattern.fullmatch(text):
        raise ValidationError(rule)
    if len(text) > longest:
        raise ValidationError(f"Use at most {longest} characters; these are {len(text)}.")
    return text
