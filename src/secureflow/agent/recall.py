"""Before its first answer, an agent looks whether its record is an older copy of itself.

The folder's mark (`keeping`) tells where the folder stayed. Where all of it was put back, a
snapshot of the machine, only others know better: the centre's log holds what this organisation
signed. A leaf with its own signature that the record lacks cannot be forged; the record has
forgotten it, and votes and charges with it. The agent stops and says so. A centre that keeps such
leaves to itself gains no more than from an agent that never asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from secureflow.agent.budgets import LEAF as BUDGET
from secureflow.agent.logged import take_in
from secureflow.agent.records import JobRecord
from secureflow.agent.restored import go_on_behind, restored
from secureflow.agent.store import Store
from secureflow.engines.ledger.leaves import SignedLeaf, leaf_from_json, verify
from secureflow.kit.canonical import digest
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger

JSON = Any
Call = Callable[[str, Mapping[str, JSON]], Awaitable[JSON]]
End = Callable[[str, str], Awaitable[None]]

CODE: Final = "record_set_back"
NEWEST: Final = 64
"""Own leaves that the centre is asked for."""
ANSWERS_WITHIN: Final = 10.0
"""Seconds in which the centre answers while the owner waits, who is answered within 15."""

_log = get_logger(__name__)


class Recall:
    """Compares the record with this organisation's newest leaves in the log.

    Args:
        store: the agent's record.
        party: organisation slug.
        public: its base64 signing key.
        clock: unix seconds.
        call: asks the centre.
        end: ends a job here: (job, outcome).
    """

    def __init__(
        self, store: Store, party: str, public: str, clock: Clock, call: Call, end: End
    ) -> None:
        self._store = store
        self._party = party
        self._public = public
        self._clock = clock
        self._call = call
        self._end = end
        self._lock = asyncio.Lock()
        self._done = False

    async def check(self) -> None:
        """Look once, before anything is answered.

        Raises:
            SecureFlowError: `record_set_back`, and the alarm stays; those of the link.
        """
        if self._known():
            return
        async with self._lock:
            if self._known():
                return
            lacking = await self._lacking()
            if lacking and restored(self._store) is not None:
                await self._take_in(lacking)
            elif lacking:
                raise await asyncio.to_thread(self._alarm, lacking)
            self._done = True

    async def accept(self) -> None:
        """Go on with an older record, on the owner's word: what it lacks is over.

        Leaves that the log holds are taken in, so that what is signed next follows them, and the
        jobs that they belong to end here. Budget entries are not: what was spent stays unknown, and
        the budgets are locked until the owner says it (`agent data settle`).

        Raises:
            SecureFlowError: `server_unreachable`, since its owner waits; those of the link.
        """
        lacking = await self._lacking_now()
        async with self._lock:
            kept = [(one, index) for one, index in lacking if one.leaf.kind != BUDGET]
            await self._take_in(kept, behind=bool(lacking))
            for job in sorted({one.leaf.job for one, _ in lacking} - {""}):
                await asyncio.to_thread(self._forgotten, job)
                await self._end(job, CODE)
            self._done = True

    def _known(self) -> bool:
        return self._done

    async def _lacking(self) -> list[tuple[SignedLeaf, int]]:
        """Return own leaves of the log that the record lacks, oldest first."""
        answer = await self._asked()
        told = answer.get("leaves") if isinstance(answer, dict) else None
        found = [_read(one) for one in (told if isinstance(told, list) else [])[:NEWEST]]
        lacking = [
            (signed, index)
            for signed, index in {one.hash(): (one, index) for one, index in found}.values()
            if signed.leaf.author == self._party
            and verify(signed, self._public)
            and not self._store.has_leaf(signed.hash())
        ]
        return sorted(lacking, key=lambda one: one[1])

    async def _lacking_now(self) -> list[tuple[SignedLeaf, int]]:
        try:
            async with asyncio.timeout(ANSWERS_WITHIN):
                return await self._lacking()
        except TimeoutError as error:
            raise SecureFlowError(
                "server_unreachable",
                f"The centre does not say which entries of {self._party} the record lacks.",
                "secureflow agent doctor shows the way to the centre; then clear the alarm again.",
            ) from error

    async def _asked(self) -> JSON:
        try:
            return await self._call("log.mine", {"limit": NEWEST})
        except SecureFlowError as error:
            if error.code != "unknown_kind":
                raise
            return {}  # an older centre

    async def _take_in(
        self, lacking: Sequence[tuple[SignedLeaf, int]], *, behind: bool = False
    ) -> None:
        def keep() -> None:
            with self._store.transaction():
                if behind:
                    go_on_behind(self._store, self._clock())
                for signed, index in lacking:
                    take_in(self._store, signed, index)
                self._store.note(self._clock(), "record.taken_in", leaves=len(lacking))

        if lacking or behind:
            await asyncio.to_thread(keep)

    def _forgotten(self, job: str) -> None:
        """Know a job that was approved after the copy was made: it is over, and not begun anew."""
        if self._store.job(job) is None:
            with self._store.transaction():
                self._store.add_job(JobRecord(job, digest({}), {}, b"", self._clock(), 0, CODE))

    def _alarm(self, lacking: Sequence[tuple[SignedLeaf, int]]) -> SecureFlowError:
        jobs = sorted({one.leaf.job for one, _ in lacking} - {""})
        named = f" (jobs {', '.join(jobs)})" if jobs else ""
        error = SecureFlowError(
            CODE,
            f"The log holds {len(lacking)} entries that {self._party} signed and that this agent's "
            f"record lacks{named}: the record is an older copy. It takes part in nothing.",
            "Put the newest record back and start the agent again. If that is gone: secureflow "
            "agent clear-alarm ends those jobs here and goes on.",
            {"jobs": jobs, "leaves": [one.hash() for one, _ in lacking]},
        )
        _log.error("record_set_back", message=error.message)
        with self._store.transaction():
            self._store.set_fact("alarm", error.as_json())
            self._store.note(self._clock(), "alarm", code=error.code, message=error.message)
        return error


def _read(value: JSON) -> tuple[SignedLeaf, int]:
    """Read one leaf as the centre tells of it.

    Raises:
        SecureFlowError: `malformed_leaf`.
    """
    told = value if isinstance(value, dict) else {}
    index = told.get("index")
    return leaf_from_json(told.get("leaf")), index if type(index) is int and index >= 0 else 0
