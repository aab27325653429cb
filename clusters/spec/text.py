"""Read and write what people type where the Engine wants numbers and lists."""

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation

LARGEST = 2**63 - 1
NANOSECONDS = {
    "h": 3600 * 10**9,
    "m": 60 * 10**9,
    "s": 10**9,
    "ms": 10**6,
    "us": 10**3,
    "ns": 1,
}
DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|us|µs|ns|s)")
BYTES = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT]?)(?:i?B)?", re.IGNORECASE)


def parse_duration(text: str) -> int:
    """Return the nanoseconds of a duration such as 1m30s."""
    bare = text.strip().lower().replace(" ", "")
    if bare == "0":
        return 0
    parts = DURATION_PART.findall(bare)
    if not parts or "".join(number + unit for number, unit in parts) != bare:
        raise ValueError("Write a duration with its unit, such as 10s, 1m30s or 500ms.")
    total = sum(Decimal(number) * NANOSECONDS[unit.replace("µ", "u")] for number, unit in parts)
    return whole(Decimal(total), "A duration is at most 292 years and not finer than 1ns.")


def format_duration(nanoseconds: int) -> str:
    """Return a duration as people write it."""
    parts = []
    for unit, size in NANOSECONDS.items():
        count, nanoseconds = divmod(nanoseconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_bytes(text: str) -> int:
    """Return the bytes of a size such as 512M; units are powers of 1024, as in Docker."""
    match = SIZE.fullmatch(text.strip())
    if not match:
        raise ValueError("Write a size with its unit, such as 512M or 1.5G.")
    return whole(
        Decimal(match[1]) * BYTES[match[2].upper()], "This is not a whole number of bytes."
    )


def format_bytes(count: int) -> str:
    """Return a size in the largest unit that keeps it exact."""
    for unit, size in reversed(BYTES.items()):
        if count and count % size == 0:
            return f"{count // size}{unit}"
    return "0"


def parse_cpus(text: str) -> int:
    """Return the billionths of a CPU that a number such as 0.5 means."""
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        number = Decimal(-1)
    if not number.is_finite() or number < 0:
        raise ValueError("Write a number of CPUs, such as 0.5 or 2.")
    return whole(number * 10**9, "Write at most 9 decimals.")


def format_cpus(nano: int) -> str:
    """Return a number of CPUs."""
    return f"{(Decimal(nano) / 10**9).normalize():f}"


def parse_octal(text: str) -> int:
    """Return a file mode such as 0444."""
    if not re.fullmatch(r"[0-7]{3,4}", text.strip()):
        raise ValueError("Write the file mode as three octal digits, such as 0444.")
    return int(text, 8)


def format_octal(mode: int) -> str:
    """Return a file mode in octal digits."""
    return f"{mode:04o}"


def parse_command(text: str) -> list[str]:
    """Return the words of a command line, split as a shell splits them; lines are joined."""
    try:
        return shlex.split(text)
    except ValueError:
        raise ValueError("A quotation mark or backslash at the end is not closed.") from None


def format_command(words: Iterable[str]) -> str:
    """Return a command line that is read back as these words."""
    return shlex.join(words)


def parse_lines(text: str) -> list[str]:
    """Return the lines that are not empty."""
    return [line.strip() for line in normal_newlines(text).split("\n") if line.strip()]


def format_lines(lines: Iterable[str]) -> str:
    """Return lines, one below the other."""
    return "\n".join(lines)


def parse_pairs(text: str) -> dict[str, str]:
    """Return the pairs of lines KEY=value; a value in double quotes may hold line breaks."""
    pairs: dict[str, str] = {}
    for number, line in enumerate(normal_newlines(text).split("\n"), start=1):
        if not line.strip():
            continue
        key, equals, value = line.partition("=")
        key = key.strip()
        if not equals or not key:
            raise ValueError(f"Line {number}: write KEY=value.")
        if key in pairs:
            raise ValueError(f"Line {number}: {key} stands here a second time.")
        pairs[key] = unquoted(value.strip())
    return pairs


def format_pairs(pairs: Mapping[str, str]) -> str:
    """Return lines KEY=value that are read back as these pairs."""
    return "\n".join(f"{key}={requoted(value)}" for key, value in pairs.items())


def unquoted(value: str) -> str:
    """Return a value without the double quotes around it, if it is a quoted one."""
    if len(value) > 1 and value[0] == value[-1] == '"':
        try:
            return str(json.loads(value))
        except ValueError:
            pass
    return value


def requoted(value: str) -> str:
    """Return a value in double quotes where it could not be read back without."""
    if value != value.strip() or "\n" in value or "\r" in value or unquoted(value) != value:
        return json.dumps(value, ensure_ascii=False)
    return value


def normal_newlines(text: str) -> str:
    """Return the text with one kind of line break; browsers send another."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def whole(number: Decimal, otherwise: str) -> int:
    """Return a whole number that the Engine can hold."""
    if number != number.to_integral_value() or number > LARGEST:
        raise ValueError(otherwise)
    return int(number)
