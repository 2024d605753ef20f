"""Masks and seals (`sealed+secagg`): an attested enclave adds up vectors that it cannot read.

What it has added cannot be taken out again. So a party counts as a survivor also where its words
are lost or malformed: the sum opens if the vector was made as it should be, and if it does not, the
party is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final

from secureflow.engines.run.admission import admit
from secureflow.engines.run.masked import (
    Opening,
    Taken,
    round_lost,
    run_masked_round,
    set_up,
)
from secureflow.engines.run.protection import Plans
from secureflow.engines.run.rounds import Step
from secureflow.engines.run.run import ENCLAVE_GONE, Course, enclave_lost
from secureflow.engines.run.sealed import bring_again, readmit, released
from secureflow.engines.script import ENCLAVE, JSON, Ask, Script
from secureflow.engines.secagg import Conductor
from secureflow.engines.secagg.messages import Upload, pack
from secureflow.kit.errors import SecureFlowError


class EnclaveAdds:
    """`masked.Adder`: the enclave, on vectors that are sealed to it past the centre."""

    def place(self, course: Course[Any]) -> dict[str, JSON]:
        """Return which enclave it is, and what it released of the columns."""
        return {
            "generation": course.generation,
            "uplink": {"address": course.uplink},
            "moments_release": course.moments and course.moments["release"],
        }

    def lost(self, course: Course[Any], answers: Mapping[str, Any]) -> bool:
        """Tell whether the enclave must be admitted anew."""
        return enclave_lost(course, answers)

    def replaced(self, course: Course[Any]) -> Script[None]:
        """Have everybody admit a new enclave."""
        yield from readmit(course)

    def added(
        self, course: Course[Any], step: Step, replies: Mapping[str, JSON]
    ) -> Script[tuple[str, ...]]:
        """Return what the enclave holds; it freezes the round where somebody is missing."""
        if len(replies) == len(course.parties):
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

    def misread(
        self, course: Course[Any], step: Step, party: str, error: JSON, taken: Taken
    ) -> dict[str, JSON]:
        """Doubt the party: its vector is in the sum."""
        del course, step
        taken.doubted[party] = error
        return {}

    def stand_in(self, course: Course[Any], step: Step, conductor: Conductor, party: str) -> None:
        """Count a party whose vector is in the enclave's sum by that alone.

        Raises:
            SecureFlowError: `round_lost` when it has no place in this round.
        """
        try:
            conductor.receive(party, pack(Upload(step.session, conductor.context)))
        except SecureFlowError as error:
            raise _spoilt(course, step, {party: error.as_json()}) from error

    def release(self, course: Course[Any], opening: Opening) -> Script[dict[str, JSON]]:
        """Have the enclave open the sum of the certified set.

        Raises:
            SecureFlowError: `round_lost`, those of opening the sum.
        """
        certificate = opening.opened.certificate
        body = opening.body(course) | {"certificate": certificate.as_json()}
        survivors = certificate.survivors

        def seal_again() -> Script[None]:
            failures = yield from bring_again(course, survivors, partial(opening.again, survivors))
            if failures:
                raise round_lost(course, opening.step, failures)

        try:
            return dict((yield from released(course, body, seal_again)))
        except SecureFlowError as error:
            guilty = _guilty(error, survivors, opening.taken.doubted)
            if not guilty:
                raise
            raise _spoilt(course, opening.step, guilty) from error


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


class SealedSecAgg:
    """`protection.Protection`."""

    name: Final = "sealed+secagg"
    adder: Final = ENCLAVE
    hides: Final = "updates are masked, and sealed to the enclave past the server"
    wire: Final = "TLS 1.3, HPKE seals, and masks under them"
    verbs: Final = frozenset({"challenge", "admit", "setup", "advance", "mask", "answer"})

    def enclave_sees(self, *, noised: bool) -> tuple[str, str]:
        """Return that it sees masked vectors and their sum."""
        del noised
        return "masked updates and their sum", "masks cancel only in the sum"

    def begin(self, course: Course[Any], plans: Plans) -> Script[None]:
        """Have the enclave admitted, and bring the parties' keys together."""
        yield from admit(course, course.parties, need=course.threshold)
        course.plans = plans()
        yield from set_up(course)

    def run_round(self, course: Course[Any], step: Step, initial: str) -> Script[dict[str, JSON]]:
        """Run one masked round to its release."""
        return run_masked_round(course, step, initial, EnclaveAdds())
