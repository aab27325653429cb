"""The state of a company's subscription, for its Owners and for who pays."""

import json

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from backups.tasks.subscriptions import obstacles_of
from medstack import access, sealing
from medstack.models import Company, Event, Membership

PAYERS = (Membership.Role.OWNER, Membership.Role.BILLING)


@login_required
@require_safe
def subscription(request: HttpRequest) -> HttpResponse:
    """Show the state, and what it means for the backups."""
    companies = list(access.companies_for(access.user_of(request), PAYERS).order_by("name"))
    if not companies:
        raise Http404
    ended = Event.objects.filter(company__in=companies, action="subscription.purged")
    found = obstacles_of(companies)
    rows = [{"company": one, "obstacles": found[one.pk]} for one in companies]
    context = {
        "rows": rows,
        "certified": {event.company_id for event in ended},
        "nav_active": "subscription",
    }
    return render(request, "backups/subscription.html", context)


@login_required
@require_safe
def certificate(request: HttpRequest, pk: int) -> HttpResponse:
    """Send the certificate of deletion: the chained record that says what was deleted."""
    roles = (*PAYERS, Membership.Role.AUDITOR)
    company: Company | None = (
        access.companies_for(access.user_of(request), roles).filter(pk=pk).first()
    )
    event = Event.objects.filter(company=company, action="subscription.purged").first()
    if company is None or event is None:
        raise Http404
    seal = getattr(event, "seal", None)
    content = {
        "certificate": event.after,
        "record": sealing.content(event),
        "seal": {"number": seal.number, "hash": seal.hash} if seal else None,
    }
    response = HttpResponse(
        json.dumps(content, indent=2, sort_keys=True), content_type="application/json"
    )
    response["Content-Disposition"] = f'attachment; filename="deletion-{company.pk}.json"'
    return response
