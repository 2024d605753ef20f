"""A party's ends of `Data`: fetch into a file, store from a file, a buffer, or made-up chunks.

A transfer that breaks goes on from its offset (fetch) or starts over (store) once the link stands
again; three tries in a row that move nothing although it stands are enough. A centre whose database
or disk fails says so, and is waited for; what it says and what the link does are counted apart. A
store sends its bytes when the centre has taken its manifest: gRPC loses the reason of a refusal
that meets a sender in the middle of a write. A full disk here is told to whoever asked for the
blob: a fetch goes on from what there was room for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, Final, Protocol

import grpc.aio
from blake3 import blake3

from secureflow.adapters.link.backoff import Backoff
from secureflow.adapters.link.messages import TAKEN
from secureflow.adapters.link.refusals import rpc_errors
from secureflow.adapters.link.tls import CHUNK, identity
from secureflow.adapters.link.waits import waits_for_centre, waits_no_more
from secureflow.domain.errors import DISKS, INFRASTRUCTURE
from secureflow.kit.canonical import canonical_bytes
from secureflow.kit.disk import Place, writing
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.text import Text
from secureflow.kit.threads import open_in_thread


class TransferLink(Protocol):
    """What a transfer needs of its link."""

    def dial(self) -> grpc.aio.Channel:
        """Return the channel that stands now."""

    async def wait_until_connected(self) -> None:
        """Wait until the link stands."""

    def doubt(self, error: SecureFlowError) -> None:
        """The centre refused: dial anew, if that may help."""


_GET: Final = "/secureflow.wire.v1.Data/Get"
_PUT: Final = "/secureflow.wire.v1.Data/Put"
_TRIES: Final = 3
_REFUSALS: Final = {"rate_limited"} | INFRASTRUCTURE | DISKS
"""What the centre says for a while: it was reached, and may take the same later."""
_LONG: Final = 50
"""Tries while it says so: some ten minutes, if the job does not end before."""
_WRITING: Final = "INTERNAL"
"""The status of a store that was refused, gRPC does not tell why, while it was being written."""
MANIFEST_SECONDS: Final = 30.0
"""How long a store waits to hear that its manifest is taken, before it sends all the same."""
_log = get_logger(__name__)


@dataclass(frozen=True)
class Chunked:
    """A blob that is made while it is sent; every call of `chunks` yields the same bytes."""

    size: int
    chunks: Callable[[], Iterable[bytes]]


Source = Path | memoryview | Chunked


class _Tries:
    """The tries of one transfer that came to nothing, by whose fault."""

    def __init__(self, link: TransferLink) -> None:
        self._link = link
        self._backoff = Backoff()
        self._broken = 0
        self._refused = 0
        self._told = False

    def moved(self) -> None:
        """Begin to count anew: bytes came through."""
        self._broken = self._refused = 0

    async def again(self, error: SecureFlowError) -> None:
        """Wait before the next try, or give up by raising the error."""
        if error.code in _REFUSALS or _unexplained(error):
            self._broken, self._refused = 0, self._refused + 1
            self._log_wait(error)
        elif error.code in {"link_broken", "certificate_not_valid_now"}:
            self._broken += 1
        else:
            raise error
        if self._broken >= _TRIES or self._refused >= _LONG:
            raise error
        self._link.doubt(error)
        await self._backoff.wait()
        await self._link.wait_until_connected()

    def _log_wait(self, error: SecureFlowError) -> None:
        """Say once in the log that the centre is waited for: a job may stand still meanwhile."""
        if not self._told:
            _log.warning("centre_awaited", call="blob", code=error.code, message=error.message)
        self._told = True


def _unexplained(error: SecureFlowError) -> bool:
    return error.code == "link_broken" and error.details.get("status") == _WRITING


async def fetch(link: TransferLink, digest: str, path: Path, size: int) -> None:
    """Fetch a blob of at most `size` bytes; see `Link.fetch`."""
    part = path.with_name(path.name + ".part")
    place = Place(path.parent, "model files")
    tries, reached = _Tries(link), -1
    while True:
        try:
            with rpc_errors("the server"), writing(place, size):
                await _fetch_rest(link.dial(), digest, part, size)
            break
        except InfrastructureError:  # of this side: whoever asked decides whether to wait
            raise
        except SecureFlowError as error:
            reached, before = await asyncio.to_thread(_length, part), reached
            if reached > before:
                tries.moved()
            await tries.again(error)
    with writing(place):
        await asyncio.to_thread(part.replace, path)


async def store(link: TransferLink, source: Source, digest: str) -> None:
    """Store a blob; see `Link.store`."""
    size = await asyncio.to_thread(_size, source)
    tries = _Tries(link)
    while True:
        try:
            with rpc_errors("the server"):
                await _send(link.dial(), source, digest, size)
        except SecureFlowError as error:
            waits_for_centre(error)
            await tries.again(error)
        else:
            waits_no_more()
            return


async def _send(channel: grpc.aio.Channel, source: Source, digest: str, size: int) -> None:
    taken: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    put = channel.stream_unary(_PUT, identity, identity)(_messages(source, digest, size, taken))
    try:
        try:
            async with asyncio.timeout(MANIFEST_SECONDS):
                refused = TAKEN not in tuple(await put.initial_metadata())
        except TimeoutError:
            refused = False  # nothing was said yet
        if not refused:
            taken.set_result(True)
        await put
    finally:
        put.cancel()
        if not taken.done():  # gRPC leaves what it reads messages from waiting, once a call ended
            taken.set_result(False)


async def _fetch_rest(channel: grpc.aio.Channel, digest: str, part: Path, size: int) -> None:
    hasher = blake3()
    file = await open_in_thread(lambda: part.open("ab", 0), FileIO.close)
    try:
        offset = kept = await asyncio.to_thread(_hash_file, part, hasher)
        request = canonical_bytes({"digest": digest, "offset": offset})
        async for chunk in channel.unary_stream(_GET, identity, identity)(request):
            offset += len(chunk)
            if offset > size:
                await asyncio.to_thread(part.unlink)
                raise SecureFlowError(
                    "too_large",
                    Text("Blob {digest} exceeds {size} bytes.", digest=digest, size=size),
                )
            await asyncio.to_thread(_append, file, hasher, chunk)
    finally:
        file.close()
    if hasher.hexdigest() != digest:
        await asyncio.to_thread(part.unlink)
        if kept:  # perhaps not what the server sends is wrong, but what a power cut left here
            return await _fetch_rest(channel, digest, part, size)
        raise SecureFlowError(
            "digest_mismatch",
            Text("The bytes that the server sent are not those of blob {digest}.", digest=digest),
            "It is fetched again at the next request; tell the operator if this happens again.",
        )
    return None


async def _messages(
    source: Source, digest: str, size: int, taken: asyncio.Future[bool]
) -> AsyncIterator[bytes]:
    yield canonical_bytes({"digest": digest, "size": size})
    if not await taken:
        return
    chunks = iter(_chunks(source))
    while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
        yield chunk


def _chunks(source: Source) -> Iterator[bytes]:
    if isinstance(source, Chunked):
        yield from source.chunks()
    elif isinstance(source, Path):
        with source.open("rb", 0) as file:
            while chunk := file.read(CHUNK):
                yield chunk
    else:
        view = source.cast("B")
        for start in range(0, len(view), CHUNK):
            yield bytes(view[start : start + CHUNK])


def _size(source: Source) -> int:
    if isinstance(source, Chunked):
        return source.size
    return source.stat().st_size if isinstance(source, Path) else source.nbytes


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _hash_file(path: Path, hasher: Any) -> int:
    """Hash what an earlier try left and return its length."""
    with path.open("rb", 0) as file:
        while chunk := file.read(CHUNK):
            hasher.update(chunk)
        return file.tell()


def _append(file: Any, hasher: Any, chunk: bytes) -> None:
    hasher.update(chunk)
    rest = memoryview(chunk)
    while rest:
        rest = rest[file.write(rest) :]
