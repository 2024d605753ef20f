"""Heads that this agent hears of from others than the centre: is there only one history?

What the log did not sign is refused. A head of a size that is on record is compared at once, and
two roots are the alarm with proof. For any other size the centre is asked to prove that the head
is of the history that it shows here; while it is away this waits. A head that it denies is shown to
it, and the owner is told, as after a rollback (`headwatch`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from secureflow.agent.record.store import RecordStore
from secureflow.agent.witness.charter import PinnedCharter
from secureflow.agent.witness.witness import Witness
from secureflow.engines.ledger.notes import noted_size, parse_note
from secureflow.engines.ledger.setback import head_only
from secureflow.kit.backoff import Backoff
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.text import Text

FACT: Final = "heard"
"""The fact with the heads that the centre has not proved yet: notes, the greatest first."""
GOSSIP: Final = "gossip"
"""The fact that says how talks with other members' agents went."""
WITNESSES: Final = "witnesses"
"""The fact with the newest cosignature of each witness of others, and what went wrong last."""
MAX_WAITING: Final = 16
"""A log could sign heads without end: the greatest ones are enough to convict it."""
FIRST: Final = 1.0
LONGEST: Final = 300.0

_log = get_logger(__name__)


class Hearing:
    """Compares heads.

    Args:
        witness: of the log.
        store: the agent's record.
        charter: the pinned charter.
    """

    def __init__(self, witness: Witness, store: RecordStore, charter: PinnedCharter) -> None:
        self._witness = witness
        self._store = store
        self._charter = charter
        self._wake = asyncio.Event()
        self._pauses = Backoff(FIRST, LONGEST)

    async def hear(self, note: str) -> None:
        """Take a foreign head; what needs the centre is asked later (`run`).

        Raises:
            SecureFlowError: `malformed_note`, `charter_not_pinned`, `witness_unknown_log`,
                `ledger_bad_signature`; `ledger_inconsistent`, `ledger_key_ended` with the alarm.
        """
        parsed, charter = parse_note(note), self._charter.pinned()
        head = parsed.checkpoint
        key = charter.log_keys.get(head.origin)
        if key is None:
            raise SecureFlowError(
                "witness_unknown_log",
                Text("The head is of another log than {origin}.", origin=charter.origin),
                "Compare the charters of both agents.",
            )
        if not parsed.verify_log(key):
            raise SecureFlowError(
                "ledger_bad_signature",
                Text("The head is not signed by the log {origin}.", origin=head.origin),
                "Submit a head as the log signed it.",
            )
        if self._store.fact("alarm") is not None or not head.size:
            return  # who has the alarm already learns nothing, until the owner clears it
        await self._witness.check_key(note)
        bare = head_only(note)
        for known in self._store.heads(head.origin, head.size):
            if noted_size(known) == head.size:
                await self._witness.convicted(known, bare)
                return
        if head.origin == charter.origin:
            await asyncio.to_thread(self._await_proof, bare)
            self._pauses.reset()
            self._wake.set()

    def waiting(self) -> list[str]:
        """Return the heads that the centre has not proved yet, the greatest first."""
        return waiting_heads(self._store.fact(FACT))

    async def run(self) -> None:
        """Have heads proved as they are heard, until cancelled."""
        while True:
            await self.settle()
            pause = self._pauses.next() if self.waiting() else None
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            except TimeoutError:
                continue
            finally:
                self._wake.clear()

    async def settle(self) -> None:
        """Ask the centre about each head that waits; what it cannot answer now goes on waiting."""
        for note in self.waiting():
            try:
                if parse_note(note).checkpoint.origin == self._charter.pinned().origin:
                    await self._witness.compare(note)
            except SecureFlowError as error:
                if error.code == "not_found":
                    self._witness.troubled = True  # it is shown the head at once (`headwatch`)
                _log.warning("head_not_proved", code=error.code, message=error.message)
                if self._store.fact("alarm") is None:
                    continue
            await asyncio.to_thread(self._settled, note)

    def _await_proof(self, note: str) -> None:
        notes = {*self.waiting(), note}
        kept = sorted(notes, key=lambda one: (-noted_size(one), one))[:MAX_WAITING]
        with self._store.transaction():
            self._store.set_fact(FACT, kept)

    def _settled(self, note: str) -> None:
        with self._store.transaction():
            left = [one for one in self.waiting() if one != note]
            self._store.set_fact(FACT, left or None)


def waiting_heads(fact: JSON) -> list[str]:
    """Return the notes of the fact `FACT`."""
    return [str(one) for one in fact or ()]


def witness_lines(fact: JSON, note: str) -> list[str]:
    """Return the cosignatures of witnesses of others over this very head.

    Args:
        fact: `WITNESSES`.
        note: a head as the log signed it.
    """
    listed: Mapping[str, Any] = fact or {}
    return [str(one["line"]) for one in listed.values() if one.get("note") == note]
