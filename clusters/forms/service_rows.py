"""The service form's repeating rows: secrets, configs, volumes, tmpfs."""

import re
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.forms.formsets import BaseFormSet, formset_factory

from clusters import names
from clusters.forms.fields import MemoryField, OctalField
from clusters.forms.service_choices import ServiceChoices

DELETE = "DELETE"
MEGABYTE = 2**20


class VolumeField(forms.ChoiceField):
    """A volume by its node and name; a name alone will do where only one node has it."""

    offered: dict[str, str] = {}

    def offer(self, offered: dict[str, str]) -> None:
        """Set what may be chosen."""
        self.offered = offered
        self.choices = [("", "---------"), *offered.items()]

    def to_python(self, value: Any) -> str:
        """Return the choice, and say why a name alone is none."""
        text = str(super().to_python(value))
        if not text or "/" in text:
            return text
        found = [choice for choice in self.offered if choice.partition("/")[2] == text]
        if len(found) == 1:
            return found[0]
        if found:
            raise ValidationError(
                f"Several nodes have a volume “{text}”: choose the one on the node you mean."
            )
        raise ValidationError(f"No node has a volume “{text}”. Create it first.")

    def validate(self, value: Any) -> None:
        """Refuse a volume that is not offered."""
        forms.Field.validate(self, value)
        if value and not self.valid_value(value):
            raise ValidationError(f"No such node has a volume “{value.partition('/')[2]}”.")


class Row(forms.Form):
    """One row; with nothing in it, it is as if it were not there."""

    needed: tuple[str, ...] = ()
    telling: tuple[str, ...] = ()
    path_field = "path"
    folder = "/"

    @property
    def is_blank(self) -> bool:
        """Say whether nothing was filled in."""
        return not any(self.data.get(self.add_prefix(name), "").strip() for name in self.telling)

    def clean(self) -> dict[str, Any]:
        """Ask for what a row that is begun needs."""
        cleaned = self.cleaned_data
        if self.is_blank:
            self.errors.clear()
            return cleaned
        for name in self.needed:
            if name not in self.errors and not cleaned.get(name):
                self.add_error(name, self.fields[name].error_messages["required"])
        return cleaned

    @property
    def is_removed(self) -> bool:
        """Say whether the row is marked to be removed."""
        return self.data.get(self.add_prefix(DELETE), "") not in ("", "false", "False")

    @property
    def place(self) -> str:
        """Return the whole path in the container that the row takes."""
        path = str(self.cleaned_data.get(self.path_field) or "")
        return path if path.startswith("/") or not path else f"{self.folder}{path}"


