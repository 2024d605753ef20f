"""Carries entries from the outbox to the places that keep them, and stores what these tell.

Each place has a task of its own: none hinders another. A turn of it looks at every ticket that is
on its way, reads the place's events to their end, believes what both say (`anchorverdicts`), and
then sends. So that a place gets entries in their order, a further ticket is made only once all
earlier ones are included and took effect. A place that cannot be asked is left alone for longer and
longer; nothing is given up, and nothing waits for it but its own entries. Nor does an error that
nobody foresaw: it is logged with its trace, and the place is tried again like one that is away.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from secureflow.application.anchorverdicts import verdict_of
from secureflow.application.ports.anchor import Anchor, Outcome, Position
from secureflow.application.ports.anchoroutbox import (
    AnchorOutbox,
    Carried,
    TicketState,
    Verdict,
    key_of,
)
from secureflow.kit.backoff import Backoff
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.text import Text

PAGE: Final = 500
"""Events asked for at once."""
MOST_PAGES: Final = 20
"""Pages read in one turn: a place that tells without end does not hold up what is sent."""
PRUNE_SECONDS: Final = 3600.0
PRUNE_EVENTS: Final = 20_000
"""New events after which what is over is removed before its hour: a place may tell without end."""

_log = get_logger(__name__)


@dataclass(frozen=True)
class Pace:
    """How hastily entries are sent, in seconds.

    Args:
        gather: for which an entry waits for others to share its ticket.
        look: first pause between two looks at what is on its way; each is twice as long.
        poll: the longest such pause.
        idle: between two looks at a place's events while nothing is on its way.
        again: before a ticket that is not included is sent again, at first.
        fail: first pause after a place could not be asked.
        longest: the longest pause after that, and before a ticket is sent again.
        patience: after which a ticket that is not included counts as lost, because one before it
            may be missing or its price too low; its entries are known should it come in after all.
        sure: for which a refusal must have been said before it is believed: nothing that the place
            tells everybody shows it.
        ahead: tickets that may be included and not final.
    """

    gather: int = 2
    look: float = 0.05
    poll: float = 2.0
    idle: float = 30.0
    again: float = 10.0
    fail: float = 1.0
    longest: float = 300.0
    patience: float = 3600.0
    sure: float = 600.0
    ahead: int = 16


class Anchoring:
    """Sends to every place.

    Args:
        outbox: what is to be sent.
        anchors: the places.
        member: own charter key in lowercase hex, as the places' events name it.
        clock: unix seconds.
        pace: see there.
    """

    def __init__(
        self,
        outbox: AnchorOutbox,
        anchors: Sequence[Anchor],
        member: str,
        clock: Clock,
        pace: Pace | None = None,
    ) -> None:
        self._senders = [PlaceSender(outbox, one, member, clock, pace or Pace()) for one in anchors]

    async def run(self) -> None:
        """Send until it is cancelled; what was begun is taken up by the next run."""
        async with asyncio.TaskGroup() as group:
            for one in self._senders:
                group.create_task(one.run())

    def wake(self) -> None:
        """Look at the outbox soon: an entry was added."""
        for one in self._senders:
            one.wake()

    def troubles(self) -> Mapping[str, SecureFlowError]:
        """Return by place why it cannot be asked at the moment."""
        return {one.place: one.trouble for one in self._senders if one.trouble is not None}


class PlaceSender:
    """Sends to one place; see `Anchoring`."""

    def __init__(
        self, outbox: AnchorOutbox, anchor: Anchor, member: str, clock: Clock, pace: Pace
    ) -> None:
        self.place = anchor.place
        self.trouble: SecureFlowError | None = None
        self._outbox = outbox
        self._anchor = anchor
        self._member = member
        self._clock = clock
        self._pace = pace
        self._woken = asyncio.Event()
        self._failures = Backoff(pace.fail, pace.longest)
        self._looks = Backoff(pace.look, pace.poll)
        self._lost = Backoff(pace.fail, pace.longest)
        self._resends: dict[str, tuple[Backoff, float]] = {}
        self._missing: dict[str, float] = {}
        self._contradicted: set[str] = set()
        self._refused: dict[str, tuple[float, Outcome]] = {}
        self._prune_at = 0.0
        self._stored = 0
        self._reorganised = False
        self._reorganisations = Backoff(pace.fail, pace.longest)

    def wake(self) -> None:
        """End an idle pause; one after a failure is not shortened."""
        self._woken.set()

    async def run(self) -> None:
        """Take turns until cancelled."""
        while True:
            self._woken.clear()
            try:
                pause = await self._turn()
            except SecureFlowError as error:
                if not self._is_known(error):
                    _log.warning(
                        "anchor_away", place=self.place, code=error.code, message=error.message
                    )
                await self._failed(error)
                continue
            except Exception:  # noqa: BLE001  the edge of a task: the other places go on
                fault = internal_at(self.place)
                if not self._is_known(fault):
                    _log.exception("anchor_failed", place=self.place)
                await self._failed(fault)
                continue
            if self.trouble is not None:
                _log.info("anchor_back", place=self.place)
            self.trouble = None
            self._failures.reset()
            await self._rest(self._paused(pause))

    def _paused(self, pause: float | None) -> float | None:
        """Return the pause, a longer one each time that the place was reorganised again.

        Everything is read and looked at anew then: a place that says so without end would have that
        done without a pause.
        """
        if self._reorganised:
            self._reorganised = False
            return max(pause or 0.0, self._reorganisations.next())
        if pause is None:
            self._reorganisations.reset()
        return pause

    def _is_known(self, error: SecureFlowError) -> bool:
        return self.trouble is not None and self.trouble.code == error.code

    async def _failed(self, error: SecureFlowError) -> None:
        self.trouble = error
        await asyncio.sleep(_jittered(self._failures.next()))

    async def _rest(self, pause: float | None) -> None:
        if pause is not None:
            await asyncio.sleep(_jittered(pause))
            return
        try:
            async with asyncio.timeout(_jittered(self._pace.idle)):
                await self._woken.wait()
        except TimeoutError:
            return

    async def _turn(self) -> float | None:
        """Do all that can be done now; return the pause before the next turn, None if idle."""
        await self._prune()
        carried = await self._outbox.carried(self.place)
        read, lost = await self._look(carried)
        heard = await self._listen()
        finished = await self._finish(read) if heard else 0
        waiting = [one for one in carried if one.ticket.id not in lost]
        included = {one.ticket.id for one, _ in read}
        missing = [one for one in waiting if one.ticket.id not in included]
        if lost or await self._gave_up(missing):
            return self._lost.next()
        sent = await self._send(missing)
        done = sum(bool(outcome.results) for _, outcome in read)
        if done == len(waiting):
            sent += await self._begin(len(waiting) - finished)
        if finished:
            self._lost.reset()
        if finished or sent:
            self._looks.reset()
            return 0.0
        busy = bool(waiting) or not heard or await self._outbox.queued(self.place, 1)
        return self._looks.next() if busy else None

    async def _look(
        self, carried: Sequence[Carried]
    ) -> tuple[list[tuple[Carried, Outcome]], set[str]]:
        """Return what became of included tickets, and which are lost."""
        included, lost = [], set()
        for one in carried:
            if one.state == "prepared":
                continue
            outcome = await self._anchor.outcome(one.ticket)
            if outcome.state == "lost":
                await self._lose(one.ticket.id)
                lost.add(one.ticket.id)
                continue
            await self._store_position(one, outcome.position)
            if outcome.position is not None:
                self._missing.pop(one.ticket.id, None)
                included.append((one, outcome))
        return included, lost

    async def _store_position(self, one: Carried, found: Position | None) -> None:
        if found == one.position and one.state != "prepared":
            return
        state: TicketState = "sent" if found is None else "included"
        await self._outbox.moved(self.place, one.ticket.id, state, found)
        if found is None:  # it was included and is no more: the place was reorganised
            self._resends.pop(one.ticket.id, None)

    async def _listen(self) -> bool:
        """Store the place's new events; tell whether all of them were read."""
        for _ in range(MOST_PAGES):
            before = await self._outbox.cursor(self.place)
            page = await self._anchor.happened(before, PAGE)
            if not page.events and page.cursor == before and not page.reorganised:
                return True
            self._reorganised = self._reorganised or page.reorganised
            self._stored += len(await self._outbox.heard(self.place, page, self._member))
            if not page.events:
                return True
        return False

    async def _finish(self, read: Sequence[tuple[Carried, Outcome]]) -> int:
        """Make final what two readings and the events agree on; return how many tickets."""
        finished = 0
        for one, before in read:
            if before.state != "final" or self._doubtful(one.ticket.id, before):
                continue
            again = await self._anchor.outcome(one.ticket)
            verdicts = await self._verdicts(one, before, again)
            if verdicts is None:
                self._contradicts(one)
                self._refused.pop(one.ticket.id, None)
                continue
            refused = any(verdict.result == "refused" for verdict in verdicts)
            if refused and one.ticket.id not in self._refused and self._pace.sure:
                self._refused[one.ticket.id] = (asyncio.get_running_loop().time(), again)
                continue
            await self._outbox.finished(self.place, one.ticket.id, again, verdicts, self._clock())
            self._forget(one.ticket.id)
            finished += 1
        return finished

    def _doubtful(self, ticket: str, said: Outcome) -> bool:
        """Tell whether a refusal was not said for long enough; if it changes, that begins anew."""
        since, before = self._refused.get(ticket, (0.0, said))
        if before.results != said.results:
            del self._refused[ticket]
            return False
        return ticket in self._refused and (
            asyncio.get_running_loop().time() - since < self._pace.sure
        )

    async def _verdicts(
        self, one: Carried, before: Outcome, again: Outcome
    ) -> Sequence[Verdict] | None:
        same = (before.state, before.position, before.results) == (
            again.state, again.position, again.results,
        )  # fmt: skip
        awaiting = await self._outbox.awaiting(self.place, one.ticket.id)
        if not same or max((slot for slot, _ in awaiting), default=-1) >= len(again.results):
            return None
        tellers = await self._outbox.tellers(self.place, [entry for _, entry in awaiting])
        forgot = await self._outbox.forgot(self.place)
        found = []
        for slot, entry in awaiting:
            who = tellers[key_of(entry)]
            said = _said(again, slot)
            found.append(verdict_of(entry, said, who, self._member, forgot=forgot))
        sure = [verdict for verdict in found if verdict is not None]
        return sure if len(sure) == len(found) else None

    async def _gave_up(self, missing: Sequence[Carried]) -> bool:
        """Queue the entries of all that are not included again, if one of them is not for long."""
        now = asyncio.get_running_loop().time()
        away = [one.ticket.id for one in missing if one.state != "prepared"]
        since = [self._missing.setdefault(one, now) for one in away]
        if not since or now - min(since) < self._pace.patience:
            return False
        for one in away:
            await self._lose(one)
        return True

    async def _lose(self, ticket: str) -> None:
        await self._outbox.lost(self.place, ticket)
        self._forget(ticket)
        _log.info("anchor_ticket_lost", place=self.place, ticket=ticket)

    async def _send(self, missing: Sequence[Carried]) -> int:
        """Send what never left, and now and then again what is not included."""
        fresh, now = 0, asyncio.get_running_loop().time()
        for one in missing:
            if one.state == "prepared":
                await self._send_first(one)
                fresh += 1
            elif now >= self._resends.get(one.ticket.id, (None, 0.0))[1]:
                await self._anchor.send(one.ticket)
                self._sent(one.ticket.id)
        return fresh

    async def _send_first(self, one: Carried) -> None:
        await self._anchor.send(one.ticket)
        await self._outbox.moved(self.place, one.ticket.id, "sent", None)
        self._sent(one.ticket.id)

    def _sent(self, ticket: str) -> None:
        pauses, _ = self._resends.get(ticket, (Backoff(self._pace.again, self._pace.longest), 0.0))
        due = asyncio.get_running_loop().time() + _jittered(pauses.next())
        self._resends[ticket] = (pauses, due)

    async def _begin(self, ahead: int) -> int:
        """Make a ticket of what is queued, if it is time; return how many were sent."""
        if ahead >= self._pace.ahead:
            return 0
        queued = await self._outbox.queued(self.place, self._anchor.limit)
        full = len(queued) >= self._anchor.limit
        # What was added while the clock was ahead is due: else it would wait until then.
        gathering = bool(queued) and 0 <= self._clock() - queued[0].at < self._pace.gather
        if not queued or (gathering and not full):
            return 0
        unfinished = [one.ticket for one in await self._outbox.carried(self.place)]
        ticket = await self._anchor.prepare([one.entry for one in queued], unfinished)
        numbers = [one.number for one in queued]
        if not await self._outbox.prepared(self.place, ticket, numbers):
            return 0
        await self._send_first(Carried(ticket, "prepared"))
        return 1

    async def _prune(self) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._prune_at or self._stored >= PRUNE_EVENTS:
            self._prune_at, self._stored = now + PRUNE_SECONDS, 0
            await self._outbox.prune(self.place, self._member)

    def _contradicts(self, one: Carried) -> None:
        if one.ticket.id not in self._contradicted:
            self._contradicted.add(one.ticket.id)
            _log.warning("anchor_contradicts_itself", place=self.place, ticket=one.ticket.id)

    def _forget(self, ticket: str) -> None:
        self._resends.pop(ticket, None)
        self._missing.pop(ticket, None)
        self._contradicted.discard(ticket)
        self._refused.pop(ticket, None)


def _said(outcome: Outcome, slot: int) -> Verdict:
    reason = outcome.reasons[slot] if slot < len(outcome.reasons) else ""
    return Verdict(outcome.results[slot], reason)


def internal_at(place: str) -> SecureFlowError:
    """Return what is told of an error at a place that nobody foresaw."""
    return SecureFlowError(
        "internal",
        Text("The agent had an internal error at {place}.", place=place),
        "The agent's log has the trace.",
    )


def _jittered(pause: float) -> float:
    return random.uniform(pause / 2, pause)  # noqa: S311  jitter, not a secret
