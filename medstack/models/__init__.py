"""People, what they did, and the work they asked for."""

from medstack.models.events import Event, Seal
from medstack.models.operations import Operation
from medstack.models.people import Company, Invitation, Membership, User
from medstack.models.tokens import AccessToken

__all__ = [
    "AccessToken",
    "Company",
    "Event",
    "Invitation",
    "Membership",
    "Operation",
    "Seal",
    "User",
]
