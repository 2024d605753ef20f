"""Channels between agents that reach each other: directly, and through the relay where not."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import pytest
from peers.channels import Pair
from peers.links import Centre, Cutter, until

from secureflow.adapters.link import peerdirect
from secureflow.adapters.link.peerdirect import MAGIC, DirectDialler, DirectListener
from secureflow.adapters.link.peerlink import RelayDialler


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
