"""A storage for restic that adds and reads, but never deletes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Storage(BaseHTTPRequestHandler):
    """A small REST storage that adds and reads, but never deletes, and has a size."""

    files: dict[str, bytes]
    seen: set[str]
    room: int

    def answer(self, code: int, body: bytes = b"") -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self) -> None:
        self.seen.add(self.headers.get("Authorization", ""))
        path = self.path.partition("?")[0]
        if path.endswith("/"):
            names = [f'"{name.removeprefix(path)}"' for name in self.files if name.startswith(path)]
            return self.answer(200, f"[{','.join(names)}]".encode())
        if path not in self.files:
            return self.answer(404)
        body = self.files[path]
        wanted = self.headers.get("Range", "").removeprefix("bytes=").split("-")
        if len(wanted) == 2:
            body = body[int(wanted[0]) : int(wanted[1]) + 1 if wanted[1] else None]
            return self.answer(206, body)
        return self.answer(200, body)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "create=true" in self.path:
            return self.answer(200)
        if sum(map(len, self.files.values())) + len(body) > self.room:
            return self.answer(507)
        self.files[self.path] = body
        return self.answer(200)

    def do_DELETE(self) -> None:
        if "/locks/" not in self.path:
            return self.answer(403)
        self.files.pop(self.path, None)
        return self.answer(200)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def adding_storage() -> Iterator[tuple[str, type[Storage]]]:
    """Serve an empty storage of 1 MiB; yield its URL and what it has seen."""
    handler = type("Fresh", (Storage,), {"files": {}, "seen": set(), "room": 1 << 20})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"rest:http://node:le%3Atmein@127.0.0.1:{server.server_port}/", handler
        server.shutdown()
        thread.join()
