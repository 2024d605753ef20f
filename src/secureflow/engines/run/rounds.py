"""The common parts of rounds under every protection: steps, the ledger's entry, the failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from secureflow.domain.clocks import HINT as CLOCKS
from secureflow.domain.errors import ROW_ERRORS, name_of
from secureflow.domain.granterrors import STOPPING
from secureflow.domain.specs.bundles import CODE_ERRORS
from secureflow.engines.closing import Certificate
from secureflow.engines.run.messages import Leaves
from secureflow.engines.run.run import Course, record, report_dropouts, take_leaves
from secureflow.engines.script import Script
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text, one_after_the_other, text_in


@dataclass(frozen=True)
class Step:
    """The number and stage of a round; `session` counts the rounds of its stage.

    Round 0 is before any update of the model. `noised`: an enclave draws noise from seeds that come
    with the contributions. `asked`: the parties whose contributions it takes; empty for all.
    """

    number: int
    stage: str
    session: int = 0
    noised: bool = False
    asked: tuple[str, ...] = ()

    def asks(self, course: Course[Any]) -> tuple[str, ...]:
        """Return the parties whose contributions it takes, in the roster's order."""
        return self.asked or course.parties

    @property
    def named(self) -> dict[str, Any]:
        """The members of a request that identify the step."""
        return {"round": self.number, "stage": self.stage}


def record_round(
    course: Course[Any],
    step: Step,
    shown: Mapping[str, JSON],
    certificate: Certificate,
    replies: Mapping[str, Leaves],
) -> Script[None]:
    """Record a closed round in the ledger: the parties' leaves, accusations, the certificate.

    `shown` is the part of the release that the entry holds.
    """
    if step.stage == course.context.contributing:
        for party in certificate.survivors:
            course.contributed.rounds[party] = course.contributed.rounds.get(party, 0) + 1
    document = {
        "round": step.number,
        "stage": step.stage,
        "release": dict(shown),
        "certificate": certificate.as_json(),
        "generation": course.admission.generation,
    }
    # Accusations are waiting already: each came with all leaves that its author made before it.
    take_leaves(course, {party: reply for party, reply in replies.items() if reply.leaf})
    yield from record(course, [{"kind": "round.closed", "document": document}])
    yield from report_dropouts(course)
    course.ledger.voted |= certificate.votes.keys()


_HINT: Final = "Bring the named organisations' agents back and submit the job again."
_OLDER: Final = (
    "The named organisations' agents have an older record: their owners follow `secureflow agent "
    "doctor`. Then submit the job again."
)
_ROWS: Final = (
    "No agent is away: rows do not fit the job. The named organisations find them in `secureflow "
    "agent log`; correct them there, or the columns and steps of the job, and submit it again."
)


def too_few_contributors(
    course: Course[Any], step: Step, failures: Mapping[str, Any]
) -> SecureFlowError:
    """Return the error of a round with fewer contributors than may be summed."""
    names = ", ".join(sorted(failures))
    reasons = one_after_the_other([_reason(party, error) for party, error in failures.items()])
    return SecureFlowError(
        name_of(failures.values(), "too_few_contributors"),
        Text(
            "Round {number} ({stage}) cannot be summed: {names} did not contribute, and "
            "{threshold} of {count} are needed. {reasons}",
            number=step.number,
            stage=step.stage,
            names=names,
            threshold=course.threshold,
            count=len(course.parties),
            reasons=reasons,
        ),
        _next_step(course, failures),
        {"parties": sorted(failures), "failures": dict(failures)},
    )


def _next_step(course: Course[Any], failures: Mapping[str, Any]) -> str:
    codes = {str(error.get("code")) for error in failures.values()}
    if codes & STOPPING:
        return "Ask its data owner, then submit a new job."
    if any("clock_ahead" in (error.get("details") or {}) for error in failures.values()):
        return CLOCKS
    if hint := code_hint(course, failures):
        return hint
    if codes == {"record_set_back"}:
        return _OLDER
    return _ROWS if codes and codes <= ROW_ERRORS else _HINT


def code_hint(course: Course[Any], failures: Mapping[str, Any]) -> str:
    """Return what to do where nothing but the job's own code failed; "" where something else did.

    Code that updates no model computes one that is released, and cannot be corrected any more.
    """
    codes = {str(error.get("code")) for error in failures.values()}
    if not codes or not codes <= CODE_ERRORS:
        return ""
    if course.spec.parameters:
        return Text(
            "The job's own code failed, not an agent: correct it, and try it with `secureflow "
            "simulate`. What it printed only the named organisations can read; ask them to run: "
            "secureflow agent bundle log {job}",
            job=course.context.job,
        )
    return Text(
        "The model's own code failed, not an agent: try it on rows of your own, secureflow model "
        "predict MODEL ROWS --bundle FOLDER; other code needs a new training, which may resume the "
        "model. What it printed only the named organisations can read; ask them to run: secureflow "
        "agent bundle log {job}",
        job=course.context.job,
    )


def _reason(party: str, error: Mapping[str, JSON]) -> str:
    """Return why a party did not contribute, beginning with its name, which is not repeated."""
    message = text_in(error, "message")
    named = message.startswith(f"{party} ")
    return message if named else Text("{party}: {message}", party=party, message=message)
