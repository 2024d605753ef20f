"""Contributions in a simulation: scored by the enclave's own folds, on rows that parties hold out.

Nothing is sealed, committed to or signed. Rows and orders are drawn from what everybody knows, so
that a simulation gives the same scores each time; on the platform owners and enclave draw them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from secureflow.adapters.frameworks import NumpyRunner
from secureflow.domain.specs.contribution import VALIDATION, ContributionPlan
from secureflow.domain.specs.training import TrainingSpec
from secureflow.enclave.folds import Fold
from secureflow.enclave.models import GlobalModel
from secureflow.enclave.scoring import ScoredFold, ValidationFold, scores_of, scoring_fold
from secureflow.engines.contribution.sealedrows import sums_with
from secureflow.engines.training.models import Stage
from secureflow.engines.training.order import shuffle_seed
from secureflow.kit.canonical import JSON
from secureflow.simulation.training.adding import Adding, Folded, Sender, Update, adding
from secureflow.simulation.training.failing import at
from secureflow.simulation.training.parties import Party

ORDERS: Final = hashlib.blake2b(b"orders of simulated parties", digest_size=32).digest()
_SALT: Final = bytes(32)


class Scoring:
    """The folds of a job whose contributions are scored.

    Args:
        spec: the checked spec.
        plan: its part on contributions.
    """

    def __init__(self, spec: TrainingSpec, plan: ContributionPlan) -> None:
        self._spec, self._plan = spec, plan
        self._folds: dict[str, Fold] = {}

    def adding(self, stage: Stage, model: GlobalModel) -> Adding:
        """Return the sum of a stage; that of the rounds scores them, and moves the model."""
        rows = self._folds.get(VALIDATION)
        if stage == "train" and isinstance(rows, ValidationFold):
            fold: Fold | None = ScoredFold(self._spec, self._plan, rows, ORDERS)
        else:
            fold = scoring_fold(self._spec, self._plan, stage, self._folds)
        if fold is None:
            return adding(self._spec, stage, model)
        self._folds[stage] = fold
        return Folded(stage, fold, model)

    def collect(
        self, parties: Sequence[Party], moments: Sequence[float] | None, file: Path
    ) -> None:
        """Take every party's rows.

        Args:
            parties: of the simulation.
            moments: the released federated sums.
            file: what each of them writes its rows to.

        Raises:
            SecureFlowError: `validation_too_few`, naming the party.
        """
        fold: Any = scoring_fold(self._spec, self._plan, VALIDATION, self._folds)
        for party in parties:
            with at(party.name):
                seed = shuffle_seed(self._spec, party.name, VALIDATION, "")
                if not isinstance(party.runner, NumpyRunner):
                    raise AssertionError  # the spec was checked: the family is measured
                party.runner.write_validation(file, moments, seed)
                rows = np.fromfile(file, "<f4")
                fold.fold(Update({"parameters": rows}, sums_with(_SALT), Sender(party.name, 0)))
        fold.open(0, None)
        self._folds[VALIDATION] = fold

    def scores(self) -> dict[str, JSON]:
        """Return what an enclave would tell of contributions."""
        return scores_of(self._spec, self._plan, self._folds)
