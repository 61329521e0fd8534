"""Repair: the tables beside what the ledger says, and made the same."""
