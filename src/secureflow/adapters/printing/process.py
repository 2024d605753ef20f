"""The printing process: a page of HTML on stdin, a PDF file on stdout, then it exits.

    python -I -m secureflow.adapters.printing.process

The page is self-contained: whatever it refers to (pictures, styles, fonts of the web) is refused,
by whatever scheme. Fonts are the system's; for Chinese `fonts-noto-cjk`. Memory, processor time and
the file's size are limited. It ends without what libraries do at an exit: Pango looks for fonts in
a thread of its own, which crashed at times, when its library was taken from under it.
"""

from __future__ import annotations

import logging
import os
import resource
import sys
from typing import Any, Final

MEMORY: Final = 2 << 30
"""Bytes of address space; libraries and fonts take half a gigabyte of it."""
SECONDS: Final = 90
"""Seconds of processor time."""
MAX_FILE: Final = 64 << 20
"""Bytes of PDF."""


def printed(page: str) -> bytes:
    """Return a page as PDF; references to anything outside of it are left out."""
    from weasyprint import HTML
    from weasyprint.urls import URLFetcher

    class Refusing(URLFetcher):  # type: ignore[misc]  # the library is untyped
        """Loads nothing."""

        def fetch(self, url: str, headers: Any = None) -> Any:
            """Refuse."""
            del headers
            message = f"refused: {url[:100]}"
            raise ValueError(message)

    found: bytes = HTML(string=page, url_fetcher=Refusing()).write_pdf()
    return found


def main() -> None:
    """Print the page on stdin."""
    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    page = sys.stdin.buffer.read().decode()
    data = printed(page)
    if len(data) > MAX_FILE:
        sys.exit(1)
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
