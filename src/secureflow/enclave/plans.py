"""What the enclave believes of a job: only what the parties of the signed spec signed.

The centre brings spec and approvals; the roster's keys in the spec verify the approvals, and the
approvals carry the spec's digest. A spec that the parties did not approve opens nothing, so a
malicious centre can neither mint a party nor change a limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from secureflow.domain.quorum import threshold_of
from secureflow.domain.specs.base import parse, spec_digest
from secureflow.domain.specs.training import TrainingSpec
from secureflow.domain.specs.training_rules import check
from secureflow.engines.sealing import Binding, parse_recipient, update_manifest, vector_manifest
from secureflow.engines.training.encodings import masked_plan
from secureflow.engines.training.models import Stage, update_layout
from secureflow.kit.crypto import verify
from secureflow.kit.errors import SecureFlowError

JSON = Any
STAGES: Final[tuple[Stage, ...]] = ("moments", "train", "evaluate")


@dataclass(frozen=True, order=True)
class Step:
    """A place in a job's course: round number, then stage."""

    number: int
    index: int

    @classmethod
    def parse(cls, number: JSON, stage: JSON) -> Step:
        """Read a foreign step.

        Raises:
            SecureFlowError: `invalid_request`.
        """
        if type(number) is not int or not 0 <= number < 1 << 31 or stage not in STAGES:
            raise SecureFlowError("invalid_request", f"There is no round {number!r} ({stage!r}).")
        return cls(number, STAGES.index(stage))

    @property
    def stage(self) -> Stage:
        """The stage's name."""
        return STAGES[self.index]

    def __str__(self) -> str:
        return f"round {self.number} ({self.stage})"


@dataclass(frozen=True)
class Plan:
    """A verified job.

    Args:
        job: job id.
        spec: the spec whose digest every approval carries.
        digest: that digest.
        approved: party → fewest contributors that it accepts.
    """

    job: str
    spec: TrainingSpec
    digest: str
    approved: Mapping[str, int]

    def check_contributor(self, party: str) -> None:
        """Refuse who is not in the signed roster or did not approve.

        Raises:
            SecureFlowError: `party_not_in_roster`, `party_not_approved`.
        """
        if party not in self.spec.keys:
            raise SecureFlowError(
                "party_not_in_roster",
                f"{party} is not in the roster that the parties of {self.job} signed.",
                "A certificate from the link's authority makes no party: the signed spec does.",
                {"party": party},
            )
        if party not in self.approved:
            raise SecureFlowError(
                "party_not_approved", f"{party} has not approved {self.job}.", "", {"party": party}
            )

    def check_step(self, step: Step) -> None:
        """Refuse steps that the plan does not hold (`stale_round`)."""
        rounds = self.spec.plan.rounds
        possible = {
            "moments": step.number == 0,
            "train": 1 <= step.number <= rounds,
            "evaluate": 1 <= step.number <= rounds + 1,
        }
        if not possible[step.stage]:
            raise SecureFlowError("stale_round", f"The plan of {self.job} has no {step}.")

    def fewest(self, survivors: tuple[str, ...]) -> int:
        """Return how many contributors a release to these survivors needs at least."""
        accepted = (self.approved.get(party, 0) for party in survivors)
        return max(threshold_of(len(self.spec.roster)), self.spec.min_contributors, *accepted)

    def binding(self, step: Step, party: str, *, model: str, evidence: str) -> Binding:
        """Return what this party's update of this step must be bound to."""
        if self.spec.masked:
            masked = masked_plan(self.spec, self.job, self.digest, step.stage)
            manifest = vector_manifest(masked.encoding.slots, masked.ring.itemsize)
        else:
            layout = update_layout(self.spec, step.stage)
            manifest = update_manifest(layout.parameters, layout.sums)
        return Binding(
            self.job, step.number, step.stage, party, self.digest, model, evidence, manifest
        )


