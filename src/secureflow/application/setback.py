"""Detects that the log was rolled back, and keeps it from signing until that is settled.

A centre cannot tell from its own database that it was restored, but from its heads that the
members' agents hold. Each agent shows its newest head when it dials in, and more on request; one
that the log signed but does not contain stops the signer at once (`engines.ledger.setback`). A log
restored by `server restore` is held from the start, until every member has shown that it holds
nothing newer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from secureflow.application.listing import list_readable
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
    """Ends jobs that began before the log was rolled back (`application.continuing`)."""

    async def end_jobs(self) -> list[str]:
        """End every unfinished job with an error that says so."""

    async def restart(self, jobs: list[str]) -> None:
        """Restart the drivers of jobs, which end them."""


class LogGuard:
    """Judges the heads that parties show.

    Args:
        begin: starts units of work.
        ledger: the log.
        ending: ends the jobs that began before a restored log continues.
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
            notes: heads as the log signed them, the newest among them; heads that this log did not
                sign under its current name are ignored.
            places: hex leaf hashes of the party and the index that each was proven to have. They
                are the party's claims, and only show how far a held log matches the old one.
            settled: whether the party has no newer charter than this centre. Otherwise it does not
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
        if self._ledger.origin != origin:  # the members let it continue meanwhile
            return await self.shown(party, notes, places, settled=settled)
        return judged

    async def settle(self) -> Hold | None:
        """Let a restored log continue once nobody can hold a newer head."""
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
        finally:  # they end even if the answer to a commit was lost and nobody retries
            await self._ending.restart(jobs)
        if after is None:
            _log.warning("log_goes_on", origin=self._ledger.origin, seen=list(hold.seen))
        return after

    async def waiting(self, hold: Hold) -> tuple[str, ...]:
        """Return the members whose newest head is unknown: all agents without a charter."""
        members = set(await member_keys(self._begin))
        if not members:
            async with self._begin() as work:
                agents = await list_readable(work.agents, kind="agent")
            members = {one.party for one in agents if one.revoked is None}
        return tuple(sorted(members - set(hold.seen)))

    async def hold_error(self) -> InfrastructureError | None:
        """Return the error for a held log, for people; None while it is not held."""
        hold = self._ledger.hold
        if hold is None:
            return None
        return set_back(hold, self._ledger.origin, await self.waiting(hold))

    async def check(self) -> None:
        """Raise while the log is held.

        Raises:
            InfrastructureError: `log_set_back`.
        """
        error = await self.hold_error()
        if error is not None:
            raise error

    def _signed(self, text: str) -> Checkpoint | None:
        """Return the content of a head, if this log signed it, under its current or a later name.

        A later name means that this database is older than a continuation.
        """
        try:
            note = parse_note(text)
        except SecureFlowError:
            return None
        mine = continues(note.checkpoint.origin, self._ledger.origin)
        return note.checkpoint if mine and note.verify_log(self._ledger.public) else None

    async def _root(self, size: int) -> bytes | None:
        """Return the log's own root at a size; None if it is shorter."""
        try:
            return await self._ledger.root(size) if size else EMPTY_ROOT
        except SecureFlowError as error:
            if error.code != "not_found":
                raise
            return None

    async def _differing(self, places: Sequence[tuple[str, int]]) -> int:
        """Return the size at which the party's first displaced leaf was; 0 if there is none.

        Leaves beyond the end of the log are lost, which says nothing about the kept ones.
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
            # The comparison is with the log of this name; the next one contains what was kept.
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
