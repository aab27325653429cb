"""The project's own app: people, audit, operations."""

from django.apps import AppConfig


class MedStackConfig(AppConfig):
    """What belongs to neither clusters nor backups."""

    name = "medstack"
    verbose_name = "MedStack Control"
