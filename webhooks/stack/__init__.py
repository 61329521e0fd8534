"""`make run` and `make demo`: every process of the Procfile on one machine."""
