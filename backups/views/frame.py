"""The frame of “Backups”: its tabs and the way to them."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from clusters.models import Cluster
from medstack import access

Context = dict[str, Any]

# The names of the addresses of the lists, which are the tabs' labels, too.
TABS: tuple[str, ...] = (
    "snapshots",
    "coverage",
    "volume_backups",
    "restores",
    "retention",
    "repository",
    "evidence",
)


def frame(request: HttpRequest, cluster: Cluster, tab: str, *, within: bool = False) -> Context:
    """Return what every page of a tab shows; `within` is a page below the tab's own."""
    tabs = [
        {"label": label(name), "url": reverse(name, args=[cluster.slug]), "current": name == tab}
        for name in TABS
    ]
    crumbs = [
        {"label": "Clusters", "url": reverse("clusters")},
        {"label": cluster.name, "url": cluster.get_absolute_url()},
    ]
    if within:
        crumbs.append({"label": label(tab), "url": reverse(tab, args=[cluster.slug])})
    return {
        "cluster": cluster,
        "section": "Backups",
        "tab": tab,
        "tabs": tabs,
        "crumbs": crumbs,
        "can_operate": access.may(request, cluster.company),
        "nav_active": "clusters",
    }


def label(tab: str) -> str:
    """Return a tab's name as people read it."""
    return tab.replace("_", " ").capitalize()
