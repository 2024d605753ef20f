"""Prints pages: from HTML to a file that is read, sent and filed."""

from __future__ import annotations

from typing import Protocol


class Printer(Protocol):
    """Makes PDF files from self-contained pages."""

    async def pdf(self, page: str) -> bytes:
        """Return a page as PDF; nothing that it refers to is loaded.

        Raises:
            SecureFlowError: `library_missing`, `printing_failed`.
        """
