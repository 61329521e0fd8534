"""The cache of facts in Redis, and the one place that clears it."""
