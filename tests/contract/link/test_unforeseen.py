"""What nobody foresaw ends a call by name: gRPC itself would tell the peer an exception's words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc.aio
import pytest
from blake3 import blake3
from peers.links import JSON, Centre, now, party
from structlog.testing import capture_logs

from secureflow.adapters.link import ENCLAVE_NAME, PeerIdentity, UplinkServer, backoff
from secureflow.adapters.link.refusals import refusal
from secureflow.adapters.link.tls import SERVER_NAME, identity, open_channel
from secureflow.adapters.link.waits import WAITING, Waiting
from secureflow.kit.canonical import canonical_bytes
from secureflow.kit.errors import SecureFlowError
from secureflow.wire import Envelope, encode

PLACE = "/srv/of-this-machine/blobs"
DIGEST = "ab" * 32
CALLS = {
    "who calls": ("Link/Call", encode(Envelope("", "status", {}))),
    "a greeting": ("Link/Connect", encode(Envelope("", "hello", {"log_size": 0, "unproved": []}))),
    "a channel": ("Peers/Join", canonical_bytes({"job": "j", "attempt": 1, "peer": "bank-b"})),
    "may it read": ("Data/Get", canonical_bytes({"digest": DIGEST, "offset": 0})),
    "the store reads": ("Data/Get", canonical_bytes({"digest": DIGEST, "offset": 0})),
    "may it write": ("Data/Put", canonical_bytes({"digest": DIGEST, "size": 1})),
    "the store writes": ("Data/Put", canonical_bytes({"digest": DIGEST, "size": 1})),
}


async def fails(*_: Any, **__: Any) -> Any:
    raise NotADirectoryError(20, "Not a directory", PLACE)


async def said(channel: grpc.aio.Channel, method: str, message: bytes) -> SecureFlowError:
    """Return what a peer learns of a call that fails."""

    async def messages() -> AsyncIterator[bytes]:
        yield message

    path = f"/secureflow.wire.v1.{method}"

    async def called() -> None:
        if method in {"Link/Call", "Uplink/Offer"}:
            await channel.unary_unary(path, identity, identity)(message)
        elif method in {"Data/Put", "Uplink/Send"}:
            await channel.stream_unary(path, identity, identity)(messages())
        elif method == "Data/Get":
            _ = [one async for one in channel.unary_stream(path, identity, identity)(message)]
        else:
            call = channel.stream_stream(path, identity, identity)
            _ = [one async for one in call(messages())]

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await called()
    assert PLACE not in str(caught.value.details())
    assert "NotADirectory" not in str(caught.value.details())
    return refusal(caught.value, "the centre")


@pytest.mark.parametrize("where", CALLS)
async def test_the_words_of_an_exception_stay_with_the_centre(
    centre: Centre, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    server, data = centre.server, centre.server._data
    broken: dict[str, tuple[Any, str]] = {
        "who calls": (server._gate, "_authorise"),
        "a greeting": (server, "_welcome"),
        "a channel": (server._relay, "_may_join"),
        "may it read": (data, "_may_read"),
        "the store reads": (centre.artifacts, "open"),
        "may it write": (data, "_may_write"),
        "the store writes": (centre.artifacts, "put"),
    }
    monkeypatch.setattr(*broken[where], fails)
    channel = open_channel(centre.address, centre.pki.agent("bank-a")(), SERVER_NAME)
    with capture_logs() as told:
        error = await said(channel, *CALLS[where])
    await channel.close()
    assert (error.code, error.message) == (
        "internal",
        "The centre had an internal error; its log has the trace.",
    )
    (line,) = (one for one in told if one["event"] == "rpc_failed")
    assert PLACE in str(line["exc_info"])


@pytest.mark.parametrize("method", ["Uplink/Offer", "Uplink/Send"])
async def test_nor_do_they_leave_the_enclave(
    centre: Centre, ending: AsyncExitStack, method: str
) -> None:
    handler: Any = SimpleNamespace(offer=fails, receive=fails)
    domain = centre.pki.authority.trust_domain
    server = UplinkServer("127.0.0.1:0", centre.pki.enclave(), domain, handler, clock=now)
    address = f"127.0.0.1:{await server.start()}"
    ending.push_async_callback(server.stop, 0)
    channel = open_channel(address, centre.pki.agent("bank-a")(), ENCLAVE_NAME)
    ending.push_async_callback(channel.close)
    error = await said(channel, method, b"{}" if method == "Uplink/Offer" else bytes(8))
    assert (error.code, error.message) == (
        "internal",
        "The enclave had an internal error; its log has the trace.",
    )


async def test_a_blob_is_asked_for_again_as_over_a_link_that_broke(
    centre: Centre, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "FIRST", 0.001)
    monkeypatch.setattr(backoff, "LAST", 0.01)
    may_read, faults = centre.server._data._may_read, [1, 2]

    async def may(peer: PeerIdentity, digest: str) -> JSON:
        if faults:
            faults.pop()
            await fails()
        return await may_read(peer, digest)

    monkeypatch.setattr(centre.server._data, "_may_read", may)
    async with party(centre) as peer:
        blob = b"weights"
        digest = blake3(blob).hexdigest()
        await peer.link.store(memoryview(blob), digest)
        await peer.link.fetch(digest, tmp_path / "copy", len(blob))
    assert (tmp_path / "copy").read_bytes() == blob


async def test_who_fetches_from_a_disk_that_fails_says_that_it_waits_for_the_centre(
    centre: Centre, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "FIRST", 0.001)
    monkeypatch.setattr(backoff, "LAST", 0.01)
    waiting, blob, told = Waiting(), b"weights", []
    may_read = centre.server._data._may_read

    async def may(peer: PeerIdentity, digest: str) -> JSON:
        told.append(waiting.as_json())
        if len(told) == 1:
            raise SecureFlowError("disk_failed", "The disk of the centre refuses writes.")
        return await may_read(peer, digest)

    monkeypatch.setattr(centre.server._data, "_may_read", may)
    async with party(centre) as peer:
        digest = blake3(blob).hexdigest()
        await peer.link.store(memoryview(blob), digest)
        token = WAITING.set(waiting)
        await peer.link.fetch(digest, tmp_path / "copy", len(blob))
        WAITING.reset(token)
    assert [one.get("waiting", {}).get("code") for one in told] == [None, "disk_failed"]
    assert told[1]["waiting"]["centre"] is True
    assert waiting.as_json() == {}
