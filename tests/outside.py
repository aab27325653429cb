"""A small outside world on the loopback: a name server, and sites with certificates."""

import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from tests.authorities import Signed

Records = dict[tuple[str, str], list[str]]


@dataclass
class NameServer:
    """Answers from a table over UDP; it does not follow aliases, and may be silent or broken."""

    records: Records = field(default_factory=dict)
    silent: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    asked: list[tuple[str, str]] = field(default_factory=list)
    address: str = ""

    def answer(self, wire: bytes) -> bytes | None:
        """Return the answer to a question; none for what it is silent about."""
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name, kind = question.name.to_text(), dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        if name in self.silent or kind in self.silent:
            return None
        if name in self.broken or kind in self.broken:
            response.set_rcode(dns.rcode.SERVFAIL)
            return response.to_wire()
        if name not in {known for known, _ in self.records}:
            response.set_rcode(dns.rcode.NXDOMAIN)
        for found in (kind, "CNAME"):
            if texts := self.records.get((name, found)):
                response.answer.append(dns.rrset.from_text(question.name, 60, "IN", found, *texts))
                break
        return response.to_wire()


@contextmanager
def name_server(records: Records | None = None) -> Iterator[NameServer]:
    """Run a name server."""
    server = NameServer(records or {})
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        connection.bind(("127.0.0.1", 0))
        port = connection.getsockname()[1]
        server.address = f"127.0.0.1:{port}"

        def serve() -> None:
            while True:
                wire, sender = connection.recvfrom(4096)
                if not wire:
                    return
                if reply := server.answer(wire):
                    connection.sendto(reply, sender)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"", ("127.0.0.1", port))
            thread.join()


@dataclass
class Answer:
    """What a site answers, and what it was asked for."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    asked: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def site(answer: Answer, signed: Signed | None = None, chain: str = "") -> Iterator[int]:
    """Run a site, with TLS if it has a certificate; yield its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer.asked.append((self.headers["Host"], self.path))
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *args: object) -> None:
            """Keep the tests' output clean."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *args: object) -> None:
            """Take it that clients break off when they do not like the certificate."""

        def finish_request(self, request: Any, client: Any) -> None:
            if signed:
                request.settimeout(5)
                context = server_context(signed, chain)
                with context.wrap_socket(request, server_side=True) as secure:
                    super().finish_request(secure, client)
            else:
                super().finish_request(request, client)

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def listener(speak: Callable[[socket.socket], None]) -> Iterator[int]:
    """Accept connections and do with each what is asked; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    try:
                        speak(connection)
                    except OSError:
                        continue

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def say_nothing(connection: socket.socket) -> None:
    """Listen for ever."""
    while connection.recv(1000):
        pass


def server_context(signed: Signed, chain: str) -> ssl.SSLContext:
    """Return what serves a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole.pem"
        whole.write_text(signed.key_pem + signed.pem + chain)
        context.load_cert_chain(whole)
    return context
