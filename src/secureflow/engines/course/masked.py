"""One masked round (`sf-secagg-1`, docs/secagg.md) of a job, as effects.

Once per job: SETUP and MEET bring the parties' keys together. Then two flights a round while all
stay: `mask` (BEGIN → UPLOAD, which carries the next round's keys) and `answer` (QUESTION →
OPENING, which is the vote as well); a third one only where somebody dropped out. The centre carries
frames and learns what opens one sum per round. Vectors never come through the script: whoever folds
them (the server's own aggregator, or the enclave to which they are sealed as well) is given only
what opens the sum.

Every agent computes the next model itself from the published mean; its digest stands in the next
round's context, so parties that were shown different means have masks that do not cancel.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from secureflow.domain.specs import dump
from secureflow.engines.closing import Certificate
from secureflow.engines.course.course import (
    Course,
    enclave_lost,
    take_cosignatures,
    witness_first_votes,
)
from secureflow.engines.course.sealed import (
    Step,
    bring_again,
    readmit,
    record_round,
    released,
    too_few_contributors,
)
from secureflow.engines.script import AGGREGATOR, ENCLAVE, JSON, Ask, Script
from secureflow.engines.secagg import Conductor
from secureflow.engines.secagg.messages import Upload, pack
from secureflow.kit.canonical import b64decode, b64encode, digest
from secureflow.kit.errors import SecureFlowError

MAX_FRAME = 1 << 20
"""Characters of a frame in an answer; a link's message is no longer."""


def model_binding(model: str, moments: Sequence[float] | None) -> str:
    """Return the hex digest that stands for model and moments in a round's context."""
    return digest({"model": model, "moments": None if moments is None else list(moments)})


def set_up(course: Course[Any]) -> Script[None]:
    """Bring the parties' keys together: one session per stage.

    Raises:
        SecureFlowError: `too_few_answers`, `round_lost`.
    """
    course.conductors = {stage: Conductor(plan) for stage, plan in course.plans.items()}
    asked = yield Ask(
        course.parties, "setup", course.body(), need=course.threshold, patience=course.patience
    )
    course.drop(0, "setup", asked["failures"])
    for party, reply in asked["replies"].items():
        for stage, conductor in course.conductors.items():
            conductor.receive(party, _frame(reply, "setups", stage))
    yield from _advance(course, tuple(asked["replies"]), dict.fromkeys(course.conductors, 0))


def run_masked_round(course: Course[Any], step: Step, initial: str) -> Script[dict[str, JSON]]:
    """Run one masked round to its release; see `rounds.run_sealed_round`."""
    conductor = course.conductors[step.stage]
    yield from _bring_back(course, step, conductor, step.session)
    model = course.model["digest"] if course.model else initial
    moments = course.moments["sums"] if course.moments else None
    frames = conductor.begin(step.session, model_binding(model, moments))
    replies, failures = yield from _collect(course, step, frames)
    vectors = yield from _survivors(course, step, conductor, replies, failures)
    yield from _open(course, step, conductor)
    release = yield from _release(course, step, conductor, frames, vectors, initial)
    yield from _record_round(course, step, release, conductor.opened().certificate, replies)
    for party in conductor.uploaded:
        course.seen[party] = len(course.steps)
    if step.stage == "train":
        course.steps.append({k: release[k] for k in _STEP if k in release})
    return release


_STEP = ("round", "stage", "survivors", "base", "model", "sums", "sums_digest", "mean", "signature")


def _advance(
    course: Course[Any], parties: tuple[str, ...], rounds: Mapping[str, int]
) -> Script[None]:
    """Show everybody's keys, and take keys and sealed shares of the named rounds."""
    meet = {stage: b64encode(course.conductors[stage].meet()) for stage in rounds}
    body = course.body(meet=meet, rounds=dict(rounds))
    answers = yield Ask(parties, "advance", body, need=0, patience=course.patience)
    failures = dict(answers["failures"])
    for party, reply in answers["replies"].items():
        for stage in rounds:
            try:
                course.conductors[stage].receive(party, _frame(reply, "advances", stage))
            except SecureFlowError as error:
                failures[party] = error.as_json()
    course.drop(max(rounds.values()), "advance", failures)


def _bring_back(course: Course[Any], step: Step, conductor: Conductor, number: int) -> Script[None]:
    """Ask parties whose keys of this round did not come with an upload; most often nobody."""
    ready = conductor.ready(number)
    missing = tuple(p for p in course.parties if p not in ready and conductor.knows(p))
    if missing:
        yield from _advance(course, missing, {step.stage: number})


def _mask_body(course: Course[Any], step: Step) -> dict[str, JSON]:
    body = course.body(
        round=step.number,
        stage=step.stage,
        model=course.model and {k: course.model[k] for k in ("digest", "artifact", "size")},
        moments=course.moments and course.moments["sums"],
        head=course.note,
        vector={"size": course.conductors[step.stage].plan.vector_bytes},
    )
    if course.spec.sealed:
        body |= {"generation": course.generation, "uplink": {"address": course.uplink}}
        body["moments_release"] = course.moments and course.moments["release"]
    return body


def _ask_to_mask(
    course: Course[Any], step: Step, parties: Iterable[str], frames: Mapping[str, bytes]
) -> Ask:
    """Show each party its frame, and the published means that it has not applied yet."""
    each = {
        party: {
            "begin": b64encode(frames[party]),
            "steps": course.steps[course.seen.get(party, 0) :],
        }
        for party in parties
    }
    body = _mask_body(course, step)
    return Ask(tuple(each), "mask", body, each, need=0, patience=course.patience)


