"""Sweeps, at an agent: nothing is contributed to one; its jobs are trainings."""

from __future__ import annotations

from typing import Final

from secureflow.agent.job.context import AgentContext, Computing, Fetching
from secureflow.agent.kinds.training.kind import TRAINING_AGENT
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.sweep import SweepSpec
from secureflow.engines.run.kind import EngineKind
from secureflow.engines.sweep.kind import SWEEP_ENGINE


class SweepAgentKind:
    """`agent.kinds.kind.AgentKind`."""

    engine: Final[EngineKind] = SWEEP_ENGINE

    def check_columns(self, spec: SweepSpec, dataset: DatasetConfig) -> None:
        """Refuse columns that do not match the declaration, and trainers that are missing."""
        TRAINING_AGENT.check_columns(spec.training, dataset)

    def contributing(self, context: AgentContext, computing: Computing, link: Fetching) -> None:
        """Return None: the party's part is in the sweep's jobs."""
        del context, computing, link


SWEEP_AGENT: Final = SweepAgentKind()
