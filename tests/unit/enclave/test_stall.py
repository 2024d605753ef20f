"""An upload that says nothing gives its buffer up; what the enclave itself slept does not count."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from peers.standstill import Jumping

from secureflow.enclave.uploads import STALL, _next
from secureflow.kit.errors import SecureFlowError


class Sender:
    """An upload that holds a buffer which others want, and the chunks that came for it."""

    def __init__(self) -> None:
        self.chunks: asyncio.Queue[bytes] = asyncio.Queue()
        buffers = SimpleNamespace(wanted=True)
        self.upload: Any = SimpleNamespace(
            superseded=asyncio.Event(), job=SimpleNamespace(buffers=buffers)
        )

    async def messages(self) -> AsyncIterator[bytes]:
        while True:
            yield await self.chunks.get()

    def read(self) -> asyncio.Task[bytes]:
        return asyncio.create_task(_next(self.upload, self.messages()))


@pytest.fixture
async def time(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Jumping]:
    yield Jumping(asyncio.get_running_loop(), monkeypatch)
    monkeypatch.undo()


async def test_a_chunk_that_waited_out_the_enclaves_standstill_counts(time: Jumping) -> None:
    sender = Sender()
    reading = sender.read()
    await time.live(STALL - 1)
    await time.stand(25)
    assert not reading.done()
    sender.chunks.put_nowait(b"chunk")
    assert await reading == b"chunk"


async def test_silence_counts_anew_after_a_standstill_and_still_ends(time: Jumping) -> None:
    reading = Sender().read()
    await time.stand(25)
    await time.live(STALL - 1)
    assert not reading.done()
    await time.live(3)
    with pytest.raises(SecureFlowError, match="while others waited"):
        await reading


async def test_nobody_waits_nobody_hurries(time: Jumping) -> None:
    sender = Sender()
    sender.upload.job.buffers.wanted = False
    reading = sender.read()
    await time.live(3 * STALL)
    assert not reading.done()
    sender.upload.superseded.set()
    with pytest.raises(SecureFlowError, match="newer upload"):
        await reading
