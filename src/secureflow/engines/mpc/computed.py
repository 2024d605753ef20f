"""An engine's program, from its first attempt to the report: results stay with their receivers.

In an attempt each party commits to what it brings, then all of them run the program among
themselves (`engines.run.attempts`). Each receiver writes the result into a file of its own, and its
leaf commits to that. The centre gets counts, bytes and seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from secureflow.domain.specs.mpc import MpcSpec
from secureflow.engines.mpc.disclosure import attacks, disclosure
from secureflow.engines.mpc.sections import computed_sections, program_of
from secureflow.engines.mpc.stage import STAGE
from secureflow.engines.run.attempts import Attempted, kept_leaf, run_attempts
from secureflow.engines.run.beginning import begin
from secureflow.engines.run.ending import report_of, succeed
from secureflow.engines.run.messages import PeerRunReply
from secureflow.engines.run.run import Course, seconds_now
from secureflow.engines.script import Script, Tell
from secureflow.kit.canonical import JSON, digest


def computed(course: Course[MpcSpec]) -> Script[dict[str, JSON]]:
    """Have the parties run the job's program; return the report.

    Raises:
        SecureFlowError: those of consent and of `run_attempts`.
    """
    spec = course.spec
    yield from begin(course, dict)
    began = yield from seconds_now()
    done = yield from run_attempts(course, STAGE, spec.program, spec.attempts, spec.learners)
    ended = yield from seconds_now()
    told = _told(spec, done, round(ended - began, 3))
    result = _outcome(spec, done)
    outcome = digest(result)
    row: dict[str, JSON] = {"round": 1, "survivors": len(done.runs), "seconds": told["seconds"]}
    event = {**row, "rounds": 1, "stage": STAGE, "parties": sorted(done.runs)}
    yield Tell("round", event, {"round": 1, "rounds": 1})
    cosigners = yield from succeed(course, computation=outcome, rounds=1)
    finished = yield from seconds_now()
    return report_of(
        course,
        cosigners,
        rounds=1,
        history=[row],
        program=program_of(spec),
        computation={"digest": outcome, **result, **told},
        sections=computed_sections(spec, told),
        survivors=sorted(done.runs),
        privacy=None,
        disclosure=disclosure(spec),
        attacks=attacks(spec),
        finished=int(finished),
    )


def _outcome(spec: MpcSpec, done: Attempted) -> dict[str, JSON]:
    """Return what the log binds: what ran, who entered, what receivers committed to."""
    leaves = {party: kept_leaf(party, done.runs[party]) for party in spec.learners}
    return {
        "program": spec.program,
        "receivers": list(spec.learners),
        "attempt": done.number,
        "entered": dict(done.offers),
        "kept": {
            party: {"leaf": one.hash(), "commitment": one.leaf.commitment}
            for party, one in leaves.items()
        },
    }


def _told(spec: MpcSpec, done: Attempted, seconds: float) -> dict[str, Any]:
    """Return the figures of a report, as the parties tell them."""
    del spec
    runs = dict(sorted(done.runs.items()))
    return {
        "rows": {party: _count(one, "rows") for party, one in runs.items()},
        "channels": list(_channels(runs)),
        "peak": {party: one.peak for party, one in runs.items()},
        "attempts": done.history,
        "seconds": seconds,
    }


def _count(run: PeerRunReply, name: str) -> int | None:
    value = run.figures.get(name)
    return value if type(value) is int and 0 <= value < 1 << 53 else None


def _channels(runs: Mapping[str, PeerRunReply]) -> Iterator[dict[str, JSON]]:
    """Yield the bytes of each channel and direction, as the sender counted them."""
    for sender, run in runs.items():
        for receiver, counted in sorted(run.channels.items()):
            yield {"from": sender, "to": receiver, "bytes": counted.sent}
