"""An Engine on the wire only: for time-outs, 500s and half answers, which no real one gives."""

import json
import re
import socketserver
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

Json = dict[str, Any]
KINDS = ("services", "secrets", "configs", "nodes", "networks", "volumes", "tasks", "containers")
OUT_OF_SEQUENCE = "rpc error: code = Unknown desc = update out of sequence"
CREATED = 201


@dataclass
class Fault:
    """What a path does instead of answering as it should."""

    status: int = 0
    body: bytes = b""
    kind: str = "application/json"
    delay: float = 0
    cut: bool = False
    drip: float = 0
    close: bool = False
    hold: Callable[[], object] | None = None
    # How many requests it still hits; None is all of them.
    times: int | None = None


class FakeEngine:
    """Answer the Engine's API from `state` on a unix socket; remember every call.

    `calls` holds "POST /services/create", `bodies` the JSON sent with each, `headers` its headers.
    """

    def __init__(self, path: Path, *, api: str = "1.41", min_api: str = "1.12") -> None:
        self.path = path
        self.url = f"unix://{path}"
        self.calls: list[str] = []
        self.bodies: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.queries: list[dict[str, str]] = []
        self.state: dict[str, dict[str, Json]] = {kind: {} for kind in KINDS}
        self.version: Json = {"Version": "20.10.24", "ApiVersion": api, "MinAPIVersion": min_api}
        self.info: Json = {"ServerVersion": "20.10.24", "Swarm": {"LocalNodeState": "active"}}
        self.swarm: Json = {
            "ID": "swarm1",
            "Version": {"Index": 10},
            "Spec": {"Name": "default", "Raft": {"SnapshotInterval": 10000}},
            "JoinTokens": {"Worker": "SWMTKN-1-fake-worker", "Manager": "SWMTKN-1-fake-manager"},
        }
        self.raw: dict[str, bytes] = {}
        self.stopping = threading.Event()
        self._faults: dict[str, Fault] = {}
        self._index = 100
        self._lock = threading.Lock()
        self._server: Server | None = None

    def start(self) -> Self:
        """Begin to listen."""
        self._server = Server(str(self.path), handler_for(self))
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Stop listening; what is being delayed ends, too."""
        self.stopping.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def fail(
        self,
        path: str,
        message: str,
        *,
        status: int = 500,
        times: int | None = None,
        after: Callable[[], object] | None = None,
    ) -> None:
        """Let a path answer an error in the Engine's own words, after something has been done."""
        body = json.dumps({"message": message}).encode()
        self._faults[path] = Fault(status=status, body=body, times=times, hold=after)

    def answer(self, path: str, body: bytes, *, status: int = 200, kind: str = "text/html") -> None:
        """Let a path answer anything at all."""
        self._faults[path] = Fault(status=status, body=body, kind=kind)

    def delay(self, path: str, seconds: float) -> None:
        """Let a path answer late."""
        self._faults[path] = Fault(delay=seconds)

    def hold(self, path: str, until: Callable[[], object], *, times: int | None = None) -> None:
        """Let a path answer only after something has been done or has come true."""
        self._faults[path] = Fault(hold=until, times=times)

    def cut(self, path: str, *, times: int | None = None) -> None:
        """Let a path do what it is asked and break off in the middle of its answer."""
        self._faults[path] = Fault(cut=True, times=times)

    def drip(self, path: str, seconds: float) -> None:
        """Let a path answer one byte at a time, with a pause after each."""
        self._faults[path] = Fault(drip=seconds)

    def refuse(self, path: str) -> None:
        """Let a path close the connection without an answer."""
        self._faults[path] = Fault(close=True)

    def heal(self) -> None:
        """Let every path answer as it should again."""
        self._faults.clear()

    def add(self, kind: str, name: str, spec: Json | None = None, **fields: Any) -> Json:
        """Put an object into the state as if it had been created."""
        with self._lock:
            self._index += 1
            key = f"{kind[:3]}{self._index}"
            item = {
                "ID": key,
                "Id": key,
                "Version": {"Index": self._index},
                "Spec": {"Name": name, **(spec or {})},
                **fields,
            }
            self.state[kind][key] = item
            return item

    def fault_for(self, path: str) -> Fault | None:
        """Return what a path does wrong this time."""
        with self._lock:
            fault = self._faults.get(path) or self._faults.get("*")
            if fault is not None and fault.times is not None:
                if fault.times <= 0:
                    return None
                fault.times -= 1
            return fault

    def reply(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        """Return the status and the JSON, or the bytes, of an answer."""
        if method == "GET" and path in self.raw:
            return 200, self.raw[path]
        fixed: dict[str, Callable[[], tuple[int, Any]]] = {
            "GET /_ping": lambda: (200, b"OK"),
            "GET /version": lambda: (200, self.version),
            "GET /info": lambda: (200, self.info),
            "GET /swarm": lambda: (200, self.swarm),
            "GET /volumes": lambda: (200, {"Volumes": self.listed("volumes")}),
            "GET /images/json": lambda: (200, []),
            "POST /images/create": lambda: (200, {"status": "sha256:imported"}),
            "GET /containers/json": lambda: (200, self.listed("containers")),
            "GET /system/df": lambda: (200, {"Volumes": self.listed("volumes")}),
            "POST /swarm/init": lambda: (200, "node1"),
            "POST /swarm/join": lambda: (200, None),
            "POST /swarm/leave": lambda: (200, None),
            "POST /swarm/update": lambda: self.update(self.swarm, query, body),
            "POST /auth": lambda: (200, {"Status": "Login Succeeded"}),
        }
        if answer := fixed.get(f"{method} {path}"):
            return answer()
        found = re.fullmatch(r"/(\w+)(?:/([^/]+))?(?:/(json|update))?", path)
        if found is None or found[1] not in self.state:
            return 404, {"message": "page not found"}
        kind, key, verb = found.groups()
        return self.reply_noun(f"{method} {verb or ''}".strip(), kind, key, query, body)

    def reply_noun(
        self, asked: str, kind: str, key: str | None, query: dict[str, str], body: Any
    ) -> tuple[int, Any]:
        """Answer for the kinds of objects that are all alike."""
        if key is None:
            return 200, self.listed(kind)
        if asked == "POST" and key == "create":
            # A container's name stands in the query.
            return self.create(kind, {**body, "Name": query.get("name") or body.get("Name")})
        item = self.find(kind, key)
        if item is None:
            return 404, {"message": f"{kind[:-1]} {key} not found"}
        if asked == "DELETE":
            del self.state[kind][item["ID"]]
            return 204, None
        if asked == "POST update":
            return self.update(item, query, body)
        return 200, item

    def listed(self, kind: str) -> list[Json]:
        """Return all objects of a kind."""
        return list(self.state[kind].values())

    def find(self, kind: str, key: str) -> Json | None:
        """Return an object by its id or name."""
        for item in self.state[kind].values():
            if key in (item["ID"], item["Spec"].get("Name"), item.get("Name")):
                return item
        return None

    def create(self, kind: str, body: Json) -> tuple[int, Any]:
        """Create an object, unless its name is taken."""
        name = body["Name"]
        if self.find(kind, name) and kind != "volumes":
            words = f"name conflicts with an existing object: {kind[:-1]} {name} already exists"
            return 409, {"message": f"rpc error: code = AlreadyExists desc = {words}"}
        shown = {}
        if kind == "volumes":
            shown = {"Options": body.get("DriverOpts"), "Labels": body.get("Labels") or {}}
        item = self.find(kind, name) or self.add(kind, name, body, Name=name, **shown)
        return CREATED, item if kind == "volumes" else {"ID": item["ID"], "Id": item["ID"]}

    def update(self, item: Json, query: dict[str, str], body: Json) -> tuple[int, Any]:
        """Replace a spec, if the version is the present one."""
        with self._lock:
            if int(query["version"]) != item["Version"]["Index"]:
                return 500, {"message": OUT_OF_SEQUENCE}
            if query.get("rollback") == "previous":
                item["Spec"], item["PreviousSpec"] = item["PreviousSpec"], item["Spec"]
            else:
                item["PreviousSpec"], item["Spec"] = item["Spec"], body
            self._index += 1
            item["Version"] = {"Index": self._index}
            return 200, {"Warnings": None}


class Server(socketserver.ThreadingUnixStreamServer):
    """Serve every connection in a thread of its own."""

    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: that clients give up in the middle is what the tests are about."""


def handler_for(engine: FakeEngine) -> type[BaseHTTPRequestHandler]:
    """Return the handler class that answers for one fake."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.handle_request()

        do_POST = do_DELETE = do_HEAD = do_GET

        def handle_request(self) -> None:
            parts = urlsplit(self.path)
            path = re.sub(r"^/v1\.\d+(?=/)", "", unquote(parts.path))
            query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            is_json = "json" in self.headers.get("Content-Type", "")
            body = json.loads(sent) if sent and is_json else sent or None
            engine.calls.append(f"{self.command} {path}")
            engine.bodies.append(body)
            engine.headers.append(dict(self.headers))
            engine.queries.append(query)
            fault = engine.fault_for(path) or Fault()
            if fault.delay:
                engine.stopping.wait(fault.delay)
            if fault.hold:
                fault.hold()
            if fault.close:
                self.close_connection = True
                return
            if fault.status:
                self.respond(fault.status, fault.body, fault)
                return
            status, answer = engine.reply(self.command, path, query, body)
            self.respond(status, answer, fault)

        def respond(self, status: int, answer: Any, fault: Fault) -> None:
            raw = isinstance(answer, bytes)
            data = answer if raw else b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", fault.kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if fault.cut:
                self.wfile.write(data[: len(data) // 2])
                self.close_connection = True
            elif fault.drip:
                for byte in data:
                    if engine.stopping.is_set():
                        break
                    self.wfile.write(bytes([byte]))
                    time.sleep(fault.drip)
            else:
                self.wfile.write(data)

        def address_string(self) -> str:
            return "unix"

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


def frame(stream: int, text: str) -> bytes:
    """Return a log message as the Engine multiplexes it."""
    data = text.encode()
    return struct.pack(">BxxxL", stream, len(data)) + data
