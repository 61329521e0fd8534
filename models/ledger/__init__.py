"""The ledger: events are applied, read, replayed, pruned, and cleared of a person's name."""
