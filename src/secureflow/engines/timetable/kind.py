"""Timetables in the engines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from secureflow.domain.specs.kind import SpecKind
from secureflow.domain.specs.kinds import TIMETABLE_SPEC
from secureflow.domain.specs.timetable import TimetableSpec
from secureflow.engines.run.kind import EngineKind, Rows
from secureflow.engines.script import Script
from secureflow.kit.canonical import JSON

if TYPE_CHECKING:
    from secureflow.engines.privacy.accounting import Charge
    from secureflow.engines.run.run import JobContext
    from secureflow.engines.secagg import MaskingPlan


class TimetableEngineKind:
    """`engines.run.kind.EngineKind`: a timetable contributes nothing itself, its runs do.

    Args:
        kinds: of the jobs that a timetable may run.
    """

    spec: Final[SpecKind] = TIMETABLE_SPEC
    scripts: Final = frozenset({"timetable/1"})
    retired: Final[frozenset[str]] = frozenset()
    stages: Final[tuple[str, ...]] = ()
    contributing: Final = ""

    def __init__(self, *kinds: EngineKind) -> None:
        self._kinds = {kind.spec.name: kind for kind in kinds}

    def of_run(self, spec: TimetableSpec) -> EngineKind:
        """Return the kind of its runs."""
        return self._kinds[spec.job.kind]

    def script(self, version: str, context: JobContext[TimetableSpec]) -> Script[dict[str, JSON]]:
        """Return a fresh script."""
        from secureflow.engines.timetable.script import timetable

        del version
        return timetable(context, self.of_run(context.spec))

    def rounds_of(self, spec: TimetableSpec, stage: str) -> range:
        """Return no round: those are of its runs."""
        del spec, stage
        return range(0)

    def masked_stages(self, spec: TimetableSpec) -> tuple[str, ...]:
        """Return no stage."""
        del spec
        return ()

    def masked_plan(
        self, spec: TimetableSpec, job: str, spec_digest: str, stage: str
    ) -> MaskingPlan:  # fmt: skip
        """Refuse: it has no stage."""
        raise AssertionError(spec.kind, job, spec_digest, stage)

    def session_round(self, stage: str, number: int) -> int:
        """Refuse: it has no stage."""
        raise AssertionError(stage, number)

    def charge(self, spec: TimetableSpec, read: Mapping[str, int] | None = None) -> Charge:
        """Return the cost of all its runs together, in their order; what it reads itself: ()."""
        if read is not None:
            return ()
        return self.of_run(spec).charge(spec.job) * spec.timetable.runs

    def disclosure(self, spec: TimetableSpec, tee: str) -> Rows:
        """Return who sees what: of every run, and of what changed between two."""
        from secureflow.engines.timetable.telling import disclosure

        return disclosure(spec, self.of_run(spec), tee)

    def explanation(
        self,
        spec: TimetableSpec,
        *,
        tee: str,
        accounting: Mapping[str, JSON] | None,
        rounds: Rows,
        dropouts: Rows,
    ) -> dict[str, JSON]:
        """Return who could see what, what the runs so far cost, which attacks are stopped."""
        from secureflow.engines.timetable.telling import explanation

        kind = self.of_run(spec)
        return explanation(
            spec, kind, tee=tee, accounting=accounting, runs=rounds, dropouts=dropouts
        )
