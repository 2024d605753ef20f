"""Implementations of the ports: an embedded default and a production adapter for each."""
