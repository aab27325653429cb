"""Backups of everything that runs in the clusters."""

from importlib import import_module

from django.apps import AppConfig

# Each registers its kinds of operations.
TASKS = (
    "repository",
    "agents",
    "passwords",
    "snapshots",
    "retention",
    "checks",
    "volumes",
    "drills",
    "environment",
)


class BackupsConfig(AppConfig):
    """Make the kinds of operations known when the process starts."""

    name = "backups"

    def ready(self) -> None:
        """Import the tasks."""
        for module in TASKS:
            import_module(f"backups.tasks.{module}")
