"""`make chaos`: LiveKit's sending rules against processes and servers that fail at random."""
