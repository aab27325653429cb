"""Values of configs and secrets: which are taken, and that a secret's never comes out again."""

import base64
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.urls import reverse
from django_q.models import OrmQ

from clusters.models import Cluster, Config, Secret
from tests.pages import Model, page

VALUE = "correct-horse-S3CR3T-battery"
BOTH = pytest.mark.parametrize("model", [Config, Secret])


def test_a_file_is_kept_byte_by_byte(browser: Client, cluster: Cluster) -> None:
    data = b"\x00\xff\r\n" * 10
    file = SimpleUploadedFile("logo.bin", data)
    browser.post(reverse("new_config", args=[cluster.slug]), {"name": "logo", "file": file})
    assert bytes(Config.objects.get().data) == data


def test_the_value_of_a_secret_is_in_no_table_and_no_task_in_clear(
    browser: Client, cluster: Cluster
) -> None:
    browser.post(reverse("new_secret", args=[cluster.slug]), {"name": "db", "text": VALUE})
    file = SimpleUploadedFile("db", VALUE.encode())
    Secret.objects.create(cluster=cluster, name="key", engine_id="id-of-key")
    browser.post(reverse("rotate_secret", args=[cluster.slug, "key"]), {"file": file})
    assert Secret.objects.count() == 3
    encoded = base64.b64encode(VALUE.encode()).decode()
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            rows = repr([[as_text(cell) for cell in row] for row in cursor.fetchall()])
            assert VALUE not in rows, table
            assert encoded not in rows, table
    tasks = repr([row.task for row in OrmQ.objects.all()])
    assert VALUE not in tasks
    assert encoded not in tasks


def as_text(cell: Any) -> Any:
    """Return what a cell holds; PostgreSQL hands out views of memory for bytes."""
    return bytes(cell) if isinstance(cell, memoryview) else cell


def test_the_value_of_a_secret_is_in_no_page(browser: Client, cluster: Cluster) -> None:
    new = reverse("new_secret", args=[cluster.slug])
    refused = browser.post(new, {"name": "not a name", "text": VALUE})
    assert refused.status_code == 422
    assert VALUE not in refused.text
    browser.post(new, {"name": "db", "text": VALUE})
    for url in (
        reverse("secrets", args=[cluster.slug]),
        reverse("secret", args=[cluster.slug, "db"]),
        reverse("rotate_secret", args=[cluster.slug, "db"]),
        reverse("delete_secret", args=[cluster.slug, "db"]),
    ):
        assert VALUE not in browser.get(url).text
    assert (
        "The value cannot be shown"
        in browser.get(reverse("secret", args=[cluster.slug, "db"])).text
    )


@pytest.mark.parametrize(
    ("model", "field", "size", "status"),
    [
        (Secret, "text", 500 * 1024 - 1, 302),
        (Secret, "text", 500 * 1024, 422),
        (Secret, "file", 600 * 1000, 422),
        (Config, "file", 600 * 1000, 302),
        (Config, "text", 1000 * 1024 - 1, 302),
        (Config, "text", 1000 * 1024, 422),
        (Config, "file", 1000 * 1024, 422),
        (Config, "file", 5_000_000, 422),
    ],
)
def test_what_the_engine_would_refuse_for_its_size_is_refused_at_the_field(
    browser: Client, cluster: Cluster, model: Model, field: str, size: int, status: int
) -> None:
    value = "x" * size if field == "text" else SimpleUploadedFile("value", b"x" * size)
    answer = browser.post(page("new_{}", model, cluster.slug), {"name": "large", field: value})
    assert answer.status_code == status
    assert model.objects.exists() == (status == 302)
    if status == 422:
        errors = answer.context["form"].errors
        assert list(errors) == [field]
        assert "KB" in errors[field][0]


@BOTH
def test_an_empty_file_is_refused(browser: Client, cluster: Cluster, model: Model) -> None:
    typed = {"name": "app", "file": SimpleUploadedFile("empty", b"")}
    answer = browser.post(page("new_{}", model, cluster.slug), typed)
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == ["file"]


@BOTH
def test_text_and_file_at_once_are_refused(browser: Client, cluster: Cluster, model: Model) -> None:
    typed = {"name": "app", "text": "x", "file": SimpleUploadedFile("value", b"y")}
    answer = browser.post(page("new_{}", model, cluster.slug), typed)
    assert answer.status_code == 422
    assert "not both" in answer.context["form"].errors["file"][0]
