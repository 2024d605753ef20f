"""The centre's relay by itself: what it joins, how much it holds, and whom it turns away."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from peers.links import Centre, until

from secureflow.adapters.link.peerlink import Place, RelayDialler
from secureflow.adapters.link.relay import MAX_LEFT, Relay, RelayBounds
from secureflow.engines.peers.framing import MAX_FRAME
from secureflow.kit.errors import SecureFlowError


def _relay(centre: Centre) -> Relay:
    return centre.server._relay


async def _stream(centre: Centre, stack: AsyncExitStack, party: str, peer: str) -> Any:
    """A stream of a party, as raw as its agent could make it."""
    dialler = RelayDialler(centre.address, centre.pki.agent(party))
    return await stack.enter_async_context(_Quiet(dialler, peer))


class _Quiet:
    """A stream whose errors a test looks at itself."""

    def __init__(self, dialler: RelayDialler, peer: str) -> None:
        self._dialling = dialler.to(Place("job_1", 1, peer), bytes(32))()

    async def __aenter__(self) -> Any:
        return await self._dialling.__aenter__()

    async def __aexit__(self, *_: object) -> None:
        await self._dialling.__aexit__(None, None, None)


async def _code(pipe: Any) -> str:
    """The code with which a stream ends."""
    with pytest.raises(Exception, match="code") as caught:  # noqa: PT012  until it ends
        while isinstance(await pipe.read(), bytes):
            pass
    return str(caught.value)


async def test_bytes_pass_as_they_are(centre: Centre, ending: AsyncExitStack) -> None:
    a = await _stream(centre, ending, "bank-a", "bank-b")
    b = await _stream(centre, ending, "bank-b", "bank-a")
    for one, other in ((a, b), (b, a)):
        for message in (b"x", bytes(MAX_FRAME)):
            await one.write(message)
            assert await other.read() == message
    assert _relay(centre).carried == 2 * (1 + MAX_FRAME)


async def test_a_reader_that_does_not_read_costs_the_centre_a_few_messages(
    centre: Centre, ending: AsyncExitStack
) -> None:
    a = await _stream(centre, ending, "bank-a", "bank-b")
    b = await _stream(centre, ending, "bank-b", "bank-a")
    written, size = 0, 256 * 1024

    async def write() -> None:
        nonlocal written
        while written < 64:
            await a.write(bytes(size))
            written += 1

    writing = asyncio.create_task(write())
    before = -1
    while before != written or not written:  # until nothing moves any more
        before = written
        await asyncio.sleep(0.3)
    assert 0 < written < 16
    for _ in range(64):
        assert len(await b.read()) == size
    await writing


async def test_the_newest_stream_of_an_end_is_the_one_that_counts(
    centre: Centre, ending: AsyncExitStack
) -> None:
    older = await _stream(centre, ending, "bank-a", "bank-b")
    await until(lambda: _relay(centre).streams == 1)
    newer = await _stream(centre, ending, "bank-a", "bank-b")
    assert "link_replaced" in await _code(older)
    b = await _stream(centre, ending, "bank-b", "bank-a")
    await newer.write(b"here")
    assert await b.read() == b"here"


async def test_when_one_stream_ends_so_does_the_other(
    centre: Centre, ending: AsyncExitStack
) -> None:
    a = await _stream(centre, ending, "bank-a", "bank-b")
    b = await _stream(centre, ending, "bank-b", "bank-a")
    await a.write(b"x")
    assert await b.read() == b"x"
    a.cancel()
    assert "peer_away" in await _code(b)
    await until(lambda: _relay(centre).streams == 0)


async def test_who_waits_for_one_that_left_is_told(centre: Centre, ending: AsyncExitStack) -> None:
    """Joined or not, and whoever comes later; another attempt has nothing to do with it."""
    a = await _stream(centre, ending, "bank-a", "bank-b")
    b = await _stream(centre, ending, "bank-b", "bank-a")
    await a.write(b"x")
    assert await b.read() == b"x"
    _relay(centre).left("job_1", 2, "bank-a")
    await b.write(b"y")
    assert await a.read() == b"y"
    _relay(centre).left("job_1", 1, "bank-a")
    assert "peer_left" in await _code(b)
    late = await _stream(centre, ending, "bank-b", "bank-a")
    assert "peer_left" in await _code(late)
    await until(lambda: _relay(centre).streams == 0)


def test_those_that_left_are_bounded(centre: Centre) -> None:
    for attempt in range(MAX_LEFT + 2):
        _relay(centre).left("job_1", attempt, "bank-a")
    assert len(_relay(centre)._gone) == MAX_LEFT
    assert ("job_1", 1, "bank-a") not in _relay(centre)._gone


async def test_a_frame_that_is_too_long_ends_the_stream(
    centre: Centre, ending: AsyncExitStack
) -> None:
    a = await _stream(centre, ending, "bank-a", "bank-b")
    await _stream(centre, ending, "bank-b", "bank-a")
    await a.write(bytes(MAX_FRAME + 1))
    assert "too_large" in await _code(a)


@pytest.mark.parametrize("place", [b"", b"nonsense", b"{}"])
async def test_a_stream_says_first_what_it_is_for(
    place: bytes, centre: Centre, monkeypatch: pytest.MonkeyPatch, ending: AsyncExitStack
) -> None:
    monkeypatch.setattr("secureflow.adapters.link.peerlink.canonical_bytes", lambda _: place)
    a = await _stream(centre, ending, "bank-a", "bank-b")
    assert "malformed" in await _code(a)


async def test_streams_that_stand_still_are_ended(
    centre: Centre, monkeypatch: pytest.MonkeyPatch, ending: AsyncExitStack
) -> None:
    monkeypatch.setattr(_relay(centre), "_bounds", RelayBounds(idle_seconds=0.2))
    a = await _stream(centre, ending, "bank-a", "bank-b")
    b = await _stream(centre, ending, "bank-b", "bank-a")
    assert {"link_silent", "peer_away"} & {
        word
        for pipe in (a, b)
        for word in ("link_silent", "peer_away")
        if word in await _code(pipe)
    }


async def test_only_agents_have_channels(centre: Centre) -> None:
    dialler = RelayDialler(centre.address, centre.pki.enclave())
    with pytest.raises(SecureFlowError) as caught:
        async with dialler.to(Place("job_1", 1, "bank-b"), bytes(32))() as pipe:
            await pipe.read()
    assert caught.value.code == "forbidden"
    assert centre.joined == []


async def test_a_stopping_centre_ends_its_streams(centre: Centre, ending: AsyncExitStack) -> None:
    a = await _stream(centre, ending, "bank-a", "bank-b")
    await until(lambda: _relay(centre).streams == 1)
    _relay(centre).stop()
    assert "server_stopping" in await _code(a)
