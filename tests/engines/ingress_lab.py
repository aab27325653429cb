"""Two nodes with the load balancer on the first, made from its specs alone, without the console."""

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clusters import local
from clusters.engine import Endpoint, Engine, connect
from clusters.ingress import balancer, routes
from clusters.local.configuration import configured
from clusters.local.images import demo_image
from clusters.local.ingress_images import caddy_image, traefik_image
from clusters.spec import resolve
from clusters.spec.defaults import SECOND
from tests.engines.pebble import Pebble, pebble
from tests.engines.ways import until

Json = dict[str, Any]
IMAGE = "medstack/demo:1"
# A page that tells which headers have reached it, each as WSGI and CGI name it.
TELL_HEADERS = """
mkdir -p /tmp/site/cgi-bin
cat >/tmp/site/cgi-bin/index.cgi <<'SCRIPT'
#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n'
env
SCRIPT
chmod 755 /tmp/site/cgi-bin/index.cgi
exec httpd -f -p 8080 -h /tmp/site
"""
# Run in a container's network namespace, where its image has no such client.
ASK = """
import http.client, sys
client = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]), timeout=5)
try:
    client.request(sys.argv[3], sys.argv[4])
    print(client.getresponse().status)
except OSError as error:
    print(error, file=sys.stderr)
    print(0)
"""


@dataclass
class Lab:
    """A swarm of two Engines, and the certificate authority that its load balancer asks."""

    manager: Engine
    worker: Engine
    address: str
    authority: Pebble
    root: str

    def create(self, spec: Json) -> str:
        """Create a service as the console would: with ids for names, and its generation."""
        return self.manager.service_create(self.resolved(spec))

    def update(self, name: str, change: Callable[[Json], Any]) -> None:
        """Change a service and wait until every task is as it shall be."""
        service = self.manager.service(name)
        before = (service.get("UpdateStatus") or {}).get("StartedAt")
        spec = service["Spec"]
        change(spec)
        self.manager.service_update(service["ID"], service["Version"]["Index"], self.resolved(spec))

        def completed() -> bool:
            status = self.manager.service(name).get("UpdateStatus") or {}
            return status.get("StartedAt") != before and status.get("State") == "completed"

        until(completed, within=90)

    def relabel(self, name: str, found: Iterable[routes.Route]) -> None:
        """Map a service to these routes instead of its former ones; no task is replaced."""
        service = self.manager.service(name)
        spec = service["Spec"]
        spec["Labels"] = routes.with_routes(spec["Labels"], name, found)
        self.manager.service_update(service["ID"], service["Version"]["Index"], self.resolved(spec))

    def resolved(self, spec: Json) -> Json:
        """Return a spec with ids for names."""
        manager = self.manager
        return resolve(
            spec,
            generation=1,
            secrets={item["Spec"]["Name"]: item["ID"] for item in manager.secrets()},
            configs={item["Spec"]["Name"]: item["ID"] for item in manager.configs()},
            networks={item["Name"]: item["Id"] for item in manager.networks()},
        )

    def running(self, name: str) -> list[Json]:
        """Return a service's running tasks."""
        tasks = self.manager.tasks(filters={"service": [name]})
        return [task for task in tasks if task["Status"]["State"] == "running"]

    def container(self, name: str) -> Json:
        """Return a container of a service, on either node."""
        label = f"com.docker.swarm.service.name={name}"
        for engine in (self.manager, self.worker):
            for found in engine.containers(filters={"label": [label]}):
                return engine.container(found["Id"])
        raise AssertionError(f"No container of {name} runs.")

    def log(self, name: str) -> str:
        """Return a service's log."""
        lines = self.manager.service_logs(name, tail=500)
        return "\n".join(line.text for line in lines if line)

    def inside(self, name: str, network: str) -> str:
        """Return the address of a service's container in a network."""
        networks = self.container(name)["NetworkSettings"]["Networks"]
        return str(networks[network]["IPAddress"])

    def ask(self, name: str, address: str, port: int, method: str = "GET", path: str = "/") -> int:
        """Ask from where a service's container is; return the status, or 0 without an answer."""
        process = self.container(name)["State"]["Pid"]
        within = ["nsenter", f"--net=/proc/{process}/ns/net", sys.executable, "-I", "-c", ASK]
        done = subprocess.run(
            [*within, address, str(port), method, path], capture_output=True, text=True, check=True
        )
        return int(done.stdout)


