"""Private set intersection in the engines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from secureflow.domain.specs.kind import SpecKind
from secureflow.domain.specs.kinds import PSI_SPEC
from secureflow.domain.specs.psi import PsiSpec
from secureflow.engines.psi.stage import STAGE
from secureflow.engines.run.kind import Rows
from secureflow.engines.run.onestage import NothingSummed
from secureflow.engines.script import Script
from secureflow.kit.canonical import JSON

if TYPE_CHECKING:
    from secureflow.engines.run.run import JobContext


class PsiEngineKind(NothingSummed):
    """`engines.run.kind.EngineKind`."""

    spec: Final[SpecKind] = PSI_SPEC
    scripts: Final = frozenset({"psi/1"})
    retired: Final[frozenset[str]] = frozenset()
    stages: Final = (STAGE,)
    contributing: Final = STAGE

    def script(self, version: str, context: JobContext[PsiSpec]) -> Script[dict[str, JSON]]:
        """Return a fresh script."""
        from secureflow.engines.psi.script import intersection

        del version
        return intersection(context)

    def disclosure(self, spec: PsiSpec, tee: str) -> Rows:
        """Return who sees what; no enclave takes part."""
        from secureflow.engines.psi.disclosure import disclosure

        del tee
        return disclosure(spec)

    def explanation(
        self,
        spec: PsiSpec,
        *,
        tee: str,
        accounting: Mapping[str, JSON] | None,
        rounds: Rows,
        dropouts: Rows,
    ) -> dict[str, JSON]:
        """Return who could see what, and which attacks are stopped."""
        from secureflow.engines.psi.explanation import explanation

        del tee, accounting
        return explanation(spec, rounds=rounds, dropouts=dropouts)


PSI_ENGINE: Final = PsiEngineKind()
