"""Programs that work with a token, as a script with curl would."""

from typing import Any

from django.db import transaction
from django.test import Client

from medstack.actions.tokens import make_token
from medstack.models import Company, User
from medstack.models.events import Actor
from tests.signing import give_factor

ADDRESS = "192.0.2.77"


def token_of(user: User, role: str = "operator", *, name: str = "ci", days: int = 30) -> str:
    """Make a token for a user in their company."""
    give_factor(user)
    company = Company.objects.get(memberships__user=user)
    return make_token(company, name, role, days, by=Actor(user))[1]


def program(token: str) -> Client:
    """Return a client that shows the token with every request, and keeps no cookies."""
    return Client(REMOTE_ADDR=ADDRESS, headers={"authorization": f"Bearer {token}"})


def sent(client: Client, method: str, url: str, body: Any = None) -> Any:
    """Send JSON, as programs do."""
    data = {} if body is None else {"data": body, "content_type": "application/json"}
    return getattr(client, method)(url, **data)


def undone(client: Client, method: str, url: str, body: Any = None) -> Any:
    """Send JSON, and undo whatever that has done."""
    with transaction.atomic():
        answer = sent(client, method, url, body)
        # A report is made while it is read.
        b"".join(answer) if answer.streaming else answer.content
        transaction.set_rollback(True)
    return answer
