"""What kinds of job with a single stage have in common (`engines.run.kind.EngineKind`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from secureflow.domain.specs.base import JobSpec
    from secureflow.engines.privacy.accounting import Charge
    from secureflow.engines.secagg import MaskingPlan


class OneStage:
    """A kind whose spec says how many rounds its only stage has."""

    @property
    def stages(self) -> tuple[str, ...]:
        """The kind's only stage."""
        raise NotImplementedError

    def rounds_of(self, spec: JobSpec, stage: str) -> range:
        """Return the numbers of the stage's rounds."""
        return range(1, spec.planned_rounds + 1) if stage in self.stages else range(0)


class NothingSummed(OneStage):
    """A kind that opens no sums and charges no budget."""

    def masked_stages(self, spec: JobSpec) -> tuple[str, ...]:
        """Return none: nothing is summed."""
        del spec
        return ()

    def masked_plan(self, spec: JobSpec, job: str, spec_digest: str, stage: str) -> MaskingPlan:
        """Refuse: nothing is summed."""
        raise AssertionError(spec, job, spec_digest, stage)

    def session_round(self, stage: str, number: int) -> int:
        """Refuse: nothing is summed."""
        raise AssertionError(stage, number)

    def charge(self, spec: JobSpec, read: Mapping[str, int] | None = None) -> Charge:
        """Return (): nothing is noised."""
        del spec, read
        return ()


class MaskedSums(OneStage):
    """A kind that opens masked sums in each round of its stage."""

    def masked_stages(self, spec: Any) -> tuple[str, ...]:
        """Return the only stage."""
        del spec
        return self.stages

    def session_round(self, stage: str, number: int) -> int:
        """Return a round's number within its stage's masked session, from 0."""
        del stage
        return number - 1
