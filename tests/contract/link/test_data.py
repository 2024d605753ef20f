"""Blobs over raw byte streams: verified while they pass, resumed, refused by the callback."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from blake3 import blake3
from peers.links import JSON, Centre, Cutter, party, until
from structlog.testing import capture_logs

from secureflow.adapters.artifacts.files import CHUNK
from secureflow.adapters.link import Chunked, backoff, data
from secureflow.adapters.link.refusals import refusal, refuse
from secureflow.adapters.link.tls import SERVER_NAME, identity, open_channel
from secureflow.domain.blobs import BlobPlace
from secureflow.kit.canonical import canonical_bytes, parse_json
from secureflow.kit.errors import SecureFlowError

CONTENT = random.Random(7).randbytes(3 * (1 << 20) + 12345)
DIGEST = blake3(CONTENT).hexdigest()


def _left(directory: Path) -> list[Path]:
    return list(directory.glob("copy*"))


async def _code(awaitable: JSON) -> str:
    with pytest.raises(SecureFlowError) as caught:
        await awaitable
    return caught.value.code


async def test_store_and_fetch(centre: Centre, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    halves = Chunked(len(CONTENT), lambda: [CONTENT[:1000], CONTENT[1000 : 1 << 20], b""])
    async with party(centre) as peer:
        for blob in (source, memoryview(CONTENT)):
            await peer.link.store(blob, DIGEST)
            await peer.link.fetch(DIGEST, tmp_path / "copy", len(CONTENT))
            assert (tmp_path / "copy").read_bytes() == CONTENT
            await centre.artifacts.delete(DIGEST)
        assert await _code(peer.link.store(halves, DIGEST)) == "digest_mismatch"
        assert centre.artifacts.path(DIGEST) is None


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST", 0.001)
    monkeypatch.setattr(backoff, "LAST", 0.01)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("code", ["database_busy", "database_unavailable", "disk_full"])
async def test_a_centre_whose_database_fails_is_waited_for(
    centre: Centre, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """It asks its database who calls; the party's own work is no failure because of that."""
    async with party(centre) as peer:
        await peer.link.store(memoryview(CONTENT), DIGEST)
        gate = centre.server._gate
        admit, faults = gate.admit, [SecureFlowError(code, "Not now.")] * 10

        async def flaky(context: JSON) -> JSON:
            if faults:
                await refuse(context, faults.pop())
            return await admit(context)

        monkeypatch.setattr(gate, "admit", flaky)
        with capture_logs() as told:
            await peer.link.fetch(DIGEST, tmp_path / "copy", len(CONTENT))
        assert not faults
        (said,) = (one for one in told if one["event"] == "centre_awaited")  # once, not ten times
        assert (said["call"], said["code"]) == ("blob", code)
        faults += [SecureFlowError("forbidden", "Never.")]
        assert await _code(peer.link.fetch(DIGEST, tmp_path / "copy", 1)) == "forbidden"


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("where", ["who calls", "may it write", "in the middle"])
async def test_a_store_outlasts_a_centre_whose_database_fails(
    centre: Centre, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Wherever it is refused; what a sender hears in the middle of a write is not the reason."""
    faults, fault = [1] * 12, SecureFlowError("database_unavailable", "Not now.")
    gate, data = centre.server._gate, centre.server._data
    admit, may_write, put = gate.admit, data._may_write, centre.artifacts.put

    async def who(context: JSON) -> JSON:
        if where == "who calls" and faults:
            faults.pop()
            await refuse(context, fault)
        return await admit(context)

    async def may(*asked: JSON) -> JSON:
        if where == "may it write" and faults:
            faults.pop()
            raise fault
        return await may_write(*asked)

    async def stored(chunks: JSON, **how: JSON) -> JSON:
        if where == "in the middle" and faults:
            faults.pop()
            await anext(chunks)
            raise fault
        return await put(chunks, **how)

    monkeypatch.setattr(gate, "admit", who)
    monkeypatch.setattr(data, "_may_write", may)
    monkeypatch.setattr(centre.artifacts, "put", stored)
    async with party(centre) as peer:
        await peer.link.store(memoryview(CONTENT), DIGEST)
    assert not faults
    assert (await centre.artifacts.stat(DIGEST)).size == len(CONTENT)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("refused", [(0, 1, 4, 5), (0, 2, 4)])
async def test_refusals_and_broken_links_are_counted_apart(
    centre: Centre, monkeypatch: pytest.MonkeyPatch, refused: tuple[int, ...]
) -> None:
    """Three tries in a row that the link breaks are enough, not three of whatever kind."""
    gate, tries = centre.server._gate, iter(range(1000))
    admit = gate.admit

    async def flaky(context: JSON) -> JSON:
        number = next(tries)
        if number in refused:
            await refuse(context, SecureFlowError("database_busy", "Not now."))
        if number < 8:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "cut")
        return await admit(context)

    async with party(centre) as peer:
        monkeypatch.setattr(gate, "admit", flaky)
        if refused == (0, 2, 4):  # then 5, 6, 7
            assert await _code(peer.link.store(memoryview(CONTENT), DIGEST)) == "link_broken"
        else:
            await peer.link.store(memoryview(CONTENT), DIGEST)


@pytest.mark.usefixtures("hasty")
async def test_a_store_whose_refusal_grpc_did_not_hear_is_tried_again(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, tries = centre.server._gate, iter(range(1000))
    admit = gate.admit

    async def flaky(context: JSON) -> JSON:
        if next(tries) < 6:
            await context.abort(grpc.StatusCode.INTERNAL, "Internal error from Core")
        return await admit(context)

    async with party(centre) as peer:
        monkeypatch.setattr(gate, "admit", flaky)
        await peer.link.store(memoryview(CONTENT), DIGEST)


async def test_who_is_refused_hears_why_before_a_byte_is_sent(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = []

    def chunks() -> list[bytes]:
        sent.append(True)
        return [CONTENT]

    centre.writable = False
    async with party(centre) as peer:
        stored = peer.link.store(Chunked(len(CONTENT), chunks), DIGEST)
        assert await _code(stored) == "forbidden"
    assert not sent


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("how", ["refused", "killed"])
async def test_a_store_that_fails_leaves_nobody_waiting_to_send(
    centre: Centre, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Else the waiting task is collected one day, pending still, with an error in the log."""
    asked = asyncio.Event()

    async def may(*_: JSON) -> JSON:
        asked.set()
        await (asyncio.sleep(0) if how == "refused" else asyncio.Event().wait())

    def waiting() -> list[str]:
        names = (getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks())
        return [name for name in names if "_consume_request_iterator" in name]

    monkeypatch.setattr(centre.server._data, "_may_write", may)
    async with party(centre) as peer:
        storing = asyncio.create_task(peer.link.store(memoryview(CONTENT), DIGEST))
        await asked.wait()
        if how == "killed":
            assert waiting()
            await centre.server.stop(0)
            await until(lambda: not peer.link.connected.is_set())
            async with asyncio.timeout(120):
                await until(lambda: not waiting())
            storing.cancel()
            await asyncio.wait([storing])
        else:
            assert await _code(storing) == "forbidden"
            async with asyncio.timeout(120):
                await until(lambda: not waiting())


async def test_an_empty_blob(centre: Centre, tmp_path: Path) -> None:
    digest = blake3(b"").hexdigest()
    async with party(centre) as peer:
        await peer.link.store(memoryview(b""), digest)
        await peer.link.fetch(digest, tmp_path / "copy", 0)
    assert (tmp_path / "copy").read_bytes() == b""


async def test_a_broken_fetch_goes_on_where_it_ended(
    centre: Centre, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offsets = []
    real = centre.artifacts.open

    async def breaking(digest: str, offset: int = 0) -> JSON:
        offsets.append(offset)
        return (
            _broken(await real(digest, offset)) if len(offsets) == 1 else await real(digest, offset)
        )

    async def _broken(chunks: JSON) -> JSON:
        yield await anext(chunks)
        raise ConnectionError

    monkeypatch.setattr(centre.artifacts, "open", breaking)
    async with party(centre) as peer:
        await peer.link.store(memoryview(CONTENT), DIGEST)
        await peer.link.fetch(DIGEST, tmp_path / "copy", len(CONTENT))
    assert offsets == [0, CHUNK]
    assert (tmp_path / "copy").read_bytes() == CONTENT


async def test_a_fetch_across_a_cut_of_the_link(
    centre: Centre, cutter: Cutter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = centre.artifacts.open

    async def cutting(digest: str, offset: int = 0) -> JSON:
        if not cutter.cuts:
            cutter.cut()
        return await real(digest, offset)

    monkeypatch.setattr(centre.artifacts, "open", cutting)
    async with party(centre) as peer:
        await peer.link.store(memoryview(CONTENT), DIGEST)
    async with party(centre, address=cutter.address) as peer:
        await peer.link.fetch(DIGEST, tmp_path / "copy", len(CONTENT))
    assert (tmp_path / "copy").read_bytes() == CONTENT


async def test_a_link_that_is_hung_up_underneath_does_not_cancel_the_fetch(
    centre: Centre, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gRPC cancels the calls of a closed channel; their callers were not cancelled."""
    real, hung_up = centre.artifacts.open, []

    async def slowly(digest: str, offset: int = 0) -> JSON:
        chunks = await real(digest, offset)
        return chunks if hung_up else _hanging_up(chunks)

    async def _hanging_up(chunks: JSON) -> JSON:
        yield await anext(chunks)
        hung_up.append(True)
        await peer.link._hang_up()
        async for chunk in chunks:
            yield chunk

    monkeypatch.setattr(centre.artifacts, "open", slowly)
    async with party(centre) as peer:
        await peer.link.store(memoryview(CONTENT), DIGEST)
        await peer.link.fetch(DIGEST, tmp_path / "copy", len(CONTENT))
        assert hung_up
        assert (tmp_path / "copy").read_bytes() == CONTENT
        assert (await centre.ask("bank-a", "x"))["verb"] == "x"


async def test_a_store_across_a_cut_of_the_link(centre: Centre, cutter: Cutter) -> None:
    async with party(centre, address=cutter.address) as peer:
        cutter.cut_after = cutter.passed + (1 << 20)
        await peer.link.store(memoryview(CONTENT), DIGEST)
    assert cutter.cuts >= 1
    assert (await centre.artifacts.stat(DIGEST)).size == len(CONTENT)


@pytest.mark.parametrize("left", [b"not the beginning", bytes(1 << 20), bytes(len(CONTENT))])
async def test_a_false_beginning_on_disk_is_thrown_away(
    centre: Centre, tmp_path: Path, left: bytes
) -> None:
    """What an earlier try left is hashed again: a power cut may have left zeros of it."""
    async with party(centre) as peer:
        await peer.link.store(memoryview(CONTENT), DIGEST)
        (tmp_path / "copy.part").write_bytes(left)
        await peer.link.fetch(DIGEST, tmp_path / "copy", len(CONTENT))
    assert (tmp_path / "copy").read_bytes() == CONTENT


async def test_a_centre_that_sends_other_bytes_is_found_out(
    centre: Centre, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def sent(digest: str, offset: int = 0) -> JSON:
        del digest

        async def chunks() -> JSON:
            yield (CONTENT[:-1] + b"x")[offset:]

        return chunks()

    async with party(centre) as peer:
        await peer.link.store(memoryview(CONTENT), DIGEST)
        monkeypatch.setattr(centre.artifacts, "open", sent)
        for left in (b"", CONTENT[: 1 << 20]):
            if left:
                (tmp_path / "copy.part").write_bytes(left)
            fetched = peer.link.fetch(DIGEST, tmp_path / "copy", len(CONTENT))
            assert await _code(fetched) == "digest_mismatch"
            assert not _left(tmp_path)


async def test_a_fetch_takes_no_more_than_agreed(centre: Centre, tmp_path: Path) -> None:
    async with party(centre) as peer:
        await peer.link.store(memoryview(CONTENT), DIGEST)
        fetched = peer.link.fetch(DIGEST, tmp_path / "copy", len(CONTENT) - 1)
        assert await _code(fetched) == "too_large"
    assert not _left(tmp_path)


async def test_unknown_and_unreadable_blobs_look_alike(centre: Centre, tmp_path: Path) -> None:
    async with party(centre) as peer:
        await peer.link.store(memoryview(CONTENT), DIGEST)
        assert await _code(peer.link.fetch("ab" * 32, tmp_path / "x", 1)) == "not_found"
        centre.readable = False
        assert await _code(peer.link.fetch(DIGEST, tmp_path / "x", 1)) == "not_found"


@pytest.mark.parametrize("old", [False, True], ids=["centre", "centre of 0.2.0"])
async def test_a_vector_says_what_it_is_for(
    centre: Centre, monkeypatch: pytest.MonkeyPatch, old: bool
) -> None:
    """An older centre refuses what it does not know, and finds the place by itself."""
    place, found = BlobPlace("job_1", "train", 7), list[object]()
    may_write, read = centre.server._data._may_write, data.parse_manifest

    async def may(*asked: Any) -> Any:
        found.append(asked[3])
        return await may_write(*asked)

    def strict(sent: bytes, number: str) -> tuple[str, int, BlobPlace | None]:
        if b"place" in sent:
            raise SecureFlowError("malformed_manifest", "Expected a digest and a size.")
        return read(sent, number)

    monkeypatch.setattr(centre.server._data, "_may_write", may)
    if old:
        monkeypatch.setattr(data, "parse_manifest", strict)
    async with party(centre) as peer:
        await peer.link.store(memoryview(CONTENT), DIGEST, place)
    assert found == [None if old else place]
    assert centre.artifacts.path(DIGEST) is not None


async def test_who_may_not_write_stores_nothing(centre: Centre) -> None:
    centre.writable = False
    async with party(centre) as peer:
        assert await _code(peer.link.store(memoryview(CONTENT), DIGEST)) == "forbidden"
    assert centre.artifacts.path(DIGEST) is None


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"",
        b"not json",
        b"[]",
        canonical_bytes({"digest": DIGEST}),
        canonical_bytes({"digest": "../../etc/passwd", "offset": 0}),
        canonical_bytes({"digest": DIGEST.upper(), "offset": 0}),
        canonical_bytes({"digest": DIGEST, "offset": -1}),
        canonical_bytes({"digest": DIGEST, "offset": True}),
        canonical_bytes({"digest": DIGEST, "offset": 0, "more": 1}),
        canonical_bytes({"digest": DIGEST, "offset": 0, "place": None}),
        canonical_bytes({"digest": DIGEST, "size": 1, "place": {"job": "job_1"}}),
        canonical_bytes(
            {
                "digest": DIGEST,
                "size": 1,
                "place": {"job": "job_1", "stage": "train", "round": True},
            }
        ),
        canonical_bytes(
            {"digest": DIGEST, "size": 1, "place": {"job": ["job_1"], "stage": "train", "round": 1}}
        ),
        b"x" * 10_000,
    ],
)
async def test_malformed_requests_are_refused(centre: Centre, request_bytes: bytes) -> None:
    channel = open_channel(centre.address, centre.pki.agent("bank-a")(), SERVER_NAME)
    get = channel.unary_stream("/secureflow.wire.v1.Data/Get", identity, identity)
    put = channel.stream_unary("/secureflow.wire.v1.Data/Put", identity, identity)
    for call in (get(request_bytes), put(iter([request_bytes]))):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            _ = [chunk async for chunk in call] if hasattr(call, "__aiter__") else await call
        code = refusal(caught.value, "the centre").code
        assert code in {"malformed_json", "malformed_manifest"}
    await channel.close()


async def test_a_manifest_that_lies_about_its_size(centre: Centre) -> None:
    channel = open_channel(centre.address, centre.pki.agent("bank-a")(), SERVER_NAME)
    put = channel.stream_unary("/secureflow.wire.v1.Data/Put", identity, identity)

    async def messages(size: int) -> JSON:
        yield canonical_bytes({"digest": DIGEST, "size": size})
        for start in range(0, len(CONTENT), 1 << 20):
            yield CONTENT[start : start + (1 << 20)]

    for size, code in ((len(CONTENT) - 1, "too_large"), (len(CONTENT) + 1, "size_mismatch")):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await put(messages(size))
        assert refusal(caught.value, "the centre").code == code
    answer = parse_json(await put(messages(len(CONTENT))))
    assert answer == {"digest": DIGEST, "size": len(CONTENT)}
    await channel.close()


async def test_an_oversized_message_is_refused_before_it_is_read(centre: Centre) -> None:
    channel = open_channel(centre.address, centre.pki.agent("bank-a")(), SERVER_NAME)
    call = channel.unary_unary("/secureflow.wire.v1.Link/Call", identity, identity)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(bytes(8 << 20))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    await channel.close()
