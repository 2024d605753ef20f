"""Notices that the log was set back, and keeps it from signing until that is settled.

A centre cannot tell from its own database that it was restored: what the members' agents hold of
its own heads tells it. Each agent shows its newest head as it dials in, and more when it is asked;
one that the log signed and does not hold stops the signer at once (`engines.ledger.setback`). A log
that `server restore` brought back is held from the start, until every member has shown that it
holds nothing newer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from secureflow.application.listing import every
from secureflow.application.membership import member_keys
from secureflow.application.ports.ledger import Ledger
from secureflow.application.ports.storage import UnitOfWorkFactory
from secureflow.application.restored import settle_restored
from secureflow.domain.origins import continues
from secureflow.engines.ledger.merkle import EMPTY_ROOT
from secureflow.engines.ledger.notes import Checkpoint, parse_note
from secureflow.engines.ledger.setback import MAX_SHOWN, Hold, set_back
from secureflow.kit.clock import Clock
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.logging import get_logger

_log = get_logger(__name__)


class Ending(Protocol):
    """Ends jobs that began before the log was set back (`application.continuing`)."""

    async def end_jobs(self) -> list[str]:
        """Have every job that goes on end by name."""

    async def restart(self, jobs: list[str]) -> None:
        """Drive jobs afresh, to their end."""


class LogGuard:
    """Judges the heads that parties show.

    Args:
        begin: starts units of work.
        ledger: the log.
        ending: ends the jobs that began before a restored log goes on.
        clock: unix seconds.
    """

    def __init__(
        self, begin: UnitOfWorkFactory, ledger: Ledger, ending: Ending, clock: Clock
    ) -> None:
        self._begin = begin
        self._ledger = ledger
        self._ending = ending
        self._clock = clock

    async def shown(
        self,
        party: str,
        notes: Sequence[str],
        places: Sequence[tuple[str, int]] = (),
        *,
        settled: bool = True,
    ) -> Hold | None:
        """Judge heads that a party holds; return why the log is held now, if it is.

        Args:
            party: whose agent shows them.
            notes: heads as the log signed them, the newest among them; what this log did not sign
                under its present name counts for nothing.
            places: hex leaf hashes of the party and the index that each was proven to have. They
                are the party's word: they only say how far a log that is held is the old one.
            settled: whether the party goes by no newer charter than this centre. Else it does not
                count as seen yet: the newer one may name members who hold more.
        """
        origin = self._ledger.origin
        kept, forks = 0, list[int]()
        against: list[tuple[int, str]] = []
        for text in notes[:MAX_SHOWN]:
            head = self._signed(text)
            if head is None:
                continue
            later = head.origin != origin
            root = None if later else await self._root(head.size)
            if root == head.root:
                kept = max(kept, head.size)
                continue
            against.append((head.size, text))
            forks += [] if root is None else [head.size]
        if not against and self._ledger.hold is None:
            return None
        differing = await self._differing(places)
        forks += [differing] if differing else []
        shown = max(against)[1] if against else ""
        if not settled and not shown:
            return self._ledger.hold
        judged = await self._judge(origin, party, shown, kept, min(forks, default=0))
        if self._ledger.origin != origin:  # the members let it go on meanwhile
            return await self.shown(party, notes, places, settled=settled)
        return judged

    async def settle(self) -> Hold | None:
        """Let a restored log go on once nobody who could hold a newer head is left."""
        hold = self._ledger.hold
        if hold is None or hold.cause != "restored" or hold.head:
            return hold
        if await self.waiting(hold):
            return hold
        jobs = await self._ending.end_jobs()
        try:
            async with self._begin() as work:
                await settle_restored(work, self._clock(), "unchanged")
                await work.commit()
            after = await self._ledger.judge(lambda now, _: None if now == hold else now)
        finally:  # they end, also where the answer to a commit was lost and nobody asks again
            await self._ending.restart(jobs)
        if after is None:
            _log.warning("log_goes_on", origin=self._ledger.origin, seen=list(hold.seen))
        return after

    async def waiting(self, hold: Hold) -> tuple[str, ...]:
        """Return the members whose newest head is not known: without a charter, every agent's."""
        members = set(await member_keys(self._begin))
        if not members:
            async with self._begin() as work:
                agents = await every(work.agents, kind="agent")
            members = {one.party for one in agents if one.revoked is None}
        return tuple(sorted(members - set(hold.seen)))

    async def hold_error(self) -> InfrastructureError | None:
        """Return what people are told of a log that is held; None while it is not."""
        hold = self._ledger.hold
        if hold is None:
            return None
        return set_back(hold, self._ledger.origin, await self.waiting(hold))

    async def check(self) -> None:
        """Fail while the log is held.

        Raises:
            InfrastructureError: `log_set_back`.
        """
        error = await self.hold_error()
        if error is not None:
            raise error

    def _signed(self, text: str) -> Checkpoint | None:
        """Return what a head says, if this log signed it, under its present name or a later one.

        One under a later name says that this database is older than a continuation.
        """
        try:
            note = parse_note(text)
        except SecureFlowError:
            return None
        mine = continues(note.checkpoint.origin, self._ledger.origin)
        return note.checkpoint if mine and note.verify_log(self._ledger.public) else None

    async def _root(self, size: int) -> bytes | None:
        """Return the log's own root at a size; None where it does not reach so far."""
        try:
            return await self._ledger.root(size) if size else EMPTY_ROOT
        except SecureFlowError as error:
            if error.code != "not_found":
                raise
            return None

    async def _differing(self, places: Sequence[tuple[str, int]]) -> int:
        """Return the size at which the first own leaf is not where it stood; 0 where none differs.

        Beyond the end of the log it is lost, which says nothing of what is kept.
        """
        for leaf, index in sorted(places[:MAX_SHOWN], key=lambda place: place[1]):
            entries = await self._ledger.entries(start=index, limit=1)
            if entries and entries[0].index == index and entries[0].hash.hex() != leaf:
                return index + 1
        return 0

    async def _judge(
        self, origin: str, party: str, shown: str, kept: int, forked: int
    ) -> Hold | None:
        now = self._clock()

        def decide(hold: Hold | None, size: int) -> Hold | None:
            # What was compared is the log of this name; that of the next one holds what it kept.
            if self._ledger.origin != origin or (hold is None and not shown):
                return hold
            known = (hold or Hold("shown", now, size)).confirmed(party, kept)
            known = known.with_shown_head(party, shown) if shown else known
            return known.differing(forked) if known.head else known

        was = self._ledger.hold
        hold = await self._ledger.judge(decide)
        if hold is not None and shown and hold != was:
            error = set_back(hold, self._ledger.origin)
            _log.error("log_set_back", party=party, message=error.message)
        return await self.settle() if hold is not None else None
