"""Pipelines in the engines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from secureflow.domain.specs.kind import SpecKind
from secureflow.domain.specs.kinds import PIPELINE_SPEC
from secureflow.domain.specs.pipeline import PipelineSpec, PipelineStep
from secureflow.engines.run.kind import EngineKind, Rows
from secureflow.engines.script import Script
from secureflow.kit.canonical import JSON

if TYPE_CHECKING:
    from secureflow.engines.privacy.accounting import Charge
    from secureflow.engines.run.run import JobContext
    from secureflow.engines.secagg import MaskingPlan


class PipelineEngineKind:
    """`engines.run.kind.EngineKind`: a pipeline contributes nothing itself, its steps do.

    Args:
        kinds: of the jobs that steps may be.
    """

    spec: Final[SpecKind] = PIPELINE_SPEC
    scripts: Final = frozenset({"pipeline/1"})
    retired: Final[frozenset[str]] = frozenset()
    stages: Final[tuple[str, ...]] = ()
    contributing: Final = ""

    def __init__(self, *kinds: EngineKind) -> None:
        self._kinds = {kind.spec.name: kind for kind in kinds}

    def of_step(self, step: PipelineStep) -> EngineKind:
        """Return the kind of a step."""
        return self._kinds[step.job.kind]

    def script(self, version: str, context: JobContext[PipelineSpec]) -> Script[dict[str, JSON]]:
        """Return a fresh script."""
        from secureflow.engines.pipeline.script import pipeline

        del version
        return pipeline(context, self.of_step)

    def rounds_of(self, spec: PipelineSpec, stage: str) -> range:
        """Return no round: those are of its steps."""
        del spec, stage
        return range(0)

    def masked_stages(self, spec: PipelineSpec) -> tuple[str, ...]:
        """Return no stage."""
        del spec
        return ()

    def masked_plan(
        self, spec: PipelineSpec, job: str, spec_digest: str, stage: str
    ) -> MaskingPlan:  # fmt: skip
        """Refuse: it has no stage."""
        raise AssertionError(spec.kind, job, spec_digest, stage)

    def session_round(self, stage: str, number: int) -> int:
        """Refuse: it has no stage."""
        raise AssertionError(stage, number)

    def charge(self, spec: PipelineSpec, read: Mapping[str, int] | None = None) -> Charge:
        """Return the cost of all attempts at all steps; what it reads itself: ()."""
        if read is not None:
            return ()
        every = (self.of_step(step).charge(step.job) * spec.attempts for step in spec.steps)
        return tuple(one for charge in every for one in charge)

    def disclosure(self, spec: PipelineSpec, tee: str) -> Rows:
        """Return who sees what: of every step, and of steps together."""
        from secureflow.engines.pipeline.label import disclosure

        return disclosure(spec, self.of_step, tee)

    def explanation(
        self,
        spec: PipelineSpec,
        *,
        tee: str,
        accounting: Mapping[str, JSON] | None,
        rounds: Rows,
        dropouts: Rows,
    ) -> dict[str, JSON]:
        """Return who could see what of each step, what they cost, which attacks are stopped."""
        from secureflow.engines.pipeline.telling import explanation

        return explanation(
            spec, self.of_step, tee=tee, accounting=accounting, steps=rounds, dropouts=dropouts
        )
