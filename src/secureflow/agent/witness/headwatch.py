"""Detects that the centre's log was rolled back: at each connection, and after a refused head.

The agent shows the heads that it holds, as the log signed them. A centre that was restored from a
backup learns from them that it must sign nothing; and the agent notifies its owner at once, by its
own evidence: the centre's statement counts only if it admits less than this agent saw.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final, Protocol

from secureflow.agent.record.restored import moment
from secureflow.agent.record.store import RecordStore
from secureflow.agent.witness.charter import PinnedCharter
from secureflow.agent.witness.continuations import SET_BACK, Continuations
from secureflow.agent.witness.hearing import FACT as HEARD
from secureflow.agent.witness.hearing import waiting_heads
from secureflow.agent.witness.witness import Witness
from secureflow.domain.charter import SignedCharter
from secureflow.engines.ledger.notes import noted_size, parse_note
from secureflow.engines.ledger.setback import MAX_SHOWN
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.text import Text

INTERVAL: Final = 300.0
"""Seconds between two checks while the link is up."""
SOON: Final = 5.0
"""The same while the log is rolled back: it may have been repaired, or the members continued it."""
_STEP: Final = 0.5
_LATEST: Final = 1 << 36
"""Unix seconds beyond which a foreign number is not read as a date."""

_log = get_logger(__name__)


class CentreLink(Protocol):
    """The link to the centre (`adapters.link.Link`)."""

    connected: asyncio.Event
    welcomes: int

    async def call(self, kind: str, body: dict[str, JSON]) -> JSON:
        """Call the centre."""


class HeadWatch:
    """Shows the centre the heads that it signed, and reports a rollback to the owner.

    Args:
        link: the link to the centre.
        witness: provides the newest head.
        store: the agent's record: earlier heads, and indexes of own leaves.
        charter: the pinned charter.
        continuations: follows continuations of the log.
        clock: unix seconds.
    """

    def __init__(
        self,
        link: CentreLink,
        witness: Witness,
        store: RecordStore,
        charter: PinnedCharter,
        continuations: Continuations,
        clock: Clock,
    ) -> None:
        self._link = link
        self._witness = witness
        self._store = store
        self._charter = charter
        self._continuations = continuations
        self._clock = clock

    async def run(self) -> None:
        """Check at each connection and periodically, until cancelled."""
        while True:
            await self._link.connected.wait()
            welcomes = self._link.welcomes
            problem: SecureFlowError | None = None
            try:
                problem = await self.check()
            except SecureFlowError as error:
                problem = error
                _log.warning("log_not_compared", code=error.code, message=error.message)
            left = INTERVAL if problem is None else SOON
            while left > 0 and self._link.welcomes == welcomes and not self._witness.troubled:
                await asyncio.sleep(_STEP)
                left -= _STEP

    async def check(self) -> SecureFlowError | None:
        """Show the centre the heads that it signed; return how its log was rolled back, if it was.

        If the members continued the log and this owner signed the continuation, it is followed.

        Raises:
            SecureFlowError: of the link or the centre; `malformed_note`, `continuation_refused`.
        """
        self._witness.troubled = False
        if self._store.fact("charter") is None:
            return None
        await asyncio.to_thread(self._continuations.apply)
        newest = self._newest()
        answer = await self._show([newest] if newest else [], [])
        if await self._hand_over_charters(answer):
            answer = await self._show([newest] if newest else [], [])
        if isinstance(note := answer.get("note"), str):
            await self._witness.check_key(note)
        problem = await self._follow_continuation(answer) or judged(newest, answer)
        if problem is not None and newest:
            theirs = noted_size(str(answer.get("note", "")))
            view = self._witness.view
            earlier = self._store.heads(view.origin, min(theirs, view.size), MAX_SHOWN - 2)
            places = [list(place) for place in self._store.placed_leaves(MAX_SHOWN)]
            own = self._witness.newest
            heads = dict.fromkeys(note for note in (newest, own, *earlier) if note)
            answer = await self._show(list(heads), places)
        await asyncio.to_thread(self._keep, problem)
        if problem is None:
            await self._continuations.resubmit()
        return problem

    def _newest(self) -> str:
        """Return the greatest head of the log that this agent holds: accepted, or heard of."""
        own, origin = self._witness.newest, self._charter.pinned().origin
        heard = [
            note
            for note in waiting_heads(self._store.fact(HEARD))
            if parse_note(note).checkpoint.origin == origin
        ]
        return max([own, *heard], key=lambda note: noted_size(note) if note else -1)

    async def _follow_continuation(self, status: dict[str, JSON]) -> SecureFlowError | None:
        """Pin the log's continuation, if this owner signed it."""
        note, pinned = status.get("note"), self._charter.pinned()
        origin = parse_note(note).checkpoint.origin if isinstance(note, str) else pinned.origin
        if origin == pinned.origin:
            return None
        answer = await self._link.call("charter.get", {})
        current = answer.get("current") if isinstance(answer, dict) else None
        if isinstance(current, dict):
            parts = {part: current.get(part) for part in ("charter", "signatures")}
            signed = SignedCharter.from_json(parts)
            if signed.charter.origin == origin and self._continuations.has_signed(signed):
                await self._continuations.check(signed)
                await asyncio.to_thread(self._charter.pin, signed)
                await asyncio.to_thread(self._continuations.apply)
                return None
        return SecureFlowError(
            "charter_mismatch",
            Text(
                "The centre's log is named {origin}; the pinned charter names {pinned_origin}.",
                origin=origin,
                pinned_origin=pinned.origin,
            ),
            "See what the members agreed on, and pin it if it is right: secureflow agent charter "
            "show, secureflow agent charter pin.",
        )

    async def _hand_over_charters(self, status: dict[str, JSON]) -> bool:
        """Send a centre that is older than a change of the charter the versions signed since.

        The centre verifies each like any change; a refusal is logged and has no other effect here,
        because this agent uses its pinned charter.
        """
        version = status.get("charter")
        if type(version) is not int or not 0 <= version < self._charter.pinned().version:
            return False
        try:
            for signed in await asyncio.to_thread(self._charter.versions_after, version):
                await self._link.call("charter.take_over", {"charter": signed.json()})
        except SecureFlowError as error:
            _log.warning("charter_not_taken", code=error.code, message=error.message)
            return False
        _log.warning("charter_handed_over", since=version)
        return True

    async def _show(self, heads: list[str], places: list[list[JSON]]) -> dict[str, JSON]:
        named = self._charter.named()
        answer = await self._link.call(
            "log.show", {"heads": heads, "places": places, "charter": named}
        )
        return answer if isinstance(answer, dict) else {}

    def _keep(self, problem: SecureFlowError | None) -> None:
        """Report it once, in the agent's log and in the record, until it is over.

        The centre's message may change at each check: that is not a new event.
        """
        now = None if problem is None else problem.as_json()
        before = self._store.fact(SET_BACK)
        if now == before:
            return
        known = now and before and now["code"] == before["code"]
        with self._store.transaction():
            self._store.set_fact(SET_BACK, now)
            if known:
                return
            if problem is not None:
                self._store.note(self._clock(), "log.set_back", message=problem.message)
            else:
                self._store.note(self._clock(), "log.whole")
        if problem is not None:
            _log.error("log_set_back", message=problem.message)


