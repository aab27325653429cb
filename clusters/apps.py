"""Clusters, nodes and the Docker objects in them."""

from importlib import import_module

from django.apps import AppConfig


class ClustersConfig(AppConfig):
    """Make the kinds of operations known when the process starts."""

    name = "clusters"

    def ready(self) -> None:
        """Import the tasks: each module registers its kinds of operations."""
        for module in ("nodes", "membership", "services", "objects", "ingress", "domains"):
            import_module(f"clusters.tasks.{module}")
