"""Blobs as files: `DIR/ab/<BLAKE3 hex>`, renamed when complete, so names match their content.

A digest is 64 lowercase hex characters or it is `not_found`: no other text becomes a path. Bytes
are hashed while they stream in; a stream that is cut off, too long or of another digest leaves
nothing. Files are flushed to disk before they get their name. A file is hashed before it is handed
out, unless this process has seen it whole a while ago and it was not touched since: what a disk
damaged is refused by name here, and is nobody else's fault. Blobs leave the end of the disk free:
if the centre's record is on it, it can still be written when there is no room for a model.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import re
import shutil
import tempfile
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from time import monotonic
from typing import Final

from blake3 import blake3

from secureflow.application.ports.artifacts import Artifact, DamagedArtifactError
from secureflow.kit.atomic import flush_directory
from secureflow.kit.disk import Place, writing
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.filedigest import file_digest
from secureflow.kit.logging import get_logger
from secureflow.kit.logthrottle import OncePerMinute
from secureflow.kit.text import Text
from secureflow.kit.threads import open_in_thread

CHUNK: Final = 1 << 18
"""Bytes in memory for each reader: every party reads a new model at the same time."""
_JOB: Final = re.compile(r"[a-z0-9_]{1,64}")
_REMEMBERED: Final = 10_000
"""Discarded jobs that are remembered: a late blob of theirs would never be removed."""
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
SEEN: Final = 600.0
"""Seconds for which a file counts as whole that was, if nothing touched it: a new model is read by
every party at once."""
_MOST_SEEN: Final = 4096
_log = get_logger(__name__)
_GONE: Final = (FileNotFoundError, NotADirectoryError, FileExistsError)

# Disks stall; the event loop must not. All file work runs in threads.
_off: Final = asyncio.to_thread


class FileArtifacts:
    """Implements the `Artifacts` port on a directory of one file system.

    Args:
        directory: created if missing; leftovers of a crash in it are removed, unless another server
            of the folder is writing them.
        durable: whether bytes are flushed to the disk before they get their name.
        reserve: bytes of the disk that blobs must leave free.
        part: the name of its content for people (`kit.disk.PARTS`).
    """

    def __init__(
        self,
        directory: Path,
        *,
        durable: bool = True,
        reserve: int = 0,
        part: str = "stored models",
    ) -> None:
        self._directory = directory
        self._durable = durable
        self._reserve = reserve
        self._place = Place(directory, part, "the centre", public=True)
        self._incoming = directory / "incoming"
        self._whole: OrderedDict[str, tuple[tuple[int, ...], float]] = OrderedDict()
        self._damages = OncePerMinute()
        with self._disk():
            self._incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
            for left_over in self._incoming.iterdir():
                _clear(left_over)

    def demand(self, size: int) -> None:
        """Refuse bytes that do not fit next to the reserve.

        Raises:
            InfrastructureError: `disk_full`; `disk_failed` while the folder is gone.
        """
        with self._disk():
            self._demand_folder()
        self._place.demand(size + self._reserve)

    async def put(self, chunks: AsyncIterator[bytes], *, limit: int, expect: str = "") -> Artifact:
        """Store a stream of at most `limit` bytes.

        Raises:
            SecureFlowError: `too_large`, `digest_mismatch`; nothing is stored.
            InfrastructureError: `disk_full`, `disk_failed`; nothing is stored.
        """
        self.demand(limit)
        with self._disk(limit):
            handle, name = await open_in_thread(lambda: _made(self._incoming), _unmade)
        try:
            with os.fdopen(handle, "wb", 0) as file:
                artifact = await self._receive(file, chunks, limit)
                if expect and artifact.digest != expect:
                    raise SecureFlowError(
                        "digest_mismatch",
                        Text(
                            "The bytes have digest {digest}, expected {expect}.",
                            digest=artifact.digest,
                            expect=expect,
                        ),
                        "They were altered or cut off on the way: send them again.",
                    )
                if self._durable:
                    with self._disk(limit):
                        await _off(os.fsync, file.fileno())
                with self._disk(limit):  # while it is locked: nobody removes it
                    await _off(self._name, Path(name), artifact.digest)
        except BaseException:  # whatever ended the stream, even cancellation: leave nothing behind
            with suppress(OSError):  # it has its name already, or its folder is gone
                os.unlink(name)  # noqa: PTH108  Path is refused in a coroutine; this is quick
            raise
        return artifact

    @contextmanager
    def _disk(self, needed: int = 0) -> Iterator[None]:
        """Take a folder that is gone for a disk that is: a volume that is not mounted, or moved.

        Whoever sends or asks for bytes waits then, and is told no path of this machine.
        """
        with writing(self._place, needed):
            try:
                yield
            except _GONE as error:
                raise OSError(errno.EIO, "the folder is gone") from error

    def _demand_folder(self) -> None:
        if not self._incoming.is_dir():
            raise OSError(errno.EIO, "the folder is gone")

    async def open(self, digest: str, offset: int = 0) -> AsyncIterator[bytes]:
        """Return the blob's bytes from the offset, in chunks of at most 256 KiB.

        Raises:
            SecureFlowError: `not_found`; `DamagedArtifactError` for a file of other content.
            InfrastructureError: `disk_failed`, now or while they are read.
        """
        path = self._existing(digest)
        await self._demand_whole(path, digest)
        return self._read(path, offset)

    async def _demand_whole(self, path: Path, digest: str) -> None:
        """Hash a file that was not seen whole lately, or is another since."""
        with self._disk():
            found, now = _identity(path), monotonic()
            known, since = self._whole.get(digest, ((), 0.0))
            if known == found and now - since < SEEN:
                return
            whole = (await _off(file_digest, path)).hex() == digest
        if not whole:
            self._whole.pop(digest, None)
            if self._damages.due(digest) is not None:
                _log.error("artifact_damaged", digest=digest, path=str(path))
            raise DamagedArtifactError(digest)
        self._seen_whole(digest, found)

    def _seen_whole(self, digest: str, found: tuple[int, ...]) -> None:
        self._whole.pop(digest, None)  # what is said again is the newest; a thread may say it too
        self._whole[digest] = found, monotonic()
        if len(self._whole) > _MOST_SEEN:
            self._whole.popitem(last=False)

    async def stat(self, digest: str) -> Artifact:
        """Return the blob's size.

        Raises:
            SecureFlowError: `not_found`.
            InfrastructureError: `disk_failed`.
        """
        path = self._existing(digest)
        with self._disk():
            size = path.stat().st_size
        return Artifact(digest, size)

    def path(self, digest: str) -> Path | None:
        """Return the blob's file, or None.

        Raises:
            InfrastructureError: `disk_failed`.
        """
        path = self._path(digest)
        with self._disk():
            found = path is not None and path.is_file()
        return path if found else None

    async def delete(self, digest: str) -> None:
        """Remove the blob if it exists; open readers are not affected.

        Raises:
            InfrastructureError: `disk_failed`.
        """
        if path := self._path(digest):
            with self._disk():
                await _off(path.unlink, missing_ok=True)

    async def older_than(self, seconds: float) -> list[str]:
        """Return the digests of the blobs that were stored longer ago, in order."""
        return await _off(self._older, time.time() - seconds)

    def _older(self, before: float) -> list[str]:
        found = []
        for path in self._directory.glob("[0-9a-f][0-9a-f]/*"):
            with suppress(FileNotFoundError):  # removed meanwhile
                if self._path(path.name) == path and path.stat().st_mtime < before:
                    found.append(path.name)
        return sorted(found)

    async def _receive(self, file: FileIO, chunks: AsyncIterator[bytes], limit: int) -> Artifact:
        hasher, size = blake3(), 0
        async for chunk in chunks:
            size += len(chunk)
            if size > limit:
                raise SecureFlowError(
                    "too_large",
                    Text("The blob is longer than its limit of {limit} bytes.", limit=limit),
                    "Its manifest or the job's spec sets the limit.",
                )
            with self._disk(limit):
                await _off(_write, file, hasher.update, chunk)
        return Artifact(hasher.hexdigest(), size)

    def _name(self, written: Path, digest: str) -> None:
        path = self._directory / digest[:2] / digest
        path.parent.mkdir(mode=0o700, exist_ok=True)
        written.replace(path)
        if self._durable:
            flush_directory(path.parent)
        self._seen_whole(digest, _identity(path))

    def _path(self, digest: str) -> Path | None:
        if not _DIGEST.fullmatch(digest):
            return None
        return self._directory / digest[:2] / digest

    def _existing(self, digest: str) -> Path:
        path = self.path(digest)
        if path is None:
            with self._disk():  # nothing is known of what it holds while it is away
                self._demand_folder()
            raise SecureFlowError(
                "not_found", Text("There is no blob {digest!r}.", digest=digest[:80])
            )
        return path

    async def _read(self, path: Path, offset: int) -> AsyncIterator[bytes]:
        with self._disk():
            file = await open_in_thread(lambda: path.open("rb", 0), FileIO.close)
        try:
            file.seek(offset)
            while True:
                with self._disk():
                    chunk = await _off(file.read, CHUNK)
                if not chunk:
                    return
                yield chunk
        finally:
            file.close()


class ScratchFiles:
    """Blobs of running jobs, in a directory each; they survive a restart, not always a power cut.

    Args:
        directory: made if missing.
        reserve: bytes of the disk that blobs must leave free.
    """

    def __init__(self, directory: Path, *, reserve: int = 0) -> None:
        self._directory = directory
        self._reserve = reserve
        self._stores: dict[str, FileArtifacts] = {}
        self._discarded: OrderedDict[str, None] = OrderedDict()

    def of(self, job: str) -> FileArtifacts:
        """Return the job's store.

        Raises:
            SecureFlowError: `not_found` for an invalid job id, and for a job whose store was
                removed.
        """
        if job not in self._stores:
            if not _JOB.fullmatch(job) or job in self._discarded:
                raise SecureFlowError("not_found", Text("There is no job {job!r}.", job=job[:80]))
            self._stores[job] = FileArtifacts(
                self._directory / job, durable=False, reserve=self._reserve, part="masked vectors"
            )
        return self._stores[job]

    async def discard(self, job: str) -> None:
        """Remove the job's store permanently: late blobs are refused."""
        self._stores.pop(job, None)
        if _JOB.fullmatch(job):
            self._discarded[job] = None
            if len(self._discarded) > _REMEMBERED:
                self._discarded.popitem(last=False)
            await _off(shutil.rmtree, self._directory / job, ignore_errors=True)


def _made(incoming: Path) -> tuple[int, str]:
    """Create a locked file: another server of the folder may start meanwhile."""
    while True:
        handle, name = tempfile.mkstemp(dir=incoming)
        with suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle, name
        os.close(handle)  # it was removed as a leftover before it was locked


def _clear(left_over: Path) -> None:
    """Remove what a crash left; files that a process is still writing stay."""
    try:
        handle = os.open(left_over, os.O_RDWR)
    except FileNotFoundError:  # it was renamed meanwhile
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # it is locked, or that is unknown
        return
    else:
        left_over.unlink(missing_ok=True)
    finally:
        os.close(handle)


def _identity(path: Path) -> tuple[int, ...]:
    """Return what changes when somebody else writes a file, or puts another in its place."""
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _unmade(temporary: tuple[int, str]) -> None:
    handle, name = temporary
    os.close(handle)
    Path(name).unlink()


def _write(file: FileIO, update: Callable[[bytes], object], chunk: bytes) -> None:
    update(chunk)
    rest = memoryview(chunk)
    while rest:
        rest = rest[file.write(rest) :]
