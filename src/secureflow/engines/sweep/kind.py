"""Sweeps in the engines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from secureflow.domain.specs.kind import SpecKind
from secureflow.domain.specs.kinds import SWEEP_SPEC
from secureflow.domain.specs.sweep import SweepSpec
from secureflow.engines.run.kind import Rows
from secureflow.engines.script import Script
from secureflow.kit.canonical import JSON

if TYPE_CHECKING:
    from secureflow.engines.privacy.accounting import Charge
    from secureflow.engines.run.run import JobContext
    from secureflow.engines.secagg import MaskingPlan


class SweepEngineKind:
    """`engines.run.kind.EngineKind`: a sweep contributes nothing itself, its jobs do."""

    spec: Final[SpecKind] = SWEEP_SPEC
    scripts: Final = frozenset({"sweep/1"})
    retired: Final[frozenset[str]] = frozenset()
    stages: Final[tuple[str, ...]] = ()
    contributing: Final = ""

    def script(self, version: str, context: JobContext[SweepSpec]) -> Script[dict[str, JSON]]:
        """Return a fresh script."""
        from secureflow.engines.sweep.script import sweep

        del version
        return sweep(context)

    def rounds_of(self, spec: SweepSpec, stage: str) -> range:
        """Return no round: those are of its jobs."""
        del spec, stage
        return range(0)

    def masked_stages(self, spec: SweepSpec) -> tuple[str, ...]:
        """Return no stage."""
        del spec
        return ()

    def masked_plan(
        self, spec: SweepSpec, job: str, spec_digest: str, stage: str
    ) -> MaskingPlan:  # fmt: skip
        """Refuse: it has no stage."""
        raise AssertionError(spec.kind, job, spec_digest, stage)

    def session_round(self, stage: str, number: int) -> int:
        """Refuse: it has no stage."""
        raise AssertionError(stage, number)

    def charge(self, spec: SweepSpec, read: Mapping[str, int] | None = None) -> Charge:
        """Return the cost of all its jobs together, in their order; what it reads itself: ()."""
        from secureflow.engines.training.private import charge

        if read is not None:
            return ()
        return tuple(mechanism for one in spec.trainings for mechanism in charge(one))

    def disclosure(self, spec: SweepSpec, tee: str) -> Rows:
        """Return who sees what, of all points."""
        from secureflow.engines.sweep.disclosure import disclosure

        return disclosure(spec, tee)

    def explanation(
        self,
        spec: SweepSpec,
        *,
        tee: str,
        accounting: Mapping[str, JSON] | None,
        rounds: Rows,
        dropouts: Rows,
    ) -> dict[str, JSON]:
        """Return who could see what, what the points so far cost, which attacks are stopped."""
        from secureflow.engines.sweep.explanation import explanation

        return explanation(spec, tee=tee, accounting=accounting, points=rounds, dropouts=dropouts)


SWEEP_ENGINE: Final = SweepEngineKind()
