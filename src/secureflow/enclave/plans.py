"""What the enclave trusts about a job: only what the parties of the signed spec have signed.

The centre sends spec and approvals; the roster's keys in the spec verify the approvals, and the
approvals carry the spec's digest. With a spec that the parties did not approve nothing is opened,
so a malicious centre can neither invent a party nor change a limit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from secureflow.domain.quorum import threshold_of
from secureflow.domain.specs.base import JobSpec, spec_digest
from secureflow.domain.specs.protections import traits_of
from secureflow.enclave.folds import Fold
from secureflow.enclave.kind import EnclaveKind, EnclaveKinds
from secureflow.engines.run.messages import OpenRequest
from secureflow.engines.run.stages import STAGE_NAME
from secureflow.engines.sealing import Binding, parse_recipient
from secureflow.engines.secagg import MaskingPlan
from secureflow.kit.canonical import JSON
from secureflow.kit.crypto import verify
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


@dataclass(frozen=True)
class RoundId:
    """A position in the course of a job: round number and stage."""

    number: int
    stage: str

    @classmethod
    def parse(cls, number: JSON, stage: JSON) -> RoundId:
        """Parse a step from outside; the job defines which stages exist.

        Raises:
            SecureFlowError: `invalid_request`.
        """
        named = isinstance(stage, str) and re.fullmatch(STAGE_NAME, stage)
        if type(number) is not int or not 0 <= number < 1 << 31 or not named:
            raise SecureFlowError(
                "invalid_request",
                Text(
                    "There is no round {number!r:.20} ({stage!r:.40}).", number=number, stage=stage
                ),
            )
        return cls(number, stage)

    def __str__(self) -> str:
        return Text("round {number} ({stage})", number=self.number, stage=self.stage)


@dataclass(frozen=True)
class JobPlan:
    """A verified job.

    Args:
        job: job id.
        kind: the job's kind.
        spec: the spec whose digest every approval carries.
        digest: that digest.
        approved: party → the fewest contributors that it accepts.
    """

    job: str
    kind: EnclaveKind
    spec: JobSpec
    digest: str
    approved: Mapping[str, int]

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages of the job in their order."""
        return self.kind.engine.stages

    def masked(self, stage: str) -> MaskingPlan | None:
        """Return the plan of a stage's masked sums; None where contributions are not masked."""
        if not traits_of(self.spec).masks:
            return None
        return self.kind.engine.masked_plan(self.spec, self.job, self.digest, stage)

    def fold(self, stage: str, beside: Mapping[str, Fold]) -> Fold:
        """Return an empty sum of a stage's contributions; `beside` are those of other stages."""
        return self.kind.fold(self.spec, stage, self.masked(stage), beside)

    def check_contributor(self, party: str) -> None:
        """Refuse a party that is not in the signed roster or did not approve.

        Raises:
            SecureFlowError: `party_not_in_roster`, `party_not_approved`.
        """
        if party not in self.spec.keys:
            raise SecureFlowError(
                "party_not_in_roster",
                Text(
                    "{party} is not in the roster that the parties of {job} signed.",
                    party=party,
                    job=self.job,
                ),
                "A certificate from the link's authority does not make a party: the signed spec "
                "does.",
                {"party": party},
            )
        if party not in self.approved:
            raise SecureFlowError(
                "party_not_approved",
                Text("{party} has not approved {job}.", party=party, job=self.job),
                "",
                {"party": party},
            )

    def check_asked(self, step: RoundId, party: str) -> None:
        """Refuse a party that the step does not take (`not_drawn`)."""
        self.kind.check_asked(self.spec, self.digest, step.stage, step.number, party)

    def check_step(self, step: RoundId) -> None:
        """Refuse steps that are not in the plan (`stale_round`)."""
        if step.number not in self.kind.engine.rounds_of(self.spec, step.stage):
            raise SecureFlowError(
                "stale_round", Text("The plan of {job} has no {step}.", job=self.job, step=step)
            )

    def min_contributors(self, survivors: tuple[str, ...]) -> int:
        """Return the minimum number of contributors of a release to these survivors."""
        accepted = (self.approved.get(party, 0) for party in survivors)
        return max(threshold_of(len(self.spec.roster)), self.spec.min_contributors, *accepted)

    def binding(self, step: RoundId, party: str, *, model: str, evidence: str) -> Binding:
        """Return what this party's update for this step must be bound to."""
        manifest = self.kind.manifest(self.spec, step.stage, self.masked(step.stage))
        return Binding(
            self.job, step.number, step.stage, party, self.digest, model, evidence, manifest
        )


