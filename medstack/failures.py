"""What can go wrong with a piece of work, sorted by what to do about it."""


class Failure(Exception):
    """End the work; the text is for the person who asked for it."""


class Transient(Failure):
    """Try again later: the cause may pass by itself."""
