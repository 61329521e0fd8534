"""RQ workers and all that runs beside requests: drains, the cache, reconciliation."""
