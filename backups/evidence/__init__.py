"""Evidence reports: what was backed up, proven and restored, signed."""
