"""What an operator does on the pages, and what is then inside the containers."""

import re
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any

from django.db import connection

from clusters.gateway import on_node
from clusters.models import Node
from medstack.models import Operation
from tests.engines.conftest import IMAGE, World

Json = dict[str, Any]
NO_INPUT = ("submit", "button", "reset", "file", "image")


def two_nodes(world: World) -> None:
    """Make the cluster: a manager and a worker, both with the test image."""
    world.add_node("node-1")
    world.add_node("node-2")
    world.done()
    world.load_images()


def form_on(page: str, field: str) -> dict[str, list[str]]:
    """Return what a browser would send if the form with this field were sent just as it is."""
    reader = FormReader()
    reader.feed(page)
    for form in reader.forms:
        if field in form:
            return form
    raise AssertionError(f"No form on the page has the field {field}.")


def create(world: World, name: str, status: int = 302, /, **fields: Any) -> str:
    """Create a service through its form; what is not given stays as the form offers it."""
    page = world.page("docker/services/new/")
    return send(world, "docker/services/new/", page, status, {"name": name, **fields})


def edit(world: World, name: str, status: int = 302, /, **fields: Any) -> str:
    """Change a service through its form."""
    path = f"docker/services/{name}/edit/"
    return send(world, path, world.page(path), status, fields)


def send(world: World, path: str, page: str, status: int, fields: Mapping[str, object]) -> str:
    """Fill in the service form of a page that was opened, however long ago, and send it."""
    typed = {**form_on(page, "image"), **(QUICK if path.endswith("/new/") else {}), **fields}
    response = world.client.post(world.url + path, typed)
    text: str = response.content.decode()
    assert response.status_code == status, (response.status_code, problems_on(text))
    return text


def problems_on(page: str) -> list[str]:
    """Return what a page says is wrong."""
    lists = r'class="(?:errorlist|callout)[^>]*>(.*?)</(?:ul|div)>'
    found = re.findall(lists, page, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", one).split()) for one in found]


# Nobody waits for a program that ignores the signal to end, nor long for one to fail.
QUICK: Json = {
    "image": IMAGE,
    "stop_grace_period": "1s",
    "restart_delay": "0s",
    "update_monitor": "1s",
    "rollback_monitor": "1s",
}


def deploy(world: World, name: str, **fields: Any) -> Operation:
    """Create a service and carry it on until it runs."""
    create(world, name, **fields)
    return settled(world)


def settled(world: World) -> Operation:
    """Carry everything on, then look at the cluster, so that the rows say what runs."""
    operation = world.done()
    world.refresh()
    return operation


def act(world: World, name: str, page: str, **fields: Any) -> None:
    """Press one of the buttons on a service's page."""
    world.post(f"docker/services/{name}/{page}/", **fields)


def live(world: World, name: str) -> Json:
    """Return a service as the Engine has it."""
    with world.manager() as engine:
        found: Json = engine.service(name)
    return found


def tasks_of(world: World, name: str, state: str = "running") -> list[Json]:
    """Return a service's tasks that are, and are meant to be, in a state."""
    with world.manager() as engine:
        found: list[Json] = engine.tasks(filters={"service": [name]})
    wanted = {state, "shutdown"} if state != "running" else {state}
    return [t for t in found if t["Status"]["State"] == state and t["DesiredState"] in wanted]


def ids_of(world: World, name: str) -> set[str]:
    """Return the ids of a service's running tasks."""
    return {task["ID"] for task in tasks_of(world, name)}


def containers_of(world: World, name: str) -> list[tuple[Node, str]]:
    """Return where each running task of a service is: its node and its container."""
    nodes = {n.swarm_node_id: n for n in Node.objects.present().filter(cluster=world.cluster)}
    return [
        (nodes[task["NodeID"]], task["Status"]["ContainerStatus"]["ContainerID"])
        for task in tasks_of(world, name)
    ]


def run_in(node: Node, container: str, *command: str) -> bytes:
    """Run a command in a container and return all that it printed."""
    printed = b""
    with (
        on_node(node, timeout=20) as engine,
        engine.exec_open(container, list(command), tty=False) as session,
    ):
        while part := session.recv():
            printed += part
    return printed


def inside(world: World, name: str, *command: str) -> list[bytes]:
    """Run a command in every running container of a service."""
    found = containers_of(world, name)
    assert found, f"No task of {name} runs."
    return [run_in(node, container, *command) for node, container in found]


def remove(world: World, *names: str) -> None:
    """Delete services through their pages."""
    for name in names:
        world.post(f"docker/services/{name}/delete/", confirmation=name)
        world.done()


def everything_kept() -> str:
    """Return every table of the database as text: rows, audit records, operations, the queue."""
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            found += [as_text(value) for row in cursor.fetchall() for value in row]
    return "\n".join(found)


def as_text(value: object) -> str:
    """Return a column's value as text, bytes by their characters."""
    if isinstance(value, bytes | memoryview):
        return bytes(value).decode("latin-1")
    return str(value)


class FormReader(HTMLParser):
    """Read the forms of a page with what stands in them."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[dict[str, list[str]]] = []
        self.select = self.text = ""
        self.is_multiple = self.is_first = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Take up a form or one of its fields."""
        found = {key: value or "" for key, value in attributes}
        name = found.get("name", "")
        if tag == "form":
            self.forms.append({})
        elif not self.forms or "disabled" in found:
            return
        elif tag == "input" and name and found.get("type") not in NO_INPUT:
            is_box = found.get("type") in ("checkbox", "radio")
            if not is_box or "checked" in found:
                self.add(name, found.get("value", "on" if is_box else ""))
        elif tag == "textarea":
            self.text = name
            self.add(name, "")
        elif tag == "select":
            self.select, self.is_multiple = name, "multiple" in found
            self.is_first = not self.is_multiple
            self.forms[-1].setdefault(name, [])
        elif tag == "option" and self.select and ("selected" in found or self.is_first):
            if self.is_multiple:
                self.add(self.select, found.get("value", ""))
            else:
                # What is chosen takes the place of the first, which is chosen otherwise.
                self.forms[-1][self.select] = [found.get("value", "")]
            self.is_first = False

    def handle_endtag(self, tag: str) -> None:
        """Leave a field."""
        if tag == "textarea" and self.text:
            values = self.forms[-1][self.text]
            values[-1] = values[-1].removeprefix("\n")
        if tag == "textarea":
            self.text = ""
        elif tag == "select":
            self.select = ""

    def handle_data(self, data: str) -> None:
        """Take up the text of a text area."""
        if self.text:
            self.forms[-1][self.text][-1] += data

    def add(self, name: str, value: str) -> None:
        """Add one value of a field; some fields have several."""
        self.forms[-1].setdefault(name, []).append(value)
