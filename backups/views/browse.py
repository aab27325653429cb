"""Look into a backup, folder by folder, and take one file out of it."""

from collections.abc import Iterator
from itertools import islice
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from backups import opening, restic
from backups.agent.tags import path_of
from backups.models import VolumeBackup
from backups.views.frame import frame
from backups.views.volume_backups import TAB, backup_for
from clusters.actions.nodes import record
from medstack import access

# A folder with more is cut, and the page says so.
MOST, LONGEST = 1000, 15.0


def opened(backup: VolumeBackup) -> restic.Repository:
    """Return the repository of a backup that is still there."""
    if backup.purged_at or not backup.restic_id or backup.snapshot.repository is None:
        raise Http404
    return opening.for_console(backup.snapshot.repository)


def path_in(backup: VolumeBackup, asked: str) -> PurePosixPath:
    """Return a path below the volume's root; nothing leads out of it."""
    parts = [part for part in asked.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in asked:
        raise Http404
    return PurePosixPath(path_of(backup.volume_name), *parts)


@login_required
@require_safe
def browse_backup(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """List one folder of a backup: names may say much, so auditors do not see them."""
    backup = backup_for(request, slug, pk, access.OPERATE)
    root = PurePosixPath(path_of(backup.volume_name))
    here = path_in(backup, request.GET.get("path", ""))
    entries: list[restic.Entry] = []
    problem = ""
    try:
        listing = restic.listing(opened(backup), backup.restic_id, str(here), timeout=LONGEST)
        entries = [one for one in islice(listing, MOST + 1) if one.path != str(here)]
    except restic.NotFound:
        raise Http404 from None
    except restic.ResticError as error:
        problem = str(error)
    entries.sort(key=lambda one: (one.kind != "dir", one.path))
    relative = here.relative_to(root)
    context = frame(request, backup.cluster, TAB, within=True) | {
        "backup": backup,
        "entries": [line(one, root) for one in entries[:MOST]],
        "is_cut": len(entries) > MOST,
        "most": MOST,
        "above": ancestors(relative),
        "problem": problem,
    }
    return render(request, "backups/browse.html", context)


def line(entry: restic.Entry, root: PurePosixPath) -> dict[str, Any]:
    """Return one line of the page."""
    path = PurePosixPath(entry.path)
    return {"entry": entry, "name": path.name, "path": str(path.relative_to(root))}


def ancestors(relative: PurePosixPath) -> list[dict[str, str]]:
    """Return the way from the volume's root to a folder."""
    parts = [part for part in relative.parts if part != "."]
    return [{"name": name, "path": "/".join(parts[: at + 1])} for at, name in enumerate(parts)]


@login_required
@access.confirmed
@require_POST
def download_file(request: HttpRequest, slug: str, pk: int) -> HttpResponseBase:
    """Send one file of a backup, piece by piece, and record who took it."""
    backup = backup_for(request, slug, pk, access.OPERATE)
    asked = request.POST.get("path", "")
    path = path_in(backup, asked)
    if not asked:
        raise Http404
    try:
        found = list(islice(restic.listing(opened(backup), backup.restic_id, str(path)), 1))
    except restic.NotFound:
        raise Http404 from None
    except restic.ResticError as error:
        messages.error(request, str(error))
        return redirect("browse_backup", slug, pk)
    if not found or found[0].path != str(path) or found[0].kind != "file":
        raise Http404
    record(
        "backup.file_downloaded",
        backup,
        backup.cluster,
        by=access.actor(request),
        after={"path": str(path), "bytes": found[0].size},
    )

    def content() -> Iterator[bytes]:
        yield from restic.dump(opened(backup), backup.restic_id, str(path))

    response = StreamingHttpResponse(content(), content_type="application/octet-stream")
    response["Content-Length"] = str(found[0].size)
    response["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(path.name, safe='')}"
    response["X-Content-Type-Options"] = "nosniff"
    return response
