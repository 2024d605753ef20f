"""Masks only (`secagg`): parties exchange keys, and the centre adds up masked vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from secureflow.domain.specs.base import dump
from secureflow.engines.run.asking import Answers, ask_one
from secureflow.engines.run.masked import (
    OpenableRound,
    ReceivedVectors,
    round_lost,
    run_masked_round,
    set_up,
)
from secureflow.engines.run.messages import MaskForAll, MaskReply, Released, SumBase, SumRequest
from secureflow.engines.run.protection import Plans
from secureflow.engines.run.rounds import Step
from secureflow.engines.run.run import Course
from secureflow.engines.script import AGGREGATOR, Script
from secureflow.engines.secagg import Conductor
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError


class CentreAdds:
    """`masked.Adder`: the centre's own aggregator, on the vectors that parties sent to it."""

    def with_destination(self, course: Course[Any], request: MaskForAll) -> MaskForAll:
        """Return the request unchanged: vectors go to its sender."""
        del course
        return request

    def must_resend(self, course: Course[Any], answers: Answers[MaskReply]) -> bool:
        """Return False: an answer cannot report the centre as lost."""
        del course, answers
        return False

    def redirect(self, course: Course[Any]) -> Script[None]:
        """Do nothing: there is only one centre."""
        raise AssertionError(course.context.job)

    def arrived(
        self, course: Course[Any], step: Step, replies: Mapping[str, MaskReply]
    ) -> Script[tuple[str, ...]]:
        """Return the parties that answered: a vector arrives before its answer."""
        del course, step
        yield from ()
        return tuple(sorted(replies))

    def on_bad_frame(
        self, course: Course[Any], step: Step, party: str, error: JSON, received: ReceivedVectors
    ) -> dict[str, JSON]:
        """Leave the party out: its vector has not been added yet."""
        del received
        course.drop(step.number, step.stage, {party: error})
        return {party: error}

    def on_missing_frame(
        self, course: Course[Any], step: Step, conductor: Conductor, party: str
    ) -> None:
        """Do nothing: a party that is left out is not added."""

    def release(self, course: Course[Any], opening: OpenableRound) -> Script[Released]:
        """Have the centre add up the vectors; those that its disk has lost are requested once more.

        Raises:
            SecureFlowError: `round_lost`, those of opening the sum.
        """
        request = SumRequest(
            **course.named,
            **opening.step.named,
            spec=dump(course.spec),
            base=opening.base,
            model=None if course.start.model is None else SumBase(digest=course.start.model.digest),
            opened=opening.opened.as_json(),
            vectors=dict(opening.received.vectors),
            spent=course.masked.spent,
        )
        release = yield from _added_up(course, opening, request)
        course.masked.spent = sorted(request.vectors.values())
        return release


def _added_up(course: Course[Any], opening: OpenableRound, request: SumRequest) -> Script[Released]:
    try:
        return (yield from ask_one(AGGREGATOR, request, patience=None))
    except SecureFlowError as error:
        if error.code != "vector_missing":
            raise
        lost: list[str] = error.details["parties"]
        sent = yield from opening.again(lost)
        # A vector other than the certified one would not fit the others' masks.
        other = [p for p, r in sent.replies.items() if r.vector != request.vectors[p]]
        failures = {**sent.failures, **dict.fromkeys(other, error.as_json())}
        if failures:
            raise round_lost(course, opening.step, failures) from error
        return (yield from ask_one(AGGREGATOR, request, patience=None))


class SecAgg:
    """`protection.Protection`."""

    name: Final = "secagg"
    adder: Final = AGGREGATOR
    hides: Final = "updates are masked: only the sum of a certified set can be opened"
    wire: Final = "TLS 1.3, and updates are masked"
    verbs: Final = frozenset({"setup", "advance", "mask", "answer"})

    def enclave_sees(self, *, noised: bool) -> tuple[str, str]:
        """Return nothing: there is no enclave."""
        raise AssertionError(noised)

    def begin(self, course: Course[Any], plans: Plans) -> Script[None]:
        """Exchange the parties' keys."""
        yield from set_up(course, plans())

    def run_round(self, course: Course[Any], step: Step, initial: str) -> Script[Released]:
        """Run one masked round to its release."""
        return run_masked_round(course, step, initial, CentreAdds())
