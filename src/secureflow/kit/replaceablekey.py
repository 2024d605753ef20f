"""A signing key that may be replaced in use: everyone who holds it signs by the new one.

The log's key is held by all that the centre records with; after a change of the key each of them
must sign by the new one from the same moment on.
"""

from __future__ import annotations

from secureflow.kit.crypto import SigningKey


class ReplaceableKey(SigningKey):
    """An Ed25519 private key in a place of its own."""

    @classmethod
    def of(cls, key: SigningKey) -> ReplaceableKey:
        """Return a place that holds this key."""
        return cls(key.private)

    def become(self, key: SigningKey) -> None:
        """Sign by another key from now on."""
        self._private = key.private