def _collect(
    course: Course[Any], step: Step, frames: Mapping[str, bytes]
) -> Script[tuple[dict[str, JSON], dict[str, JSON]]]:
    """Ask for masked vectors until all that can come came to one place."""
    while True:
        answers = yield _ask_to_mask(course, step, frames, frames)
        replies, failures = answers["replies"], answers["failures"]
        if not enclave_lost(course, answers):
            break
        yield from readmit(course)
    course.replies = replies
    absent = {p: _absent(p) for p in course.parties if p not in frames}
    course.drop(step.number, step.stage, {**absent, **failures})
    if len(replies) < course.threshold:
        raise too_few_contributors(course, step, {**absent, **failures})
    take_cosignatures(course, replies)
    return replies, failures


def _survivors(
    course: Course[Any],
    step: Step,
    conductor: Conductor,
    replies: dict[str, JSON],
    failures: dict[str, JSON],
) -> Script[dict[str, str]]:
    """Take the frames of those whose vectors are there; return party → digest of its vector."""
    folded = set(replies)
    if course.spec.sealed and failures:
        body = {"job": course.context.job, "round": step.number, "stage": step.stage}
        answers = yield Ask((ENCLAVE,), "roll", body, patience=course.patience)
        folded = set(answers["replies"][ENCLAVE]["folded"])
    vectors: dict[str, str] = {}
    for party in sorted(folded):
        reply = replies.get(party)
        try:
            if reply is None:  # its vector is in the enclave, its answer was lost
                conductor.receive(party, pack(Upload(step.session, conductor.context)))
                continue
            conductor.receive(party, _frame(reply, "upload"))
            vectors[party] = str(reply.get("vector", ""))
        except SecureFlowError as error:
            if course.spec.sealed:
                raise  # the enclave has added it already: the round cannot do without it
            failures[party] = error.as_json()
            course.drop(step.number, step.stage, {party: failures[party]})
    if len(conductor.uploaded) < course.threshold:
        raise too_few_contributors(course, step, failures)
    return vectors


def _open(course: Course[Any], step: Step, conductor: Conductor) -> Script[None]:
    """Put the question, and the certificate where somebody is dead, until t parties opened.

    Raises:
        SecureFlowError: `round_lost` naming who did not answer.
    """
    failures: dict[str, JSON] = {}
    conductor.close()
    yield from witness_first_votes(course, conductor.uploaded)
    flights = 1 if len(conductor.uploaded) == len(conductor.roster) else 2
    for _ in range(flights):
        frames = conductor.requests()
        body = course.body(round=step.number, stage=step.stage, cosigned=course.cosigned)
        each = {party: {"frame": b64encode(frame)} for party, frame in frames.items()}
        answers = yield Ask(tuple(each), "answer", body, each, need=0, patience=course.patience)
        failures = dict(answers["failures"])
        for party, reply in answers["replies"].items():
            try:
                conductor.receive(party, _frame(reply, "answer"))
            except SecureFlowError as error:
                failures[party] = error.as_json()
        course.drop(step.number, step.stage, failures)
        if flights == 2 and conductor.certificate is None:
            raise _round_lost(course, step, failures)
    if not conductor.complete:
        raise _round_lost(course, step, failures)


def _release(
    course: Course[Any],
    step: Step,
    conductor: Conductor,
    frames: Mapping[str, bytes],
    vectors: Mapping[str, str],
    initial: str,
) -> Script[dict[str, JSON]]:
    """Have the sum opened by whoever folded it."""
    opened = conductor.opened()
    body: dict[str, JSON] = {
        "job": course.context.job,
        "round": step.number,
        "stage": step.stage,
        "opened": opened.as_json(),
    }
    if not course.spec.sealed:
        body |= course.body(
            spec=dump(course.spec),
            base=course.model["digest"] if course.model else initial,
            model=course.model and {"digest": course.model["digest"]},
            vectors=dict(vectors),
            spent=course.spent,
        )
        answers = yield Ask((AGGREGATOR,), "sum", body, patience=None)
        course.spent = sorted(vectors.values())
        return dict(answers["replies"][AGGREGATOR])
    body["certificate"] = opened.certificate.as_json()
    survivors = opened.certificate.survivors

    def seal_again() -> Script[None]:
        ask = partial(_ask_to_mask, course, step, survivors, frames)
        failures = yield from bring_again(course, survivors, ask)
        if failures:
            raise _round_lost(course, step, failures)

    return dict((yield from released(course, body, seal_again)))


def _record_round(
    course: Course[Any],
    step: Step,
    release: Mapping[str, JSON],
    certificate: Certificate,
    replies: Mapping[str, Any],
) -> Script[None]:
    names = ("survivors", "model", "sums_digest", "mean", "signature")
    shown = {k: release[k] for k in names if k in release}
    yield from record_round(course, step, shown, certificate, replies)


def _frame(reply: Any, *path: str) -> bytes:
    value = reply
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    if not isinstance(value, str):
        raise SecureFlowError("malformed_frame", f"The answer holds no {path[0]}.")
    return b64decode(value, MAX_FRAME)


def _absent(party: str) -> dict[str, JSON]:
    reason = f"{party} has no keys of this round."
    return SecureFlowError("party_silent", reason, "It comes back with the next one.").as_json()


def _round_lost(course: Course[Any], step: Step, failures: Mapping[str, Any]) -> SecureFlowError:
    names = ", ".join(sorted(failures))
    reasons = "; ".join(f"{party}: {error['message']}" for party, error in failures.items())
    return SecureFlowError(
        "round_lost",
        f"Round {step.number} ({step.stage}) cannot be opened: {names} did not answer, and "
        f"{course.threshold} of {len(course.parties)} must. {reasons}",
        f"Nothing was opened. Submit a new job from the last released round: --from "
        f"{course.context.job}@{max(0, step.number - 1)}; it needs new approvals.",
        {"parties": sorted(failures), "failures": dict(failures)},
    )
