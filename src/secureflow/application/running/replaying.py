"""A running job in memory, and how the journal brings it there: a replay, effect by effect."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, cast

from secureflow.application.ports.storage import Journalled
from secureflow.domain.jobs import JobState
from secureflow.engines.script import (
    Ask,
    Effect,
    Move,
    Record,
    RunJob,
    Script,
    effect_digest,
)
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

UNFIT: Final = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)
"""Exceptions of a script on an answer of another form, which it accepted when it was kept."""
NAMED: Final = 5
"""Maximum parties of a request that are named."""


@dataclass
class RunningJob:
    """A running job: its script, the pending effect, and what is not yet durable.

    `spec` is the spec's digest, `state` the script's last state before the journal ended. `ends`:
    it only cleans up, after it was cancelled or instead of its script, and waits for no place.
    `owed`: parties may owe it answers by the outbox; so it is after a replay.
    """

    job: str
    spec: str
    script: Script[dict[str, JSON]]
    effect: Effect | None = None
    seq: int = 0
    state: JobState = JobState.PROPOSED
    undurable: list[Journalled] = field(default_factory=list)
    report: dict[str, JSON] | None = None
    error: SecureFlowError | None = None
    cancel: asyncio.Event = field(default_factory=asyncio.Event)
    ends: bool = False
    owed: bool = True

    def advance(self, answer: JSON = None, failure: dict[str, JSON] | None = None) -> None:
        """Send an outcome into the script; afterwards `effect` is None only if it has ended."""
        try:
            if failure is not None:
                self.effect = self.script.throw(SecureFlowError.from_json(failure))
            else:
                self.effect = self.script.send(answer)
        except StopIteration as stop:
            self.effect, self.report = None, stop.value
        except SecureFlowError as error:
            self.effect, self.error = None, error

    def settle(self, answer: JSON = None, failure: dict[str, JSON] | None = None) -> None:
        """Record the outcome of the current effect and advance to the next one."""
        line = Journalled(self.seq, effect_digest(cast("Effect", self.effect)), answer, failure)
        self.undurable.append(line)
        self.seq += 1
        self.advance(answer, failure)


def replay(running: RunningJob, lines: Iterable[Journalled]) -> None:
    """Replay a fresh script to the end of its journal.

    Raises:
        SecureFlowError: `script_changed`, saying what differs; `record_damaged` for a line that the
            script can no longer process.
    """
    running.advance()
    for line in lines:
        if running.effect is None or effect_digest(running.effect) != line.digest:
            raise _changed(running, line)
        if isinstance(running.effect, Move):
            running.state = JobState(running.effect.state)
        running.seq = line.seq + 1
        try:
            running.advance(line.answer, line.failure)
        except UNFIT as error:
            raise _damaged(running, line) from error


def _damaged(running: RunningJob, line: Journalled) -> SecureFlowError:
    return SecureFlowError(
        "record_damaged",
        Text(
            "The journal of job {job} is damaged: the script cannot take the outcome of "
            "effect {seq}.",
            job=running.job,
            seq=line.seq,
        ),
        "The operator finds what is damaged with: secureflow server check.",
        {"noun": "job", "id": running.job, "effect": line.seq},
    )


def _changed(running: RunningJob, line: Journalled) -> SecureFlowError:
    asked, digest = running.effect, ""
    if asked is not None:
        digest = effect_digest(asked)
    return SecureFlowError(
        "script_changed",
        Text(
            "Job {job} cannot continue: its effect {seq} was {digest}…, and the current "
            "script {described}.",
            job=running.job,
            seq=line.seq,
            digest=line.digest[:12],
            described=_described(asked),
        ),
        Text(
            "Run the server version that started the job, then secureflow job resume "
            "{job}; or cancel it: secureflow job cancel {job}.",
            job=running.job,
        ),
        {"effect": line.seq, "recorded": line.digest, "asked": digest},
    )


def _described(effect: Effect | None) -> str:
    """Describe a script's effect briefly, for comparing two versions."""
    if effect is None:
        return "has ended before it"
    if isinstance(effect, Ask):
        more = (
            Text(" and {count} more", count=len(effect.to) - NAMED)
            if len(effect.to) > NAMED
            else ""
        )
        return Text(
            "asks '{verb}' of {to}{more}",
            verb=effect.verb,
            to=", ".join(effect.to[:NAMED]),
            more=more,
        )
    if isinstance(effect, Record):
        kinds = {str(entry.get("kind", "a party's leaf")) for entry in effect.entries}
        return Text("records {kinds}", kinds=", ".join(sorted(kinds)) or "no leaf")
    if isinstance(effect, Move):
        return Text("moves to {state}", state=effect.state)
    if isinstance(effect, RunJob):
        return Text("runs the job {job}", job=effect.job)
    return Text("does '{effect}'", effect=effect.effect)


def is_cancellation(line: Journalled) -> bool:
    """Tell whether this line tells the script that its job is cancelled."""
    failure = line.failure or {}
    withdrawn = (failure.get("details") or {}).get("withdrawn") is True
    return failure.get("code") == "cancelled" or withdrawn
