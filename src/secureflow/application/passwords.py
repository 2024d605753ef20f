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

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

MIN_LENGTH = 12
MAX_LENGTH = 256


class Passwords:
    """Hashes and checks passwords."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=5, memory_cost=7168, parallelism=1)
        self._slots = asyncio.Semaphore(2)
        self._decoy = ""

    async def hash(self, password: str) -> str:
        """Return the Argon2id hash.

        Raises:
            SecureFlowError: `weak_password`.
        """
        if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
            raise SecureFlowError(
                "weak_password",
                Text(
                    "The password must have {min_length} to {max_length} characters.",
                    min_length=MIN_LENGTH,
                    max_length=MAX_LENGTH,
                ),
                "Choose a longer one; a phrase of four random words is good.",
            )
        async with self._slots:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def matches(self, stored: str | None, password: str) -> bool:
        """Compare with a stored hash; without one do the same work and return False.

        Otherwise the response time would reveal which names exist.
        """
        if not self._decoy:
            self._decoy = await self.hash(secrets.token_hex(16))
        async with self._slots:
            held = await asyncio.to_thread(self._verify, stored or self._decoy, password)
        return held and stored is not None

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password[: MAX_LENGTH + 1])
        except (VerificationError, InvalidHashError):
            return False
