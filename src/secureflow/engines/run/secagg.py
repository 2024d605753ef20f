"""Masks alone (`secagg`): parties bring keys together, and the centre adds up masked vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from secureflow.domain.specs.base import dump
from secureflow.engines.run.masked import (
    Opening,
    Taken,
    round_lost,
    run_masked_round,
    set_up,
)
from secureflow.engines.run.protection import Plans
from secureflow.engines.run.rounds import Step
from secureflow.engines.run.run import Course
from secureflow.engines.script import AGGREGATOR, JSON, Ask, Script
from secureflow.engines.secagg import Conductor
from secureflow.kit.errors import SecureFlowError


class CentreAdds:
    """`masked.Adder`: the centre's own aggregator, on the vectors that parties sent to it."""

    def place(self, course: Course[Any]) -> dict[str, JSON]:
        """Return nothing: vectors go where requests come from."""
        del course
        return {}

    def lost(self, course: Course[Any], answers: Mapping[str, Any]) -> bool:
        """Nobody can say that the centre is lost."""
        del course, answers
        return False

    def replaced(self, course: Course[Any]) -> Script[None]:
        """There is one centre."""
        raise AssertionError(course.context.job)

    def added(
        self, course: Course[Any], step: Step, replies: Mapping[str, JSON]
    ) -> Script[tuple[str, ...]]:
        """Return who answered: a vector comes before its answer."""
        del course, step
        yield from ()
        return tuple(sorted(replies))

    def misread(
        self, course: Course[Any], step: Step, party: str, error: JSON, taken: Taken
    ) -> dict[str, JSON]:
        """Leave the party out: its vector is not added yet."""
        del taken
        course.drop(step.number, step.stage, {party: error})
        return {party: error}

    def stand_in(self, course: Course[Any], step: Step, conductor: Conductor, party: str) -> None:
        """Do nothing: whoever is not taken is not added."""

    def release(self, course: Course[Any], opening: Opening) -> Script[dict[str, JSON]]:
        """Have the centre add the vectors up; those that its disk lost meanwhile come once more.

        Raises:
            SecureFlowError: `round_lost`, those of opening the sum.
        """
        vectors = dict(opening.taken.vectors)
        body = opening.body(course) | course.body(
            spec=dump(course.spec),
            base=opening.base,
            model=course.model and {"digest": course.model["digest"]},
            vectors=vectors,
            spent=course.spent,
        )
        release = yield from _added_up(course, opening, body)
        course.spent = sorted(vectors.values())
        return release


def _added_up(
    course: Course[Any], opening: Opening, body: dict[str, JSON]
) -> Script[dict[str, JSON]]:
    try:
        answers = yield Ask((AGGREGATOR,), "sum", body, patience=None)
    except SecureFlowError as error:
        if error.code != "vector_missing":
            raise
        lost: list[str] = error.details["parties"]
        sent = yield opening.again(lost)
        # Another vector than the certified one would not fit the others' masks.
        other = [p for p, r in sent["replies"].items() if r.get("vector") != body["vectors"][p]]
        failures = {**sent["failures"], **dict.fromkeys(other, error.as_json())}
        if failures:
            raise round_lost(course, opening.step, failures) from error
        answers = yield Ask((AGGREGATOR,), "sum", body, patience=None)
    return dict(answers["replies"][AGGREGATOR])


class SecAgg:
    """`protection.Protection`."""

    name: Final = "secagg"
    adder: Final = AGGREGATOR
    hides: Final = "updates are masked: only the sum of a certified set can be opened"
    wire: Final = "TLS 1.3, and updates are masked"
    verbs: Final = frozenset({"setup", "advance", "mask", "answer"})

    def enclave_sees(self, *, noised: bool) -> tuple[str, str]:
        """There is none."""
        raise AssertionError(noised)

    def begin(self, course: Course[Any], plans: Plans) -> Script[None]:
        """Bring the parties' keys together."""
        course.plans = plans()
        yield from set_up(course)

    def run_round(self, course: Course[Any], step: Step, initial: str) -> Script[dict[str, JSON]]:
        """Run one masked round to its release."""
        return run_masked_round(course, step, initial, CentreAdds())
