"""A private set intersection, top to bottom: consent → attempts → report.

There are no keys at the centre and no sum. In an attempt each party commits to its keys, then all
of them run the protocol among themselves (`engines.run.attempts`); whoever learns something writes
it to a file of its own, and its leaf commits to that. The centre gets counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from secureflow.domain.fieldfaults import DIGEST_PATTERN
from secureflow.domain.specs.psi import PsiSpec
from secureflow.engines.psi.disclosure import attacks, disclosure
from secureflow.engines.psi.label import label_of
from secureflow.engines.psi.sections import sections
from secureflow.engines.psi.stage import STAGE
from secureflow.engines.run.attempts import Attempted, kept_leaf, run_attempts
from secureflow.engines.run.beginning import begin
from secureflow.engines.run.ending import abandon, report_of, succeed
from secureflow.engines.run.messages import PeerRunReply
from secureflow.engines.run.renewing import renewing
from secureflow.engines.run.run import Course, JobContext, seconds_now
from secureflow.engines.script import Script, Tell
from secureflow.kit.canonical import JSON, digest
from secureflow.kit.errors import SecureFlowError


def intersection(context: JobContext[PsiSpec]) -> Script[dict[str, JSON]]:
    """Have the parties intersect their keys; return the report.

    Raises:
        SecureFlowError: why the job ended without one; the parties were notified and the end is in
            the ledger.
    """
    course = Course(context)
    try:
        return (yield from renewing(course, _run(course)))
    except SecureFlowError as error:
        yield from abandon(course, error)
        raise


def _run(course: Course[PsiSpec]) -> Script[dict[str, JSON]]:
    spec = course.spec
    yield from begin(course, dict)
    began = yield from seconds_now()
    asked = STAGE, spec.program, spec.attempts, spec.learners
    done = yield from run_attempts(course, *asked, figure="keys")
    ended = yield from seconds_now()
    told = _told(spec, done, round(ended - began, 3))
    outcome = digest(_outcome(spec, done))
    row: dict[str, JSON] = {"round": 1, "survivors": len(done.runs), "seconds": told["seconds"]}
    event = {**row, "rounds": 1, "stage": STAGE, "parties": sorted(done.runs)}
    yield Tell("round", event, {"round": 1, "rounds": 1})
    cosigners = yield from succeed(course, intersection=outcome, rounds=1)
    finished = yield from seconds_now()
    return report_of(
        course,
        cosigners,
        rounds=1,
        history=[row],
        intersection={"digest": outcome, **_outcome(spec, done), **told},
        sections=sections(spec, told),
        survivors=sorted(done.runs),
        label=label_of(spec).as_json(),
        privacy=None,
        disclosure=disclosure(spec),
        attacks=attacks(spec),
        finished=int(finished),
    )


def _outcome(spec: PsiSpec, done: Attempted) -> dict[str, JSON]:
    """Return what the log binds: what ran, who entered, and what whoever learns it committed to."""
    leaves = {party: kept_leaf(party, done.runs[party]) for party in spec.learners}
    return {
        "program": spec.program,
        "learns": spec.learns,
        "receiver": spec.receiver,
        "attempt": done.number,
        "entered": dict(done.offers),
        "kept": {
            party: {"leaf": one.hash(), "commitment": one.leaf.commitment}
            for party, one in leaves.items()
        },
    }


def _told(spec: PsiSpec, done: Attempted, seconds: float) -> dict[str, Any]:
    """Return the figures of a report, as the parties tell them."""
    runs = dict(sorted(done.runs.items()))
    matched = {party: count(runs[party], "matched") for party in spec.learners}
    known = {party: one for party, one in matched.items() if one is not None and spec.tells_size}
    return {
        "learners": list(spec.learners),
        "keys": {party: count(one, "keys") for party, one in runs.items()},
        "matched": known,
        **_selected(spec, done),
        "channels": list(_channels(runs)),
        "peak": {party: one.peak for party, one in runs.items()},
        "attempts": done.history,
        "seconds": seconds,
    }


def _selected(spec: PsiSpec, done: Attempted) -> dict[str, JSON]:
    """Return the digests of what parties keep for later steps of a pipeline, if all tell one."""
    told = {party: done.runs[party].figures.get("selected") for party in spec.learners}
    known = {
        party: one
        for party, one in told.items()
        if isinstance(one, str) and re.fullmatch(DIGEST_PATTERN, one)
    }
    return {"selected": {**known}} if known and len(known) == len(told) else {}


def _channels(runs: Mapping[str, PeerRunReply]) -> list[dict[str, JSON]]:
    """Return the bytes of each channel and direction, as the sender counted them.

    A sender that was lost after the result is replaced by what the other end received.
    """
    parties = sorted({*runs, *(peer for one in runs.values() for peer in one.channels)})
    found: list[dict[str, JSON]] = []
    for sender in parties:
        for receiver in parties:
            counted = _counted(runs, sender, receiver)
            if counted is not None:
                found.append({"from": sender, "to": receiver, "bytes": counted})
    return found


def _counted(runs: Mapping[str, PeerRunReply], sender: str, receiver: str) -> int | None:
    if sender in runs and receiver in runs[sender].channels:
        return runs[sender].channels[receiver].sent
    if receiver in runs and sender in runs[receiver].channels:
        return runs[receiver].channels[sender].received
    return None


def count(run: PeerRunReply, name: str) -> int | None:
    """Return a count that a party tells; None if it is none."""
    value = run.figures.get(name)
    return value if type(value) is int and 0 <= value < 1 << 53 else None
