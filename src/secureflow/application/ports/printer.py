"""Prints pages: from HTML to a file that is read, sent and filed."""

from __future__ import annotations

from typing import Protocol


class Printer(Protocol):
    """Makes PDF files from self-contained pages."""

    async def pdf(self, page: str, user: str = "") -> bytes:
        """Return a page as PDF; nothing that it refers to is loaded.

        Args:
            page: HTML.
            user: who asked for it: nobody keeps the printer from all others.

        Raises:
            SecureFlowError: `library_missing`, `printing_failed`, `rate_limited`.
        """
