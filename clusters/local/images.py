"""Build small images without a registry: a static busybox, and the demo application on top."""

import io
import shutil
import tarfile
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import BinaryIO

from clusters.local.commands import PATH, run
from medstack.failures import Failure

# For `docker import`. The service's one argument is its part: "api" or "web".
DEMO_CHANGES = ["USER app", "EXPOSE 8080", 'ENTRYPOINT ["serve"]', 'CMD ["web"]']

USERS = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/data:/bin/sh\n"
GROUPS = "root:x:0:\napp:x:1000:\n"


def demo_image() -> tuple[BinaryIO, list[str]]:
    """Return the demo application's root folder as a tar stream, and the changes to import with."""
    folder = files("clusters.local") / "demo"
    programs = {
        "bin/serve": (folder / "serve.sh").read_bytes(),
        "srv/api/cgi-bin/index.cgi": (folder / "api.sh").read_bytes(),
        "srv/web/cgi-bin/index.cgi": (folder / "web.sh").read_bytes(),
    }
    return io.BytesIO(busybox_tar(programs)), list(DEMO_CHANGES)


def busybox_tar(programs: Mapping[str, bytes] | None = None) -> bytes:
    """Return a root folder of busybox and the given programs; equal input gives equal bytes."""
    busybox, applets = static_busybox()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for folder in ("bin", "etc", "root", "srv", "dev", "proc", "sys"):
            add_folder(tar, folder)
        add_folder(tar, "tmp", mode=0o1777)
        add_folder(tar, "data", owner=1000)
        add_file(tar, "bin/busybox", busybox, mode=0o755)
        for applet in applets:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        add_file(tar, "etc/passwd", USERS.encode())
        add_file(tar, "etc/group", GROUPS.encode())
        for path, content in sorted((programs or {}).items()):
            add_file(tar, path, content, mode=0o755)
    return buffer.getvalue()


@cache
def static_busybox() -> tuple[bytes, list[str]]:
    """Return busybox and the names it answers to."""
    path = shutil.which("busybox", path=PATH)
    content = Path(path).read_bytes() if path else b""
    # A dynamic one names its loader, which is not in the image.
    if path is None or b"/ld-linux" in content or b"/ld-musl" in content:
        raise Failure("A static busybox is not installed (Debian: busybox-static).")
    applets = run(path, "--list").split()
    return content, sorted(set(applets) - {"busybox"})


def add_folder(tar: tarfile.TarFile, path: str, *, mode: int = 0o755, owner: int = 0) -> None:
    """Add a folder."""
    entry = tarfile.TarInfo(path)
    entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, mode, owner, owner
    tar.addfile(entry)


def add_file(tar: tarfile.TarFile, path: str, content: bytes, *, mode: int = 0o644) -> None:
    """Add a file."""
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))
