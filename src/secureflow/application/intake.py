"""Large bodies on their way in: few at a time for each organisation.

A slot is taken before the body is read, with the bytes that the caller has announced, so that
quotas count what is still coming.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Final

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

AT_ONCE: Final = 4
"""Most large bodies that one organisation may send at a time."""
RETRY_SECONDS: Final = 2


class Intake:
    """Counts the large bodies that are being received."""

    def __init__(self, most: int = AT_ONCE) -> None:
        self._most = most
        self._number: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()

    @contextlib.contextmanager
    def receiving(self, organisation: str, size: int = 0) -> Iterator[None]:
        """Count a body inside the block.

        Args:
            organisation: whose caller sends it.
            size: bytes that count for the quota of uploads; 0 for other bodies.

        Raises:
            SecureFlowError: `rate_limited` if the organisation sends too many already.
        """
        if self._number[organisation] >= self._most:
            raise SecureFlowError(
                "rate_limited",
                Text(
                    "{organisation} already sends {most} large files at once.",
                    organisation=organisation,
                    most=self._most,
                ),
                "Wait for them, then send again.",
                {"retry_after": RETRY_SECONDS},
            )
        self._count(organisation, 1, size)
        try:
            yield
        finally:
            self._count(organisation, -1, -size)

    def coming(self, organisation: str) -> int:
        """Return the bytes that count for the quota of uploads and are being received."""
        return self._bytes[organisation]

    def _count(self, organisation: str, number: int, size: int) -> None:
        self._number[organisation] += number
        self._bytes[organisation] += size
        if not self._number[organisation]:
            del self._number[organisation], self._bytes[organisation]
