"""Preparation in the engines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from secureflow.domain.specs.kind import SpecKind
from secureflow.domain.specs.kinds import PREPARATION_SPEC
from secureflow.domain.specs.preparation import PreparationSpec
from secureflow.engines.recipes.stage import STAGE
from secureflow.engines.run.kind import Rows
from secureflow.engines.run.onestage import MaskedSums
from secureflow.engines.script import Script
from secureflow.kit.canonical import JSON

if TYPE_CHECKING:
    from secureflow.engines.privacy.accounting import Charge
    from secureflow.engines.run.run import JobContext
    from secureflow.engines.secagg import MaskingPlan


class PreparationEngineKind(MaskedSums):
    """`engines.run.kind.EngineKind`."""

    spec: Final[SpecKind] = PREPARATION_SPEC
    scripts: Final = frozenset({"preparation/1"})
    retired: Final[frozenset[str]] = frozenset()
    stages: Final = (STAGE,)
    contributing: Final = STAGE

    def script(self, version: str, context: JobContext[PreparationSpec]) -> Script[dict[str, JSON]]:
        """Return a fresh script."""
        from secureflow.engines.recipes.script import federated_preparation

        del version
        return federated_preparation(context)

    def masked_plan(
        self, spec: PreparationSpec, job: str, spec_digest: str, stage: str
    ) -> MaskingPlan:
        """Return the plan of the job's masked sums."""
        from secureflow.engines.recipes.plan import preparation_plan

        del stage
        return preparation_plan(spec, job, spec_digest)

    def charge(self, spec: PreparationSpec, read: Mapping[str, int] | None = None) -> Charge:
        """Return the cost of the rounds that read rows; () without differential privacy."""
        from secureflow.engines.recipes.charges import charge

        return charge(spec, None if read is None else read.get(STAGE, 0))

    def disclosure(self, spec: PreparationSpec, tee: str) -> Rows:
        """Return who sees what; no enclave takes part."""
        from secureflow.engines.recipes.disclosure import disclosure

        del tee
        return disclosure(spec)

    def explanation(
        self,
        spec: PreparationSpec,
        *,
        tee: str,
        accounting: Mapping[str, JSON] | None,
        rounds: Rows,
        dropouts: Rows,
    ) -> dict[str, JSON]:
        """Return who could see what, what it cost, which attacks are stopped, what was fitted."""
        from secureflow.engines.recipes.explanation import explanation

        del tee
        return explanation(spec, accounting=accounting, rounds=rounds, dropouts=dropouts)


PREPARATION_ENGINE: Final = PreparationEngineKind()
