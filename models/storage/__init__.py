"""Databases: how SQLite and PostgreSQL are reached, written to and migrated."""
