"""Where the pages of backups stand."""

from django.urls import URLPattern

BACKUPS = "clusters/<slug:slug>/backups/"

urlpatterns: list[URLPattern] = []
