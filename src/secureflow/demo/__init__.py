"""Plays the operator and the data owners on one machine."""
