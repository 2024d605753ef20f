"""Before its first answer on each link, an agent checks whether its record is an older copy.

The folder's mark (`folder`) detects it if only the record was replaced. If the whole folder was, by
a snapshot of the machine, only others can tell: the centre's log holds what this organisation
signed. A leaf with its own signature that the record lacks cannot be forged; the record has lost
it, and votes and charges with it. The agent stops and reports it. A centre that hides such leaves
gains no more than from an agent that never asked.

A start is not the only moment: a snapshot that has the memory too goes back without one, and a copy
of the folder may run beside the agent. Both need a new link, so each link is a reason to ask again.

At the owner's request an agent continues with such a record like a restored one: every own leaf of
the log is added, every job is ended and stays charged, and every privacy domain waits for its
owner's statement. That is one transaction; the steps after it can be repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from secureflow.agent.record.ownkeys import is_signed_by, recorded_keys
from secureflow.agent.record.ownleaves import own_leaves
from secureflow.agent.record.restored import (
    CODE,
    accept_rollback,
    add_missing_leaves,
    expects_older,
    mark_checked,
    remembered,
)
from secureflow.agent.record.store import RecordStore
from secureflow.engines.ledger.leaves import SignedLeaf, leaf_from_json
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.text import Text

Call = Callable[[str, Mapping[str, JSON]], Awaitable[JSON]]
Forget = Callable[[str], Awaitable[None]]

NEWEST: Final = 64
"""Own leaves requested from the centre on each link."""
ANSWERS_WITHIN: Final = 10.0
"""Seconds for the centre to answer while the owner waits, whose command times out after 15."""

_JOBS: Final = 10_000

_log = get_logger(__name__)


class RollbackCheck:
    """Compares the record with this organisation's newest leaves in the log.

    Args:
        store: the agent's record.
        party: organisation slug.
        public: its current base64 signing key.
        clock: unix seconds.
        call: asks the centre.
        forget: drops the files of a job that is over.
        links: returns how many links the centre has welcomed so far.
    """

    def __init__(
        self,
        store: RecordStore,
        party: str,
        public: str,
        clock: Clock,
        call: Call,
        forget: Forget,
        links: Callable[[], int],
    ) -> None:
        self._store = store
        self._party = party
        self._public = public
        self._clock = clock
        self._call = call
        self._forget = forget
        self._links = links
        self._lock = asyncio.Lock()
        self._checked: int | None = None
        self._read: dict[str, tuple[SignedLeaf, int]] = {}
        self._read_to = 0

    async def check(self) -> None:
        """Check once per link, before anything is answered on it.

        Raises:
            SecureFlowError: `record_set_back`, and the alarm stays; those of the link.
        """
        async with self._lock:
            while not self._known():
                link = self._links()
                shown = await self._newest()
                if expects_older(self._store):
                    await self._read_on()
                    lacking = self._lacking(shown | self._read)
                    await asyncio.to_thread(self._take_missing, lacking)
                elif lacking := self._lacking(shown):
                    raise await asyncio.to_thread(self._alarm, lacking)
                self._settled(link)

    async def accept(self) -> None:
        """Continue with an older record, at the owner's request, without its unfinished jobs.

        Can be repeated after an interruption at any point; the caller clears the alarm afterwards.

        Raises:
            SecureFlowError: `server_unreachable`, because the owner waits; those of the link.
        """
        link = self._links()
        shown = await self._shown_now()
        async with self._lock:
            await asyncio.to_thread(self._accept, shown)
            await self.forget_ended_jobs()
            self._settled(link)

    async def forget_ended_jobs(self) -> None:
        """Remove the files of jobs that ended by `accept_rollback`; can be repeated."""
        for job in await asyncio.to_thread(self._ended):
            await self._forget(job)

    def _settled(self, link: int) -> None:
        self._read, self._read_to, self._checked = {}, 0, link

    def _known(self) -> bool:
        return self._checked == self._links()

    def _lacking(self, shown: Mapping[str, tuple[SignedLeaf, int]]) -> list[tuple[SignedLeaf, int]]:
        """Return own leaves that the record lacks, oldest first; also those shown to jobs."""
        shown = {one[0].hash(): one for one in remembered(self._store)} | dict(shown)
        lacking = [one for leaf, one in shown.items() if not self._store.has_leaf(leaf)]
        return sorted(lacking, key=lambda one: one[1])

    async def _newest(self) -> dict[str, tuple[SignedLeaf, int]]:
        """Return the newest own leaves of the log, by their hashes."""
        answer = await self._asked()
        leaves = answer.get("leaves") if isinstance(answer, dict) else None
        found = [_read(one) for one in (leaves if isinstance(leaves, list) else [])[:NEWEST]]
        keys = recorded_keys(self._store, self._party, self._public)
        return {
            one.hash(): (one, index)
            for one, index in found
            if one.leaf.author == self._party and is_signed_by(one, keys)
        }

    async def _shown_now(self) -> dict[str, tuple[SignedLeaf, int]]:
        """Return every own leaf of the log, by hash; pages are read only once."""
        try:
            async with asyncio.timeout(ANSWERS_WITHIN):
                newest = await self._newest()
                await self._read_on()
        except TimeoutError as error:
            raise SecureFlowError(
                "server_unreachable",
                Text(
                    "The centre does not report which entries of {party} the record lacks.",
                    party=self._party,
                ),
                "Check the connection with secureflow agent doctor; then clear the alarm again.",
            ) from error
        return newest | self._read

    async def _read_on(self) -> None:
        pages = own_leaves(self._call, self._store, self._party, self._public, self._read_to)
        async for page, end in pages:
            self._read |= {one.hash(): (one, index) for one, index in page}
            self._read_to = end

    async def _asked(self) -> JSON:
        try:
            return await self._call("log.mine", {"limit": NEWEST})
        except SecureFlowError as error:
            if error.code != "unknown_kind":
                raise
            return {}  # an older centre

    def _take_missing(self, lacking: Sequence[tuple[SignedLeaf, int]]) -> None:
        with self._store.transaction():
            mark_checked(self._store)
            add_missing_leaves(self._store, self._clock(), lacking)

    def _accept(self, shown: Mapping[str, tuple[SignedLeaf, int]]) -> None:
        """Complete the record from the log, and end what it cannot continue with; once.

        Jobs named in the alarm count too, even if the centre no longer shows them.
        """
        store, now, lacking = self._store, self._clock(), self._lacking(shown)
        alarm = store.fact("alarm") or {}
        named = alarm.get("details", {}) if alarm.get("code") == CODE else {}
        missing = set(named.get("leaves", ())) - set(shown)
        unsaid = any(not store.has_leaf(leaf) for leaf in missing)
        if not lacking and not unsaid:
            return
        # An older version's alarm does not have the specs' digests.
        specs = named.get("specs") or dict.fromkeys(named.get("jobs", ()), "")
        with store.transaction():
            accept_rollback(store, now, lacking, specs if unsaid else {})

    def _ended(self) -> list[str]:
        return [one.job for one in self._store.jobs(_JOBS) if one.outcome == CODE]

    def _alarm(self, lacking: Sequence[tuple[SignedLeaf, int]]) -> SecureFlowError:
        specs = {one.leaf.job: one.leaf.spec for one, _ in lacking if one.leaf.job}
        jobs = sorted(specs)
        named = Text(" (jobs {jobs})", jobs=", ".join(jobs)) if jobs else ""
        error = SecureFlowError(
            CODE,
            Text(
                "The log holds entries that {party} signed and that this agent's record "
                "lacks{named}: the record is an older copy. The agent takes part in no job.",
                party=self._party,
                named=named,
            ),
            "Put the newest record back and start the agent again. If that is lost: secureflow "
            "agent clear-alarm ends every job that runs here, locks the privacy budgets and "
            "continues.",
            {"jobs": jobs, "leaves": [one.hash() for one, _ in lacking], "specs": specs},
        )
        _log.error("record_set_back", message=error.message)
        with self._store.transaction():
            self._store.set_fact("alarm", error.as_json())
            self._store.note(self._clock(), "alarm", code=error.code, message=error.message)
        return error


def _read(value: JSON) -> tuple[SignedLeaf, int]:
    """Read one leaf as sent by the centre.

    Raises:
        SecureFlowError: `malformed_leaf`.
    """
    entry = value if isinstance(value, dict) else {}
    index = entry.get("index")
    return leaf_from_json(entry.get("leaf")), index if type(index) is int and index >= 0 else 0
