"""Blobs of a centre that was restarted: it knows whom it told of what once it has asked again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from secureflow.kit.errors import SecureFlowError

PAUSES: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between tries; a restarted centre delivers its open requests within a few."""


async def patiently(attempt: Callable[[], Awaitable[None]]) -> None:
    """Fetch or store a blob, and again while the centre does not know that it asked for it.

    Raises:
        SecureFlowError: the link's.
    """
    for pause in PAUSES:
        try:
            await attempt()
        except SecureFlowError as error:
            if error.code not in {"forbidden", "not_found"}:
                raise
            await asyncio.sleep(pause)
        else:
            return
    await attempt()
