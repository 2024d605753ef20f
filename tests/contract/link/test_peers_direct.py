"""Channels between agents that reach each other: directly, and through the relay where not."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from peers.channels import Pair
from peers.links import Centre, Cutter, until

from secureflow.adapters.link import peerdirect
from secureflow.adapters.link.peerdirect import MAGIC, DirectDialler, DirectListener
from secureflow.adapters.link.peerlink import RelayDialler, ResumingLink


@pytest.fixture
async def listener(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DirectListener]:
    monkeypatch.setattr(peerdirect, "DIRECT_SECONDS", 120.0)  # a busy machine takes no other way
    listening = DirectListener("127.0.0.1:0")
    await listening.start()
    yield listening
    await listening.stop()


def _pair(centre: Centre, address: str, listener: DirectListener) -> Pair:
    """bank-a knows an address of bank-b, which listens."""
    relays = [RelayDialler(centre.address, centre.pki.agent(bank)) for bank in ("bank-a", "bank-b")]
    return Pair(
        DirectDialler(relays[0], {"bank-b": address}, None), DirectDialler(relays[1], {}, listener)
    )


async def test_declared_peers_talk_without_the_centre(
    centre: Centre, listener: DirectListener
) -> None:
    pair = _pair(centre, f"127.0.0.1:{listener.port}", listener)
    a, b = await pair.open()
    large = os.urandom(2 << 20)
    sending = asyncio.create_task(a.send(large))
    assert await b.receive() == large
    await sending
    await b.send(b"back")
    assert await a.receive() == b"back"
    await asyncio.gather(a.close(), b.close())
    assert centre.joined == []
    await pair.stop()


async def test_a_direct_link_that_is_cut_is_dialled_again(
    centre: Centre, listener: DirectListener
) -> None:
    cutter = await Cutter(listener.port).start()
    pair = _pair(centre, cutter.address, listener)
    a, b = await pair.open()
    await a.send(b"before")
    cutter.cut()
    await a.send(b"after")
    assert [await b.receive(), await b.receive()] == [b"before", b"after"]
    assert centre.joined == []
    await pair.stop()
    await cutter.stop()


async def test_where_the_address_leads_nowhere_the_relay_is_used(
    centre: Centre, listener: DirectListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peerdirect, "DIRECT_SECONDS", 0.2)
    pair = _pair(centre, "127.0.0.1:1", listener)
    a, b = await pair.open()
    await a.send(b"around")
    assert await b.receive() == b"around"
    assert len(centre.joined) == 2
    await pair.stop()


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\n\r\n", MAGIC + bytes(32)])
async def test_a_stranger_who_knows_no_channel_is_hung_up_on(
    said: bytes, centre: Centre, listener: DirectListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peerdirect, "GREETING_SECONDS", 0.1)
    pair = _pair(centre, f"127.0.0.1:{listener.port}", listener)
    a, b = await pair.open()
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(said)
    assert await reader.read() == b""
    writer.close()
    await a.send(b"the channel goes on")
    assert await b.receive() == b"the channel goes on"
    await pair.stop()


async def test_silent_strangers_are_counted(
    listener: DirectListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peerdirect, "MAX_GREETING", 2)
    monkeypatch.setattr(peerdirect, "GREETING_SECONDS", 600.0)
    silent = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(2)]
    await until(lambda: listener._greeting == 2)
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    async with asyncio.timeout(20):  # less than any greeting may take here
        assert await reader.read() == b""
    for _, one in (*silent, (reader, writer)):
        one.close()


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.parametrize("finished", [False, True])
async def test_a_peer_that_takes_nothing_keeps_no_socket(
    finished: bool, listener: DirectListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even by dialling again and again; what was finished has a moment to leave."""
    monkeypatch.setattr(peerdirect, "LAST_WORD", 0.1)
    before, tag = _descriptors(), bytes(32)
    with ExitStack() as stack:
        for _ in range(5):
            stranger = stack.enter_context(socket.create_connection(("127.0.0.1", listener.port)))
            stranger.sendall(MAGIC + tag)
            async with listener.coming(tag) as coming:
                pipe = await coming
                writing = asyncio.create_task(pipe.write(bytes(32 << 20)))
                await until(pipe._writer.transport.get_write_buffer_size)
                writing.cancel()
                await asyncio.gather(writing, return_exceptions=True)
                if finished:
                    await pipe.done_writing()
        await until(lambda: _descriptors() <= before + 5)


async def test_a_last_word_leaves_before_the_link_is_closed(
    listener: DirectListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As much as the peer takes in that time, though it does not fit into the kernel's buffers."""
    monkeypatch.setattr(peerdirect, "LAST_WORD", 120.0)
    tag, size = bytes(32), 32 << 20
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(MAGIC + tag)
    async with listener.coming(tag) as coming:
        pipe = await coming
        pipe._writer.write(bytes(size))
        await pipe.done_writing()
    assert len(await reader.read()) == 1 + size
    writer.close()


async def test_only_the_peer_itself_makes_dialling_again_cheap() -> None:
    """What anybody on the way can say does not: it would cost each end a socket at once."""

    class Talk:
        met, heard, taken = True, 0, 0

        def begin(self) -> bytes:
            return b"hello"

        def heartbeat(self) -> bytes:
            return b""

        def outgoing(self) -> list[bytes]:
            return []

        def take(self, data: bytes) -> None:
            self.taken += 1
            self.heard += data == b"peer"

    class Pipe:
        def __init__(self) -> None:
            self.said = [b"peer", b"carrier", b"carrier"]

        async def read(self) -> bytes | None:
            return self.said.pop() if self.said else None

        async def write(self, data: bytes) -> None:
            del data

        async def done_writing(self) -> None:
            pass

    talk, reset = Talk(), list[int]()
    link = ResumingLink(talk, None, lambda: None)  # type: ignore[arg-type]
    link._backoff.reset = lambda: reset.append(talk.taken)  # type: ignore[method-assign]
    await link._read(Pipe())
    assert reset == [3]
