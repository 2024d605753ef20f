"""One masked round (`sf-secagg-1`, docs/secagg.md) of a job, as effects.

Once per job, SETUP and MEET exchange the parties' keys. Then a round takes two flights while all
parties stay: `mask` (BEGIN → UPLOAD, which carries the next round's keys) and `answer` (QUESTION →
OPENING, which is also the vote); a third one only if a party dropped out. The centre carries
frames and learns the opening of one sum per round. Vectors never pass through the script: the adder
(`secagg`: the centre; `sealed_secagg`: the enclave, to which they are also sealed) is given only
what opens the sum.

If a kind's contributing rounds publish a mean, every agent computes the next model from it
itself; the model's digest is in the next round's context, so masks of parties that were shown
different means do not cancel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from secureflow.engines.closing import Certificate
from secureflow.engines.run.asking import Answers, ask
from secureflow.engines.run.messages import (
    AdvanceRequest,
    AnswerForAll,
    AnswerOwn,
    MaskForAll,
    MaskOwn,
    MaskReply,
    Released,
    SetupReply,
    SetupRequest,
    StoredModel,
    VectorSize,
)
from secureflow.engines.run.rounds import Step, record_round, too_few_contributors
from secureflow.engines.run.run import (
    Course,
    accusations,
    take_cosignatures,
    witness_first_votes,
)
from secureflow.engines.script import Script
from secureflow.engines.secagg import Conductor, MaskingPlan, Opened
from secureflow.kit.canonical import JSON, b64decode, b64encode, digest
from secureflow.kit.errors import SecureFlowError, reasons_of
from secureflow.kit.text import Text

MAX_FRAME = 1 << 20
"""Characters of a frame in an answer; a link's message is no longer."""


@dataclass
class ReceivedVectors:
    """Received vectors: party → digest; and parties whose frame for an added vector is unusable."""

    vectors: dict[str, str] = field(default_factory=dict)
    doubted: dict[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True)
class OpenableRound:
    """A round whose sum can be opened.

    Args:
        step: which round.
        opened: what opens the sum, and the certificate of its contributors.
        received: the received vectors.
        base: hex digest of the model from which the round starts.
        again: asks parties to send exactly the same vectors again.
    """

    step: Step
    opened: Opened
    received: ReceivedVectors
    base: str
    again: Callable[[Iterable[str]], Script[Answers[MaskReply]]]


class Adder(Protocol):
    """Adds up masked vectors, and defines how a round depends on that."""

    def with_destination(self, course: Course[Any], request: MaskForAll) -> MaskForAll:
        """Return the request with the destination of the vectors."""

    def must_resend(self, course: Course[Any], answers: Answers[MaskReply]) -> bool:
        """Tell whether vectors must be sent again, to another destination than before."""

    def redirect(self, course: Course[Any]) -> Script[None]:
        """Have all parties agree on the new destination of vectors."""

    def arrived(
        self, course: Course[Any], step: Step, replies: Mapping[str, MaskReply]
    ) -> Script[tuple[str, ...]]:
        """Return the parties whose vectors have arrived, sorted."""

    def on_bad_frame(
        self, course: Course[Any], step: Step, party: str, error: JSON, received: ReceivedVectors
    ) -> dict[str, JSON]:
        """Note that a party's frame is unusable; return the failures that follow from it."""

    def on_missing_frame(
        self, course: Course[Any], step: Step, conductor: Conductor, party: str
    ) -> None:
        """Handle a party whose vector has arrived without its frame.

        Raises:
            SecureFlowError: `round_lost`.
        """

    def release(self, course: Course[Any], opening: OpenableRound) -> Script[Released]:
        """Have the adder open the sum."""


def model_binding(model: str, moments: Sequence[float] | None) -> str:
    """Return the hex digest that represents model and moments in a round's context."""
    return digest({"model": model, "moments": None if moments is None else list(moments)})


def set_up(course: Course[Any], plans: Mapping[str, MaskingPlan]) -> Script[None]:
    """Exchange the parties' keys: one session per stage.

    A party that is away now sends its keys when a later round reaches it.

    Raises:
        SecureFlowError: `too_few_answers`.
    """
    course.masked.conductors = {stage: Conductor(plan) for stage, plan in plans.items()}
    request = SetupRequest(**course.named)
    asked = yield from ask(course.parties, request, need=course.threshold, patience=course.patience)
    course.drop(0, "setup", {**asked.failures, **_meet(course, asked)})
    rounds = dict.fromkeys(course.masked.conductors, 0)
    course.drop(0, "advance", (yield from _advance(course, asked.replies, rounds)))


