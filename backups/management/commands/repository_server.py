"""Serve the embedded repositories to the nodes until told to stop."""

import os
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from backups import opening
from backups.server import serving, whole
from clusters import local
from clusters.local.configuration import configured
from clusters.local.locks import held
from clusters.local.networking import ensure_bridge


class Command(BaseCommand):
    """Become rclone, which serves all embedded repositories append-only, each to its own nodes.

    It listens on loopback and on the local nodes' bridge, or on MEDSTACK_REPOSITORY_HOST; where
    MEDSTACK_REPOSITORY_LISTEN says something else, there.
    """

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        """Prepare keys, users and the bridge, then run the server in place of this process."""
        os.umask(0o077)
        settings.REPOSITORIES_ROOT.mkdir(parents=True, exist_ok=True)
        whole.remove_torn(settings.REPOSITORIES_ROOT)
        serving.authority()
        serving.write_users()
        addresses = [serving.LOOPBACK]
        if not settings.REPOSITORY_HOST and not local.supported():
            network = configured()
            with held(network.lock):
                ensure_bridge(network)
        if (settings.REPOSITORY_HOST or not local.supported()) and opening.host() not in addresses:
            addresses.append(opening.host())
        # In a container another address is its own than the one by which nodes reach it.
        addresses = list(settings.REPOSITORY_LISTEN) or addresses
        command = serving.command(addresses, settings.REPOSITORY_PORT)
        os.execv(command[0], list(command))  # noqa: S606 - the supervisor watches this very process
