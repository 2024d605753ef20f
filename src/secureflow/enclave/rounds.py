"""A job's rounds inside the enclave: fold each party once, freeze, release on a certificate.

States of a step: *unopened* → *open* (first fold) → *frozen* (`roll`, or the certificate) →
*released*. Steps are released in order and never twice with different sets. All state is in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from secureflow.enclave.folds import Fold
from secureflow.enclave.plans import JobPlan, RoundId
from secureflow.engines.closing import Certificate, check_votes, round_context, verify_certificate
from secureflow.engines.privacy.seeds import joint_seed, seed_binding
from secureflow.engines.sealing import OpenedUpdate
from secureflow.engines.secagg import Opened
from secureflow.engines.secagg.guards import STAGE as MASKED
from secureflow.engines.secagg.opening import checked_context
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


@dataclass
class Round:
    """One step: the parties folded (party → commitment and receipt), and their noise seeds."""

    step: RoundId
    model: str
    frozen: bool = False
    receipts: dict[str, tuple[str, dict[str, JSON]]] = field(default_factory=dict)
    seeds: dict[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def folded(self) -> tuple[str, ...]:
        """Parties whose updates are in the sum, sorted."""
        return tuple(sorted(self.receipts))


@dataclass
class ReleaseRecord:
    """The release of a step: its certificate, and the answer given."""

    certificate: str
    answer: dict[str, JSON]
    stored: bool = False


class JobRounds:
    """The rounds of one job."""

    def __init__(self, plan: JobPlan) -> None:
        self._plan = plan
        self._folds: dict[str, Fold] = {}
        self._open: dict[str, Round] = {}
        self._previous: Round | None = None
        self._last: RoundId | None = None
        self.next_number: int | None = 1
        """The round after that of the model, in any stage; None if unknown."""
        self.releases: dict[RoundId, ReleaseRecord] = {}
        self.expected: frozenset[str] | None = None
        """If set (to a certified set), only these parties may upload until the next release."""

    @property
    def idle(self) -> bool:
        """Tell whether no step is open."""
        return not self._open

    @property
    def folds(self) -> Mapping[str, Fold]:
        """Stage → its sum, of those that have one."""
        return self._folds

    def receipt(self, step: RoundId, party: str) -> tuple[str, dict[str, JSON]] | None:
        """Return (commitment, receipt) if the party's update of this step was folded."""
        for known in (*self._open.values(), self._previous):
            if known is not None and known.step == step:
                return known.receipts.get(party)
        return None

    def check_upload(self, step: RoundId, party: str) -> None:
        """Refuse an upload that could not be folded now; nothing changes.

        Raises:
            SecureFlowError: `party_not_in_roster`, `party_not_approved`, `not_drawn`,
                `party_not_expected`, `stale_round`, `round_frozen`, `already_uploaded`.
        """
        self._plan.check_contributor(party)
        self._plan.check_asked(step, party)
        if self.expected is not None and party not in self.expected:
            raise SecureFlowError(
                "party_not_expected",
                Text(
                    "{party} is not among the certified contributors of {step}.",
                    party=party,
                    step=step,
                ),
                "The certificate is final for this round; the next one accepts updates again.",
            )
        current = self._check_step(step)
        if current is not None and party in current.receipts:
            raise SecureFlowError(
                "already_uploaded",
                Text("{party} has already contributed to {step}.", party=party, step=step),
                "One update per party and round.",
            )
        if current is not None and current.frozen:
            raise SecureFlowError(
                "round_frozen", Text("{step} accepts no more updates.", step=step)
            )

    def fold(self, step: RoundId, model: str) -> Fold:
        """Open the step if it is not open yet, and return its sum."""
        self._open_step(step, model)
        return self._folds[step.stage]

    def record_fold(
        self, update: OpenedUpdate, commitment: str, receipt: dict[str, JSON], seed: bytes = b""
    ) -> None:
        """Note that this update is in the sum, with the noise seed that came with it."""
        step = RoundId.parse(update.binding.round, update.binding.stage)
        current = self._open[step.stage]  # `fold` came first, under the job's lock
        current.receipts[update.binding.party] = (commitment, receipt)
        if seed:
            current.seeds[update.binding.party] = seed

    def noise_seed(self, stage: str) -> bytes:
        """Return the seed of the open step's noise: derived from all folded seeds, and secret."""
        current = self._open.get(stage)
        if current is None or set(current.seeds) != set(current.receipts):
            raise AssertionError  # `certified` came first, and every folded update has a seed
        return joint_seed(
            current.seeds, job=self._plan.job, spec=self._plan.digest,
            round=current.step.number, stage=current.step.stage, model=current.model,
        )  # fmt: skip

    def noise_binding(self, step: RoundId) -> str:
        """Return what a certificate of this step must bind of the contributors' noise seeds."""
        current = self._open.get(step.stage)
        return "" if current is None or current.step != step else seed_binding(current.seeds)

    def freeze(self, step: RoundId, model: str) -> tuple[str, ...]:
        """Freeze the step and return whose updates are in it.

        Raises:
            SecureFlowError: `stale_round`.
        """
        self._check_step(step)
        current = self._open_step(step, model)
        current.frozen = True
        return current.folded

    def certified(
        self, step: RoundId, certificate: Certificate, model: str, opened: Opened | None = None
    ) -> Fold:
        """Freeze the step and return its sum, if the certificate matches it exactly.

        Raises:
            SecureFlowError: those of `verify_certificate`, `certificate_mismatch`,
                `contributors_too_few`, `stale_round`, `survivors_mismatch`.
        """
        question = certificate.question
        if (*question.slot, question.context) != self._expected_closing(step, model, opened):
            raise SecureFlowError(
                "certificate_mismatch",
                Text(
                    "The certificate closes another round or model than {step} of {job}.",
                    step=step,
                    job=self._plan.job,
                ),
            )
        verify_certificate(certificate, self._plan.spec.keys)
        needed = self._plan.min_contributors(certificate.survivors)
        if len(certificate.survivors) < needed:
            raise SecureFlowError(
                "contributors_too_few",
                Text(
                    "{count} parties contributed to {step}; {needed} are needed.",
                    count=len(certificate.survivors),
                    step=step,
                    needed=needed,
                ),
                "A party's approval states the minimum number of contributors.",
            )
        check_votes(certificate, self._plan.spec.keys, needed)
        current = self._check_step(step)
        if current is None or current.folded != certificate.survivors:
            raise SecureFlowError(
                "survivors_mismatch",
                Text(
                    "The certificate of {step} names other contributors than this enclave holds.",
                    step=step,
                ),
                "Send exactly the certified updates, or the round is lost.",
                {"folded": list(current.folded) if current else []},
            )
        current.frozen = True
        return self._folds[step.stage]

    def clear(self) -> None:
        """Clear every sum when the job ends; what a round keeps on the disk goes with it."""
        for fold in self._folds.values():
            fold.reset()

    def _expected_closing(
        self, step: RoundId, model: str, opened: Opened | None
    ) -> tuple[str, int, str, str]:
        """Return job, round, stage and context that a certificate of this step must name."""
        plan = self._plan
        if opened is None:
            context = round_context(
                plan.job, step.number, step.stage,
                spec=plan.digest, model=model, roster=plan.spec.parties,
                noise=self.noise_binding(step),
            )  # fmt: skip
            return plan.job, step.number, step.stage, context
        masked = plan.masked(step.stage)
        if masked is None:
            raise SecureFlowError("invalid_request", Text("{job} is not masked.", job=plan.job))
        number = plan.kind.engine.session_round(step.stage, step.number)
        return masked.job, number, MASKED, checked_context(masked, number, opened)

    def close(self, step: RoundId, released: ReleaseRecord) -> None:
        """Note the release of the step: the next one may open."""
        self.releases[step] = released
        self._last, self._previous = step, self._open.get(step.stage)
        self.next_number = step.number + 1
        self._open.clear()
        self.expected = None

    def _check_step(self, step: RoundId) -> Round | None:
        """Return this step's round if it is open, None if it may open now; otherwise refuse.

        Only the centre knows which stage comes next (in training another round, or the evaluation),
        so several may be open until one is frozen or released: a party that runs ahead blocks
        nobody.
        """
        self._plan.check_step(step)
        current = self._open.get(step.stage)
        if current is not None and current.step == step:
            return current
        taken = current is not None and bool(current.receipts)
        frozen = any(other.frozen for other in self._open.values())
        if taken or frozen or not self._is_next(step):
            now = ", ".join(str(one.step) for one in self._open.values()) or Text(
                "round {due}", due=self.next_number
            )
            raise SecureFlowError(
                "stale_round",
                Text(
                    "{step} of {job} is not open; the enclave is at {now}.",
                    step=step,
                    job=self._plan.job,
                    now=now,
                ),
                "Ask the centre for the round that is open now.",
            )
        return None

    def _is_next(self, step: RoundId) -> bool:
        later = self._last is None or self._order(step) > self._order(self._last)
        if step.number == 0:  # before any update of the model
            return self._last is None or (later and self._last.number == 0)
        return later and self.next_number in {None, step.number}

    def _order(self, step: RoundId) -> tuple[int, int]:
        return step.number, self._plan.stages.index(step.stage)

    def _open_step(self, step: RoundId, model: str) -> Round:
        current = self._open.get(step.stage)
        if current is None or current.step != step:
            if step.stage not in self._folds:
                self._folds[step.stage] = self._plan.fold(step.stage, self._folds)
            if self._folds[step.stage].count:
                self._folds[step.stage].reset()
            # Last: if the sum finds no memory, the next update opens the step.
            current = self._open[step.stage] = Round(step, model)
        return current


def upload_receipt(update: OpenedUpdate, at: int) -> dict[str, JSON]:
    """Return the receipt of a folded update."""
    binding: Mapping[str, Any] = vars(update.binding)
    names = ("job", "round", "stage", "party")
    return {**{name: binding[name] for name in names}, "body": update.body_digest, "at": at}
