"""Notices that the centre's log was set back: at each connection, and after a refused head.

The agent shows the heads that it holds, as the log signed them. A centre that was restored from a
backup learns from them that it must sign nothing; and the owner is told at once, in the agent's own
words: what the centre says of itself counts only where it says less of itself than was seen.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol

from secureflow.agent.store import Store
from secureflow.agent.witness import Witness
from secureflow.engines.ledger.notes import noted_size, parse_note
from secureflow.engines.ledger.setback import MAX_SHOWN
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger

JSON = Any
FACT: Final = "set_back"
"""Where the record says that the centre's log is known to be set back."""
INTERVAL: Final = 300.0
"""Seconds from one look to the next while the link stands."""
_STEP: Final = 1.0

_log = get_logger(__name__)


class Asking(Protocol):
    """The link to the centre (`adapters.link.Link`)."""

    connected: asyncio.Event

    async def call(self, kind: str, body: dict[str, JSON]) -> JSON:
        """Ask the centre something."""


class HeadWatch:
    """Shows the centre what it signed, and the owner what became of it.

    Args:
        link: the way to the centre.
        witness: knows the newest head.
        store: the agent's record: earlier heads, and where own leaves stood.
        clock: unix seconds.
    """

    def __init__(self, link: Asking, witness: Witness, store: Store, clock: Clock) -> None:
        self._link = link
        self._witness = witness
        self._store = store
        self._clock = clock

    async def run(self) -> None:
        """Look at each connection and from time to time, until cancelled."""
        while True:
            await self._link.connected.wait()
            try:
                await self.look()
            except SecureFlowError as error:
                _log.warning("log_not_compared", code=error.code, message=error.message)
            waited = 0.0
            while self._link.connected.is_set() and waited < INTERVAL:
                await asyncio.sleep(_STEP)
                waited += _STEP
                if self._witness.troubled:
                    break

    async def look(self) -> SecureFlowError | None:
        """Show the centre the heads that it signed; return how its log was set back, if it was.

        Raises:
            SecureFlowError: of the link or the centre; `malformed_note`.
        """
        self._witness.troubled = False
        newest = self._witness.newest
        if not newest:
            return None
        answer = await self._show([newest], [])
        problem = judged(newest, answer)
        if problem is not None:
            theirs = noted_size(str(answer.get("note", "")))
            view = self._witness.view
            earlier = self._store.heads(view.origin, min(theirs, view.size), MAX_SHOWN - 1)
            places = [list(place) for place in self._store.placed_leaves(MAX_SHOWN)]
            answer = await self._show([newest, *earlier], places)
            problem = judged(newest, answer)
        await asyncio.to_thread(self._keep, problem)
        return problem

    async def _show(self, heads: list[str], places: list[list[JSON]]) -> dict[str, JSON]:
        answer = await self._link.call("log.show", {"heads": heads, "places": places})
        return answer if isinstance(answer, dict) else {}

    def _keep(self, problem: SecureFlowError | None) -> None:
        """Say it once, in the log of deeds and in the record, until it is over."""
        now = None if problem is None else problem.as_json()
        before = self._store.fact(FACT)
        if now == before:
            return
        with self._store.transaction():
            self._store.set_fact(FACT, now)
            if problem is not None:
                self._store.note(self._clock(), "log.set_back", message=problem.message)
            else:
                self._store.note(self._clock(), "log.whole")
        if problem is not None:
            _log.error("log_set_back", message=problem.message)


def judged(newest: str, told: JSON) -> SecureFlowError | None:
    """Return how the log was set back: by a head that this agent holds, else by the centre's word.

    Args:
        newest: the newest head that was accepted; empty for none.
        told: the centre's `{note, held}`; other members are not looked at.
    """
    note = told.get("note") if isinstance(told, dict) else None
    if newest and isinstance(note, str):
        ours, theirs = parse_note(newest).checkpoint, parse_note(note).checkpoint
        if theirs.origin == ours.origin and theirs.size < ours.size:
            return seen_set_back(ours.origin, ours.size, theirs.size)
    held = told.get("held") if isinstance(told, dict) else None
    if not isinstance(held, dict):
        return None
    return SecureFlowError.foreign(
        held.get("code"), held.get("message"), held.get("hint"), held.get("details")
    )


def seen_set_back(origin: str, ours: int, theirs: int) -> SecureFlowError:
    """Return what an owner is told of a log that is smaller than what it signed for this agent."""
    return SecureFlowError(
        "log_set_back",
        f"The centre's log {origin} was set back: it has {theirs} entries, and this agent holds "
        f"its signed head of size {ours}. {ours - theirs} entries are lost.",
        "Nothing of yours is lost. Ask the operator to put the newest database back; if it is "
        "gone, the members let the log go on: secureflow agent charter show.",
        {"origin": origin, "old": ours, "own": theirs, "lost": ours - theirs},
    )
