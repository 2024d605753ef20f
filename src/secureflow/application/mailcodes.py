"""The codes that confirm e-mail addresses: made of a key of the centre, and stored nowhere.

A code has eight digits, which anybody tries through in a moment who has a plain digest of it. So it
follows from the id of its mail by a MAC under a key that is not in the database (RFC 2104), and
what is kept to compare is a MAC too: who reads the database confirms no address.
"""

from __future__ import annotations

import hmac
from typing import Final

DIGITS: Final = 8
CONFIRM: Final = "email_code"
"""The kind of the delivery that brings a code to its own address."""


class MailCodes:
    """Makes codes, and what they are compared with.

    Args:
        key: 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def code(self, delivery: str) -> str:
        """Return the code in a mail, by its id."""
        made = hmac.digest(self._key, f"code\n{delivery}".encode(), "sha256")
        return f"{int.from_bytes(made) % 10**DIGITS:0{DIGITS}}"

    def digest(self, user: str, code: str) -> str:
        """Return what is stored of a user's code."""
        return hmac.digest(self._key, f"digest\n{user}\n{code}".encode(), "sha256").hex()
