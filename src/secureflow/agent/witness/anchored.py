"""What an agent makes of what places keep: it checks anchored heads itself, and believes nobody.

1. Nothing of a place counts while one of its members is not in the pinned charter with a signed
   account (`engines.anchors.reading`): a stranger's chain could be anybody's. What was read there
   waits.
2. An anchored head of this log that the log did not sign is its sender's lie (`forged`).
3. Every other one is compared with what this agent accepted: at the same size with its own record,
   else by a consistency proof that the centre is asked for. While there is none it waits; a
   contradiction is the log's fraud: the alarm, and both signed heads are kept as evidence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from secureflow.agent.record.anchoredheads import KeptHead, Verdict
from secureflow.agent.record.store import RecordStore
from secureflow.agent.witness.witness import Witness
from secureflow.application.ports.anchor import Happened
from secureflow.domain.charter import Charter
from secureflow.engines.anchors.entries import AnchorHead
from secureflow.engines.anchors.reading import note_of
from secureflow.engines.ledger.notes import noted_size, parse_note
from secureflow.kit.canonical import JSON, b64decode
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger

MOST_JUDGED: Final = 200
"""Heads of a place that are compared at one look."""
CONTRADICTIONS: Final = frozenset({"ledger_inconsistent", "ledger_key_ended"})
FORGED: Final = "anchor_head_forged"
_log = get_logger(__name__)


class AnchoredHeads:
    """Judges what places keep, for one agent.

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

    def hear(self, place: str, events: Sequence[Happened]) -> None:
        """Store new events of a place to be judged; the caller's transaction."""
        for one in events:
            if isinstance(one.entry, AnchorHead):
                self._store.add_anchored_head(place, one)
            elif one.result == "fork":
                self._tell("anchor.forked", place, one.sender, one.entry.kind)
        self._store.trim_anchored_heads(place)

    async def judge(self, place: str) -> None:
        """Compare the heads of a place that wait with what this agent accepted, oldest first.

        Raises:
            SecureFlowError: the alarm's, if there is one; the centre's, if it gives no proof now.
        """
        waiting = await asyncio.to_thread(self._store.anchored_heads, place, "waiting", MOST_JUDGED)
        refusal: SecureFlowError | None = None
        for one in reversed(waiting):
            try:
                note = note_of(one.head, self._charter().log_keys)
                verdict: Verdict = "unknown" if note is None else await self.compare(note)
            except SecureFlowError as error:
                if error.code == FORGED:
                    verdict = "forged"
                elif error.code in CONTRADICTIONS:
                    await asyncio.to_thread(self._judged, one, "contradiction")
                    raise
                else:
                    refusal = refusal or error  # a larger head may be ahead of the centre's log
                    continue
            await asyncio.to_thread(self._judged, one, verdict)
        if refusal is not None:
            raise refusal

    async def compare(self, head: str) -> Verdict:
        """Compare a head that others keep, signed by the log, with what this agent accepted.

        A head under an earlier name of the log is comparable only at a size that was accepted.

        Raises:
            SecureFlowError: `ledger_inconsistent`, `ledger_key_ended`, and the alarm is raised with
                both notes as evidence; that of an earlier alarm; the centre's, if it gives no
                proof now.
        """
        self._witness.check_alarm()
        await self._witness.check_key(head)
        shown = parse_note(head).checkpoint
        for known in self._store.heads(shown.origin, shown.size):
            if noted_size(known) == shown.size:
                await self._witness.convicted(known, head)
                return "agrees"
        if shown.origin != self._charter().origin:
            return "unknown"
        try:
            await self._witness.compare(head)
        except SecureFlowError as error:
            if error.code == "not_found":  # the centre denies it: it is shown at once (`headwatch`)
                self._witness.troubled = True
            raise
        return "agrees"

    def name_of(self, sender: str) -> str:
        """Return the organisation whose charter key is this, in hex; else the key itself."""
        for name, key in self._charter().keys.items():
            if b64decode(key).hex() == sender:
                return name
        return sender

    def _judged(self, one: KeptHead, verdict: Verdict) -> None:
        with self._store.transaction():
            self._store.judge_head(one.number, verdict)
            if verdict == "forged":
                self._tell("anchor.forged", one.place, one.sender, one.head.kind)

    def _tell(self, action: str, place: str, sender: str, entry: str) -> None:
        """Note in the agent's log what its owner must know; the caller's transaction."""
        facts: dict[str, JSON] = {"place": place, "sender": self.name_of(sender), "entry": entry}
        _log.error(action.replace(".", "_"), **facts)
        self._store.note(self._clock(), action, "", **facts)
