"""The masked sums of a job of any kind: agents and whoever folds take their plans from here."""

from __future__ import annotations

from secureflow.domain.specs.kinds import JobSpec
from secureflow.domain.specs.statistics import StatisticsSpec
from secureflow.engines.secagg import Plan
from secureflow.engines.statistics import STAGE, statistics_plan
from secureflow.engines.training import encodings


def masked_stages(spec: JobSpec) -> tuple[str, ...]:
    """Return the stages of the job that open sums, in their order."""
    return (STAGE,) if isinstance(spec, StatisticsSpec) else encodings.masked_stages(spec)


def masked_plan(spec: JobSpec, job: str, spec_digest: str, stage: str) -> Plan:
    """Return the plan of a stage's masked sums; the stage is one of `masked_stages`.

    Raises:
        SecureFlowError: `invalid_encoding`, `invalid_roster`, `ring_overflow`.
    """
    if isinstance(spec, StatisticsSpec):
        return statistics_plan(spec, job, spec_digest)
    return encodings.masked_plan(spec, job, spec_digest, stage)  # type: ignore[arg-type]
