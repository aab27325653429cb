"""The directions in which the code may depend."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("medstack", "clusters", "backups")
# medstack/ composes both apps here; everywhere else it knows neither.
COMPOSING = ("medstack/urls.py", "medstack/asgi.py", "medstack/tasks.py", "medstack/access.py")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def modules(package: str) -> Iterator[tuple[str, list[str]]]:
    for path in sorted((ROOT / package).rglob("*.py")):
        yield str(path.relative_to(ROOT)), list(imports(path))


def names(found: list[str], package: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for name in found)


def test_only_the_gateway_imports_the_docker_sdk() -> None:
    importers = [
        path
        for package in PACKAGES
        for path, found in modules(package)
        if names(found, "docker") and not path.startswith("clusters/engine/")
    ]
    assert importers == []


def test_clusters_never_depend_on_backups() -> None:
    assert [path for path, found in modules("clusters") if names(found, "backups")] == []


def test_medstack_knows_the_apps_only_where_it_composes_them() -> None:
    knowing = [
        path
        for path, found in modules("medstack")
        if names(found, "clusters") or names(found, "backups")
    ]
    assert set(knowing) <= set(COMPOSING)


@pytest.mark.parametrize(
    "module",
    [
        "clusters/addresses",
        "clusters/drift",
        "clusters/names",
        "clusters/reach",
        "clusters/images",
        "backups/retention",
    ],
)
def test_deciding_modules_do_no_io(module: str) -> None:
    found = list(imports(ROOT / f"{module}.py"))
    assert not any(names(found, io) for io in ("django.db", "clusters.models", "clusters.engine"))


def test_no_module_is_called_by_what_it_is_made_of() -> None:
    unwanted = {"services", "utils", "helpers", "managers", "signals"}
    files = [path for package in PACKAGES for path, _ in modules(package)]
    # clusters/…/services.py are named after the noun: Docker services.
    assert not [f for f in files if Path(f).stem in unwanted - {"services"}]
