"""Computations among parties in the engines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from secureflow.domain.specs.kind import SpecKind
from secureflow.domain.specs.kinds import MPC_SPEC
from secureflow.domain.specs.mpc import MpcSpec
from secureflow.engines.mpc.stage import STAGE
from secureflow.engines.run.kind import Rows
from secureflow.engines.run.onestage import MaskedSums
from secureflow.engines.script import Script
from secureflow.kit.canonical import JSON

if TYPE_CHECKING:
    from secureflow.engines.privacy.accounting import Charge
    from secureflow.engines.run.run import JobContext
    from secureflow.engines.secagg import MaskingPlan


class MpcEngineKind(MaskedSums):
    """`engines.run.kind.EngineKind`."""

    spec: Final[SpecKind] = MPC_SPEC
    scripts: Final = frozenset({"mpc/1"})
    retired: Final[frozenset[str]] = frozenset()
    stages: Final = (STAGE,)
    contributing: Final = STAGE

    def script(self, version: str, context: JobContext[MpcSpec]) -> Script[dict[str, JSON]]:
        """Return a fresh script."""
        from secureflow.engines.mpc.script import computation

        del version
        return computation(context)

    def masked_stages(self, spec: MpcSpec) -> tuple[str, ...]:
        """Return the only stage, if nothing but sums is opened in it."""
        return self.stages if spec.masked else ()

    def masked_plan(self, spec: MpcSpec, job: str, spec_digest: str, stage: str) -> MaskingPlan:
        """Return the plan of the job's only masked sum."""
        from secureflow.engines.mpc.plan import mpc_plan

        del stage
        return mpc_plan(spec, job, spec_digest)

    def charge(self, spec: MpcSpec, read: Mapping[str, int] | None = None) -> Charge:
        """Return the cost of the rounds that read rows; () without differential privacy."""
        from secureflow.engines.mpc.charges import charge

        return charge(spec, None if read is None else read.get(STAGE, 0))

    def disclosure(self, spec: MpcSpec, tee: str) -> Rows:
        """Return who sees what; no enclave takes part."""
        from secureflow.engines.mpc.disclosure import disclosure

        del tee
        return disclosure(spec)

    def explanation(
        self,
        spec: MpcSpec,
        *,
        tee: str,
        accounting: Mapping[str, JSON] | None,
        rounds: Rows,
        dropouts: Rows,
    ) -> dict[str, JSON]:
        """Return who could see what, what it cost, which attacks are stopped."""
        from secureflow.engines.mpc.explanation import explanation

        del tee
        return explanation(spec, accounting=accounting, rounds=rounds, dropouts=dropouts)


MPC_ENGINE: Final = MpcEngineKind()
