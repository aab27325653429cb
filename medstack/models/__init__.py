"""People, what they did, and the work they asked for."""

from medstack.models.events import Event
from medstack.models.operations import Operation
from medstack.models.people import Company, Membership, User

__all__ = ["Company", "Event", "Membership", "Operation", "User"]
