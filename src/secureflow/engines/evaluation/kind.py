"""Evaluation in the engines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from secureflow.domain.specs.evaluation import EvaluationSpec
from secureflow.domain.specs.kind import SpecKind
from secureflow.domain.specs.kinds import EVALUATION_SPEC
from secureflow.engines.evaluation.stage import STAGE
from secureflow.engines.run.kind import Rows
from secureflow.engines.run.onestage import MaskedSums
from secureflow.engines.script import Script
from secureflow.kit.canonical import JSON

if TYPE_CHECKING:
    from secureflow.engines.privacy.accounting import Charge
    from secureflow.engines.run.run import JobContext
    from secureflow.engines.secagg import MaskingPlan


class EvaluationEngineKind(MaskedSums):
    """`engines.run.kind.EngineKind`."""

    spec: Final[SpecKind] = EVALUATION_SPEC
    scripts: Final = frozenset({"evaluation/1"})
    retired: Final[frozenset[str]] = frozenset()
    stages: Final = (STAGE,)
    contributing: Final = STAGE

    def script(self, version: str, context: JobContext[EvaluationSpec]) -> Script[dict[str, JSON]]:
        """Return a fresh script."""
        from secureflow.engines.evaluation.script import federated_evaluation

        del version
        return federated_evaluation(context)

    def masked_plan(
        self, spec: EvaluationSpec, job: str, spec_digest: str, stage: str
    ) -> MaskingPlan:
        """Return the plan of the job's masked sums."""
        from secureflow.engines.evaluation.plan import evaluation_plan

        del stage
        return evaluation_plan(spec, job, spec_digest)

    def charge(self, spec: EvaluationSpec, read: Mapping[str, int] | None = None) -> Charge:
        """Return the cost of the rounds that read rows; () without differential privacy."""
        from secureflow.engines.evaluation.charges import charge

        return charge(spec, None if read is None else read.get(STAGE, 0))

    def disclosure(self, spec: EvaluationSpec, tee: str) -> Rows:
        """Return who sees what; no enclave takes part."""
        from secureflow.engines.evaluation.disclosure import disclosure

        del tee
        return disclosure(spec)

    def explanation(
        self,
        spec: EvaluationSpec,
        *,
        tee: str,
        accounting: Mapping[str, JSON] | None,
        rounds: Rows,
        dropouts: Rows,
    ) -> dict[str, JSON]:
        """Return who could see what, what it cost, which attacks are stopped."""
        from secureflow.engines.evaluation.explanation import explanation

        del tee
        return explanation(spec, accounting=accounting, rounds=rounds, dropouts=dropouts)


EVALUATION_ENGINE: Final = EvaluationEngineKind()
