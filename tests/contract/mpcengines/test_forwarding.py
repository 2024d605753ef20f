"""Carrying an engine's connections: both directions, both ends, and no more than allowed."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import pytest
from peers.engines import MemoryChannel, channels_of

from secureflow.adapters.mpcengines import forwarding, host
from secureflow.adapters.mpcengines.forwarding import Doors, Forwarder
from secureflow.adapters.mpcengines.speaking import (
    FOREIGN,
    ImpostorError,
    Listener,
    Stream,
    anybody,
)
from tests.contract.mpcengines.cases import soon


class Shouting:
    """Somebody shouts who is not the peer."""

    def passed(self, data: bytes) -> bytes:
        if b"HERE" in data:
            raise ImpostorError(FOREIGN)
        return data

    def said(self, data: bytes) -> None:
        pass


class Side:
    """One party's doors, forwarder and channel; its engine is the test."""

    def __init__(self, channel: MemoryChannel, spares: int = 4) -> None:
        self.channel = channel
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.address = self.listening.getsockname()
        self.listening.setblocking(False)
        self.own = socket.create_server(("127.0.0.1", 0))
        made = [socket.socket() for _ in range(spares)]
        for one in made:
            one.setblocking(False)
        port = self.own.getsockname()[1]
        self.doors = Doors(port, {channel.peer: self.listening}, {channel.peer: deque(made)})
        self.forwarder = Forwarder(
            self.doors, {channel.peer: channel}, 120.0, self.listener, spares
        )
        self.task = asyncio.ensure_future(self.forwarder.run(channel.peer))

    def listener(self, peer: str, theirs: bool) -> Listener:
        del peer
        return Shouting() if theirs else anybody(Stream(0, 1, theirs))

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.forwarder.stop()
        self.doors.close()
        self.own.close()


@pytest.fixture
async def sides() -> AsyncIterator[tuple[Side, Side]]:
    made = channels_of(("a", "b"))
    one, two = Side(made["a"]["b"]), Side(made["b"]["a"])
    yield one, two
    for each in (one, two):
        await each.stop()


async def connected(one: Side, two: Side) -> tuple[socket.socket, socket.socket]:
    """Return both engines' ends of a connection that the first one opened."""
    loop = asyncio.get_running_loop()
    two.own.setblocking(False)
    near = socket.socket()
    near.setblocking(False)
    await loop.sock_connect(near, one.address)
    far, _ = await loop.sock_accept(two.own)
    return near, far


async def test_bytes_arrive_both_ways_and_each_end_is_told(sides: tuple[Side, Side]) -> None:
    loop, data = asyncio.get_running_loop(), bytes(range(256)) * 8192
    near, far = await connected(*sides)
    with near, far:
        for sender, receiver in ((near, far), (far, near)):
            sending = asyncio.ensure_future(loop.sock_sendall(sender, data))
            got = bytearray()
            while len(got) < len(data):
                got += await loop.sock_recv(receiver, 1 << 20)
            await sending
            assert got == data
            sender.shutdown(socket.SHUT_WR)
            assert await loop.sock_recv(receiver, 1) == b""  # the other direction goes on
    await soon(lambda: not sides[0].forwarder._pumps and not sides[1].forwarder._pumps)


async def test_a_peer_may_come_before_the_engine_listens(sides: tuple[Side, Side]) -> None:
    loop, (one, two) = asyncio.get_running_loop(), sides
    port = two.doors.port
    two.own.close()
    near = socket.socket()
    near.setblocking(False)
    with near:
        await loop.sock_connect(near, one.address)
        await loop.sock_sendall(near, b"early")
        await soon(lambda: len(two.doors.spares["a"]) == 3)
        await asyncio.sleep(3 * forwarding.RETRY)  # it has been refused by then
        two.own = socket.create_server(("127.0.0.1", port))
        two.own.setblocking(False)
        far, _ = await loop.sock_accept(two.own)
        with far:
            assert await loop.sock_recv(far, 16) == b"early"


async def test_a_break_is_told_as_one(sides: tuple[Side, Side]) -> None:
    """An engine must not take it for a clean end."""
    loop = asyncio.get_running_loop()
    near, far = await connected(*sides)
    with far:
        forwarding._reset(near)
        with pytest.raises(ConnectionResetError):
            await loop.sock_recv(far, 1)
    await soon(lambda: not sides[0].forwarder._pumps and not sides[1].forwarder._pumps)


