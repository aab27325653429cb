"""Where the pages of backups stand."""

from django.urls import URLPattern, path

from backups.views import backup_list, evidence

BACKUPS = "clusters/<slug:slug>/backups/"

urlpatterns: list[URLPattern] = [
    path(f"{BACKUPS}volumes/", backup_list.volume_backups, name="volume_backups"),
    path(f"{BACKUPS}evidence/", evidence.evidence, name="evidence"),
    path("evidence/", evidence.company_evidence, name="company_evidence"),
    path("evidence/key/", evidence.evidence_key, name="evidence_key"),
    path("evidence/backups/", backup_list.company_volume_backups, name="company_volume_backups"),
]
