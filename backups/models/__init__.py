"""The rows of backups; they are evidence, and are never deleted."""

from backups.models.repository import Agent, Protection, Repository, RepositoryCheck
from backups.models.restore import Drill, EvidenceReport, Outcome, Restore
from backups.models.snapshot import Snapshot, VolumeBackup, VolumePolicy

__all__ = [
    "Agent",
    "Drill",
    "EvidenceReport",
    "Outcome",
    "Protection",
    "Repository",
    "RepositoryCheck",
    "Restore",
    "Snapshot",
    "VolumeBackup",
    "VolumePolicy",
]
