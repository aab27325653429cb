"""Ask one database's pages for a benchmark: JSON lines in, JSON lines out.

`{"pages": true}` answers every page of the console, for an object in the middle of the data, and
every way to order, search and page through each list; `{"visit": ADDRESS, "email": …}` answers
how long that page took, how many queries it made, its status and how many lines its tables have;
`{"explain": ADDRESS, "email": …}` answers how its queries read the large tables.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from benchmarks.large import plans

Json = dict[str, Any]
# They lead on, stream without end, or belong to the library.
LEFT_OUT = ("accept_invitation", "service_log_stream", "mfa_", "usersessions", "account_", "api:")


def main() -> None:
    """Answer until nobody asks."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "medstack.settings")
    django.setup()
    visitor = Visitor()
    for line in sys.stdin:
        asked = json.loads(line)
        answer: object
        if "pages" in asked:
            answer = visitor.pages()
        else:
            answer = visitor.plans(**asked) if "explain" in asked else visitor.visit(**asked)
        print(json.dumps(answer), flush=True)


class Visitor:
    """Browsers of several people, in one process that serves the pages, too."""

    def __init__(self) -> None:
        self.clients: dict[str, Any] = {}
        self.queries: list[tuple[str, Any]] = []

    def client(self, email: str) -> Any:
        """Return somebody's browser."""
        from django.test import Client

        from medstack.models import User
        from tests.signing import sign_in

        if email not in self.clients:
            browser = Client(SERVER_NAME="127.0.0.1", raise_request_exception=False)
            self.clients[email] = sign_in(browser, User.objects.get(email=email))
        return self.clients[email]

    def count(self, execute: Any, sql: str, values: Any, many: bool, context: Any) -> Any:
        """Remember a query and run it."""
        self.queries.append((sql, values))
        return execute(sql, values, many, context)

    def visit(self, visit: str, email: str) -> Json:
        """Ask for a page by its address."""
        from django.db import connection

        client = self.client(email)
        self.queries = []
        with connection.execute_wrapper(self.count):
            began = time.perf_counter()
            answer = client.get(visit)
            took = time.perf_counter() - began
        drawn = b"".join(answer)
        return {
            "ms": took * 1000,
            "queries": len(self.queries),
            "status": answer.status_code,
            "rows": sum(drawn.count(one) for one in (b"<tr", b'<li class="card')),
        }

    def plans(self, explain: str, email: str) -> list[Json]:
        """Return how a page's queries read the large tables."""
        self.visit(explain, email)
        return plans.scans(self.queries)

    def pages(self) -> list[Json]:
        """Return all pages: for the owner of one company, and lists for who works in all."""
        from django.test.utils import setup_test_environment, teardown_test_environment

        found = []
        there = middle()
        owner = there.company.memberships.filter(role="owner").order_by("-pk")[0].user.email
        # Only now, for it slows every page down.
        setup_test_environment()
        for name, address in addresses(there):
            client = self.client(owner)
            answer = client.get(address)
            if answer.status_code != 200:
                continue
            found.append({"page": name, "address": address, "email": owner})
            listing = (answer.context or {}).get("listing")
            if not listing:
                continue
            for what, more in ways(listing):
                found.append({"page": f"{name} {what}", "address": address + more, "email": owner})
            if "<" not in name and not any(part in address for part in ("/clusters/", "/people/")):
                for what, more in [("", ""), *ways(listing)]:
                    row = {"page": f"{name} (all companies) {what}", "address": address + more}
                    found.append(row | {"email": "everywhere@example.com"})
        teardown_test_environment()
        return found


def ways(listing: Any) -> Iterator[tuple[str, str]]:
    """Yield the ways to look at a list: its orders, its last page, a search, each filter."""
    for column in listing.columns:
        for sign in ("", "-") if column.field else ():
            yield f"by {sign}{column.field}", "?" + urlencode({"sort": sign + column.field})
    if listing.page.paginator.num_pages > 1:
        yield "last page", f"?page={listing.page.paginator.num_pages}"
    if listing.searchable:
        yield "search", "?q=1"
        yield "search in vain", "?q=zzz"
    for choice in listing.filters:
        values = [value for value, _ in choice.choices if value]
        if values:
            value = values[len(values) // 2]
            yield f"filtered by {choice.name}", "?" + urlencode({choice.name: value})


def addresses(there: Any) -> Iterator[tuple[str, str]]:
    """Yield the name and the address of every page."""
    from tests.belongings import addresses as patterns

    for name, _ in patterns():
        if not name.startswith(LEFT_OUT):
            yield name, there.url(name)


def middle() -> Any:
    """Return a company's belongings out of the middle of all rows."""
    from backups.models import VolumeBackup
    from clusters.models import Cluster
    from medstack.models import AccessToken, Invitation, Operation
    from tests.belongings import Belongings

    cluster = Cluster.objects.order_by("pk")[Cluster.objects.count() // 2]
    node = cluster.nodes.order_by("pk")[5]
    service = cluster.services.order_by("pk")[25]
    mine = VolumeBackup.objects.restorable().filter(cluster=cluster, node=node).order_by("pk")
    return Belongings(
        company=cluster.company,
        cluster=cluster,
        node=node,
        registry=cluster.registries.order_by("pk")[1],
        config=cluster.configs.order_by("pk")[10],
        secret=cluster.secrets.order_by("pk")[10],
        volume=node.volumes.order_by("pk")[0],
        service=service,
        task=service.tasks.order_by("pk")[2],
        operation=Operation.objects.filter(cluster=cluster).order_by("pk")[500],
        invitation=Invitation(pk=0),
        backup=mine[mine.count() // 2],
        restore=cluster.restores.order_by("pk")[25],
        token=AccessToken(pk=0),
    )


if __name__ == "__main__":
    main()