class FileRow(Row):
    """A secret or config, and the file that it is in the container."""

    needed = ("name",)
    telling = ("name", "target")
    path_field = "target"
    kind = ""

    name = forms.ChoiceField(required=False)
    target = forms.CharField(required=False, label="File", max_length=255)
    uid = forms.RegexField(
        r"^\d+$",
        required=False,
        initial="0",
        label="User id",
        error_messages={"invalid": "Write the user's number."},
    )
    gid = forms.RegexField(
        r"^\d+$",
        required=False,
        initial="0",
        label="Group id",
        error_messages={"invalid": "Write the group's number."},
    )
    mode = OctalField(required=False, initial=0o444)

    def __init__(
        self, *args: Any, choices: ServiceChoices, used: list[str], **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self.offered = dict(getattr(choices, f"{self.kind}s"))
        # What the service uses already stays possible, such as a version that was replaced.
        self.offered |= {name: name for name in used if name not in self.offered}
        field = cast(forms.ChoiceField, self.fields["name"])
        field.label = self.kind.capitalize()
        field.choices = [("", "---------"), *self.offered.items()]

    def clean_target(self) -> str:
        """Return the file's name or path; by default it is called what people call the object."""
        target = self.cleaned_data["target"]
        if not target:
            # What is shown may tell the version, too; no name has a space in it.
            target = self.offered.get(self.cleaned_data.get("name", ""), "").partition(" ")[0]
        if target.startswith("/"):
            return names.absolute_path(target)
        return names.absolute_path(f"/{target}")[1:] if target else ""

    def clean_uid(self) -> str:
        """Return the user's number; root's if it is left empty."""
        return self.cleaned_data["uid"] or "0"

    def clean_gid(self) -> str:
        """Return the group's number; root's if it is left empty."""
        return self.cleaned_data["gid"] or "0"

    def clean_mode(self) -> int:
        """Return the file's mode; everybody in the container reads it if it is left empty."""
        mode = self.cleaned_data["mode"]
        return 0o444 if mode is None else mode


class SecretRow(FileRow):
    """A secret and its file."""

    kind = "secret"
    folder = "/run/secrets/"


class ConfigRow(FileRow):
    """A config and its file."""

    kind = "config"


class VolumeRow(Row):
    """A volume and where the container finds it."""

    needed = telling = ("volume", "path")

    volume = VolumeField(required=False)
    path = forms.CharField(required=False, label="Path in the container", max_length=4096)
    read_only = forms.BooleanField(required=False, label="Read-only")

    def __init__(
        self, *args: Any, choices: ServiceChoices, used: list[str], **options: Any
    ) -> None:
        super().__init__(*args, **options)
        offered = {volume.value: str(volume) for volume in choices.volumes}
        for value in used:
            node_id, _, name = value.partition("/")
            offered.setdefault(value, f"{name} on {choices.node_name(node_id)}")
        cast(VolumeField, self.fields["volume"]).offer(offered)

    def clean_path(self) -> str:
        """Return the absolute path."""
        return mount_path(self.cleaned_data["path"])


class TmpfsRow(Row):
    """A file system in memory and where the container finds it."""

    needed = ("path",)
    telling = ("path", "size")

    path = forms.CharField(required=False, label="Path in the container", max_length=4096)
    size = MemoryField(required=False, label="Largest size", least=MEGABYTE)

    def __init__(
        self, *args: Any, choices: ServiceChoices, used: list[str], **options: Any
    ) -> None:
        super().__init__(*args, **options)

    def clean_path(self) -> str:
        """Return the absolute path."""
        return mount_path(self.cleaned_data["path"])


class Rows(BaseFormSet[Row]):
    """Rows of one kind."""

    title = description = add_label = ""

    def add_fields(self, form: Row, index: int | None) -> None:
        """Add the box that removes a row, in words of ours."""
        super().add_fields(form, index)
        form.fields[DELETE].label = "Remove this row"

    @property
    def kept(self) -> list[Row]:
        """Return the rows that hold something and are not to be removed."""
        return [form for form in self.forms if not (form.is_blank or form.is_removed)]

    @property
    def values(self) -> list[dict[str, Any]]:
        """Return what the kept rows hold."""
        return [
            {key: value for key, value in form.cleaned_data.items() if key != DELETE}
            for form in self.kept
        ]


def mount_path(value: str) -> str:
    """Return where something is mounted; it cannot be the root itself."""
    if not value:
        return ""
    path = names.absolute_path(value)
    if path == "/" or re.search(r"[:,]", path):
        raise ValidationError("Choose a folder other than / without colons and commas.")
    return path


def rows(
    form: type[Row],
    data: Any,
    *,
    prefix: str,
    initial: list[dict[str, Any]],
    choices: ServiceChoices,
    title: str,
    description: str,
    add_label: str,
) -> Rows:
    """Return the rows of one kind; what stands there at first stays possible."""
    factory = formset_factory(form, formset=Rows, extra=1, can_delete=True)
    key = "volume" if form is VolumeRow else "domain" if prefix == "domains" else "name"
    used = [str(row[key]) for row in initial if key in row]
    options = {"choices": choices, "used": used}
    formset = cast(Rows, factory(data, prefix=prefix, initial=initial, form_kwargs=options))
    formset.title, formset.description, formset.add_label = title, description, add_label
    return formset
