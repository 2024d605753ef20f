"""What an agent makes of what places keep: it checks anchored heads itself, and believes nobody.

1. Nothing of a place is read while one of its members is not in the pinned charter with a signed
   account: a stranger's chain could be anybody's.
2. An anchored head of this log that the log did not sign is its sender's lie (`forged`).
3. Every other one is compared with what this agent accepted: at the same size with its own record,
   else by a consistency proof that the centre is asked for. While there is none it waits; a
   contradiction is the log's fraud: the alarm, and both signed heads are kept as evidence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from secureflow.agent.record.anchorevents import ReadEvent, Verdict
from secureflow.agent.record.store import RecordStore
from secureflow.agent.witness.witness import Observed, Witness
from secureflow.application.ports.anchor import Happened, Position
from secureflow.domain.charter import Charter
from secureflow.engines.anchors.entries import AnchorHead, parse_entry
from secureflow.engines.anchors.reading import note_of
from secureflow.engines.ledger.notes import parse_note
from secureflow.engines.ledger.witness import inconsistent
from secureflow.kit.canonical import JSON, b64decode
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger

MOST_JUDGED: Final = 200
"""Heads that are compared at one look."""
_CONTRADICTION: Final = "ledger_inconsistent"
_log = get_logger(__name__)


class AnchoredHeads:
    """Stores and judges what places keep, for one agent.

    Args:
        store: the agent's record.
        witness: of the log.
        charter: returns the pinned charter.
        clock: unix seconds.
    """

    def __init__(
        self, store: RecordStore, witness: Witness, charter: Callable[[], Charter], clock: Clock
    ) -> None:
        self._store = store
        self._witness = witness
        self._charter = charter
        self._clock = clock

    def cursor(self, place: str) -> Position | None:
        """Return up to where a place was read."""
        kept = self._store.fact(_cursor(place))
        return None if kept is None else Position(kept["block"], kept["hash"], kept["index"])

    def take(self, place: str, events: tuple[Happened, ...], cursor: Position | None) -> int:
        """Store what was read at a place, with the cursor; return how many events were new."""
        origins, new = self._charter().log_keys, 0
        with self._store.transaction():
            for one in events:
                verdict = _verdict(one, origins)
                event = ReadEvent(
                    0, place, one.entry.json(), one.sender, one.result, one.transaction,
                    one.position.block, one.at, verdict,
                )  # fmt: skip
                if self._store.add_event(event):
                    new += 1
                    self._tell(place, one, verdict)
            kept = None if cursor is None else vars(cursor).copy()
            self._store.set_fact(_cursor(place), kept)
            self._store.trim_events(place)
        return new

    async def judge(self) -> None:
        """Compare the heads that wait with what this agent accepted.

        Raises:
            SecureFlowError: the alarm's, if there is one; the centre's, if it gives no proof now.
        """
        waiting = await asyncio.to_thread(
            self._store.anchor_events, "", "waiting", MOST_JUDGED
        )
        refusal: SecureFlowError | None = None
        for one in reversed(waiting):
            entry = parse_entry(dict(one.entry))
            note = note_of(entry, self._charter().log_keys) if _is_head(entry) else None
            if note is None:
                await asyncio.to_thread(self._judged, one, "unknown")
                continue
            try:
                await self.compare(note)
            except SecureFlowError as error:
                if error.code == _CONTRADICTION:
                    await asyncio.to_thread(self._judged, one, "contradiction")
                    raise
                refusal = refusal or error  # a larger head may be ahead of the centre's log
                continue
            await asyncio.to_thread(self._judged, one, "agrees")
        if refusal is not None:
            raise refusal

    async def compare(self, head: str) -> None:
        """Compare a head that others keep, signed by the log, with what this agent accepted.

        Raises:
            SecureFlowError: `ledger_inconsistent`, and the alarm is raised with both notes as
                evidence; that of an earlier alarm; the centre's, if it gives no proof now.
        """
        self._witness.check_alarm()
        shown = parse_note(head).checkpoint
        for known in self._store.heads(shown.origin, shown.size):
            ours = parse_note(known).checkpoint
            if ours.size == shown.size and ours.root == shown.root:
                return
            if ours.size == shown.size:
                error = inconsistent(self._witness.view, shown, head, known)
                await self._witness.accuse(error)
                raise error
        observed = await self._witness.observe(head, {})
        await asyncio.to_thread(self._keep, observed)

    def _keep(self, observed: Observed) -> None:
        with self._store.transaction():
            self._witness.keep(observed)

    def _judged(self, one: ReadEvent, verdict: Verdict) -> None:
        with self._store.transaction():
            self._store.judge_event(one.number, verdict)

    def _tell(self, place: str, one: Happened, verdict: Verdict) -> None:
        """Note in the agent's log what its owner must know."""
        sender = self.name_of(one.sender)
        facts: dict[str, JSON] = {"place": place, "sender": sender, "entry": one.entry.kind}
        if verdict == "forged":
            _log.error("anchor_forged", **facts)
            self._store.note(self._clock(), "anchor.forged", "", **facts)
        elif one.result == "fork" and not isinstance(one.entry, AnchorHead):
            _log.error("anchor_forked", **facts)
            self._store.note(self._clock(), "anchor.forked", "", **facts)

    def name_of(self, sender: str) -> str:
        """Return the organisation whose charter key is this, in hex; else the key itself."""
        for name, key in self._charter().keys.items():
            if b64decode(key).hex() == sender:
                return name
        return sender


def _verdict(one: Happened, origins: dict[str, str]) -> Verdict:
    if not isinstance(one.entry, AnchorHead):
        return ""
    try:
        return "unknown" if note_of(one.entry, origins) is None else "waiting"
    except SecureFlowError:
        return "forged"


def _is_head(entry: object) -> bool:
    return isinstance(entry, AnchorHead)


def _cursor(place: str) -> str:
    return f"anchor/cursor/{place}"
