"""Training in the engines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, cast

from secureflow.domain.specs.kind import SpecKind
from secureflow.domain.specs.kinds import TRAINING_SPEC
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.run.kind import Rows
from secureflow.engines.script import Script
from secureflow.kit.canonical import JSON

if TYPE_CHECKING:
    from secureflow.engines.privacy.accounting import Charge
    from secureflow.engines.run.run import JobContext
    from secureflow.engines.secagg import MaskingPlan
    from secureflow.engines.training.models import Stage


class TrainingEngineKind:
    """`engines.run.kind.EngineKind`."""

    spec: Final[SpecKind] = TRAINING_SPEC
    scripts: Final = frozenset({"training/2"})
    retired: Final = frozenset({"training/1"})
    stages: Final = ("moments", "validation", "train", "evaluate")
    contributing: Final = "train"

    def script(self, version: str, context: JobContext[TrainingSpec]) -> Script[dict[str, JSON]]:
        """Return a fresh script."""
        from secureflow.engines.training.federated import federated_training

        del version
        return federated_training(context)

    def rounds_of(self, spec: TrainingSpec, stage: str) -> range:
        """Return the numbers of a stage's rounds.

        The evaluation follows the last; only a plan with an early stop has it before. A centre
        could otherwise end a job as a success after the round that it likes best.
        """
        last = spec.planned_rounds
        first = last + 1 if spec.plan.early_stop is None else 1
        rounds = {
            "moments": range(1 if spec.needs_moments else 0),
            "validation": range(1 if spec.plan.contribution else 0),
            "train": range(1, last + 1),
            "evaluate": range(first, last + 2),
        }
        return rounds.get(stage, range(0))

    def masked_stages(self, spec: TrainingSpec) -> tuple[str, ...]:
        """Return the stages of the job, in order."""
        from secureflow.engines.training.encodings import masked_stages

        return masked_stages(spec)

    def masked_plan(
        self, spec: TrainingSpec, job: str, spec_digest: str, stage: str
    ) -> MaskingPlan:
        """Return the plan of a stage's masked sums."""
        from secureflow.engines.training.encodings import masked_plan

        return masked_plan(spec, job, spec_digest, cast("Stage", stage))

    def session_round(self, stage: str, number: int) -> int:
        """Return a round's number within its stage's masked session, from 0."""
        return number - 1 if stage == "train" else 0

    def charge(self, spec: TrainingSpec, read: Mapping[str, int] | None = None) -> Charge:
        """Return the cost of this many rounds of the job, and of an evaluation if it was read."""
        from secureflow.engines.training.private import charge

        if read is None:
            return charge(spec)
        return charge(spec, read.get("train", 0), evaluated=bool(read.get("evaluate")))

    def disclosure(self, spec: TrainingSpec, tee: str) -> Rows:
        """Return who sees what."""
        from secureflow.engines.training.disclosure import disclosure

        return disclosure(spec, tee)

    def explanation(
        self,
        spec: TrainingSpec,
        *,
        tee: str,
        accounting: Mapping[str, JSON] | None,
        rounds: Rows,
        dropouts: Rows,
    ) -> dict[str, JSON]:
        """Return who could see what, what it cost, which attacks are stopped, who dropped out."""
        from secureflow.engines.training.explanation import explanation

        return explanation(spec, tee=tee, accounting=accounting, rounds=rounds, dropouts=dropouts)


TRAINING_ENGINE: Final = TrainingEngineKind()
