"""Start, stop or tidy the Engines of the local nodes."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from clusters import local
from clusters.models import Node
from medstack.failures import Failure


class Command(BaseCommand):
    """Start the Engines of all local nodes, stop them, or remove Engines that have no node."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Take what to do."""
        parser.add_argument("what", choices=("up", "down", "sweep"))

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it for all nodes at once, and fail after all were tried."""
        nodes = list(Node.objects.filter(provider=Node.Provider.LOCAL, removed_at=None))
        if options["what"] == "sweep":
            for name in local.sweep({node.local_name for node in nodes}):
                self.stdout.write(f"{name}: removed")
            return
        word = "running" if options["what"] == "up" else "stopped"
        do = start if options["what"] == "up" else stop
        failures = 0
        for node, failure in zip(nodes, at_once(do, nodes), strict=True):
            self.stdout.write(f"{node.name}: {failure or word}")
            failures += failure is not None
        if options["what"] == "down":
            disconnect(self.stderr.write)
        if failures:
            raise CommandError(f"{failures} of {len(nodes)} Engines: see above.")


def at_once(do: Callable[[Node], object], nodes: Iterable[Node]) -> list[Failure | None]:
    """Do something to many nodes in parallel; return what went wrong with each."""

    def outcome(node: Node) -> Failure | None:
        try:
            do(node)
        except Failure as failure:
            return failure
        return None

    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(outcome, nodes))


def disconnect(say: Callable[[str], object]) -> None:
    """Give the machine its network back; what is left of it harms nothing."""
    try:
        local.disconnect()
    except Failure as failure:
        say(str(failure))


def start(node: Node) -> object:
    """Start a node's Engine."""
    return local.ensure_running(node.local_name, hostname=node.name)


def stop(node: Node) -> None:
    """Stop a node's Engine."""
    local.stop(node.local_name)
