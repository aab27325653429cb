"""Read a repository back on demand."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from backups.actions import checks as actions
from backups.models import Repository
from medstack import access
from medstack.failures import Failure


@login_required
@require_POST
def check_repository(request: HttpRequest, slug: str) -> HttpResponse:
    """Read the next part of the repository back, now."""
    cluster = access.cluster_for(request, slug, access.OPERATE)
    row = Repository.objects.current().filter(cluster=cluster).exclude(initialised_at=None).first()
    try:
        if row is None:
            raise Failure("The cluster's repository is not ready yet.")
        return redirect(actions.check_now(row, by=access.actor(request)).url)
    except Failure as error:
        messages.error(request, str(error))
        return redirect("repository", slug)
