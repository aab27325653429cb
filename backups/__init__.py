"""Snapshots of clusters: what to keep, how to restore it, and the evidence."""
