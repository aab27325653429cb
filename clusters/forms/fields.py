"""Fields that read what people type as what the Engine wants."""

import shlex
from collections.abc import Callable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from clusters.spec import text

# Text that is not prose: nothing corrects its spelling.
PLAIN = {"spellcheck": "false", "autocapitalize": "off", "autocomplete": "off"}


class ParsedField(forms.Field):
    """A text that stands for something else; cleaned, it is that."""

    nothing: Callable[[], Any] = staticmethod(lambda: None)
    rows = 0

    def __init__(self, **options: Any) -> None:
        widget = forms.Textarea({"rows": self.rows}) if self.rows else forms.TextInput()
        super().__init__(**{"widget": widget, **options})

    def parse(self, value: str) -> Any:
        """Return what the text stands for; ValueError says what is wrong with it."""
        raise NotImplementedError

    def show(self, value: Any) -> str:
        """Return the text that stands for the value."""
        raise NotImplementedError

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        """Return the attributes of a field for something other than prose."""
        return {**super().widget_attrs(widget), **PLAIN}

    def to_python(self, value: Any) -> Any:
        """Return what was typed as what it stands for."""
        typed = "" if value is None else str(value)
        if "\0" in typed:
            raise ValidationError("Null characters are not allowed.", code="null")
        if not typed.strip():
            return self.nothing()
        try:
            return self.parse(typed)
        except ValueError as error:
            raise ValidationError(str(error), code="invalid") from None

    def prepare_value(self, value: Any) -> Any:
        """Return the text for a value; what was typed stays as it was typed."""
        return value if value is None or isinstance(value, str) else self.show(value)

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Say whether the text stands for something else than at first."""
        try:
            return bool(self.to_python(data) != (self.nothing() if initial is None else initial))
        except ValidationError:
            return True


class BoundedField(ParsedField):
    """A number with a unit, at least as large as the Engine demands."""

    def __init__(self, *, least: int = 0, **options: Any) -> None:
        self.least = least
        super().__init__(**options)

    def validate(self, value: Any) -> None:
        """Refuse less than the least."""
        super().validate(value)
        if value is not None and value < self.least:
            raise ValidationError(f"Use at least {self.show(self.least)}.", code="min_value")


class DurationField(BoundedField):
    """A duration such as 1m30s; cleaned, it is in nanoseconds."""

    def parse(self, value: str) -> int:
        """Return the nanoseconds."""
        return text.parse_duration(value)

    def show(self, value: int) -> str:
        """Return the duration with its units."""
        return text.format_duration(value)


class MemoryField(BoundedField):
    """A size such as 512M; cleaned, it is in bytes."""

    def parse(self, value: str) -> int:
        """Return the bytes."""
        return text.parse_bytes(value)

    def show(self, value: int) -> str:
        """Return the size with its unit."""
        return text.format_bytes(value)


class CpuField(BoundedField):
    """A number of CPUs such as 0.5; cleaned, it is in billionths."""

    def parse(self, value: str) -> int:
        """Return the billionths of a CPU."""
        return text.parse_cpus(value)

    def show(self, value: int) -> str:
        """Return the number of CPUs."""
        return text.format_cpus(value)


class OctalField(ParsedField):
    """A file mode such as 0444; cleaned, it is a number."""

    def parse(self, value: str) -> int:
        """Return the mode's number."""
        return text.parse_octal(value)

    def show(self, value: int) -> str:
        """Return the octal digits."""
        return text.format_octal(value)


class LinesField(ParsedField):
    """One item per line; `item` cleans each of them."""

    nothing = list
    rows = 3

    def __init__(self, *, item: Callable[[str], object] = str, **options: Any) -> None:
        self.item = item
        super().__init__(**options)

    def parse(self, value: str) -> list[str]:
        """Return the items, each cleaned; the same one twice counts once."""
        lines = (str(self.item(line)) for line in text.parse_lines(value))
        return list(dict.fromkeys(lines))

    def show(self, value: list[str]) -> str:
        """Return the items, one per line."""
        return text.format_lines(value)


class KeyValueField(ParsedField):
    """Lines KEY=value; `key` cleans each key, and the cleaned value is a dict."""

    nothing: Callable[[], Any] = dict
    rows = 4

    def __init__(self, *, key: Callable[[str], str] = str, **options: Any) -> None:
        self.key = key
        super().__init__(**options)

    def parse(self, value: str) -> Any:
        """Return the pairs, their keys cleaned."""
        return {self.cleaned_key(key): item for key, item in text.parse_pairs(value).items()}

    def show(self, value: Any) -> str:
        """Return the pairs, one per line."""
        return text.format_pairs(value)

    def cleaned_key(self, key: str) -> str:
        """Return the key as its rule wants it; a refusal names the key."""
        try:
            return self.key(key)
        except ValidationError as error:
            raise ValueError(f"{key}: {' '.join(error.messages)}") from None


class EnvironmentField(KeyValueField):
    """Lines KEY=value; cleaned, it is the Engine's list of them."""

    nothing = list
    rows = 6

    def parse(self, value: str) -> list[str]:
        """Return the variables as the Engine writes them."""
        return [f"{key}={item}" for key, item in super().parse(value).items()]

    def show(self, value: list[str]) -> str:
        """Return the variables, one per line; one without a value cannot be read back."""
        pairs = (variable.partition("=") for variable in value)
        return "\n".join(f"{key}{equals}{text.requoted(item)}" for key, equals, item in pairs)


class CommandField(ParsedField):
    """A command line as in a shell, over several lines if need be; cleaned, it is its words."""

    nothing = list
    rows = 2

    def parse(self, value: str) -> list[str]:
        """Return the words."""
        return text.parse_command(text.normal_newlines(value))

    def show(self, value: list[str]) -> str:
        """Return the words with quotation marks where they need them."""
        return shlex.join(value)


class WriteOnlyTextarea(forms.Textarea):
    """A text that is never sent back to the page, not even with an error."""

    def format_value(self, value: Any) -> None:
        """Return nothing to show."""
