"""Speaks to the platform from a terminal."""
