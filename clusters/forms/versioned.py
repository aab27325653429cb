"""What a person types to create or rotate a config or a secret."""

from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest

from clusters import names
from clusters.forms.fields import WriteOnlyTextarea
from clusters.models import Cluster, Config, Secret

# The Engine refuses what is not smaller than this.
LIMITS: dict[type[Config] | type[Secret], int] = {Config: 1000 * 1024, Secret: 500 * 1024}


class ValueForm(forms.Form):
    """A value: a text or a file, and only one of them."""

    text = forms.CharField(
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 12, "autocomplete": "off", "spellcheck": "false"}),
    )
    file = forms.FileField(
        required=False, help_text="Instead of a text; every byte is kept as it is."
    )

    def __init__(self, request: HttpRequest, *, model: type[Config] | type[Secret]) -> None:
        bound = request.method == "POST"
        super().__init__(request.POST if bound else None, request.FILES if bound else None)
        self.model, self.limit = model, LIMITS[model]
        self.noun = str(model._meta.verbose_name)
        text = self.fields["text"]
        text.help_text = f"Up to {self.limit // 1024} KB."
        if model is Secret:
            text.widget = WriteOnlyTextarea(attrs=text.widget.attrs | {"rows": 6})
            text.help_text += " Nobody can read it back: keep it where you keep your passwords."
        # Django drops a file that is larger than it may keep in memory, without a word.
        sent = int(request.META.get("CONTENT_LENGTH") or 0)
        self.was_dropped = sent > settings.FILE_UPLOAD_MAX_MEMORY_SIZE and not request.FILES

    def clean_text(self) -> str:
        """Return the text with line ends as files have them; browsers send two characters."""
        return str(self.cleaned_data["text"]).replace("\r\n", "\n")

    def clean(self) -> dict[str, Any]:
        """Take the one value that was given, if its size is one that the Engine accepts."""
        cleaned = super().clean() or {}
        text: str = cleaned.get("text", "")
        file: UploadedFile[bytes] | None = cleaned.get("file")
        if self.errors:
            return cleaned
        if self.was_dropped:
            self.add_error("file", f"This file is far too large: {self.allowed}")
        elif text and file:
            self.add_error("file", "Give a text or a file, not both.")
        elif not text and not file:
            self.add_error("text", "Give a text or a file; the value must not be empty.")
        else:
            cleaned["value"] = text.encode() if file is None else file.read()
            self.check_size("file" if file else "text", len(cleaned["value"]))
        return cleaned

    @property
    def allowed(self) -> str:
        """Say how large the value may be."""
        return f"a {self.noun} must be smaller than {self.limit // 1024} KB ({self.limit:,} bytes)."

    def check_size(self, field: str, size: int) -> None:
        """Refuse what the Engine would refuse."""
        if size >= self.limit:
            self.add_error(field, f"This is {size:,} bytes; {self.allowed}")


class NewForm(ValueForm):
    """A new config or secret: its name and its first value."""

    name = forms.CharField(
        help_text="Services mount it by this name. Rotating it later keeps the name.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    field_order = ("name", "text", "file")

    def __init__(
        self, request: HttpRequest, *, cluster: Cluster, model: type[Config] | type[Secret]
    ) -> None:
        super().__init__(request, model=model)
        self.cluster = cluster

    def clean_name(self) -> str:
        """Refuse what Docker refuses, and what is taken: that one is rotated instead."""
        check = names.secret if self.model is Secret else names.config
        name = check(self.cleaned_data["name"])
        if name == "new":
            # The page that creates one stands at this address.
            raise ValidationError("“new” is taken by the console. Choose another name.")
        rows = self.model.objects.present().filter(cluster=self.cluster)
        for row in rows:
            if row.name == name and row.is_current:
                raise ValidationError(
                    f"This cluster has a {self.noun} named “{name}” already. "
                    "Open it and rotate it to give it a new value."
                )
            if row.engine_name == name:
                raise ValidationError(f"“{name}” is a version of the {self.noun} “{row.name}”.")
        return name
