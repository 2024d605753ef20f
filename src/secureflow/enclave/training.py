"""Training in the enclave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.contribution import VALIDATION
from secureflow.domain.specs.roundparties import check_drawn
from secureflow.domain.specs.training import TrainingSpec
from secureflow.enclave.folds import Fold
from secureflow.enclave.models import GlobalModel
from secureflow.enclave.scoring import ValidationFold, scores_of, scoring_fold
from secureflow.enclave.trainingfolds import HistogramFold, training_fold, training_manifest
from secureflow.engines.run.kind import EngineKind
from secureflow.engines.sealing import Manifest, OpenedUpdate
from secureflow.engines.secagg import MaskingPlan
from secureflow.engines.training.kind import TRAINING_ENGINE
from secureflow.engines.training.models import Stage, initial_state, with_kept
from secureflow.kit.canonical import JSON


class TrainingEnclaveKind:
    """`enclave.kind.EnclaveKind`."""

    engine: Final[EngineKind] = TRAINING_ENGINE

    def manifest(self, spec: TrainingSpec, stage: str, plan: MaskingPlan | None) -> Manifest:
        """Return how an update, or a masked vector, is laid out."""
        return training_manifest(spec, cast("Stage", stage), plan)

    def check_asked(
        self, spec: TrainingSpec, digest: str, stage: str, number: int, party: str
    ) -> None:
        """Refuse a party that was not drawn for a round of training; see `roundparties`."""
        if stage == "train":
            check_drawn(spec, digest, number, party)

    def fold(
        self,
        spec: TrainingSpec,
        stage: str,
        plan: MaskingPlan | None,
        beside: Mapping[str, Fold],
    ) -> Fold:
        """Return the mean, the noised sum, or the masked one; the mean may be scored."""
        if spec.plan.contribution is not None:
            found = scoring_fold(spec, spec.plan.contribution, stage, beside)
            if found is not None:
                return found
        return training_fold(spec, cast("Stage", stage), plan)

    def starts(self, fold: Fold, model: GlobalModel) -> None:
        """Show histograms of trees the model from which the round starts."""
        if isinstance(fold, HistogramFold):
            fold.starts_from(model)

    def check_committed(self, fold: Fold, update: OpenedUpdate, commitment: str) -> None:
        """Check validation rows against their party's commitment."""
        if update.binding.stage == VALIDATION and isinstance(fold, ValidationFold):
            fold.committed(update, commitment)

    def told(
        self, spec: TrainingSpec, stage: str, folds: Mapping[str, Fold]
    ) -> dict[str, dict[str, JSON]]:
        """Return the contributions' scores with the evaluation, once they are scored."""
        if stage != "evaluate" or spec.plan.contribution is None:
            return {}
        return {"contribution": scores_of(spec, spec.plan.contribution, folds)}

    def starts_from(self, spec: TrainingSpec) -> str:
        """Return the model of a resumed job, or the uploaded one."""
        return spec.starts_from

    def start(self, spec: TrainingSpec) -> int:
        """Return its number of values."""
        return spec.start_parameters

    def started(self, spec: TrainingSpec, model: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return it with what the strategy keeps behind it."""
        return with_kept(spec, model)

    def initial(self, spec: TrainingSpec) -> NDArray[np.float32]:
        """Return the parameters before the first round."""
        return initial_state(spec)

    def model_audience(self, spec: TrainingSpec, stage: str, number: int) -> str:
        """Return who gets the model.

        The plan's output is open to the operator; an early stop is only known after the evaluation.
        """
        agents_only = spec.release.intermediate == "agents"
        if stage == "train":
            return "agents" if agents_only and number != spec.planned_rounds else "all"
        return "all" if stage == "evaluate" and agents_only else ""


TRAINING_ENCLAVE: Final = TrainingEnclaveKind()
