"""The way in: events are stored together, spooled in an outage, and announced to the workers."""