def application(
    name: str,
    found: Iterable[routes.Route] = (),
    *,
    replicas: int = 1,
    labels: Mapping[str, str] | None = None,
    script: str = "",
    grace: int = 2,
) -> Json:
    """Return a service to be mapped: one that counts its visits, or a script's."""
    container: Json = {"Image": IMAGE, "Args": ["api"]}
    if script:
        container = {"Image": IMAGE, "Command": ["sh", "-c", script]}
    return {
        "Name": name,
        "Labels": routes.labels(name, found) | dict(labels or {}),
        "TaskTemplate": {
            "ContainerSpec": container | {"StopGracePeriod": grace * SECOND},
            "Networks": [{"Target": "internal"}],
        },
        "Mode": {"Replicated": {"Replicas": replicas}},
        "EndpointSpec": {"Mode": "dnsrr"},
        "UpdateConfig": {"Parallelism": 1, "Order": "start-first", "Monitor": SECOND},
    }


@contextlib.contextmanager
def lab(folder: Path) -> Iterator[Lab]:
    """Start two Engines, the certificate authority and the load balancer; end them all."""
    names = ("front", "back")
    with contextlib.ExitStack() as stack:
        for name in names:
            stack.callback(local.destroy, name)
        front, back = (local.ensure_running(name) for name in names)
        manager, worker = (
            stack.enter_context(connect(Endpoint(engine.endpoint_url), timeout=60))
            for engine in (front, back)
        )
        manager.swarm_init(front.address, f"{front.address}:2377", ["10.202.0.0/16"], 24)
        token = manager.join_tokens()["Worker"]
        worker.swarm_join([f"{front.address}:2377"], token, back.address, back.address)
        for engine in (manager, worker):
            import_image(engine, IMAGE, demo_image())
        import_image(manager, balancer.TRAEFIK_IMAGE, traefik_image())
        import_image(manager, balancer.SOCKET_IMAGE, caddy_image())
        # Plain: this kernel may lack what encryption between nodes needs.
        manager.network_create({"Name": "internal", "Driver": "overlay"})
        private = {"Name": balancer.PRIVATE_NETWORK, "Driver": "overlay", "Internal": True}
        manager.network_create(private)
        gateway = str(configured().gateway)
        authority = stack.enter_context(pebble(folder, gateway, front.address))
        found = Lab(manager, worker, front.address, authority, authority.root())
        deploy(found, settings(found))
        yield found


def import_image(engine: Engine, name: str, made: tuple[Any, list[str]]) -> None:
    """Put an image on a node."""
    archive, changes = made
    repository, _, tag = name.rpartition(":")
    with archive:
        engine.image_import(archive, repository, tag, changes)


def settings(lab: Lab, **others: Any) -> balancer.Settings:
    """Return the load balancer's settings here."""
    directory = lab.authority.directory
    return balancer.Settings("ops@clinic.example", directory, has_acme_ca=True, **others)


def deploy(lab: Lab, chosen: balancer.Settings) -> None:
    """Create both services; the proxy first, because Traefik asks less and less often for it."""
    node, manager = lab.manager.info()["Swarm"]["NodeID"], lab.manager
    manager.config_create("rules", balancer.SOCKET_RULES.encode(), {})
    manager.config_create("dynamic", balancer.dynamic(chosen, []), {})
    manager.config_create("authority", lab.authority.ca.encode(), {})
    lab.create(balancer.socket_spec(chosen, node, rules_config="rules"))
    until(lambda: lab.running(balancer.SOCKET))
    lab.create(traefik(lab, chosen))
    until(lambda: lab.running(balancer.NAME))


def traefik(
    lab: Lab, chosen: balancer.Settings, *uploaded: balancer.Uploaded, dynamic: str = "dynamic"
) -> Json:
    """Return Traefik's spec."""
    node = lab.manager.info()["Swarm"]["NodeID"]
    return balancer.traefik_spec(
        chosen, node, dynamic_config=dynamic, ca_config="authority", uploaded=uploaded
    )
