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

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from secureflow.domain.specs.base import dump
from secureflow.engines.closing import Certificate
from secureflow.engines.run.run import (
    ENCLAVE_GONE,
    Course,
    accusations,
    enclave_lost,
    take_cosignatures,
    witness_first_votes,
)
from secureflow.engines.run.sealed import (
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

    Who is away now shows its keys when a round finds it back.

    Raises:
        SecureFlowError: `too_few_answers`.
    """
    course.conductors = {stage: Conductor(plan) for stage, plan in course.plans.items()}
    asked = yield Ask(
        course.parties, "setup", course.body(), need=course.threshold, patience=course.patience
    )
    failures = {**asked["failures"], **_receive_all(course, asked["replies"], "setups")}
    course.drop(0, "setup", failures)
    rounds = dict.fromkeys(course.conductors, 0)
    course.drop(0, "advance", (yield from _advance(course, asked["replies"], rounds)))


def run_masked_round(course: Course[Any], step: Step, initial: str) -> Script[dict[str, JSON]]:
    """Run one masked round to its release; see `rounds.run_sealed_round`."""
    conductor = course.conductors[step.stage]
    absent = yield from _bring_back(course, step, conductor)
    model = course.model["digest"] if course.model else initial
    moments = course.moments["sums"] if course.moments else None
    frames = conductor.begin(step.session, model_binding(model, moments))
    replies, failures = yield from _collect(course, step, frames, absent)
    taken = yield from _survivors(course, step, conductor, replies, failures)
    yield from _open(course, step, conductor)
    release = yield from _release(course, step, conductor, frames, taken, initial)
    yield from _record_round(course, step, release, conductor.opened().certificate, replies)
    for party in conductor.uploaded:
        course.seen[party] = len(course.steps)
    if step.stage == "train":
        course.steps.append({k: release[k] for k in _STEP if k in release})
    return release


_STEP = ("round", "stage", "survivors", "base", "model", "sums", "sums_digest", "mean", "signature")


def _receive_all(
    course: Course[Any], replies: Mapping[str, Any], name: str, stages: Iterable[str] | None = None
) -> dict[str, JSON]:
    """Take each party's frame of each stage; return party → error of those that are refused."""
    refused: dict[str, JSON] = {}
    for party, reply in replies.items():
        for stage in course.conductors if stages is None else stages:
            try:
                course.conductors[stage].receive(party, _frame(reply, name, stage))
            except SecureFlowError as error:
                refused[party] = error.as_json()
    return refused


def _advance(
    course: Course[Any], parties: Iterable[str], rounds: Mapping[str, int]
) -> Script[dict[str, JSON]]:
    """Show everybody's keys, take keys and sealed shares of the named rounds; return failures."""
    meet = {stage: b64encode(course.conductors[stage].meet()) for stage in rounds}
    body = course.body(meet=meet, rounds=dict(rounds))
    answers = yield Ask(tuple(parties), "advance", body, need=0, patience=course.patience)
    refused = _receive_all(course, answers["replies"], "advances", rounds)
    return {**answers["failures"], **refused}


def _bring_back(course: Course[Any], step: Step, conductor: Conductor) -> Script[dict[str, JSON]]:
    """Ask for what is missing of this round's keys, most often nothing; return who stays away.

    A party that was away at the set-up shows its keys, and then all seal their shares to it as
    well: one more flight, once. Whoever has no link fails at once, so this costs no patience.

    Raises:
        SecureFlowError: `too_few_contributors`.
    """
    failures: dict[str, JSON] = {}
    strangers = tuple(p for p in course.parties if not conductor.knows(p))
    if strangers:
        asked = yield Ask(strangers, "setup", course.body(), need=0, patience=course.patience)
        failures |= asked["failures"] | _receive_all(course, asked["replies"], "setups")
    behind = conductor.behind(step.session)
    if behind:
        failures |= yield from _advance(course, behind, {step.stage: step.session})
    course.waiting += accusations(course, failures)
    ready = conductor.ready(step.session)
    absent = {p: failures.get(p) or _absent(p) for p in course.parties if p not in ready}
    if len(ready) < course.threshold:
        course.drop(step.number, step.stage, absent)
        raise too_few_contributors(course, step, absent)
    return absent


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
    course: Course[Any], step: Step, frames: Mapping[str, bytes], absent: Mapping[str, JSON]
) -> Script[tuple[dict[str, JSON], dict[str, JSON]]]:
    """Ask for masked vectors until all that can come came to one place."""
    while True:
        answers = yield _ask_to_mask(course, step, frames, frames)
        replies, failures = answers["replies"], answers["failures"]
        # Where there is no enclave, nobody can say that it is lost.
        if not (course.spec.sealed and enclave_lost(course, answers)):
            break
        yield from readmit(course)
    course.replies = replies
    course.drop(step.number, step.stage, {**absent, **failures})
    if len(replies) < course.threshold:
        raise too_few_contributors(course, step, {**absent, **failures})
    take_cosignatures(course, replies)
    return replies, failures


@dataclass
class _Taken:
    """What came in: party → digest of its vector, and whose word of a folded vector is no good."""

    vectors: dict[str, str] = field(default_factory=dict)
    doubted: dict[str, JSON] = field(default_factory=dict)


