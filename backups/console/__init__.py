"""Backups of the console itself: its database and what its nodes trust it by, encrypted by restic.

The keys are in no backup: they stand on the console's recovery sheet, which is kept in a safe.
"""