def verify_plan(body: Mapping[str, JSON], now: int) -> Plan:
    """Verify {job, spec, approvals}.

    Raises:
        SecureFlowError: `invalid_spec`, `contradictory_spec`, `protection_unsupported`,
            `party_not_in_roster`, `approval_forged`, `approval_mismatch`, `approval_expired`,
            `approvals_missing`.
    """
    job, approvals = body.get("job"), body.get("approvals")
    if not isinstance(job, str) or not isinstance(approvals, dict):
        raise SecureFlowError("invalid_request", "A job or its approvals are missing.")
    spec = parse(TrainingSpec, body.get("spec"))
    check(spec)
    if not spec.sealed:
        raise SecureFlowError(
            "protection_unsupported", f"This enclave opens sealed updates, not {spec.protection}."
        )
    digest = spec_digest(spec)
    approved = {
        party: _approval(party, approval, job=job, spec=spec, digest=digest, now=now)
        for party, approval in approvals.items()
    }
    needed = max(threshold_of(len(spec.roster)), spec.min_contributors)
    if len(approved) < needed:
        raise SecureFlowError(
            "approvals_missing",
            f"{len(approved)} of {len(spec.roster)} parties approved {job}; {needed} are needed.",
        )
    return Plan(job, spec, digest, approved)


def verify_recipients(plan: Plan, generation: JSON, recipients: JSON) -> dict[str, str]:
    """Return party → HPKE key for intermediate models, each signed by its party.

    Raises:
        SecureFlowError: `invalid_request`, `party_not_in_roster`, `recipient_forged`,
            `malformed_key`.
    """
    if type(generation) is not int or not isinstance(recipients, dict):
        raise SecureFlowError("invalid_request", "The generation or the recipients are missing.")
    verified = {}
    for party, entry in recipients.items():
        plan.check_contributor(party)
        recipient, signature = _texts(entry, "recipient", "signature")
        body = {"job": plan.job, "generation": generation, "recipient": recipient}
        if not verify(plan.spec.keys[party], "recipient", body, signature):
            raise SecureFlowError(
                "recipient_forged",
                f"{party} did not sign this recipient key.",
                "Someone wants intermediate models of the job sealed to himself.",
                {"party": party},
            )
        parse_recipient(recipient)
        verified[party] = recipient
    return verified


def _approval(
    party: str, approval: JSON, *, job: str, spec: TrainingSpec, digest: str, now: int
) -> int:
    """Verify one approval and return the fewest contributors that it accepts."""
    if party not in spec.keys:
        raise SecureFlowError(
            "party_not_in_roster",
            f"{party} approves {job} but is not in its roster.",
            "",
            {"party": party},
        )
    signed = approval if isinstance(approval, dict) else {}
    body: JSON = signed.get("body")
    signature: JSON = signed.get("signature")
    readable = isinstance(body, dict) and isinstance(signature, str)
    if not readable or not verify(spec.keys[party], "approval", body, signature):
        raise SecureFlowError(
            "approval_forged",
            f"{party} did not sign the approval that is shown in its name.",
            "Keep it as evidence against the centre.",
            {"party": party},
        )
    if (body.get("job"), body.get("spec"), body.get("party")) != (job, digest, party):
        raise SecureFlowError(
            "approval_mismatch",
            f"The approval of {party} is for another job or spec.",
            "A changed spec needs new approvals.",
            {"party": party},
        )
    expires, fewest = body.get("expires"), body.get("min_contributors")
    if type(expires) is not int or type(fewest) is not int or now >= expires:
        raise SecureFlowError(
            "approval_expired",
            f"The approval of {party} has expired.",
            "Ask for consent again.",
            {"party": party},
        )
    return fewest


def _texts(entry: JSON, *names: str) -> tuple[str, ...]:
    values = [entry.get(name) if isinstance(entry, dict) else None for name in names]
    if not all(isinstance(value, str) for value in values):
        raise SecureFlowError("invalid_request", f"Expected {' and '.join(names)} as text.")
    return tuple(map(str, values))
