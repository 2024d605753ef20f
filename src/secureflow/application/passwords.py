"""Passwords: Argon2id (RFC 9106) with the OWASP parameters m = 7 MiB, t = 5, p = 1.

Of OWASP's equivalent sets the one with the least memory, because the allocator never returns it: it
adds permanently to the server's size. Hashing runs in threads, at most two at a time, so that
logins never block the event loop.
"""

from __future__ import annotations

import asyncio
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from secureflow.application.passwordrules import MAX_LENGTH, MIN_LENGTH, check_password


class Passwords:
    """Hashes and checks passwords; a new one has at least `least` characters."""

    def __init__(self, least: int = MIN_LENGTH) -> None:
        self._least = least
        self._hasher = PasswordHasher(time_cost=5, memory_cost=7168, parallelism=1)
        self._slots = asyncio.Semaphore(2)
        self._decoy = ""

    async def hash(self, password: str, *names: str) -> str:
        """Return the Argon2id hash of a new password of the account with these names.

        Raises:
            SecureFlowError: `weak_password`.
        """
        async with self._slots:
            return await asyncio.to_thread(self._hash, password, names)

    async def matches(self, stored: str | None, password: str) -> bool:
        """Compare with a stored hash; without one do the same work and return False.

        Otherwise the response time would reveal which names exist.
        """
        async with self._slots:
            if not self._decoy:
                decoy = secrets.token_hex(16)
                self._decoy = await asyncio.to_thread(self._hasher.hash, decoy)
            held = await asyncio.to_thread(self._verify, stored or self._decoy, password)
        return held and stored is not None

    def _hash(self, password: str, names: tuple[str, ...]) -> str:
        check_password(password, self._least, names)
        return self._hasher.hash(password)

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password[: MAX_LENGTH + 1])
        except (VerificationError, InvalidHashError):
            return False
