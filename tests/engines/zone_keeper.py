"""A company's own program that sets the records of its zone for whoever has the password."""

import contextlib
import json
import threading
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.engines.pebble import Pebble

USER = "clinic"


@dataclass
class ZoneKeeper:
    """Where it is asked, and the names whose records it has set so far."""

    url: str
    proven: list[str] = field(default_factory=list)


@contextlib.contextmanager
def zone_keeper(authority: Pebble, address: str, password: str) -> Iterator[ZoneKeeper]:
    """Listen at an address, and let the authority's name server answer what is asked for."""
    login = "Basic " + b64encode(f"{USER}:{password}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Set or clear the record that an ACME client wants; strangers are turned away."""
            wanted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = 200 if self.headers["Authorization"] == login else 401
            if status == 200 and self.path == "/present":
                keeper.proven.append(wanted["fqdn"])
                record = {"host": wanted["fqdn"], "value": wanted["value"]}
                authority.tell("/set-txt", record)
            elif status == 200:
                authority.tell("/clear-txt", {"host": wanted["fqdn"]})
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            """Stay silent."""

    with ThreadingHTTPServer((address, 0), Handler) as server:
        keeper = ZoneKeeper(f"http://{address}:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield keeper
        finally:
            server.shutdown()
