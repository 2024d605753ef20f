"""The agent's C2SP witness endpoint: it cosigns heads of its platform's log and of listed ones.

The platform's log is judged by the agent's own witness, under its lock and on its record; another
log has a view of its own here. One submission at a time: what was seen is stored before the answer
leaves, so that no two requests see the same old size (tlog-witness, "race").
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from secureflow.agent.keeper.app import Asked, Endpoint, Reply
from secureflow.agent.record.store import RecordStore
from secureflow.agent.witness.fraudfiles import keep_fraud
from secureflow.agent.witness.witness import Witness
from secureflow.agent.witnesssettings import WitnessedLog
from secureflow.domain.charter import Charter
from secureflow.engines.ledger.fraud import convict
from secureflow.engines.ledger.notes import cosign, parse_note
from secureflow.engines.ledger.setback import head_only
from secureflow.engines.ledger.submission import (
    MAX_SUBMISSION,
    SIZE_TYPE,
    Submission,
    judge,
    parse_submission,
)
from secureflow.engines.ledger.witness import WitnessView, observe
from secureflow.kit.clock import Clock
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger

PATH: Final = "/add-checkpoint"
_FACT: Final = "witnessed/"
_log = get_logger(__name__)


def last_cosigned(store: RecordStore, origin: str) -> str:
    """Return the newest head of a listed log that was cosigned here; empty if none."""
    kept = store.fact(_FACT + origin)
    return "" if kept is None else str(kept["note"])


class Checkpoints:
    """Cosigns submitted heads.

    Args:
        witness: of the platform's log.
        store: the agent's record.
        charter: returns the pinned charter (raises `charter_not_pinned`).
        key: the organisation's.
        party: its slug, which names the key in cosignatures.
        clock: unix seconds.
        logs: other logs that the owner lists.
        evidence: folder of proofs of fraud.
    """

    def __init__(
        self,
        witness: Witness,
        store: RecordStore,
        charter: Callable[[], Charter],
        key: SigningKey,
        party: str,
        clock: Clock,
        logs: Sequence[WitnessedLog],
        evidence: Path,
    ) -> None:
        self._witness = witness
        self._store = store
        self._charter = charter
        self._key = key
        self._party = party
        self._clock = clock
        self._logs: Mapping[str, str] = {one.origin: one.key for one in logs}
        self._evidence = evidence
        self._lock = asyncio.Lock()

    def endpoints(self) -> list[Endpoint]:
        """Return the addresses."""
        return [Endpoint("POST", PATH, MAX_SUBMISSION, self._asked, self._refused)]

    async def add(self, submission: Submission) -> str:
        """Return the cosignature line of a submitted head.

        Raises:
            SecureFlowError: `witness_unknown_log`, `witness_stopped`, and what `judge` raises.
        """
        origin = parse_note(submission.note).checkpoint.origin
        if origin == self._own():
            return await self._witness.submitted(submission)
        if origin not in self._logs:
            raise SecureFlowError(
                "witness_unknown_log",
                "This witness does not know the log.",
                "Ask its owner to list the log with its key.",
            )
        async with self._lock:
            return await asyncio.to_thread(self._cosign_other, origin, submission)

    def _own(self) -> str:
        try:
            return self._charter().origin
        except SecureFlowError:
            return ""  # no charter yet: no log of its own

    def _cosign_other(self, origin: str, submission: Submission) -> str:
        before = self._view(origin)
        try:
            view = judge(before, submission)
        except SecureFlowError as error:
            if error.code == "ledger_inconsistent":
                self._keep_fraud(before, submission, error)
            raise
        with self._store.transaction():
            self._store.set_fact(_FACT + origin, {"note": view.note, "size": view.size})
        return cosign(head_only(submission.note), self._party, self._key, self._clock())

    def _view(self, origin: str) -> WitnessView:
        view = WitnessView(origin, self._logs[origin])
        note = last_cosigned(self._store, origin)
        return observe(view, note, ()) if note else view

    def _keep_fraud(self, view: WitnessView, shown: Submission, error: SecureFlowError) -> None:
        fraud = convict(view.note, shown.note, view.log_key)
        path = keep_fraud(self._evidence, fraud) if fraud else ""
        _log.error("witnessed_log_forked", origin=view.origin, size=view.size, fraud=path)
        known = self._store.fact(f"{_FACT}{view.origin}/fraud")
        if known is None:  # once: anybody may send it again
            with self._store.transaction():
                self._store.set_fact(f"{_FACT}{view.origin}/fraud", path)
                self._store.note(self._clock(), "alarm", code=error.code, message=error.message)

    async def _asked(self, asked: Asked) -> Reply:
        line = await self.add(await asyncio.to_thread(parse_submission, asked.body))
        return Reply(line.encode(), "text/plain; charset=utf-8")

    @staticmethod
    def _refused(error: SecureFlowError, status: int) -> Reply | None:
        size = error.details.get("size")
        if status == 409 and type(size) is int:
            return Reply(f"{size}\n".encode(), SIZE_TYPE, status)
        message = f"{error.code}: {error.message}\n"
        return Reply(message.encode(), "text/plain; charset=utf-8", status)
