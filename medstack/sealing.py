"""Seal audit records into their company's chain, and read the chain back.

A record is sealed right after its transaction has ended, in one of its own: a chain that grew
inside the transactions would make all of them wait for each other.
"""

from collections.abc import Iterator
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import OuterRef, QuerySet, Subquery

from medstack.chain import ORIGIN, Link, hash_of
from medstack.models.events import Event, Seal
from medstack.models.people import Company

Json = dict[str, Any]
AT_ONCE = 500
# Transactions end in another order than that of their records' ids, but not by so many.
OVERTAKEN = 10_000


def content(event: Event) -> Json:
    """Return what a record says, as its hash covers it and as it is exported."""
    return {
        "id": event.pk,
        "at": event.at.isoformat(),
        "action": event.action,
        "company": event.company_id,
        "cluster": event.cluster_id,
        "actor": event.actor_id,
        "actor_name": event.actor_name,
        "address": event.address,
        "subject_kind": event.subject_kind,
        "subject_id": event.subject_id,
        "subject_name": event.subject_name,
        "before": event.before,
        "after": event.after,
    }


def seal(company_id: int | None) -> int:
    """Seal what is not sealed yet of a company's records; say how many there were.

    Two at once cannot both take a place in the chain: the second leaves it to the first, or to the
    tick.
    """
    try:
        with transaction.atomic():
            return append(company_id)
    except IntegrityError:
        return 0


def append(company_id: int | None) -> int:
    """Add the records that are not sealed yet to the end of the chain."""
    last = Seal.objects.filter(company=company_id).order_by("number").last()
    number, previous = (last.number, last.hash) if last else (0, ORIGIN)
    waiting = Event.objects.filter(company=company_id, seal=None).order_by("pk")
    if last:
        waiting = waiting.filter(pk__gt=last.event_id - OVERTAKEN)
    seals = []
    for event in waiting[:AT_ONCE]:
        number += 1
        previous = hash_of(previous, number, content(event))
        seals.append(Seal(event=event, company_id=company_id, number=number, hash=previous))
    Seal.objects.bulk_create(seals)
    return len(seals)


def seal_all() -> None:
    """Seal what a crash left unsealed; the tick calls this."""
    newest = Event.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    recent = Event.objects.filter(pk__gt=newest - OVERTAKEN, seal=None)
    for company_id in recent.order_by().values_list("company", flat=True).distinct():
        while seal(company_id) == AT_ONCE:
            pass


def head(company_id: int | None) -> Json:
    """Return the end of a company's chain, to be written down elsewhere; empty before the first."""
    last = Seal.objects.filter(company=company_id).order_by("number").last()
    return {"number": last.number, "hash": last.hash} if last else {}


def heads(companies: QuerySet[Company]) -> dict[int, Json]:
    """Return the ends of several companies' chains, by company, with one query."""
    last = Seal.objects.filter(company=OuterRef("pk")).order_by("-number")
    found = companies.values_list(
        "pk", Subquery(last.values("number")[:1]), Subquery(last.values("hash")[:1])
    )
    return {pk: {"number": number, "hash": link} for pk, number, link in found if number}


def links(company_id: int | None) -> Iterator[Link]:
    """Yield a company's chain from its beginning; a record that is gone is None."""
    after = 0
    while True:
        # Joined by hand: what was deleted behind the database's back must leave its seal visible.
        rows = list(
            Seal.objects.filter(company=company_id, number__gt=after).order_by("number")[:AT_ONCE]
        )
        events = Event.objects.in_bulk([row.event_id for row in rows])
        for row in rows:
            event = events.get(row.event_id)
            yield Link(row.number, content(event) if event else None, row.hash)
        if len(rows) < AT_ONCE:
            return
        after = rows[-1].number


def unsealed(company_id: int | None) -> int:
    """Count the records that no link covers."""
    return Event.objects.filter(company=company_id, seal=None).count()
