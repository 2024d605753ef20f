"""The log's signing keys: the one in use, and the one that the members are asked to accept."""

from __future__ import annotations

from typing import Protocol

from secureflow.kit.crypto import SigningKey


class LogKeys(Protocol):
    """The keys of one log. What the database names as the log's key decides which one signs."""

    @property
    def signing(self) -> SigningKey:
        """The key that signs; the same object before and after a change."""

    def successor(self) -> SigningKey | None:
        """Return the key that waits for the members' signatures, if there is one.

        Raises:
            SecureFlowError: it cannot be read.
        """

    def find(self, public: str) -> SigningKey | None:
        """Return the key with this public key: the one in use or its successor; else None."""

    def adopt(self, public: str) -> None:
        """Let this key sign from now on, which `find` knows; repeating it changes nothing."""


class OneKey:
    """A log whose key is never replaced."""

    def __init__(self, key: SigningKey) -> None:
        self.signing = key

    def successor(self) -> SigningKey | None:
        """Return None."""
        return None

    def find(self, public: str) -> SigningKey | None:
        """Return the key if it is this one."""
        return self.signing if self.signing.public == public else None

    def adopt(self, public: str) -> None:
        """Change nothing."""
        del public
