"""The embedded repositories' server, as `make up` runs it, for the tests' own nodes."""

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from unittest import mock

import pytest
from django.test import override_settings

from backups import long_run


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def repository_server(local_network: dict[str, object], rows: None) -> Iterator[Path]:
    """Switch backups on and serve their repositories on the tests' bridge; yield their folder."""
    from backups.server import serving
    from clusters.local.configuration import configured
    from clusters.local.locks import held
    from clusters.local.networking import ensure_bridge

    port = free_port()
    with (
        tempfile.TemporaryDirectory(prefix="msr") as folder,
        override_settings(BACKUPS=True, REPOSITORIES_ROOT=Path(folder), REPOSITORY_PORT=port),
        # The tests also run around full hours, at which purging makes room for the snapshot.
        mock.patch.object(long_run, "BEFORE_THE_HOUR", timedelta(0)),
        mock.patch.object(long_run, "AFTER_THE_HOUR", timedelta(0)),
    ):
        network = configured()
        with held(network.lock):
            ensure_bridge(network)
        serving.authority()
        serving.write_users()
        command = serving.command(["127.0.0.1", str(network.gateway)], port)
        with Path(folder, "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env={"PATH": os.defpath})
        try:
            wait_for(port, process)
            yield Path(folder)
        finally:
            process.terminate()
            process.wait(10)


def wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the server answers."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        assert process.poll() is None, "The repository server has ended."
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("The repository server does not answer.")
