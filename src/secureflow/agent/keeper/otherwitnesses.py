"""Witnesses of others: they cosign the platform's log, and this agent keeps what they sign.

Each is asked in the background by C2SP tlog-witness (`engines.ledger.submission`), for heads that
this agent accepted itself. Its address and key are from the owner's settings alone; the centre
says neither, and no round waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from secureflow.agent.record.store import RecordStore
from secureflow.agent.witness.evidence import Call, read_head
from secureflow.agent.witness.hearing import WITNESSES
from secureflow.agent.witness.witness import Observed, Witness
from secureflow.agent.witnesssettings import OtherWitness
from secureflow.engines.ledger.notes import noted_size, parse_note
from secureflow.engines.ledger.setback import head_only
from secureflow.engines.ledger.submission import (
    MAX_ANSWER,
    SIZE_TYPE,
    Submission,
    answered_size,
    cosigned_lines,
)
from secureflow.kit.backoff import Backoff
from secureflow.kit.boundedhttp import BoundedHttp, HttpAnswer
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.text import Text

LOOK: Final = 5.0
FIRST: Final = 5.0
LONGEST: Final = 600.0
_PATH: Final = "/add-checkpoint"
_OK: Final = 200
_CONFLICT: Final = 409

_log = get_logger(__name__)
Sleep = Callable[[float], Awaitable[None]]


class OtherWitnesses:
    """Asks for cosignatures.

    Args:
        listed: whom the owner lists.
        https: how each is reached, by its name.
        witness: this agent's own.
        store: the agent's record.
        clock: unix seconds.
        call: asks the centre for proofs (`audit.head`).
    """

    def __init__(
        self,
        listed: Sequence[OtherWitness],
        https: Mapping[str, BoundedHttp],
        witness: Witness,
        store: RecordStore,
        clock: Clock,
        call: Call,
    ) -> None:
        self._listed = listed
        self._https = https
        self._witness = witness
        self._store = store
        self._clock = clock
        self._call = call

    async def run(self) -> None:
        """Ask every witness about new heads until cancelled."""
        async with asyncio.TaskGroup() as group:
            for one in self._listed:
                group.create_task(self._ask_on(one))

    async def ask(self, one: OtherWitness) -> None:
        """Have a witness cosign the newest head, if it did not yet.

        Raises:
            SecureFlowError: `endpoint_unreachable`, `witness_refused`; of the centre and its log.
        """
        known = self._standing(one.name)
        old = int(known.get("size", 0))
        for _ in range(2):
            answer = await self._submitted(one, old)
            if answer is None:
                return
            told = answered_size(answer.body) if answer.type == SIZE_TYPE else None
            if told is None or told == old:
                break
            old = told  # it saw another head last than this agent knows
        raise _refused(one.name, "its refusal names no other size")

    async def _submitted(self, one: OtherWitness, old: int) -> HttpAnswer | None:
        """Submit the newest head with the proof from a size; return a conflict's answer."""
        origin = self._witness.view.origin
        note, proof = read_head(await self._call("audit.head", {"from": old}))
        observed = await self._witness.observe(note, None)
        await asyncio.to_thread(self._keep, observed)
        submission = Submission(old, proof, head_only(note))
        http = self._https[one.name]
        body = submission.body
        answer = await http.ask("POST", _PATH, MAX_ANSWER, body, "text/plain; charset=utf-8")
        if answer.status == _CONFLICT:
            return answer
        if answer.status != _OK:
            raise _refused(one.name, Text("it answers {status}", status=answer.status))
        lines = cosigned_lines(answer.body, submission, {one.name: [one.key]})
        if not lines:
            raise _refused(one.name, "its answer is not signed by its key")
        size = parse_note(note).checkpoint.size
        kept: dict[str, JSON] = {
            "size": size,
            "origin": origin,
            "note": submission.note,
            "line": lines[0],
            "at": self._clock(),
            "trouble": None,
        }
        await asyncio.to_thread(self._set_standing, one.name, kept)
        return None

    async def _ask_on(self, one: OtherWitness) -> None:
        pauses = Backoff(FIRST, LONGEST)
        while True:
            pause = LOOK
            newest = self._witness.newest
            if newest and noted_size(newest) > int(self._standing(one.name).get("size", 0)):
                try:
                    await self.ask(one)
                    pauses.reset()
                except SecureFlowError as error:
                    _log.warning("witness_not_reached", witness=one.name, code=error.code)
                    await asyncio.to_thread(self._note_trouble, one.name, error)
                    pause = pauses.next()
            await asyncio.sleep(pause)

    def _keep(self, observed: Observed) -> None:
        with self._store.transaction():
            self._witness.keep(observed)

    def _standing(self, name: str) -> dict[str, Any]:
        kept = (self._store.fact(WITNESSES) or {}).get(name) or {}
        return dict(kept) if kept.get("origin") == self._witness.view.origin else {}

    def _note_trouble(self, name: str, error: SecureFlowError) -> None:
        before = self._standing(name) or {"origin": self._witness.view.origin, "size": 0}
        if before.get("trouble") != error.code:
            self._set_standing(name, before | {"trouble": error.code})

    def _set_standing(self, name: str, now: Mapping[str, JSON]) -> None:
        listed = {one.name for one in self._listed}
        before: Mapping[str, Any] = self._store.fact(WITNESSES) or {}
        kept = {one: told for one, told in before.items() if one in listed}
        with self._store.transaction():
            self._store.set_fact(WITNESSES, kept | {name: dict(now)})


def _refused(name: str, reason: str) -> SecureFlowError:
    return SecureFlowError(
        "witness_refused",
        Text("The witness {name} cosigns nothing: {reason}.", name=name, reason=reason),
        "Check its address and key in `witness.witnesses`, and that it knows this log's key.",
    )
