"""Statistics in the engines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from secureflow.domain.specs.kind import SpecKind
from secureflow.domain.specs.kinds import STATISTICS_SPEC
from secureflow.domain.specs.statistics import StatisticsSpec
from secureflow.engines.run.kind import Rows
from secureflow.engines.run.onestage import MaskedSums
from secureflow.engines.script import Script
from secureflow.engines.statistics.stage import STAGE
from secureflow.kit.canonical import JSON

if TYPE_CHECKING:
    from secureflow.engines.privacy.accounting import Charge
    from secureflow.engines.run.run import JobContext
    from secureflow.engines.secagg import MaskingPlan


class StatisticsEngineKind(MaskedSums):
    """`engines.run.kind.EngineKind`."""

    spec: Final[SpecKind] = STATISTICS_SPEC
    scripts: Final = frozenset({"statistics/2"})
    retired: Final = frozenset({"statistics/1"})
    stages: Final = (STAGE,)
    contributing: Final = STAGE

    def script(self, version: str, context: JobContext[StatisticsSpec]) -> Script[dict[str, JSON]]:
        """Return a fresh script."""
        from secureflow.engines.statistics.script import federated_statistics

        del version
        return federated_statistics(context)

    def masked_plan(
        self, spec: StatisticsSpec, job: str, spec_digest: str, stage: str
    ) -> MaskingPlan:
        """Return the plan of the job's only masked sum."""
        from secureflow.engines.statistics.plan import statistics_plan

        del stage
        return statistics_plan(spec, job, spec_digest)

    def charge(self, spec: StatisticsSpec, read: Mapping[str, int] | None = None) -> Charge:
        """Return the cost of the job; () before its rows were read."""
        from secureflow.engines.statistics.charges import charge

        return charge(spec) if read is None or read.get(STAGE) else ()

    def disclosure(self, spec: StatisticsSpec, tee: str) -> Rows:
        """Return who sees what; no enclave takes part."""
        from secureflow.engines.statistics.disclosure import disclosure

        del tee
        return disclosure(spec)

    def explanation(
        self,
        spec: StatisticsSpec,
        *,
        tee: str,
        accounting: Mapping[str, JSON] | None,
        rounds: Rows,
        dropouts: Rows,
    ) -> dict[str, JSON]:
        """Return who could see what, what it cost, which attacks are stopped, who dropped out."""
        from secureflow.engines.statistics.explanation import explanation

        del tee
        return explanation(spec, accounting=accounting, rounds=rounds, dropouts=dropouts)


STATISTICS_ENGINE: Final = StatisticsEngineKind()
