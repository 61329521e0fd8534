"""Settings: the environment, read and checked once."""
