"""Code that jobs bring: fetched and checked before a person is asked, and kept once approved.

A bundle's file is named by its digest, `<digest>` in the folder `bundles`, mode 0600, and hashed
again whenever it is read. It is fetched from the centre, which may offer any bytes: the link takes
only those of the digest, and they are parsed within bounds (`engines.bundles`). What waits for a
decision, and what was approved, is kept; the rest is removed at every fetch and rejection. Room is
checked and reserved in one step, so that fetches at the same time share it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final, Protocol
from weakref import WeakValueDictionary

from blake3 import blake3

from secureflow.agent.compute.code_logs import Whose
from secureflow.agent.owner.inbox import Inbox
from secureflow.agent.record.records import ApprovedBundle, InboxItem
from secureflow.agent.record.store import RecordStore
from secureflow.domain.specs.bundles import brought, given_beside_settings
from secureflow.domain.specs.partforms import CodePart
from secureflow.engines.bundles import MAX_BYTES, Bundle, unpack
from secureflow.kit.canonical import JSON, b64encode
from secureflow.kit.clock import Clock, Ticks
from secureflow.kit.disk import Place, writing
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.sourcetree import write_tree
from secureflow.kit.text import Text

FOLDER: Final = "bundles"
MAX_UNDECIDED: Final = 128 << 20
"""Bytes of bundles that were not approved: the centre chooses how many it sends."""
FRESH_SECONDS: Final = 60.0
"""How long code is kept that was just fetched, or whose request was just approved: until the
request waits in the inbox, or the approval is in the record."""


def named_code(inbox: Inbox) -> set[str]:
    """Return the digests of the code that waiting requests bring."""
    return {digest for digest in map(code_of, inbox.list()) if digest}


def code_of(item: InboxItem) -> str:
    """Return the digest of the code that a request brings, or ""."""
    digest = item.request.get("bundle_digest")
    return digest if isinstance(digest, str) else ""


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
        waiting: tells the digests of the code that waiting requests bring (`named_code`).
        ticks: monotonic seconds.
    """

    def __init__(
        self,
        directory: Path,
        store: RecordStore,
        link: FetchingBlobs,
        clock: Clock,
        waiting: Callable[[], Collection[str]],
        ticks: Ticks = time.monotonic,
    ) -> None:
        self._folder = directory / FOLDER
        self._store = store
        self._link = link
        self._clock = clock
        self._place = Place(self._folder, "own files")
        self._waiting = waiting
        self._ticks = ticks
        self._fetching: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._guard = threading.Lock()
        self._reserved: set[str] = set()
        self._fresh: dict[str, float] = {}

    async def fetch(self, digest: str) -> Bundle:
        """Return a bundle, from its file or from the centre.

        Raises:
            SecureFlowError: the link's; `bundle_refused` for bytes that are no packing;
                `inbox_full` if too much waits for a decision already.
        """
        lock = self._fetching.setdefault(digest, asyncio.Lock())
        async with lock:
            known = await asyncio.to_thread(self._known, digest)
            if known is not None:
                return known
            await asyncio.to_thread(self._reserve, digest)
            try:
                with writing(self._place):
                    self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                coming = self._folder / f"{digest}.coming"
                await self._link.fetch(digest, coming, MAX_BYTES)
                return await asyncio.to_thread(self._taken, digest, coming)
            finally:
                self._reserved.discard(digest)

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
                Text("This owner has not approved the bundle {digest}.", digest=digest),
                "A bundle runs once a job that names it is approved here.",
            )
        bundle = self.kept(digest)
        if bundle is None:
            raise SecureFlowError(
                "not_found",
                Text("The file of the bundle {digest} is not here.", digest=digest),
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

    def review(
        self, digest: str, submitter: str, name: str, until: int | None = None
    ) -> dict[str, JSON]:
        """Return what a person decides by: the packing, and the one approved before it.

        `packed` and `before` are base64; `before` is None if there is none, or if its file is
        gone, and `since` then says which one it was. `approved` is the time of an approval of
        this very bundle, `approved_job` the job that it was approved for last, and `given` what
        that job gave it; None if the record of the job is gone. Of a request that was decided at
        `until` all three are None: its own approval would be told as an earlier one.
        """
        found = self._packed(digest)
        if found is None:
            raise SecureFlowError(
                "not_found",
                Text("The file of the bundle {digest} is not here.", digest=digest),
                "It is fetched again with the next request for it.",
            )
        same = self._store.approved_bundle(digest) if until is None else None
        last = self._store.bundle_before(digest, submitter, name, until)
        older = None if last is None else self._packed(last.digest)
        return {
            "digest": digest,
            "packed": found,
            "approved": None if same is None else same.approved_at,
            "approved_job": None if same is None else same.job,
            "given": None if same is None else self._given(same.job),
            "before": older,
            "since": None if last is None else last.summary(),
        }

    def whose(self, job: str) -> Whose:
        """Return whose an approved job is; nobody's if its record is gone or damaged."""
        with contextlib.suppress(SecureFlowError):
            found = self._store.job(job)
            if found is not None:
                return Whose(*(str(found.spec.get(one, "")) for one in ("project", "submitter")))
        return Whose()

    def hold(self, digest: str) -> None:
        """Keep code whose request was just approved, until the record says so."""
        with self._guard:
            self._fresh[digest] = self._ticks()

    def sweep(self, rejected: str = "") -> int:
        """Remove the files of bundles that neither wait nor were approved; return how many.

        Args:
            rejected: the code of a request that was just rejected, if it brought some.
        """
        with self._guard:
            self._fresh.pop(rejected, None)
            return self._sweep()

    def _sweep(self) -> int:
        waiting, now = set(self._waiting()), self._ticks()
        # What waits is the inbox's from now on: it goes when its request does.
        self._fresh = {
            digest: since
            for digest, since in self._fresh.items()
            if digest not in waiting and now - since < FRESH_SECONDS
        }
        keep = waiting | self._approved() | self._reserved | self._fresh.keys()
        gone = 0
        for path in self._files():
            if path.name.partition(".")[0] not in keep:
                with contextlib.suppress(OSError):  # it may stay: no reason to fail
                    path.unlink()
                    gone += 1
        return gone

    def _given(self, name: str) -> dict[str, JSON] | None:
        """Return what an approved job gave its code; None if its record is gone or damaged."""
        with contextlib.suppress(SecureFlowError):
            job = self._store.job(name)
            model = {} if job is None else brought(job.spec)
            if job is not None and model:
                limits = job.spec.get("limits") or {}
                told = {"settings": model.get("settings"), "clip_norm": limits.get("clip_norm")}
                return {"job": name, **told, "others": given_beside_settings(job.spec)}
        return None

    def _known(self, digest: str) -> Bundle | None:
        """Return a bundle whose file is here, and keep it until its request waits."""
        self.hold(digest)
        known = self.kept(digest)
        if known is None:
            with self._guard:
                self._fresh.pop(digest, None)
        return known

    def _reserve(self, digest: str) -> None:
        """Reserve room for a bundle, after a sweep."""
        with self._guard:
            self._sweep()
            settled = self._approved() | self._reserved
            taken = MAX_BYTES * len(self._reserved)
            for path in self._files():
                if path.name.partition(".")[0] not in settled:
                    with contextlib.suppress(OSError):
                        taken += path.stat().st_size
            if digest not in settled and taken + MAX_BYTES > MAX_UNDECIDED:
                raise SecureFlowError(
                    "inbox_full",
                    "Too much code waits for a decision here already.",
                    "Approve or reject some requests: `secureflow agent inbox review`.",
                )
            self._reserved.add(digest)

    def _approved(self) -> set[str]:
        return {one.digest for one in self._store.approved_bundles(1 << 30)}

    def _files(self) -> list[Path]:
        """Return the files in the folder, those of fetches included."""
        with contextlib.suppress(OSError):
            return [path for path in self._folder.iterdir() if path.is_file()]
        return []

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
        self.hold(digest)  # before its reservation ends
        return bundle