def judged(newest: str, status: JSON) -> SecureFlowError | None:
    """Return how the log was rolled back: by this agent's own head, else by the centre's statement.

    Args:
        newest: the newest head that was accepted; empty for none.
        status: the centre's `{note, held}`; other members are not considered.
    """
    note = status.get("note") if isinstance(status, dict) else None
    if newest and isinstance(note, str):
        ours, theirs = parse_note(newest).checkpoint, parse_note(note).checkpoint
        if theirs.origin == ours.origin and theirs.size < ours.size:
            return set_back_error(ours.origin, ours.size, theirs.size)
    held = status.get("held") if isinstance(status, dict) else None
    if not isinstance(held, dict):
        return None
    names = ("code", "message", "hint", "details", "texts")
    return SecureFlowError.foreign(*(held.get(name) for name in names))


def describe_log(log: Mapping[str, JSON], kept: Mapping[str, JSON]) -> str:
    """Compare the newest head that this agent accepted with the log as reported by the centre.

    Raises:
        SecureFlowError: `log_set_back`.
    """
    theirs, ours = log.get("size"), noted_size(kept["note"]) if kept.get("note") else 0
    if type(theirs) is not int:
        return "the centre does not report it"
    if kept.get("origin") == log.get("origin") and theirs < ours:
        raise set_back_error(kept["origin"], ours, theirs)
    held = judged("", log)
    if held is not None:
        raise held
    if kept.get("origin") not in {None, log.get("origin")}:
        ours = 0  # it continues under another origin, of which no head was accepted yet
    seen = Text("{ours} of its {theirs} entries were seen", ours=ours, theirs=theirs)
    times = log.get("restored")
    restored = times if isinstance(times, dict) else {}
    dates = [restored.get(name) for name in ("restored_at", "taken_at")]
    if not all(type(one) is int and 0 <= one < _LATEST for one in dates):
        return seen
    at, taken = (moment(int(one)) for one in dates if one is not None)
    return Text(
        "{ours} of its {theirs} entries were seen; the centre was restored on {at} "
        "from a backup of {taken}: what was revoked, disabled or withdrawn in between"
        " is valid again until that is repeated",
        ours=ours,
        theirs=theirs,
        at=at,
        taken=taken,
    )


def set_back_error(origin: str, ours: int, theirs: int) -> SecureFlowError:
    """Return the error for an owner about a log smaller than the head it signed for this agent."""
    return SecureFlowError(
        "log_set_back",
        Text(
            "The centre's log {origin} was rolled back: it has {theirs} entries, and this "
            "agent holds its signed head of size {ours}. {lost} entries are lost.",
            origin=origin,
            theirs=theirs,
            ours=ours,
            lost=ours - theirs,
        ),
        "None of your records is lost. Ask the operator to put the newest database back; if it "
        "is lost, the members continue the log: secureflow agent charter show.",
        {"origin": origin, "old": ours, "own": theirs, "lost": ours - theirs},
    )
