"""Reconciliation: the tables beside what LiveKit's API says."""