def verify_plan(request: OpenRequest, now: int, kinds: EnclaveKinds) -> JobPlan:
    """Verify a job's spec and its approvals.

    Raises:
        SecureFlowError: `invalid_spec`, `contradictory_spec`, `protection_unsupported`,
            `party_not_in_roster`, `approval_forged`, `approval_mismatch`, `approval_expired`,
            `approvals_missing`.
    """
    job = request.job
    spec = kinds.engines.specs.parse(request.spec)
    kinds.engines.specs.check(spec)
    if not traits_of(spec).enclave:
        raise SecureFlowError(
            "protection_unsupported",
            Text(
                "This enclave opens sealed updates, not {protection}.", protection=spec.protection
            ),
        )
    digest = spec_digest(spec)
    approved = {
        party: _approval(party, approval, job=job, spec=spec, digest=digest, now=now)
        for party, approval in request.approvals.items()
    }
    needed = max(threshold_of(len(spec.roster)), spec.min_contributors)
    if len(approved) < needed:
        raise SecureFlowError(
            "approvals_missing",
            Text(
                "{count} of {roster_count} parties approved {job}; {needed} are needed.",
                count=len(approved),
                roster_count=len(spec.roster),
                job=job,
                needed=needed,
            ),
        )
    return JobPlan(job, kinds[spec.kind], spec, digest, approved)


def verify_recipients(plan: JobPlan, request: OpenRequest) -> dict[str, str]:
    """Return party → HPKE key for intermediate models, each signed by its party.

    Raises:
        SecureFlowError: `party_not_in_roster`, `recipient_forged`, `malformed_key`.
    """
    verified = {}
    for party, entry in request.recipients.items():
        plan.check_contributor(party)
        recipient = entry.recipient
        body = {"job": plan.job, "generation": request.generation, "recipient": recipient}
        if not verify(plan.spec.keys[party], "recipient", body, entry.signature):
            raise SecureFlowError(
                "recipient_forged",
                Text("{party} did not sign this recipient key.", party=party),
                "Someone may be trying to have the job's intermediate models sealed to another "
                "key.",
                {"party": party},
            )
        parse_recipient(recipient)
        verified[party] = recipient
    return verified


def _approval(party: str, approval: JSON, *, job: str, spec: JobSpec, digest: str, now: int) -> int:
    """Verify one approval and return the fewest contributors that it accepts."""
    if party not in spec.keys:
        raise SecureFlowError(
            "party_not_in_roster",
            Text("{party} approves {job} but is not in its roster.", party=party, job=job),
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
            Text("{party} did not sign the approval that is shown in its name.", party=party),
            "Keep it as evidence against the centre.",
            {"party": party},
        )
    if (body.get("job"), body.get("spec"), body.get("party")) != (job, digest, party):
        raise SecureFlowError(
            "approval_mismatch",
            Text("The approval of {party} is for another job or spec.", party=party),
            "A changed spec needs new approvals.",
            {"party": party},
        )
    expires, fewest = body.get("expires"), body.get("min_contributors")
    if type(expires) is not int or type(fewest) is not int or now >= expires:
        raise SecureFlowError(
            "approval_expired",
            Text("The approval of {party} has expired.", party=party),
            "Ask for consent again.",
            {"party": party},
        )
    return fewest
