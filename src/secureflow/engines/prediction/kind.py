"""Prediction in the engines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from secureflow.domain.specs.kind import SpecKind
from secureflow.domain.specs.kinds import PREDICTION_SPEC
from secureflow.domain.specs.prediction import PredictionSpec
from secureflow.engines.prediction.stage import STAGE
from secureflow.engines.run.kind import Rows
from secureflow.engines.run.onestage import NothingSummed
from secureflow.engines.script import Script
from secureflow.kit.canonical import JSON

if TYPE_CHECKING:
    from secureflow.engines.run.run import JobContext


class PredictionEngineKind(NothingSummed):
    """`engines.run.kind.EngineKind`."""

    spec: Final[SpecKind] = PREDICTION_SPEC
    scripts: Final = frozenset({"prediction/1"})
    retired: Final[frozenset[str]] = frozenset()
    stages: Final = (STAGE,)
    contributing: Final = STAGE

    def script(self, version: str, context: JobContext[PredictionSpec]) -> Script[dict[str, JSON]]:
        """Return a fresh script."""
        from secureflow.engines.prediction.script import federated_prediction

        del version
        return federated_prediction(context)

    def disclosure(self, spec: PredictionSpec, tee: str) -> Rows:
        """Return who sees what; no enclave takes part."""
        from secureflow.engines.prediction.disclosure import disclosure

        del tee
        return disclosure(spec)

    def explanation(
        self,
        spec: PredictionSpec,
        *,
        tee: str,
        accounting: Mapping[str, JSON] | None,
        rounds: Rows,
        dropouts: Rows,
    ) -> dict[str, JSON]:
        """Return who could see what, and which attacks are stopped."""
        from secureflow.engines.prediction.explanation import explanation

        del tee, accounting
        return explanation(spec, rounds=rounds, dropouts=dropouts)


PREDICTION_ENGINE: Final = PredictionEngineKind()
