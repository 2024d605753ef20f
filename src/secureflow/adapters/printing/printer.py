"""Printing out of process: WeasyPrint costs seconds and 200 MB, which no server should carry.

One page at a time: the others wait for their turn, so however many ask, one processor is busy.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import Counter
from importlib.util import find_spec
from typing import Final

from secureflow.kit.commandline import install_hint
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

PATIENCE: Final = 120.0
"""Seconds for one page, after its turn has come."""
MOST_WAITING: Final = 16
"""Pages that wait for their turn."""
MOST_OF_USER: Final = 2
"""Of these, pages of one user."""
MAX_PAGE: Final = 32 << 20
"""Bytes of HTML."""
_ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}


class ProcessPrinter:
    """Implements `Printer`; see `process` for the limits."""

    def __init__(self, python: str = sys.executable, patience: float = PATIENCE) -> None:
        self._python = python
        self._patience = patience
        self._turn = asyncio.Semaphore(1)
        self._waiting: Counter[str] = Counter()

    async def pdf(self, page: str, user: str = "") -> bytes:
        """Return a page as PDF.

        Raises:
            SecureFlowError: `library_missing`; `printing_failed` if it takes too long, or too much
                memory; `rate_limited` if too many pages wait, or too many of this user.
        """
        if find_spec("weasyprint") is None:
            raise SecureFlowError(
                "library_missing", "Printing needs WeasyPrint, which is not installed.",
                install_hint("pdf"),
            )  # fmt: skip
        data = page.encode()
        if len(data) > MAX_PAGE:
            raise _failed()
        count = self._waiting.total()
        if count >= MOST_WAITING or (user and self._waiting[user] >= MOST_OF_USER):
            raise SecureFlowError(
                "rate_limited",
                Text("{count} pages wait for being printed.", count=count),
                "Try again in a minute, or read the report as a page.",
            )
        self._waiting[user] += 1
        try:
            async with self._turn:
                return await self._print(data)
        finally:
            self._waiting[user] -= 1
            self._waiting += Counter()  # without those that are at 0

    async def _print(self, data: bytes) -> bytes:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *(self._python, "-I", "-m", "secureflow.adapters.printing.process"),
            stdin=pipe,
            stdout=pipe,
            stderr=asyncio.subprocess.DEVNULL,
            env=_ENVIRONMENT,
        )
        try:
            async with asyncio.timeout(self._patience):
                printed, _ = await process.communicate(data)
        except TimeoutError as error:
            raise _failed() from error
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode or not printed.startswith(b"%PDF-"):
            raise _failed()
        return printed


def _failed() -> SecureFlowError:
    return SecureFlowError(
        "printing_failed",
        "The report could not be printed: it is too long, or the machine has too little memory.",
        "Read it as a page, and print that from a browser.",
    )
