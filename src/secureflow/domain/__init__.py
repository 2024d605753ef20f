"""Nouns, states and rules of the platform, as frozen dataclasses without IO."""
