"""Evidence against the log: both notes on disk, the alarm, and a file that convinces strangers.

The agent writes it by itself, at once, in its own folder: the centre cannot erase it. Which notes
are proof to others, and which are an alarm only, is in `engines.ledger.fraud`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from secureflow.agent.record.store import RecordStore
from secureflow.agent.witness.fraudfiles import keep_fraud
from secureflow.agent.witness.log_proofs import parse_proof
from secureflow.domain.charter import SignedCharter
from secureflow.engines.ledger.fraud import convict
from secureflow.engines.ledger.notes import parse_note
from secureflow.engines.ledger.witness import fraud_proof
from secureflow.kit.canonical import JSON, sha256
from secureflow.kit.clock import Clock
from secureflow.kit.disk import remove
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.oserrors import reason_of

Call = Callable[[str, Mapping[str, JSON]], Awaitable[JSON]]
MAX_EVIDENCE_FILES = 64
"""The first ones are sufficient evidence; a log could sign heads until the disk is full."""

_log = get_logger(__name__)
_ALARMS: Final = frozenset({"ledger_inconsistent", "leaf_missing", "ledger_key_ended"})
_PATIENCE: Final = 10.0
"""Seconds for a question that would only make an alarm more convincing."""


class Evidence:
    """Keeps evidence.

    Args:
        store: the agent's record.
        directory: for the files.
        clock: unix seconds.
        call: asks the centre.
    """

    def __init__(self, store: RecordStore, directory: Path, clock: Clock, call: Call) -> None:
        self._store = store
        self._directory = directory
        self._clock = clock
        self._call = call

    async def accuse(self, error: SecureFlowError, log_key: str) -> None:
        """Keep what an error holds as evidence, and raise the alarm.

        Args:
            error: with `known`, `shown`, and perhaps `proof` and `log_key` in its details.
            log_key: that signed both notes, if the error names none.
        """
        nodes = await self._nodes_for(error)
        await asyncio.to_thread(self.keep, error, log_key, nodes)

    def keep(self, error: SecureFlowError, log_key: str, nodes: tuple[bytes, ...] = ()) -> None:
        """Write both notes to disk; they prove the log's fraud to anyone who holds the charter."""
        known, shown = str(error.details.get("known", "")), str(error.details.get("shown", ""))
        key = str(error.details.get("log_key") or log_key)
        record = {
            **error.as_json(),
            "log_key": key,
            "at": self._clock(),
            "fraud_proof": fraud_proof(known, shown, key),
        }
        name = sha256((known + shown).encode()).hex()
        path = self._directory / f"{error.code}-{name}.json"
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            # A separate kind: accusations, which a centre can provoke, must not crowd it out.
            if len(list(self._directory.glob("ledger_*.json"))) < MAX_EVIDENCE_FILES:
                path.write_text(json.dumps(record, indent=1) + "\n")
        except OSError as fault:  # the alarm holds both notes as well, and must still be raised
            _log.error("evidence_not_written", path=str(path), reason=reason_of(fault))
            remove(path)
        if path.exists():
            error.details["evidence"] = str(path)
        proof = parse_proof(error.details.get("proof") or [])
        fraud = convict(known, shown, key, proof, nodes, self._signed_charter())
        if fraud is not None:
            error.details["fraud"] = keep_fraud(self._directory, fraud)
        self.alarm(error)

    def alarm(self, error: SecureFlowError) -> SecureFlowError:
        """Raise the alarm, where the error is one, and note it."""
        _log.error("ledger_alarm", code=error.code, message=error.message)
        with self._store.transaction():
            if error.code in _ALARMS:
                self._store.set_fact("alarm", error.as_json())
            self._store.note(self._clock(), "alarm", code=error.code, message=error.message)
        return error

    async def _nodes_for(self, error: SecureFlowError) -> tuple[bytes, ...]:
        """Return nodes of the larger tree, of which one may be the root of its first leaves.

        A consistency proof from a power of two leaves that root out; one from a leaf more has it.
        """
        shown, known = (str(error.details.get(name, "")) for name in ("shown", "known"))
        try:
            small, large = sorted(parse_note(note).checkpoint.size for note in (known, shown))
            if small & (small - 1) or not small or small + 1 >= large:
                return ()
            async with asyncio.timeout(_PATIENCE):
                answer = await self._call("audit.head", {"from": small + 1})
            return read_head(answer)[1]
        except (SecureFlowError, TimeoutError):
            return ()  # the alarm does not wait for what the accused says

    def _signed_charter(self) -> SignedCharter | None:
        kept = self._store.fact("charter")
        return None if kept is None else SignedCharter.from_json(kept)


def read_head(answer: JSON) -> tuple[str, tuple[bytes, ...]]:
    """Read the centre's answer to `audit.head`: a note, and the proof from the size asked for."""
    value = answer if isinstance(answer, dict) else {}
    return str(value.get("note", "")), parse_proof(value.get("consistency"))
