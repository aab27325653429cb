"""People, what they did, and the work they asked for."""

from medstack.models.events import Event, Seal
from medstack.models.operations import Operation
from medstack.models.people import Company, Invitation, Membership, User

__all__ = ["Company", "Event", "Invitation", "Membership", "Operation", "Seal", "User"]
