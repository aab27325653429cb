"""What a node's kernel can do for overlay networks, read from its build configuration."""

import gzip
import io
import tarfile
from dataclasses import dataclass

from clusters import engine

# Where a kernel leaves its configuration: itself, or the distribution beside its image.
SOURCES = ("/proc/config.gz", "/boot/config-{release}")
EMPTY_IMAGE = ("medstack/empty", "1")
PROBE = "medstack-kernel-probe"


@dataclass(frozen=True)
class Abilities:
    """Whether it has ESP (encrypted overlays between nodes) and IPVS (virtual IPs)."""

    esp: bool
    ipvs: bool


def abilities(config: bytes) -> Abilities:
    """Read a kernel configuration, packed or plain."""
    text = gzip.decompress(config) if config[:2] == b"\x1f\x8b" else config
    options = {
        line.partition("=")[0]: line.partition("=")[2]
        for line in text.decode(errors="replace").splitlines()
        if line.startswith("CONFIG_")
    }
    return Abilities(
        esp=options.get("CONFIG_INET_ESP", "n") in ("y", "m"),
        ipvs=options.get("CONFIG_IP_VS", "n") in ("y", "m"),
    )


def of_node(connection: engine.Engine, release: str) -> Abilities | None:
    """Return a node's abilities, or None where its kernel's configuration is not to be found.

    Nothing is run on the node: the file is mounted into a container that is never started, made
    from an empty image, and read through the Engine's archive call.
    """
    image = connection.image_import(io.BytesIO(empty_tar()), EMPTY_IMAGE[0], EMPTY_IMAGE[1])
    for source in SOURCES:
        config = connection.read_host_file(source.format(release=release), image=image, name=PROBE)
        if config:
            return abilities(config)
    return None


def empty_tar() -> bytes:
    """Return an archive of one empty folder: the smallest image that an Engine accepts."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        folder = tarfile.TarInfo("medstack")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    return buffer.getvalue()
