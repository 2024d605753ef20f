"""Effects: the requests of a script. A job is a generator that yields them and is sent answers.

A script is deterministic: clocks, randomness and every outside answer enter through effects, so a
journal of answers rebuilds its exact state in a fresh generator. Failures and cancellation enter by
`throw()` as `SecureFlowError` (codes below), in a replay too. Effects are JSON: their digest is
in the journal with the answer, and a replay that yields another effect stops the job.

Codes that enter by `throw()`: `too_few_answers` (details: failures by party), `cancelled`, for
`consent` also `consent_refused` (details: refusals by party, code and reason), and for an `Ask` of
one party with need 1 the party's own error.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, TypeVar

from secureflow.kit.canonical import JSON, digest

ENCLAVE = "enclave"
AGGREGATOR = "aggregator"
"""A part of the server itself, which adds up masked vectors; it is asked like a party."""


@dataclass(frozen=True)
class Ask:
    """Send one request to each party; wait until each has answered or stopped making progress.

    Args:
        to: party names.
        verb: the handler at the party.
        body: what all receive.
        each: per party, keys that are added to the body or replace its keys.
        need: the minimum of answers (default: all); it is never "the fastest k".
        patience: seconds without progress after which a party counts as silent; None = no limit.
    Answer: `{"replies": {party: body}, "failures": {party: error}}`.
    """

    effect: ClassVar[str] = "ask"
    to: tuple[str, ...]
    verb: str
    body: Mapping[str, JSON] = field(default_factory=dict)
    each: Mapping[str, Mapping[str, JSON]] = field(default_factory=dict)
    need: int | None = None
    patience: float | None = 60.0


@dataclass(frozen=True)
class Record:
    """Append entries to the ledger, in order, in the job's transaction.

    Args:
        entries: each `{"kind", "document"}` for the server's own, or
            `{"signed": {"leaf", "key", "signature"}, "document"?, "salt"?}` for a party's.
    Answer: `{"note": signed checkpoint text, "size": int, "indices": [int]}`.
    """

    effect: ClassVar[str] = "record"
    entries: tuple[Mapping[str, JSON], ...]


@dataclass(frozen=True)
class Move:
    """Move the job to a state. Answer: null."""

    effect: ClassVar[str] = "move"
    state: str
    reason: str = ""


@dataclass(frozen=True)
class Tell:
    """Notify watchers of progress; `progress` keys are merged into the job. Answer: null."""

    effect: ClassVar[str] = "tell"
    kind: str
    data: Mapping[str, JSON]
    progress: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True)
class Publish:
    """Register a released model version. Answer: `{"model": id, "version": int}`."""

    effect: ClassVar[str] = "publish"
    model: Mapping[str, JSON]


@dataclass(frozen=True)
class Now:
    """Read the clock. Answer: unix milliseconds (int)."""

    effect: ClassVar[str] = "now"


@dataclass(frozen=True)
class RunJob:
    """Run another job, a part of this one, until it ends; however it ends, that is the answer.

    It is started once, whenever the effect is performed; a cancellation of this job cancels it. On
    data whose grant was revoked it is not started: the effect fails (`grant_revoked`).

    Args:
        job: its id, which follows from this job's (`domain.ids.part_id`).
        spec: its spec.
        digest: the spec's hex SHA-256.
        accounting: the accountant's answer for it, under differential privacy.
    Answer: `{"job", "state", "error"?: {code, message, hint}, "report"?: its report's figures}`,
        and of a pipeline's step `outputs` (`domain.specs.outputs.Outputs.read`), and `ends` of
        parties that compared its model if others could not (`engines.ledger.modelends`).
    """

    effect: ClassVar[str] = "run_job"
    job: str
    spec: Mapping[str, JSON]
    digest: str
    accounting: Mapping[str, JSON] | None = None


@dataclass(frozen=True)
class AwaitTime:
    """Wait until a time, and tell whether what is to begin then may begin.

    Args:
        at: unix seconds.
        until: unix seconds after which it does not begin any more.
    Answer: `{"state": "due" | "missed" | "paused"}`; if paused, `by` says by whom.
    """

    effect: ClassVar[str] = "await_time"
    at: int
    until: int


@dataclass(frozen=True)
class AwaitResume:
    """Pause the job with an error until a person resumes it; a cancellation ends it.

    Args:
        error: why: code, message, hint.
    Answer: `{"by": who resumed it}`.
    """

    effect: ClassVar[str] = "await_resume"
    error: Mapping[str, JSON]


REPORTED: Final = (
    *("rounds", "metrics", "metrics_errors", "model", "privacy", "kept_round", "tee"),
)
"""The members of a part's report that its whole is told."""
REPORTED_OF_STEPS: Final = (*REPORTED, "sections", "answers", "measured")
"""The same of a pipeline's step, which has a section in the pipeline's report."""
Effect = Ask | Record | Move | Tell | Publish | Now | RunJob | AwaitTime | AwaitResume
T = TypeVar("T")
Script = Generator[Effect, JSON, T]


def effect_json(effect: Effect) -> dict[str, JSON]:
    """Return the JSON form of an effect, which its digest covers."""
    fields = {name: getattr(effect, name) for name in effect.__dataclass_fields__}
    return {"effect": effect.effect, **{k: _plain(v) for k, v in fields.items()}}


def effect_digest(effect: Effect) -> str:
    """Return the hex SHA-256 over the JCS form of the effect."""
    return digest(effect_json(effect))


def _plain(value: Any) -> JSON:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return value
