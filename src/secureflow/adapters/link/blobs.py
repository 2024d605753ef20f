"""A party's side of `Data`: fetch into a file, store from a file, a buffer, or generated chunks.

A broken transfer resumes from its offset (fetch) or starts over (store) once the link is up again;
it fails after three attempts in a row without progress on a working link. A centre whose database
or disk fails says so, and is waited for; its faults and the link's are counted separately. A store
sends its bytes after the centre has accepted its manifest: gRPC loses the reason of a refusal that
arrives during a write. A full local disk is reported to the caller: the next fetch resumes from
what was written.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, Final, Protocol

import grpc.aio
from blake3 import blake3

from secureflow.adapters.link.backoff import JitteredBackoff
from secureflow.adapters.link.messages import TAKEN
from secureflow.adapters.link.refusals import rpc_errors
from secureflow.adapters.link.tls import CHUNK, identity
from secureflow.adapters.link.waits import waits_for_centre, waits_no_more
from secureflow.domain.blobs import BlobPlace
from secureflow.domain.errors import DISKS, INFRASTRUCTURE
from secureflow.kit.canonical import JSON, canonical_bytes
from secureflow.kit.disk import Place, writing
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.text import Text
from secureflow.kit.threads import open_in_thread


class TransferLink(Protocol):
    """What a transfer needs from its link."""

    def dial(self) -> grpc.aio.Channel:
        """Return the current channel."""

    async def wait_until_connected(self) -> None:
        """Wait until the link is up."""

    def redial_if_expired(self, error: SecureFlowError) -> None:
        """Handle a refusal by the centre: redial if that may help."""


_GET: Final = "/secureflow.wire.v1.Data/Get"
_PUT: Final = "/secureflow.wire.v1.Data/Put"
_TRIES: Final = 3
_REFUSALS: Final = {"rate_limited"} | INFRASTRUCTURE | DISKS
"""Temporary errors of the centre: it was reached, and may accept the same later."""
_LONG: Final = 50
"""Attempts during such errors: some ten minutes, unless the job ends before."""
_WRITING: Final = "INTERNAL"
"""The status of a store that was refused during a write; gRPC does not give the reason."""
MANIFEST_SECONDS: Final = 30.0
"""How long a store waits for its manifest to be accepted, before it sends anyway."""
_log = get_logger(__name__)


@dataclass(frozen=True)
class Chunked:
    """A blob that is generated while it is sent; every call of `chunks` yields the same bytes."""

    size: int
    chunks: Callable[[], Iterable[bytes]]


Source = Path | memoryview | Chunked


class _Tries:
    """The failed attempts of one transfer, by whose fault they were."""

    def __init__(self, link: TransferLink) -> None:
        self._link = link
        self._backoff = JitteredBackoff()
        self._broken = 0
        self._refused = 0
        self._told = False

    def moved(self) -> None:
        """Reset the counts: bytes were transferred."""
        self._broken = self._refused = 0

    async def again(self, error: SecureFlowError) -> None:
        """Wait before the next attempt, or give up and raise the error."""
        if error.code in _REFUSALS or _unexplained(error):
            self._broken, self._refused = 0, self._refused + 1
            self._log_wait(error)
        elif error.code in {"link_broken", "certificate_not_valid_now", "internal"}:
            self._broken += 1
        else:
            raise error
        if self._broken >= _TRIES or self._refused >= _LONG:
            raise error
        self._link.redial_if_expired(error)
        await self._backoff.wait()
        await self._link.wait_until_connected()

    def _log_wait(self, error: SecureFlowError) -> None:
        """Log once that the centre is waited for: a job may make no progress meanwhile."""
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
            waits_no_more()
            break
        except InfrastructureError:  # a local fault: the caller decides whether to wait
            raise
        except SecureFlowError as error:
            reached, before = await asyncio.to_thread(_length, part), reached
            if reached > before:
                tries.moved()
            waits_for_centre(error)
            await tries.again(error)
    with writing(place):
        await asyncio.to_thread(part.replace, path)


async def store(
    link: TransferLink, source: Source, digest: str, place: BlobPlace | None = None
) -> None:
    """Store a blob; see `Link.store`."""
    size = await asyncio.to_thread(_size, source)
    manifest: dict[str, JSON] = {"digest": digest, "size": size}
    if place is not None:
        manifest["place"] = {"job": place.job, "stage": place.stage, "round": place.round}
    tries = _Tries(link)
    while True:
        try:
            with rpc_errors("the server"):
                await _send(link.dial(), source, manifest)
        except SecureFlowError as error:
            if error.code == "malformed_manifest" and manifest.pop("place", None):
                continue  # a centre of version 0.2.0, which finds the place by itself
            waits_for_centre(error)
            await tries.again(error)
        else:
            waits_no_more()
            return


async def _send(channel: grpc.aio.Channel, source: Source, manifest: Mapping[str, JSON]) -> None:
    taken: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    put = channel.stream_unary(_PUT, identity, identity)(_messages(source, manifest, taken))
    try:
        try:
            async with asyncio.timeout(MANIFEST_SECONDS):
                refused = TAKEN not in tuple(await put.initial_metadata())
        except TimeoutError:
            refused = False  # nothing was answered yet
        if not refused:
            taken.set_result(True)
        await put
    finally:
        put.cancel()
        if not taken.done():  # once a call has ended, gRPC leaves its request iterator waiting
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
        if kept:  # maybe the server's bytes are right, but a power cut damaged the local part
            return await _fetch_rest(channel, digest, part, size)
        raise SecureFlowError(
            "digest_mismatch",
            Text("The bytes that the server sent are not those of blob {digest}.", digest=digest),
            "It is fetched again at the next request; tell the operator if this happens again.",
        )
    return None


async def _messages(
    source: Source, manifest: Mapping[str, JSON], taken: asyncio.Future[bool]
) -> AsyncIterator[bytes]:
    yield canonical_bytes(dict(manifest))
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
    """Hash what an earlier attempt left and return its length."""
    with path.open("rb", 0) as file:
        while chunk := file.read(CHUNK):
            hasher.update(chunk)
        return file.tell()


def _append(file: Any, hasher: Any, chunk: bytes) -> None:
    hasher.update(chunk)
    rest = memoryview(chunk)
    while rest:
        rest = rest[file.write(rest) :]
