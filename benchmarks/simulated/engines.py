"""What simulated Engines say: of one large swarm, or each of a swarm of its own that captures.

Run as `python -m benchmarks.simulated.engines swarm|captures --folder … --count … --delay …`; it
prints “ready” and serves until its standard input ends.
"""

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

from benchmarks.simulated import wire
from tests.fake_engine import CREATED, FakeEngine, frame

Json = dict[str, Any]
PER_NODE = 5
# How long a capture on a node takes: the console asks how far it is meanwhile.
CAPTURE = 1.0
API = "1.47"
# No registry is asked for it: every simulated Engine has it.
AGENT_IMAGE = "registry.example.com/medstack/agent:1"


def name_of(number: int) -> str:
    """Return the name of an Engine's socket and node."""
    return f"node-{number:03d}"


class Member:
    """One Engine of a large swarm, all of whose answers are known before."""

    def __init__(self, number: int, swarm: dict[str, bytes]) -> None:
        service = f"service-{number:03d}"
        volumes: list[Json] = [
            {"Name": f"volume-{place}", "Driver": "local", "Labels": {}, "Options": None}
            for place in range(PER_NODE)
        ]
        containers = [
            {
                "Id": f"{number:05d}{place:03d}" * 8,
                "Names": [f"/{service}.{place}"],
                "Image": "registry.example.com/portal/web:1.4",
                "State": "running",
                "Status": "Up 3 hours",
                "Labels": {"com.docker.swarm.service.name": service},
            }
            for place in range(PER_NODE)
        ]
        images = [{"RepoTags": [f"registry.example.com/portal/web:1.{n}"]} for n in range(PER_NODE)]
        self.answers = swarm | {
            "/version": encoded({"ApiVersion": API, "MinAPIVersion": "1.24"}),
            "/containers/json": encoded(containers),
            "/volumes": encoded({"Volumes": volumes}),
            "/images/json": encoded(images),
            "/system/df": encoded({"Volumes": volumes}),
        }

    def reply(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        """Answer a question."""
        if path == "/info":
            return 200, {
                "NCPU": 8,
                "MemTotal": 64 << 30,
                "ServerVersion": "27.5.1",
                "KernelVersion": "6.1.0",
                "SystemTime": datetime.now(UTC).isoformat(),
                "Swarm": {"LocalNodeState": "active", "ControlAvailable": True},
            }
        found = self.answers.get(path)
        return (200, found) if found else (404, {"message": "page not found"})


def swarm_of(count: int) -> dict[str, bytes]:
    """Return what a manager says of a swarm of so many nodes, with a service for each."""
    at = datetime.now(UTC).isoformat()
    template = {"ContainerSpec": {"Image": "registry.example.com/portal/web:1.4"}}
    nodes = [
        {
            "ID": f"id-{name_of(number)}",
            "Spec": {"Role": "manager" if number < 3 else "worker", "Availability": "active"},
            "Description": {"Hostname": name_of(number)},
            "Status": {"State": "ready"},
        }
        for number in range(count)
    ]
    services = [
        {
            "ID": f"service-id-{number:03d}",
            "Version": {"Index": 7},
            "Spec": {
                "Name": f"service-{number:03d}",
                "Mode": {"Replicated": {"Replicas": PER_NODE}},
                "TaskTemplate": template,
            },
            "ServiceStatus": {"RunningTasks": PER_NODE, "DesiredTasks": PER_NODE},
        }
        for number in range(count)
    ]
    tasks = [
        {
            "ID": f"task-{number:03d}-{slot}",
            "ServiceID": f"service-id-{number:03d}",
            "NodeID": f"id-{name_of(number)}",
            "Slot": slot,
            "Spec": template,
            "Status": {"State": "running", "Timestamp": at},
            "DesiredState": "running",
        }
        for number in range(count)
        for slot in range(1, PER_NODE + 1)
    ]
    return {
        "/nodes": encoded(nodes),
        "/services": encoded(services),
        "/tasks": encoded(tasks),
        "/networks": encoded([]),
        "/secrets": encoded([]),
        "/configs": encoded([]),
    }


class Capturing(FakeEngine):
    """An Engine of its own swarm, in whose containers a capture takes its time."""

    def __init__(self, number: int) -> None:
        super().__init__(Path("none"), api=API)
        self.info["Swarm"] |= {"ControlAvailable": True, "NodeID": f"id-{name_of(number)}"}
        self.started: dict[str, float] = {}

    def reply(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        """Answer as an Engine does, with containers that end by themselves."""
        if path == f"/images/{AGENT_IMAGE}/json":
            return 200, {"Id": "sha256:agent"}
        noun, _, rest = path.removeprefix("/").partition("/")
        name, _, verb = rest.partition("/")
        if noun != "containers" or rest == "json":
            return super().reply(method, path, query, body)
        if (method, name) == ("POST", "create"):
            return self.made(query["name"], body)
        if name not in self.state["containers"]:
            return 404, {"message": f"No such container: {name}"}
        if method == "DELETE":
            del self.state["containers"][name]
            return 204, b""
        if verb == "start":
            self.started[name] = monotonic()
            return 204, b""
        if verb == "logs":
            return 200, self.said(name)
        return 200, self.state["containers"][name] | {"State": self.container_state(name)}

    def add(self, kind: str, name: str, spec: Json | None = None, **fields: Any) -> Json:
        """Put an object into the state, with the time at which it was made."""
        return super().add(kind, name, spec, CreatedAt=datetime.now(UTC).isoformat(), **fields)

    def made(self, name: str, body: Json) -> tuple[int, Any]:
        """Create a container, unless its name is taken."""
        if name in self.state["containers"]:
            return 409, {"message": f"Conflict. The name {name} is in use."}
        self.state["containers"][name] = {"Id": name, "Name": name, "Config": body}
        return CREATED, {"Id": name}

    def container_state(self, name: str) -> Json:
        """Return whether a container still runs."""
        began = self.started.get(name)
        if began is None:
            return {"Status": "created", "Running": False, "ExitCode": 0}
        runs = monotonic() - began < CAPTURE
        return {"Status": "running" if runs else "exited", "Running": runs, "ExitCode": 0}

    def said(self, name: str) -> bytes:
        """Return what the capture has printed so far."""
        if self.container_state(name)["Running"]:
            words: Json = {"say": "progress", "percent": 50, "detail": "database"}
        else:
            words = {"say": "done", "volumes": 2}
        return frame(1, json.dumps(words) + "\n")


def encoded(answer: Any) -> bytes:
    """Return an answer as it is sent, made once and not each time."""
    return json.dumps(answer).encode()


@contextmanager
def running(kind: str, folder: Path, count: int, delay: float) -> Iterator[None]:
    """Let so many Engines answer, in a process of their own."""
    settings = ["--folder", str(folder), "--count", str(count), "--delay", str(delay)]
    command = [sys.executable, "-m", "benchmarks.simulated.engines", kind, *settings]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout.readline() == "ready\n"
        try:
            yield
        finally:
            process.stdin.close()


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("swarm", "captures"))
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--delay", type=float, required=True)
    asked = parser.parse_args()
    replies: dict[str, wire.Reply]
    if asked.kind == "swarm":
        swarm = swarm_of(asked.count)
        replies = {name_of(number): Member(number, swarm).reply for number in range(asked.count)}
    else:
        replies = {name_of(number): Capturing(number).reply for number in range(asked.count)}
    asyncio.run(wire.serve(asked.folder, replies, asked.delay))


if __name__ == "__main__":
    main()
