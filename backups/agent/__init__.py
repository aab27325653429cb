"""The agent: a small program on every node that takes the snapshots. Without Django."""
