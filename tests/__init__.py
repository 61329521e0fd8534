"""Tests, as sentences on real storage."""