def run_masked_round(
    course: Course[Any], step: Step, initial: str, adder: Adder
) -> Script[Released]:
    """Run one masked round to its release; see `sealed.run_sealed_round`."""
    conductor = course.masked.conductors[step.stage]
    absent = yield from _bring_back(course, step, conductor)
    model = course.start.model.digest if course.start.model else initial
    moments = course.start.moments.sums if course.start.moments else None
    binding = model_binding(model, moments)
    frames = conductor.begin(step.session, binding, step.asks(course))
    again = partial(_ask_to_mask, course, step, frames=frames, adder=adder)
    everybody = partial(again, tuple(frames))
    replies, failures = yield from _collect(course, step, everybody, absent, adder)
    received = yield from _survivors(course, step, conductor, replies, failures, adder)
    yield from _open(course, step, conductor)
    opened = conductor.opened()
    course.drop(step.number, step.stage, {party: _lied(party) for party in conductor.liars})
    release = yield from adder.release(course, OpenableRound(step, opened, received, model, again))
    yield from _record_round(course, step, release, opened.certificate, replies)
    for party in conductor.uploaded:
        course.masked.seen[party] = len(course.masked.steps)
    if step.stage == course.context.contributing and "mean" in release.body:
        course.masked.steps.append(release.pick(*_STEP))
    return release


_STEP = ("round", "stage", "survivors", "base", "model", "sums", "sums_digest", "mean", "signature")


def _receive_all(
    course: Course[Any], frames: Mapping[str, JSON], name: str, stages: Iterable[str]
) -> dict[str, JSON]:
    """Read each party's frame of each stage; return party → error of those that are refused."""
    refused: dict[str, JSON] = {}
    for party, shown in frames.items():
        for stage in stages:
            try:
                frame = _frame(shown.get(stage) if isinstance(shown, Mapping) else None, name)
                course.masked.conductors[stage].receive(party, frame)
            except SecureFlowError as error:
                refused[party] = error.as_json()
    return refused


def _meet(course: Course[Any], asked: Answers[SetupReply]) -> dict[str, JSON]:
    setups = {party: reply.setups for party, reply in asked.replies.items()}
    return _receive_all(course, setups, "setups", course.masked.conductors)


def _advance(
    course: Course[Any], parties: Iterable[str], rounds: Mapping[str, int]
) -> Script[dict[str, JSON]]:
    """Send all keys, read keys and sealed shares of the named rounds; return failures."""
    meet: dict[Any, str] = {s: b64encode(course.masked.conductors[s].meet()) for s in rounds}
    request = AdvanceRequest(**course.named, meet=meet, rounds=dict[Any, int](rounds))
    answers = yield from ask(parties, request, need=0, patience=course.patience)
    advances = {party: reply.advances for party, reply in answers.replies.items()}
    return {**answers.failures, **_receive_all(course, advances, "advances", rounds)}


def _bring_back(course: Course[Any], step: Step, conductor: Conductor) -> Script[dict[str, JSON]]:
    """Ask for missing keys of this round, usually none; return the parties that stay away.

    A party that was away during set-up sends its keys, and then all parties seal their shares to it
    as well: one more flight, once. A party without a link fails at once, so this costs no patience.

    Raises:
        SecureFlowError: `too_few_contributors`.
    """
    failures: dict[str, JSON] = {}
    drawn = step.asks(course)
    strangers = tuple(p for p in drawn if not conductor.has_keys_of(p))
    if strangers:
        request = SetupRequest(**course.named)
        asked = yield from ask(strangers, request, need=0, patience=course.patience)
        failures |= asked.failures | _meet(course, asked)
    behind = [p for p in conductor.behind(step.session) if p in drawn]
    if behind:
        failures |= yield from _advance(course, behind, {step.stage: step.session})
    course.ledger.waiting += accusations(course, failures)
    ready = [p for p in conductor.ready(step.session) if p in drawn]
    absent = {p: failures.get(p) or _absent(p) for p in drawn if p not in ready}
    if len(ready) < course.threshold:
        course.drop(step.number, step.stage, absent)
        raise too_few_contributors(course, step, absent)
    return absent


def _mask_request(course: Course[Any], step: Step, adder: Adder) -> MaskForAll:
    model, moments = course.start.model, course.start.moments
    request = MaskForAll(
        **course.named,
        **step.named,
        model=None if model is None else StoredModel(model.digest, model.artifact, model.size),
        moments=None if moments is None else moments.sums,
        head=course.ledger.note,
        vector=VectorSize(course.masked.conductors[step.stage].plan.vector_bytes),
    )
    return adder.with_destination(course, request)


def _ask_to_mask(
    course: Course[Any],
    step: Step,
    parties: Iterable[str],
    *,
    frames: Mapping[str, bytes],
    adder: Adder,
) -> Script[Answers[MaskReply]]:
    """Send each party its frame, and the published means that it has not applied yet."""
    each = {
        party: MaskOwn(
            begin=b64encode(frames[party]),
            steps=course.masked.steps[course.masked.seen.get(party, 0) :],
        )
        for party in parties
    }
    request = _mask_request(course, step, adder)
    return (yield from ask(each, request, each, need=0, patience=course.patience))