def _survivors(
    course: Course[Any],
    step: Step,
    conductor: Conductor,
    replies: Mapping[str, JSON],
    failures: dict[str, JSON],
) -> Script[_Taken]:
    """Take the frames of those whose vectors are there.

    What an enclave has added cannot be taken out again. So its party counts as a survivor also
    where its words are lost or malformed: the sum opens if the vector was made as it should be, and
    if it does not, the party is named.
    """
    folded = yield from _folded(course, step, replies)
    taken = _Taken()
    refused = taken.doubted if course.spec.sealed else failures
    for party in folded:
        try:
            if party in replies:
                conductor.receive(party, _frame(replies[party], "upload"))
                taken.vectors[party] = str(replies[party].get("vector", ""))
        except SecureFlowError as error:
            refused[party] = error.as_json()
            if not course.spec.sealed:
                course.drop(step.number, step.stage, {party: refused[party]})
        if course.spec.sealed and party not in conductor.uploaded:
            _stand_in(course, step, conductor, party)
    if len(conductor.uploaded) < course.threshold:
        raise too_few_contributors(course, step, failures)
    return taken


def _folded(
    course: Course[Any], step: Step, replies: Mapping[str, JSON]
) -> Script[tuple[str, ...]]:
    """Return whose vectors are there; an enclave freezes the round where somebody is missing."""
    if not course.spec.sealed or len(replies) == len(course.parties):
        return tuple(sorted(replies))
    body = {"job": course.context.job, "round": step.number, "stage": step.stage}
    try:
        answers = yield Ask((ENCLAVE,), "roll", body, patience=course.patience)
    except SecureFlowError as error:
        if error.code not in ENCLAVE_GONE:
            raise
        # It was restarted: the release finds out and asks the certified set to seal again.
        return tuple(sorted(replies))
    return tuple(sorted(answers["replies"][ENCLAVE]["folded"]))


def _stand_in(course: Course[Any], step: Step, conductor: Conductor, party: str) -> None:
    """Count a party whose vector is in the enclave's sum by that alone.

    Raises:
        SecureFlowError: `round_lost` when it has no place in this round.
    """
    try:
        conductor.receive(party, pack(Upload(step.session, conductor.context)))
    except SecureFlowError as error:
        raise _spoilt(course, step, {party: error.as_json()}) from error


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
    taken: _Taken,
    initial: str,
) -> Script[dict[str, JSON]]:
    """Have the sum opened by whoever folded it."""
    opened = conductor.opened()
    liars = {p: _lied(p) for p in conductor.liars}
    course.drop(step.number, step.stage, liars)
    body: dict[str, JSON] = {
        "job": course.context.job,
        "round": step.number,
        "stage": step.stage,
        "opened": opened.as_json(),
    }
    again = partial(_ask_to_mask, course, step, frames=frames)
    if not course.spec.sealed:
        body |= course.body(
            spec=dump(course.spec),
            base=course.model["digest"] if course.model else initial,
            model=course.model and {"digest": course.model["digest"]},
            vectors=dict(taken.vectors),
            spent=course.spent,
        )
        release = yield from _added_up(course, step, body, again)
        course.spent = sorted(taken.vectors.values())
        return release
    body["certificate"] = opened.certificate.as_json()
    survivors = opened.certificate.survivors

    def seal_again() -> Script[None]:
        failures = yield from bring_again(course, survivors, partial(again, survivors))
        if failures:
            raise _round_lost(course, step, failures)

    try:
        return dict((yield from released(course, body, seal_again)))
    except SecureFlowError as error:
        guilty = _guilty(error, survivors, taken.doubted)
        if not guilty:
            raise
        raise _spoilt(course, step, guilty) from error


def _added_up(
    course: Course[Any], step: Step, body: dict[str, JSON], again: Callable[[Iterable[str]], Ask]
) -> Script[dict[str, JSON]]:
    """Have the centre add the vectors up; those that its disk lost meanwhile are sent once more.

    Raises:
        SecureFlowError: `round_lost`, those of opening the sum.
    """
    try:
        answers = yield Ask((AGGREGATOR,), "sum", body, patience=None)
    except SecureFlowError as error:
        if error.code != "vector_missing":
            raise
        lost: list[str] = error.details["parties"]
        sent = yield again(lost)
        # Another vector than the certified one would not fit the others' masks.
        other = [p for p, r in sent["replies"].items() if r.get("vector") != body["vectors"][p]]
        failures = {**sent["failures"], **dict.fromkeys(other, error.as_json())}
        if failures:
            raise _round_lost(course, step, failures) from error
        answers = yield Ask((AGGREGATOR,), "sum", body, patience=None)
    return dict(answers["replies"][AGGREGATOR])


def _guilty(
    error: SecureFlowError, survivors: Iterable[str], doubted: Mapping[str, JSON]
) -> dict[str, JSON]:
    """Return who is at fault when an enclave cannot open what was certified: party → reason."""
    if error.code == "sum_inconsistent":
        return dict(doubted)
    if error.code != "survivors_mismatch":
        return {}
    held = set(error.details.get("folded", ()))
    return {party: error.as_json() for party in sorted(held ^ set(survivors))}


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


def _lied(party: str) -> dict[str, JSON]:
    reason = f"{party} revealed a share that is not the one it was given; the others sufficed."
    return SecureFlowError("share_mismatch", reason).as_json()


def _spoilt(course: Course[Any], step: Step, guilty: Mapping[str, Any]) -> SecureFlowError:
    names = ", ".join(sorted(guilty))
    reasons = "; ".join(f"{party}: {error['message']}" for party, error in guilty.items())
    return SecureFlowError(
        "round_lost",
        f"Round {step.number} ({step.stage}) cannot be opened: the enclave's sum and what {names} "
        f"said of it do not agree. {reasons}",
        f"Nothing was opened. Ask {names}; then submit a new job from the last released round: "
        f"--from {course.context.job}@{max(0, step.number - 1)}; it needs new approvals.",
        {"parties": sorted(guilty), "failures": dict(guilty)},
    )


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
