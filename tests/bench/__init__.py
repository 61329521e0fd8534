"""The benchmark: every claim about speed beside its limit. `python -m tests.bench` runs it."""
