"""Floors: what the same web server does at best, with next to nothing behind it."""
