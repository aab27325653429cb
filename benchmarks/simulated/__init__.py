"""Engines on the wire only, hundreds of them in one process, each answer late."""
