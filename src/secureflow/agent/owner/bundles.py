"""Code that jobs bring: fetched and checked before a person is asked, and kept once approved.

A bundle's file is named by its digest, `<digest>` in the folder `bundles`, mode 0600, and hashed
again whenever it is read. It is fetched from the centre, which may offer any bytes: the link takes
only those of the digest, and they are parsed within bounds (`engines.bundles`). What waits for a
decision, and what was approved, is kept; the rest is removed (`sweep`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection
from pathlib import Path
from typing import Final, Protocol
from weakref import WeakValueDictionary

from blake3 import blake3

from secureflow.agent.owner.inbox import Inbox
from secureflow.agent.record.records import ApprovedBundle
from secureflow.agent.record.store import RecordStore
from secureflow.domain.specs.base import CodePart
from secureflow.engines.bundles import MAX_BYTES, Bundle, unpack
from secureflow.kit.canonical import JSON, b64encode
from secureflow.kit.clock import Clock
from secureflow.kit.disk import Place, writing
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.sourcetree import write_tree
from secureflow.kit.text import Text

FOLDER: Final = "bundles"
MAX_UNDECIDED: Final = 128 << 20
"""Bytes of bundles that were not approved: the centre chooses how many it sends."""


def named_code(inbox: Inbox) -> set[str]:
    """Return the digests of the code that waiting requests bring."""
    named = (one.request.get("bundle_digest") for one in inbox.list())
    return {one for one in named if isinstance(one, str)}


class FetchingBlobs(Protocol):
    """The part of the link that is needed."""

    async def fetch(self, digest: str, path: Path, size: int) -> None:
        """Fetch a blob and verify its BLAKE3 digest."""


class OwnerBundles:
    """The bundles of this owner.

    Args:
        directory: the agent's; the folder `bundles` in it is made if missing.
        store: the agent's record.
        link: fetches bundles.
        clock: unix seconds.
    """

    def __init__(
        self, directory: Path, store: RecordStore, link: FetchingBlobs, clock: Clock
    ) -> None:
        self._folder = directory / FOLDER
        self._store = store
        self._link = link
        self._clock = clock
        self._place = Place(self._folder, "own files")
        self._fetching: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def fetch(self, digest: str) -> Bundle:
        """Return a bundle, from its file or from the centre.

        Raises:
            SecureFlowError: the link's; `bundle_refused` for bytes that are no packing;
                `inbox_full` if too much waits for a decision already.
        """
        lock = self._fetching.setdefault(digest, asyncio.Lock())
        async with lock:
            known = await asyncio.to_thread(self.kept, digest)
            if known is not None:
                return known
            if self._store.approved_bundle(digest) is None:
                await asyncio.to_thread(self._check_room)
            with writing(self._place):
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            coming = self._folder / f"{digest}.coming"
            await self._link.fetch(digest, coming, MAX_BYTES)
            return await asyncio.to_thread(self._taken, digest, coming)

    def kept(self, digest: str) -> Bundle | None:
        """Return a bundle whose file is here and whole; a damaged file is removed."""
        path = self._folder / digest
        try:
            with path.open("rb") as file:
                packed = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            return None
        if blake3(packed).hexdigest() != digest:
            path.unlink(missing_ok=True)
            return None
        return unpack(packed)

    def write(self, digest: str, folder: Path) -> None:
        """Write an approved bundle's files into a folder that this makes, for one job.

        Raises:
            SecureFlowError: `not_approved`; `bundle_missing_here` if its file is gone: fetch it.
        """
        if self._store.approved_bundle(digest) is None:
            raise SecureFlowError(
                "not_approved",
                Text("This owner has not approved the bundle {digest}….", digest=digest[:16]),
                "A bundle runs once a job that names it is approved here.",
            )
        bundle = self.kept(digest)
        if bundle is None:
            raise SecureFlowError(
                "not_found",
                Text("The file of the bundle {digest}… is not here.", digest=digest[:16]),
                "It is fetched again with the next request for it.",
            )
        with writing(self._place, bundle.size):
            folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_tree(folder, bundle.files)

    def approve(self, ref: CodePart, submitter: str, name: str, job: str) -> None:
        """Remember a bundle as approved, in the open transaction of a job's approval."""
        now = self._clock()
        row = ApprovedBundle(ref.digest, ref.entry, ref.environment, submitter, name, job, now)
        self._store.approve_bundle(row)
        self._store.note(now, "bundle.approved", job, digest=ref.digest, entry=ref.entry)

    def review(self, digest: str, submitter: str, name: str) -> dict[str, JSON]:
        """Return what a person decides by: the packing, and the one approved before it.

        `packed` and `before` are base64; `before` is None if there is none, or if its file is
        gone, and `since` then says which one it was. `approved` is the time of an approval of
        this very bundle.
        """
        found = self._packed(digest)
        if found is None:
            raise SecureFlowError(
                "not_found",
                Text("The file of the bundle {digest}… is not here.", digest=digest[:16]),
                "It is fetched again with the next request for it.",
            )
        same = self._store.approved_bundle(digest)
        last = self._store.bundle_before(digest, submitter, name)
        older = None if last is None else self._packed(last.digest)
        return {
            "digest": digest,
            "packed": found,
            "approved": None if same is None else same.approved_at,
            "before": older,
            "since": None if last is None else last.summary(),
        }

    def forget(self, digest: str, waiting: Collection[str]) -> None:
        """Remove the file of a bundle that was refused, unless it waits elsewhere or was approved.

        Else a centre whose requests are refused would fill the room of those that wait.
        """
        if digest not in waiting and self._store.approved_bundle(digest) is None:
            with contextlib.suppress(OSError):  # the next start removes it
                (self._folder / digest).unlink(missing_ok=True)

    def sweep(self, waiting: Collection[str]) -> int:
        """Remove the files of bundles that neither wait nor were approved; return how many."""
        keep = {*waiting, *(one.digest for one in self._store.approved_bundles(1 << 30))}
        gone = 0
        with contextlib.suppress(OSError):
            for path in list(self._folder.iterdir()):
                if path.is_file() and path.name.partition(".")[0] not in keep:
                    with contextlib.suppress(OSError):  # it may stay: no reason not to start
                        path.unlink()
                        gone += 1
        return gone

    def _check_room(self) -> None:
        approved = {one.digest for one in self._store.approved_bundles(1 << 30)}
        taken = 0
        with contextlib.suppress(FileNotFoundError):
            for path in self._folder.iterdir():
                with contextlib.suppress(FileNotFoundError):
                    taken += 0 if path.name in approved else path.stat().st_size
        if taken + MAX_BYTES > MAX_UNDECIDED:
            raise SecureFlowError(
                "inbox_full",
                "Too much code waits for a decision here already.",
                "Approve or reject some requests: `secureflow agent inbox review`.",
            )

    def _packed(self, digest: str) -> str | None:
        if self.kept(digest) is None:
            return None
        return b64encode((self._folder / digest).read_bytes())

    def _taken(self, digest: str, coming: Path) -> Bundle:
        """Parse what came, and give it its name only then."""
        try:
            packed = coming.read_bytes()
            if blake3(packed).hexdigest() != digest:
                raise SecureFlowError(
                    "digest_mismatch",
                    Text(
                        "The bytes that the server sent are not those of blob {digest}.",
                        digest=digest,
                    ),
                    "It is fetched again at the next request; tell the operator if this happens "
                    "again.",
                )
            bundle = unpack(packed)
        except SecureFlowError:
            coming.unlink(missing_ok=True)
            raise
        with writing(self._place):
            coming.chmod(0o600)
            coming.replace(self._folder / digest)
        return bundle