async def test_an_engine_opens_no_more_than_its_peer_allows(sides: tuple[Side, Side]) -> None:
    """The peer would name this party for it."""
    loop, (one, two) = asyncio.get_running_loop(), sides
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            for each in await connected(one, two):
                each.close()
        near = stack.enter_context(socket.socket())
        near.setblocking(False)
        await loop.sock_connect(near, one.address)
        with pytest.raises(ConnectionResetError):
            await loop.sock_recv(near, 1)
        assert one.channel.opened == 4
        assert not two.task.done()


async def test_a_peer_that_opens_more_is_named_at_the_first(sides: tuple[Side, Side]) -> None:
    one, two = sides
    opened = [await one.channel.open() for _ in range(99)]
    with pytest.raises(ImpostorError, match="more connections"):
        await two.task
    with pytest.raises(ConnectionResetError):
        await opened[4].read(1)
    assert len(two.forwarder._pumps) == 4


async def test_who_is_not_the_peer_is_not_heard(sides: tuple[Side, Side]) -> None:
    loop, (one, two) = asyncio.get_running_loop(), sides
    near, far = await connected(one, two)
    with near, far:
        await loop.sock_sendall(near, b"here")
        assert await loop.sock_recv(far, 16) == b"here"
        await loop.sock_sendall(near, b"HERE")
        with pytest.raises(ImpostorError, match="another party"):
            await two.task
        for end in (near, far):
            with pytest.raises(ConnectionResetError):
                await loop.sock_recv(end, 1)


async def test_nothing_is_left_open(sides: tuple[Side, Side]) -> None:
    near, far = await connected(*sides)
    with near, far:
        for each in sides:
            await each.stop()
        loop = asyncio.get_running_loop()
        for end in (near, far):
            with pytest.raises(ConnectionResetError):
                await loop.sock_recv(end, 1)


async def test_a_connection_that_comes_as_the_run_is_cancelled_is_closed(
    sides: tuple[Side, Side], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was accepted, and nobody has heard of it yet."""
    loop, (one, _) = asyncio.get_running_loop(), sides
    accept, taken = socket.socket.accept, list[socket.socket]()

    def cancelling(listening: socket.socket) -> tuple[socket.socket, Any]:
        found = accept(listening)
        taken.append(found[0])
        loop.call_soon(one.task.cancel)
        return found

    monkeypatch.setattr(socket.socket, "accept", cancelling)
    with socket.create_connection(one.address):
        await asyncio.gather(one.task, return_exceptions=True)
        await one.stop()
    assert len(taken) == 1
    assert taken[0].fileno() == -1


def test_where_an_engine_listens_nothing_is_accepted_before_it_does() -> None:
    """The agent connects as soon as it hears of the port: what it reached there would be reset."""
    heard = []

    class Hears:
        def say(self, message: dict[str, Any], sockets: tuple[socket.socket, ...] = ()) -> None:
            with socket.socket() as agent:
                heard.append((bool(sockets), agent.connect_ex(("127.0.0.1", message["port"])) == 0))

    made: Any = Hears()
    host.doors(made, {"parties": 3, "number": 1, "spares": 1})
    assert heard == [(True, True), (False, False), (True, True)]


def test_sockets_are_passed_once_those_of_other_engines_have_arrived() -> None:
    """The system counts those under way of all processes of a user against the limit of one."""
    passed = list[tuple[bytes, int]]()

    class Crowded:
        refused = 3

        def sendmsg(self, buffers: list[bytes], rights: list[Any]) -> int:
            if self.refused:
                self.refused -= 1
                raise OSError(errno.ETOOMANYREFS, "Too many references: cannot splice")
            passed.append((buffers[0], len(rights)))
            return 1

        def sendall(self, data: bytes) -> None:
            passed.append((data, 0))

    made: Any = Crowded()
    with socket.socket() as one:
        host.Channel(made).say({"say": "door"}, (one,))
    whole = b'{"say": "door"}\n'
    assert passed == [(whole, 1), (whole[1:], 0)]