def _collect(
    course: Course[Any],
    step: Step,
    everybody: Callable[[], Script[Answers[MaskReply]]],
    absent: Mapping[str, JSON],
    adder: Adder,
) -> Script[tuple[dict[str, MaskReply], dict[str, JSON]]]:
    """Ask for masked vectors until all that can come have reached one and the same adder."""
    while True:
        answers = yield from everybody()
        replies, failures = answers.replies, answers.failures
        if not adder.must_resend(course, answers):
            break
        yield from adder.redirect(course)
    course.contributed.replies = replies
    course.drop(step.number, step.stage, {**absent, **failures})
    if len(replies) < course.threshold:
        raise too_few_contributors(course, step, {**absent, **failures})
    take_cosignatures(course, replies)
    for party, reply in replies.items():
        if reply.told is not None:
            before, after = course.contributed.told.get(party, (None, None))
            begins = step.stage == course.context.contributing
            told = (before or reply.told, after) if begins else (before, reply.told)
            course.contributed.told[party] = told
    return replies, failures


def _survivors(
    course: Course[Any],
    step: Step,
    conductor: Conductor,
    replies: Mapping[str, MaskReply],
    failures: dict[str, JSON],
    adder: Adder,
) -> Script[ReceivedVectors]:
    """Read the frames of the parties whose vectors have arrived."""
    received = ReceivedVectors()
    for party in (yield from adder.arrived(course, step, replies)):
        try:
            if party in replies:
                conductor.receive(party, _frame(replies[party].upload, "upload"))
                received.vectors[party] = replies[party].vector or ""
        except SecureFlowError as error:
            failures |= adder.on_bad_frame(course, step, party, error.as_json(), received)
        if party not in conductor.uploaded:
            adder.on_missing_frame(course, step, conductor, party)
    if len(conductor.uploaded) < course.threshold:
        raise too_few_contributors(course, step, failures)
    return received


def _open(course: Course[Any], step: Step, conductor: Conductor) -> Script[None]:
    """Send the question, and the certificate if a party dropped out, until t parties opened.

    Raises:
        SecureFlowError: `round_lost` naming the parties that did not answer.
    """
    failures: dict[str, JSON] = {}
    conductor.close()
    yield from witness_first_votes(course, conductor.uploaded)
    flights = 1 if len(conductor.uploaded) == len(conductor.roster) else 2
    for _ in range(flights):
        frames = conductor.requests()
        request = AnswerForAll(**course.named, **step.named, cosigned=course.ledger.cosigned)
        each = {party: AnswerOwn(frame=b64encode(frame)) for party, frame in frames.items()}
        answers = yield from ask(each, request, each, need=0, patience=course.patience)
        failures = dict(answers.failures)
        for party, reply in answers.replies.items():
            try:
                conductor.receive(party, _frame(reply.answer, "answer"))
            except SecureFlowError as error:
                failures[party] = error.as_json()
        course.drop(step.number, step.stage, failures)
        if flights == 2 and conductor.certificate is None:
            raise round_lost(course, step, failures)
    if not conductor.complete:
        raise round_lost(course, step, failures)


def _record_round(
    course: Course[Any],
    step: Step,
    release: Released,
    certificate: Certificate,
    replies: Mapping[str, MaskReply],
) -> Script[None]:
    shown = release.pick("survivors", "model", "sums_digest", "mean", "signature")
    yield from record_round(course, step, shown, certificate, replies)


def _frame(value: JSON, name: str) -> bytes:
    if not isinstance(value, str):
        raise SecureFlowError("malformed_frame", Text("The answer holds no {name}.", name=name))
    return b64decode(value, MAX_FRAME)


def _absent(party: str) -> dict[str, JSON]:
    reason = Text("{party} has no keys of this round.", party=party)
    return SecureFlowError(
        "party_silent", reason, "It takes part again in the next round."
    ).as_json()


def _lied(party: str) -> dict[str, JSON]:
    reason = Text(
        "{party} revealed a share that is not the one it was given; the others sufficed.",
        party=party,
    )
    return SecureFlowError("share_mismatch", reason).as_json()


def round_lost(course: Course[Any], step: Step, failures: Mapping[str, Any]) -> SecureFlowError:
    """Return the error of a round whose certified sum can no longer be opened."""
    names = ", ".join(sorted(failures))
    reasons = reasons_of(failures)
    return SecureFlowError(
        "round_lost",
        Text(
            "Round {number} ({stage}) cannot be opened: {names} did not answer, and "
            "{threshold} of {count} must. {reasons}",
            number=step.number,
            stage=step.stage,
            names=names,
            threshold=course.threshold,
            count=len(course.parties),
            reasons=reasons,
        ),
        Text(
            "Nothing was opened. Submit a new job from the last released round: --from "
            "{job}@{most}; it needs new approvals.",
            job=course.context.job,
            most=max(0, step.number - 1),
        ),
        {"parties": sorted(failures), "failures": dict(failures)},
    )
