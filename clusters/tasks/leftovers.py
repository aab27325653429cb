"""Destroy what removed local nodes left on this machine."""

from clusters import local
from clusters.models import Node


def remove_leftovers() -> None:
    """Destroy the Engines of local nodes that are removed, if an earlier attempt was cut short.

    Only what a row says is removed: an Engine that no row knows may belong to a database that is
    yet to be restored. `manage.py local_engines sweep` removes those.
    """
    if local.supported():
        return
    removed = Node.objects.filter(provider=Node.Provider.LOCAL, removed_at__isnull=False)
    left = local.existing()
    if not left:
        return
    for node in removed:
        if node.local_name in left:
            local.destroy(node.local_name)
