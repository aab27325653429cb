"""A console of its own, with a company's rows, for a browser to look at.

It is another process with another database: what a browser does there meets no other test, and a
browser's event loop none of Django's queries.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext

ROOT = Path(__file__).parents[2]
# What is not a page: a stream, and what was asked of another Engine.
NO_PAGES = {"service_log_stream", "health"}
# The support staff's own site, which Django draws.
SUPPORT = "admin/"
# Beside those that the URLconf names: pages in other states.
MORE_PAGES = {
    "cluster without nodes": "/clusters/training/",
    "services without nodes": "/clusters/training/docker/services/",
    "snapshots that are late": "/clusters/staging/backups/",
    "service that starts": "/clusters/production/docker/services/imaging/",
    "service with drift": "/clusters/production/docker/services/messages/",
    "operation that is done": "/operations/2/",
    "operation that failed": "/operations/3/",
    "search without results": "/operations/?q=nothing-is-called-so",
    "no such page": "/no-such-page/",
}


@dataclass
class Console:
    """Where it listens, its pages by name, and the sessions of people who have signed in."""

    url: str
    pages: dict[str, str]
    sessions: dict[str, str]
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)


@contextmanager
def console() -> Iterator[Console]:
    """Run a console with its own state, and remove both at the end."""
    state = Path(tempfile.mkdtemp(prefix="msb"))
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MEDSTACK_")}
    kept.pop("DATABASE_URL", None)
    settings = {
        "MEDSTACK_STATE": str(state),
        "MEDSTACK_BACKUPS": "0",
        "DJANGO_SETTINGS_MODULE": "tests.browser.settings",
    }
    log = (state / "log").open("wb")
    command = [sys.executable, "-m", "tests.browser.console", str(state / "ready.json")]
    made = [sys.executable, "manage.py", "init_keys"]
    try:
        subprocess.run(made, cwd=ROOT, env=kept | settings, check=True, stdout=log)
        process = subprocess.Popen(
            command, cwd=ROOT, env=kept | settings, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            yield started(process, state)
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    finally:
        log.close()
        shutil.rmtree(state, ignore_errors=True)


def started(process: subprocess.Popen[bytes], state: Path) -> Console:
    """Wait until the rows are made and the port is open."""
    end = time.monotonic() + 300
    while not (state / "ready.json").exists():
        said = (state / "log").read_text()
        assert process.poll() is None, said
        assert time.monotonic() < end, said
        time.sleep(0.05)
    return Console(**json.loads((state / "ready.json").read_text()), process=process)


def signed_in(
    browser: Browser, console: Console, who: str | None = "olive", **how: Any
) -> BrowserContext:
    """Open a window in which somebody has signed in, or nobody."""
    context = browser.new_context(base_url=console.url, **how)
    if who:
        session = console.sessions[who]
        context.add_cookies([{"name": "sessionid", "value": session, "url": console.url}])
    return context


def serve(ready: Path) -> None:
    """Make the rows, say where everything is, and answer until the process is ended."""
    import django

    django.setup()
    import uvicorn
    from django.core.management import call_command
    from django.test import Client

    from medstack.models import Company
    from tests.belongings import addresses
    from tests.browser.showcase import showcase
    from tests.conftest import Role, person
    from tests.signing import sign_in

    call_command("migrate", verbosity=0)
    ours = showcase()
    olive = ours.company.memberships.get(role=Role.OWNER).user
    audrey = ours.company.memberships.get(role=Role.AUDITOR).user
    nora = person("nora@new.example", Company.objects.create(name="New Practice"), Role.OWNER)
    people = {"olive": olive, "audrey": audrey, "nora": nora}
    clients = {name: sign_in(Client(HTTP_HOST="127.0.0.1"), user) for name, user in people.items()}
    pages = {}
    for name, pattern in addresses():
        if name in NO_PAGES or pattern.startswith(SUPPORT):
            continue
        answer = clients["olive"].get(ours.url(name))
        if answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/html"):
            pages[name] = ours.url(name)
    door = socket.create_server(("127.0.0.1", 0))
    found = {
        "url": f"http://127.0.0.1:{door.getsockname()[1]}",
        "pages": pages | MORE_PAGES,
        "sessions": {name: client.cookies["sessionid"].value for name, client in clients.items()},
    }
    part = ready.with_suffix(".part")
    part.write_text(json.dumps(found))
    part.rename(ready)
    from medstack.asgi import application

    uvicorn.Server(uvicorn.Config(application, lifespan="off", log_level="warning")).run([door])


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
