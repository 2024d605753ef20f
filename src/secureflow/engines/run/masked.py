"""One masked round (`sf-secagg-1`, docs/secagg.md) of a job, as effects.

Once per job: SETUP and MEET bring the parties' keys together. Then two flights a round while all
stay: `mask` (BEGIN → UPLOAD, which carries the next round's keys) and `answer` (QUESTION →
OPENING, which is the vote as well); a third one only where somebody dropped out. The centre carries
frames and learns what opens one sum per round. Vectors never come through the script: whoever adds
them up (`secagg`: the centre; `sealed_secagg`: the enclave to which they are sealed as well) is
given only what opens the sum.

Every agent computes the next model itself from the published mean; its digest stands in the next
round's context, so parties that were shown different means have masks that do not cancel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from secureflow.engines.closing import Certificate
from secureflow.engines.run.rounds import Step, record_round, too_few_contributors
from secureflow.engines.run.run import (
    Course,
    accusations,
    take_cosignatures,
    witness_first_votes,
)
from secureflow.engines.script import JSON, Ask, Script
from secureflow.engines.secagg import Conductor, Opened
from secureflow.kit.canonical import b64decode, b64encode, digest
from secureflow.kit.errors import SecureFlowError

MAX_FRAME = 1 << 20
"""Characters of a frame in an answer; a link's message is no longer."""


@dataclass
class Taken:
    """What came in: party → digest of its vector, and whose word of an added vector is no good."""

    vectors: dict[str, str] = field(default_factory=dict)
    doubted: dict[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True)
class Opening:
    """A round whose sum may be opened.

    Args:
        step: which round.
        opened: what opens the sum, and the certificate of whose it is.
        taken: what came in.
        base: hex digest of the model that the round starts from.
        again: asks parties to send the very same vectors again.
    """

    step: Step
    opened: Opened
    taken: Taken
    base: str
    again: Callable[[Iterable[str]], Ask]

    def body(self, course: Course[Any]) -> dict[str, JSON]:
        """Return the request to open the sum, as far as it is the same whoever is asked."""
        return {
            "job": course.context.job,
            "round": self.step.number,
            "stage": self.step.stage,
            "opened": self.opened.as_json(),
        }


class Adder(Protocol):
    """Who adds masked vectors up, and what that changes of a round."""

    def place(self, course: Course[Any]) -> dict[str, JSON]:
        """Return what a request says of where vectors are to go."""

    def lost(self, course: Course[Any], answers: Mapping[str, Any]) -> bool:
        """Tell whether vectors must come again, to somebody else than was said."""

    def replaced(self, course: Course[Any]) -> Script[None]:
        """Have everybody agree on whom vectors go to now."""

    def added(
        self, course: Course[Any], step: Step, replies: Mapping[str, JSON]
    ) -> Script[tuple[str, ...]]:
        """Return whose vectors are there, sorted."""

    def misread(
        self, course: Course[Any], step: Step, party: str, error: JSON, taken: Taken
    ) -> dict[str, JSON]:
        """Note that a party's frame is no good; return the failures that follow from that."""

    def stand_in(self, course: Course[Any], step: Step, conductor: Conductor, party: str) -> None:
        """Do what is right where a party's vector is there and its frame is not.

        Raises:
            SecureFlowError: `round_lost`.
        """

    def release(self, course: Course[Any], opening: Opening) -> Script[dict[str, JSON]]:
        """Have the sum opened by who added it up."""


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


def run_masked_round(
    course: Course[Any], step: Step, initial: str, adder: Adder
) -> Script[dict[str, JSON]]:
    """Run one masked round to its release; see `sealed.run_sealed_round`."""
    conductor = course.conductors[step.stage]
    absent = yield from _bring_back(course, step, conductor)
    model = course.model["digest"] if course.model else initial
    moments = course.moments["sums"] if course.moments else None
    frames = conductor.begin(step.session, model_binding(model, moments))
    ask = partial(_ask_to_mask, course, step, frames=frames, adder=adder)
    everybody = partial(ask, tuple(frames))
    replies, failures = yield from _collect(course, step, everybody, absent, adder)
    taken = yield from _survivors(course, step, conductor, replies, failures, adder)
    yield from _open(course, step, conductor)
    opened = conductor.opened()
    course.drop(step.number, step.stage, {party: _lied(party) for party in conductor.liars})
    release = yield from adder.release(course, Opening(step, opened, taken, model, ask))
    yield from _record_round(course, step, release, opened.certificate, replies)
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


def _mask_body(course: Course[Any], step: Step, adder: Adder) -> dict[str, JSON]:
    body = course.body(
        round=step.number,
        stage=step.stage,
        model=course.model and {k: course.model[k] for k in ("digest", "artifact", "size")},
        moments=course.moments and course.moments["sums"],
        head=course.note,
        vector={"size": course.conductors[step.stage].plan.vector_bytes},
    )
    return body | adder.place(course)


def _ask_to_mask(
    course: Course[Any],
    step: Step,
    parties: Iterable[str],
    *,
    frames: Mapping[str, bytes],
    adder: Adder,
) -> Ask:
    """Show each party its frame, and the published means that it has not applied yet."""
    each = {
        party: {
            "begin": b64encode(frames[party]),
            "steps": course.steps[course.seen.get(party, 0) :],
        }
        for party in parties
    }
    body = _mask_body(course, step, adder)
    return Ask(tuple(each), "mask", body, each, need=0, patience=course.patience)


def _collect(
    course: Course[Any],
    step: Step,
    ask: Callable[[], Ask],
    absent: Mapping[str, JSON],
    adder: Adder,
) -> Script[tuple[dict[str, JSON], dict[str, JSON]]]:
    """Ask for masked vectors until all that can come came to one place."""
    while True:
        answers = yield ask()
        replies, failures = answers["replies"], answers["failures"]
        if not adder.lost(course, answers):
            break
        yield from adder.replaced(course)
    course.replies = replies
    course.drop(step.number, step.stage, {**absent, **failures})
    if len(replies) < course.threshold:
        raise too_few_contributors(course, step, {**absent, **failures})
    take_cosignatures(course, replies)
    return replies, failures


def _survivors(
    course: Course[Any],
    step: Step,
    conductor: Conductor,
    replies: Mapping[str, JSON],
    failures: dict[str, JSON],
    adder: Adder,
) -> Script[Taken]:
    """Take the frames of those whose vectors are there."""
    taken = Taken()
    for party in (yield from adder.added(course, step, replies)):
        try:
            if party in replies:
                conductor.receive(party, _frame(replies[party], "upload"))
                taken.vectors[party] = str(replies[party].get("vector", ""))
        except SecureFlowError as error:
            failures |= adder.misread(course, step, party, error.as_json(), taken)
        if party not in conductor.uploaded:
            adder.stand_in(course, step, conductor, party)
    if len(conductor.uploaded) < course.threshold:
        raise too_few_contributors(course, step, failures)
    return taken


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
            raise round_lost(course, step, failures)
    if not conductor.complete:
        raise round_lost(course, step, failures)


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


def round_lost(course: Course[Any], step: Step, failures: Mapping[str, Any]) -> SecureFlowError:
    """Return the error of a round whose certified sum cannot be opened any more."""
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
