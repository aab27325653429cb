"""What a bucket policy does at a provider of S3: in front of a real server that has none."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

LOCKS = re.compile(r"/locks/[0-9a-f]{64}$")
REFUSAL = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code>'
    b"<Message>Access Denied.</Message></Error>"
)
# Of one connection, not of what goes through it.
HOP = ("connection", "keep-alive", "transfer-encoding", "content-length")


class Guard(BaseHTTPRequestHandler):
    """Pass everything on but the deletions of one key, as it was signed."""

    protocol_version = "HTTP/1.1"
    target: tuple[str, int]
    key: str

    def pass_on(self) -> None:
        """Answer as the server behind does, or as a policy that denies."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = urlsplit(self.path)
        deletes = self.command == "DELETE" or "delete" in parse_qs(parts.query, True)
        signed_by_key = f"Credential={self.key}/" in self.headers.get("Authorization", "")
        if deletes and signed_by_key and not LOCKS.search(parts.path):
            return self.answer(403, [("Content-Type", "application/xml")], REFUSAL)
        connection = HTTPConnection(*self.target, timeout=30)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        found = connection.getresponse()
        content = found.read()
        headers = [one for one in found.getheaders() if one[0].lower() not in HOP]
        if self.command == "HEAD":
            headers.append(("Content-Length", found.getheader("Content-Length") or "0"))
        connection.close()
        return self.answer(found.status, headers, content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = pass_on

    def answer(self, code: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """Send an answer."""
        self.send_response_only(code)
        for name, value in headers:
            self.send_header(name, value)
        if self.command != "HEAD" and code != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def guarded(target: tuple[str, int], *, key: str) -> Iterator[int]:
    """Put the policy in front of a server; yield the port."""
    handler = type("Policy", (Guard,), {"target": target, "key": key})
    with ThreadingHTTPServer((target[0], 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
