"""Masks and seals (`sealed+secagg`): an attested enclave adds up vectors that it cannot read.

It cannot subtract a vector once it is added. So a party counts as a survivor even if its frame
is lost or malformed: the sum opens if the vector was made correctly, and if it does not, the
party is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final

from secureflow.engines.run.admission import admit
from secureflow.engines.run.asking import Answers, ask_one
from secureflow.engines.run.masked import (
    OpenableRound,
    ReceivedVectors,
    round_lost,
    run_masked_round,
    set_up,
)
from secureflow.engines.run.messages import (
    MaskForAll,
    MaskReply,
    Released,
    ReleaseRequest,
    RollRequest,
    SealedMaskForAll,
    UplinkAddress,
)
from secureflow.engines.run.protection import Plans
from secureflow.engines.run.rounds import Step
from secureflow.engines.run.run import READMISSION_CODES, Course, enclave_lost
from secureflow.engines.run.sealed import bring_again, readmit, released
from secureflow.engines.script import ENCLAVE, Script
from secureflow.engines.secagg import Conductor
from secureflow.engines.secagg.messages import Upload, pack
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError, reasons_of
from secureflow.kit.text import Text


class EnclaveAdds:
    """`masked.Adder`: the enclave, on vectors that are sealed to it past the centre."""

    def with_destination(self, course: Course[Any], request: MaskForAll) -> MaskForAll:
        """Return the request with the enclave's address and its release of the columns."""
        return SealedMaskForAll(
            **vars(request),
            generation=course.admission.generation,
            uplink=UplinkAddress(course.admission.uplink),
            moments_release=None if course.start.moments is None else course.start.moments.release,
        )

    def must_resend(self, course: Course[Any], answers: Answers[MaskReply]) -> bool:
        """Tell whether the enclave must be admitted again."""
        return enclave_lost(course, answers)

    def redirect(self, course: Course[Any]) -> Script[None]:
        """Have all parties admit a new enclave."""
        yield from readmit(course)

    def arrived(
        self, course: Course[Any], step: Step, replies: Mapping[str, MaskReply]
    ) -> Script[tuple[str, ...]]:
        """Return what the enclave holds; freeze the round if a party is missing."""
        if len(replies) == len(step.asks(course)):
            return tuple(sorted(replies))
        request = RollRequest(job=course.context.job, **step.named)
        try:
            rolled = yield from ask_one(ENCLAVE, request, patience=course.patience)
        except SecureFlowError as error:
            if error.code not in READMISSION_CODES:
                raise
            # It was restarted: the release notices and asks the certified set to seal again.
            return tuple(sorted(replies))
        return tuple(sorted(rolled.folded))

    def on_bad_frame(
        self, course: Course[Any], step: Step, party: str, error: JSON, received: ReceivedVectors
    ) -> dict[str, JSON]:
        """Suspect the party: its vector is in the sum."""
        del course, step
        received.doubted[party] = error
        return {}

    def on_missing_frame(
        self, course: Course[Any], step: Step, conductor: Conductor, party: str
    ) -> None:
        """Count a party only because its vector is in the enclave's sum.

        Raises:
            SecureFlowError: `round_lost` if it has no place in this round.
        """
        try:
            conductor.receive(party, pack(Upload(step.session, conductor.context)))
        except SecureFlowError as error:
            raise _spoilt(course, step, {party: error.as_json()}) from error

    def release(self, course: Course[Any], opening: OpenableRound) -> Script[Released]:
        """Have the enclave open the sum of the certified set.

        Raises:
            SecureFlowError: `round_lost`, those of opening the sum.
        """
        certificate = opening.opened.certificate
        request = ReleaseRequest(
            job=course.context.job,
            **opening.step.named,
            certificate=certificate.as_json(),
            opened=opening.opened.as_json(),
        )
        survivors = certificate.survivors

        def seal_again() -> Script[None]:
            failures = yield from bring_again(course, survivors, partial(opening.again, survivors))
            if failures:
                raise round_lost(course, opening.step, failures)

        try:
            return (yield from released(course, request, seal_again))
        except SecureFlowError as error:
            guilty = _guilty(error, survivors, opening.received.doubted)
            if not guilty:
                raise
            raise _spoilt(course, opening.step, guilty) from error


def _guilty(
    error: SecureFlowError, survivors: Iterable[str], doubted: Mapping[str, JSON]
) -> dict[str, JSON]:
    """Return who is at fault if an enclave cannot open what was certified: party → reason."""
    if error.code == "sum_inconsistent":
        return dict(doubted)
    if error.code != "survivors_mismatch":
        return {}
    held = set(error.details.get("folded", ()))
    return {party: error.as_json() for party in sorted(held ^ set(survivors))}


def _spoilt(course: Course[Any], step: Step, guilty: Mapping[str, Any]) -> SecureFlowError:
    names = ", ".join(sorted(guilty))
    reasons = reasons_of(guilty)
    return SecureFlowError(
        "round_lost",
        Text(
            "Round {number} ({stage}) cannot be opened: the enclave's sum and what "
            "{names} said of it do not agree. {reasons}",
            number=step.number,
            stage=step.stage,
            names=names,
            reasons=reasons,
        ),
        Text(
            "Nothing was opened. Ask {names}; then submit a new job from the last "
            "released round: --from {job}@{most}; it needs new approvals.",
            names=names,
            job=course.context.job,
            most=max(0, step.number - 1),
        ),
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
        """Return that the enclave sees masked vectors and their sum."""
        del noised
        return "masked updates and their sum", "masks cancel only in the sum"

    def begin(self, course: Course[Any], plans: Plans) -> Script[None]:
        """Have the enclave admitted, and exchange the parties' keys."""
        yield from admit(course, course.parties, need=course.threshold)
        yield from set_up(course, plans())

    def run_round(self, course: Course[Any], step: Step, initial: str) -> Script[Released]:
        """Run one masked round to its release."""
        return run_masked_round(course, step, initial, EnclaveAdds())
