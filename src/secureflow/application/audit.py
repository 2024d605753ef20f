"""The ledger for people: heads, proofs, entries, and the bundle that verifies offline.

Everyone gets every hash, so anyone can check the whole tree. The content of a leaf, its document
and its salt are for those who may see the object that it is about.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from secureflow.application.access import Principal, require, seen_projects, visible_job
from secureflow.application.anchoredbundles import AnchoredBundles
from secureflow.application.continuing import charter_naming, history_up_to
from secureflow.application.membership import CURRENT
from secureflow.application.ports.ledger import Ledger, LogEntry
from secureflow.application.ports.storage import UnitOfWork, UnitOfWorkFactory
from secureflow.domain.charter import SignedCharter
from secureflow.domain.jobs import Job
from secureflow.domain.quorum import quorum_of
from secureflow.engines.ledger.anchored import Anchored
from secureflow.engines.ledger.ends import CLOSED, SERVER
from secureflow.engines.ledger.gaps import CONTINUED
from secureflow.engines.ledger.leaves import parse_leaf
from secureflow.engines.ledger.notes import parse_note
from secureflow.kit.errors import SecureFlowError

Recosign = Callable[[str, Sequence[str]], Awaitable[None]]
"""Asks a job's parties for a cosignature over the newest head."""
PERSONAL_KINDS: Final = ("login.", "access.", "token.")
"""When somebody came and went: for themselves, and who sees their organisation's accounts."""
PUBLIC_KINDS: Final = ("charter.", "organisation.", "log.", "ca.")
"""Actions that concern every member."""


class Audit:
    """Use cases around the ledger."""

    def __init__(
        self, begin: UnitOfWorkFactory, ledger: Ledger, recosign: Recosign | None = None
    ) -> None:
        self._begin = begin
        self._ledger = ledger
        self._recosign = recosign
        self._anchored = AnchoredBundles(begin, ledger)

    async def head(self, principal: Principal) -> dict[str, Any]:
        """Return the newest signed checkpoint with its cosignatures."""
        require(principal, "audit.read")
        note = await self._ledger.head()
        return {
            "note": note,
            "origin": self._ledger.origin,
            "key": self._ledger.public,
            "size": parse_note(note).checkpoint.size,
        }

    async def entries(
        self, principal: Principal, *, start: int = 0, limit: int = 100, job: str = ""
    ) -> Sequence[dict[str, Any]]:
        """Return entries from an index on, each as far as the caller may see it."""
        require(principal, "audit.read")
        async with self._begin() as work:
            if job:
                await visible_job(work, principal, job)
            sight = await Sight.of(work, principal)
        found = await self._ledger.entries(job=job or None, start=start, limit=limit)
        async with self._begin() as work:
            return [shown(entry, await sight.sees(work, entry)) for entry in found]

    async def inclusion(self, principal: Principal, index: int, size: int) -> dict[str, Any]:
        """Return the proof (RFC 9162, 2.1.3) that the entry is in the tree of this size.

        Raises:
            SecureFlowError: `not_found`.
        """
        require(principal, "audit.read")
        proof = await self._ledger.inclusion(index, size)
        return {"index": index, "size": size, "proof": [node.hex() for node in proof]}

    async def consistency(self, principal: Principal, old: int, new: int) -> dict[str, Any]:
        """Return the proof (RFC 9162, 2.1.4) that the old tree is a prefix of the new one.

        Raises:
            SecureFlowError: `invalid_request`, `not_found`.
        """
        require(principal, "audit.read")
        if old > new:
            raise SecureFlowError("invalid_request", "old must not be greater than new.")
        proof = await self._ledger.consistency(old, new)
        return {"from": old, "to": new, "proof": [node.hex() for node in proof]}

    async def bundle(
        self, principal: Principal, key: str, *, anchors: bool = False
    ) -> dict[str, Any]:
        """Return a job's audit bundle (format: `engines.ledger.bundle`).

        Args:
            principal: who asks.
            key: the job's id.
            anchors: with what members say they anchored; verifiers of older versions, agents' too,
                refuse a bundle that has it.

        Raises:
            SecureFlowError: `not_found`.
        """
        require(principal, "audit.read")
        async with self._begin() as work:
            job = await visible_job(work, principal, key)
            begun = await _charter_of(work, job)
        story = await self._ledger.job_leaves(key)
        note = await self._note_of(job, story)
        size, origin = parse_note(note).checkpoint.size, parse_note(note).checkpoint.origin
        async with self._begin() as work:
            charter = await charter_naming(work, origin, begun)
            history = await history_up_to(work, charter)
        anchored = await self._anchored.part(key, job.spec, note) if anchors else []
        story = sorted(
            [*story, *await self._beginnings(history, story)], key=lambda entry: entry.index
        )
        return {
            "v": 1,
            "origin": origin,
            "note": note,
            "job": key,
            "spec": job.spec,
            "roster": [line["party"] for line in job.spec["roster"]],
            "charter": charter,
            "entries": [
                await self._entry(e, size, opened=e.job == key or e.kind == CONTINUED)
                for e in story
                if e.index < size
            ],
            **({"history": [one.json() for one in history]} if history else {}),
            **({"anchors": anchored} if anchored else {}),
        }

    async def anchored(self, principal: Principal, key: str) -> list[Anchored]:
        """Return what members say they anchored of a job, beside the head that its report names.

        Raises:
            SecureFlowError: `not_found`.
        """
        async with self._begin() as work:
            job = await visible_job(work, principal, key)
        size = (job.report or {}).get("ledger", {}).get("size")
        if not isinstance(size, int):
            return []
        try:
            note = await self._ledger.note(size)
        except SecureFlowError as error:
            if error.code != "not_found":
                raise
            return []  # the log was set back behind the report, which is shown all the same
        return await self._anchored.judged(key, job.spec, note)

    async def _beginnings(
        self, history: Sequence[SignedCharter], story: Sequence[LogEntry]
    ) -> list[LogEntry]:
        """Return the missing ones of the entries with which the log's later origins begin."""
        starts = [one.start for one in history[-1].charter.continuations] if history else []
        there = {entry.index for entry in story}
        found = [
            entry
            for start in starts
            if start not in there
            for entry in await self._ledger.entries(start=start, limit=1)
        ]
        return [entry for entry in found if entry.kind == CONTINUED]

    async def _note_of(self, job: Job, story: Sequence[LogEntry]) -> str:
        """Return the first head over the job's last entry that most of the roster cosigned.

        That is the one that they were asked to cosign at the end, or a later one if someone was
        away then; if too few did, one that they were asked to cosign at the end, without later
        entries. Otherwise the head that the report names, or the newest one.
        """
        own = [entry for entry in story if entry.job == job.id]
        ends = [e.index for e in own if (e.author, e.kind) == (SERVER, CLOSED)]
        parties = [line["party"] for line in job.spec["roster"]]
        if ends:
            witnessed = await self._ledger.witnessed(own[-1].index, parties)
            if self._recosign is not None and _too_few(witnessed, parties):
                # All of them: only signatures over the same head count together.
                await self._recosign(job.id, parties)
                witnessed = await self._ledger.witnessed(own[-1].index, parties)
            if _too_few(witnessed, parties):
                witnessed = await self._ledger.witnessed(ends[-1], parties)
            if witnessed is not None:
                return witnessed
        ending = (job.report or {}).get("ledger", {})
        if isinstance(ending.get("size"), int):
            return await self._ledger.note(ending["size"])
        return await self._ledger.head()

    async def _entry(self, entry: LogEntry, size: int, *, opened: bool) -> dict[str, Any]:
        proof = await self._ledger.inclusion(entry.index, size)
        entry_json: dict[str, Any] = {
            "index": entry.index,
            "leaf": parse_leaf(entry.data).json(),
            "proof": [node.hex() for node in proof],
        }
        if opened and entry.salt is not None:
            entry_json |= {"document": entry.document, "salt": entry.salt.hex()}
        return entry_json


