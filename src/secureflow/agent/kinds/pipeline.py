"""Pipelines, at an agent: nothing is contributed to one; its steps are jobs of other kinds."""

from __future__ import annotations

from typing import Final

from secureflow.agent.job.context import AgentContext, Computing, Fetching, RunningEngines
from secureflow.agent.kinds.kind import AgentKind, EnginedKind, ListingKind, SidedKind
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.pipeline import PipelineSpec
from secureflow.engines.kinds import PIPELINE_ENGINE
from secureflow.engines.run.kind import EngineKind


class PipelineAgentKind:
    """`agent.kinds.kind.AgentKind`: checks a pipeline as it checks each of its steps.

    Args:
        kinds: of the jobs that steps may be.
    """

    engine: Final[EngineKind] = PIPELINE_ENGINE

    def __init__(self, *kinds: AgentKind) -> None:
        self._kinds = {kind.engine.spec.name: kind for kind in kinds}

    def check_columns(self, spec: PipelineSpec, dataset: DatasetConfig) -> None:
        """Refuse what a step would be refused for."""
        for step in spec.steps:
            self._kinds[step.job.kind].check_columns(step.job, dataset)

    def check_side(self, spec: PipelineSpec, dataset: DatasetConfig, party: str) -> None:
        """See `SidedKind`."""
        for step in spec.steps:
            kind = self._kinds[step.job.kind]
            if isinstance(kind, SidedKind):
                kind.check_side(step.job, dataset, party)

    def check_engines(self, spec: PipelineSpec, engines: RunningEngines, party: str) -> None:
        """See `EnginedKind`."""
        for step in spec.steps:
            kind = self._kinds[step.job.kind]
            if isinstance(kind, EnginedKind):
                kind.check_engines(step.job, engines, party)

    def scratch(self, spec: PipelineSpec) -> int:
        """Return what the step that needs most of it needs; see `ListingKind`."""
        kinds = [(self._kinds[step.job.kind], step.job) for step in spec.steps]
        return max(kind.scratch(job) if isinstance(kind, ListingKind) else 0 for kind, job in kinds)

    def contributing(self, context: AgentContext, computing: Computing, link: Fetching) -> None:
        """Return None: the party's part is in the pipeline's steps."""
        del context, computing, link
