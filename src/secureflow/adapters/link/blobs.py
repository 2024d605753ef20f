"""A party's ends of `Data`: fetch into a file, store from a file, a buffer, or made-up chunks.

A transfer that breaks goes on from its offset (fetch) or starts over (store) once the link stands
again; three tries in a row that move nothing although it stands are enough. A centre whose database
fails says so, and is waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import grpc.aio
from blake3 import blake3

from secureflow.adapters.link.backoff import Backoff
from secureflow.adapters.link.refusals import answered
from secureflow.adapters.link.tls import CHUNK, identity
from secureflow.domain.errors import INFRASTRUCTURE
from secureflow.kit.canonical import canonical_bytes
from secureflow.kit.errors import SecureFlowError


class Way(Protocol):
    """What a transfer needs of its link."""

    def dial(self) -> grpc.aio.Channel:
        """Return the channel that stands now."""

    async def standing(self) -> None:
        """Wait until the link stands."""


_GET: Final = "/secureflow.wire.v1.Data/Get"
_PUT: Final = "/secureflow.wire.v1.Data/Put"
_TRIES: Final = 3
_PASSING: Final = {"link_broken", "rate_limited"} | INFRASTRUCTURE
_LONG: Final = 50
"""Tries while the centre's database fails: some ten minutes, if the job does not end before."""


@dataclass(frozen=True)
class Chunked:
    """A blob that is made while it is sent; every call of `chunks` yields the same bytes."""

    size: int
    chunks: Callable[[], Iterable[bytes]]


Source = Path | memoryview | Chunked


async def fetch(way: Way, digest: str, path: Path, size: int) -> None:
    """Fetch a blob of at most `size` bytes; see `Link.fetch`."""
    part = path.with_name(path.name + ".part")
    backoff, tries, reached = Backoff(), 0, -1
    while True:
        try:
            with answered("the server"):
                await _fetch_rest(way.dial(), digest, part, size)
            break
        except SecureFlowError as error:
            reached, before = await asyncio.to_thread(_length, part), reached
            tries = 1 if reached > before else tries + 1
            await _again(error, tries, backoff, way)
    await asyncio.to_thread(part.replace, path)


async def store(way: Way, source: Source, digest: str) -> None:
    """Store a blob; see `Link.store`."""
    size = await asyncio.to_thread(_size, source)
    backoff, tries = Backoff(), 0
    while True:
        try:
            with answered("the server"):
                put = way.dial().stream_unary(_PUT, identity, identity)
                await put(_messages(source, digest, size))
        except SecureFlowError as error:
            tries += 1
            await _again(error, tries, backoff, way)
        else:
            return


async def _again(error: SecureFlowError, tries: int, backoff: Backoff, way: Way) -> None:
    """Wait before the next try, or give up."""
    most = _LONG if error.code in INFRASTRUCTURE else _TRIES
    if error.code not in _PASSING or tries >= most:
        raise error
    await backoff.wait()
    await way.standing()


async def _fetch_rest(channel: grpc.aio.Channel, digest: str, part: Path, size: int) -> None:
    hasher = blake3()
    file = await asyncio.to_thread(part.open, "ab", 0)
    try:
        offset = await asyncio.to_thread(_hash_file, part, hasher)
        request = canonical_bytes({"digest": digest, "offset": offset})
        async for chunk in channel.unary_stream(_GET, identity, identity)(request):
            offset += len(chunk)
            if offset > size:
                await asyncio.to_thread(part.unlink)
                raise SecureFlowError("too_large", f"Blob {digest} exceeds {size} bytes.")
            await asyncio.to_thread(_append, file, hasher, chunk)
    finally:
        file.close()
    if hasher.hexdigest() != digest:
        await asyncio.to_thread(part.unlink)
        raise SecureFlowError(
            "digest_mismatch",
            f"The server sent other bytes than blob {digest}.",
            "It is fetched afresh at the next request; tell the operator if it repeats.",
        )


async def _messages(source: Source, digest: str, size: int) -> AsyncIterator[bytes]:
    yield canonical_bytes({"digest": digest, "size": size})
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
