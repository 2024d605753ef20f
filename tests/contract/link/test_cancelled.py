"""A link that ends leaves no task, whatever comes at just that moment."""

from __future__ import annotations

import asyncio

import pytest
from peers.links import Party, Pki, echo


@pytest.mark.parametrize("turns", range(4))
async def test_what_comes_as_a_stream_ends_does_not_keep_its_task(pki: Pki, turns: int) -> None:
    """In Python 3.11 `asyncio.wait_for` loses a cancellation where what it awaits has just come."""
    link = Party("localhost:1", pki.agent("bank-a"), echo).link
    keeping = asyncio.create_task(link._keep_certificate(None))  # type: ignore[arg-type]
    for _ in range(9):  # until it waits
        await asyncio.sleep(0)
    link._moved.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    keeping.cancel()
    for _ in range(9):
        await asyncio.sleep(0)
    try:
        assert keeping.cancelled()
    finally:
        keeping.cancel()