def _too_few(note: str | None, parties: Sequence[str]) -> bool:
    """Tell whether a head lacks cosignatures of a job's parties."""
    signed = {one.name for one in parse_note(note).signatures} if note else set()
    return len(signed.intersection(parties)) < quorum_of(len(parties))


class Sight:
    """One caller's view of the log; caches which jobs are visible."""

    def __init__(self, principal: Principal, projects: set[str]) -> None:
        self._principal = principal
        self._projects = projects
        self._jobs: dict[str, tuple[bool, bool]] = {}

    @classmethod
    async def of(cls, work: UnitOfWork, principal: Principal) -> Sight:
        """Return the view of a caller."""
        seen = await seen_projects(work, principal) or {}
        return cls(principal, set(seen.get("project", ())))

    async def sees(self, work: UnitOfWork, entry: LogEntry) -> bool:
        """Tell whether the caller may see what an entry is about."""
        if self._principal.operator:
            return True
        own = self._principal.acts_for(entry.author)
        if entry.job:
            sees, closed = await self._sees_job(work, entry.job)
            return sees or (own and not closed)
        if own or entry.kind.startswith(PUBLIC_KINDS):
            return True
        about = entry.document if isinstance(entry.document, dict) else {}
        if entry.kind.startswith(PERSONAL_KINDS) and about.get("user") != self._principal.user:
            own = self._principal.acts_for(str(about.get("organisation", "")))
            return own and self._principal.may("user.read")
        return (
            self._principal.acts_for(str(about.get("organisation", "")))
            or about.get("project") in self._projects
        )

    async def _sees_job(self, work: UnitOfWork, key: str) -> tuple[bool, bool]:
        """Tell whether the caller sees a job, and whether others of the own organisation do.

        The own agent signs in a restricted project, too, whose work only people named in it see.
        """
        if key not in self._jobs:
            job = await work.jobs.find(key)
            sees = job is not None and job.project in self._projects
            project = None if job is None or sees else await work.projects.find(job.project)
            closed = project is not None and project.has_member(self._principal.organisation)
            self._jobs[key] = sees, closed
        return self._jobs[key]


def shown(entry: LogEntry, visible: bool) -> dict[str, Any]:
    """Return an entry as JSON: always its index and hash, the rest only if it is visible."""
    bare: dict[str, Any] = {"index": entry.index, "hash": entry.hash.hex()}
    if not visible:
        return bare
    bare |= {"kind": entry.kind, "author": entry.author, "job": entry.job, "at": entry.at}
    bare["leaf"] = parse_leaf(entry.data).json()
    if entry.salt is not None:
        bare |= {"document": entry.document, "salt": entry.salt.hex()}
    return bare


async def _charter_of(work: UnitOfWork, job: Job) -> str:
    digest = job.progress.get("charter")
    if isinstance(digest, str):
        return digest
    stored = await work.setting(CURRENT)
    return SignedCharter.from_json(stored).charter.digest if stored else ""
