"""Timetables, at an agent: nothing is contributed to one; its runs are jobs of another kind."""

from __future__ import annotations

from typing import Final

from secureflow.agent.job.context import AgentContext, Computing, Fetching, RunningEngines
from secureflow.agent.kinds.kind import AgentKind, EnginedKind, ListingKind, SidedKind
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.timetable import TimetableSpec
from secureflow.engines.kinds import TIMETABLE_ENGINE
from secureflow.engines.run.kind import EngineKind


class TimetableAgentKind:
    """`agent.kinds.kind.AgentKind`: checks a timetable as it checks one of its runs.

    Args:
        kinds: of the jobs that a timetable may run.
    """

    engine: Final[EngineKind] = TIMETABLE_ENGINE

    def __init__(self, *kinds: AgentKind) -> None:
        self._kinds = {kind.engine.spec.name: kind for kind in kinds}

    def check_columns(self, spec: TimetableSpec, dataset: DatasetConfig) -> None:
        """Refuse what a run would be refused for."""
        self._kinds[spec.job.kind].check_columns(spec.job, dataset)

    def check_side(self, spec: TimetableSpec, dataset: DatasetConfig, party: str) -> None:
        """See `SidedKind`."""
        kind = self._kinds[spec.job.kind]
        if isinstance(kind, SidedKind):
            kind.check_side(spec.job, dataset, party)

    def check_engines(self, spec: TimetableSpec, engines: RunningEngines, party: str) -> None:
        """See `EnginedKind`."""
        kind = self._kinds[spec.job.kind]
        if isinstance(kind, EnginedKind):
            kind.check_engines(spec.job, engines, party)

    def scratch(self, spec: TimetableSpec) -> int:
        """Return what one run needs; see `ListingKind`."""
        kind = self._kinds[spec.job.kind]
        return kind.scratch(spec.job) if isinstance(kind, ListingKind) else 0

    def contributing(self, context: AgentContext, computing: Computing, link: Fetching) -> None:
        """Return None: the party's part is in the timetable's runs."""
        del context, computing, link
