"""Attendance by cases: each clause of docs/rules.md, on both sides of its boundary."""
