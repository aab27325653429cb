"""Everything that the console does about backups, and what the tick begins of it."""
