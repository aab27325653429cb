"""Where the pages of backups stand."""

from django.urls import URLPattern, path

from backups.views import (
    backup_list,
    browse,
    checks,
    coverage,
    environment,
    evidence,
    metrics,
    repository,
    restores,
    retention,
    snapshots,
    subscription,
    volume_backups,
)

BACKUPS = "clusters/<slug:slug>/backups/"
SNAPSHOT = f"{BACKUPS}snapshots/<int:pk>/"
BACKUP = f"{BACKUPS}volumes/<int:pk>/"

urlpatterns: list[URLPattern] = [
    path("metrics", metrics.metrics, name="metrics"),
    path(BACKUPS, snapshots.snapshots, name="snapshots"),
    path(f"{BACKUPS}snapshots/now/", snapshots.snapshot_now, name="snapshot_now"),
    path(SNAPSHOT, snapshots.snapshot, name="snapshot"),
    path(f"{SNAPSHOT}manifest/", snapshots.manifest, name="snapshot_manifest"),
    path(f"{SNAPSHOT}hold/", retention.hold_snapshot, name="hold_snapshot"),
    path(f"{SNAPSHOT}restore/", environment.restore_environment, name="restore_environment"),
    path(f"{BACKUPS}coverage/", coverage.coverage, name="coverage"),
    path(f"{BACKUPS}coverage/<int:pk>/", coverage.volume_policy, name="volume_policy"),
    path(f"{BACKUPS}coverage/recipients/", coverage.recipients, name="recipients"),
    path(BACKUP, volume_backups.volume_backup, name="volume_backup"),
    path(f"{BACKUP}files/", browse.browse_backup, name="browse_backup"),
    path(f"{BACKUP}files/download/", browse.download_file, name="download_file"),
    path(f"{BACKUP}restore/", restores.restore_volume, name="restore_volume"),
    path(f"{BACKUP}drill/", restores.drill, name="drill"),
    path(f"{BACKUPS}restores/", restores.restores, name="restores"),
    path(f"{BACKUPS}restores/<int:pk>/", restores.restore, name="restore"),
    path(f"{BACKUPS}restores/<int:pk>/report/", environment.restore_report, name="restore_report"),
    path(f"{BACKUPS}retention/", retention.retention, name="retention"),
    path(f"{BACKUPS}retention/run/", retention.purge_now, name="purge_now"),
    path(f"{BACKUPS}repository/", repository.repository, name="repository"),
    path(f"{BACKUPS}repository/test/", repository.test_repository, name="test_repository"),
    path(f"{BACKUPS}repository/change/", repository.change_repository, name="change_repository"),
    path(f"{BACKUPS}repository/sheet/", repository.recovery_sheet, name="recovery_sheet"),
    path(f"{BACKUPS}repository/password/", repository.new_password, name="new_password"),
    path(f"{BACKUPS}repository/check/", checks.check_repository, name="check_repository"),
    path(f"{BACKUPS}volumes/", backup_list.volume_backups, name="volume_backups"),
    path(f"{BACKUPS}evidence/", evidence.evidence, name="evidence"),
    path("subscription/", subscription.subscription, name="subscription"),
    path("subscription/<int:pk>/certificate/", subscription.certificate, name="certificate"),
    path("evidence/", evidence.company_evidence, name="company_evidence"),
    path("evidence/key/", evidence.evidence_key, name="evidence_key"),
    path("evidence/backups/", backup_list.company_volume_backups, name="company_volume_backups"),
]
