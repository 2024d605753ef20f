"""The benefit of training together: each owner alone, all together, all rows in one place.

The launcher computes this outside the platform, from the shares that it made itself; no real job
could do so, and no job report contains it. All three train the same model family from the same
start, with the same preparation, schedule, seed and rows (as many are held back for validation
everywhere: which ones is each agent's secret), and are measured on the same test rows after every
pass. *Together* is measured on the models that the platform released; *alone* is one silo of the
same loop, *pooled* one silo with everybody's rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from secureflow.demo.scores import Gain, Score, auc, gain, score
from secureflow.demo.study import Columns, Study, columns_of
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.preparation import (
    Moments,
    design_matrix,
    feature_matrix,
    moment_sums,
    moments_from_sums,
    split_validation,
)
from secureflow.engines.training.initial import initial_parameters
from secureflow.engines.training.logistic import LogisticRegression, logits, probabilities

MORE_SEEDS = 2
"""Additional orders of the training rows, to show how much of a figure is chance."""

SUSPICIOUS = 0.995

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class Line:
    """Results of one way to train.

    Args:
        score: of the last model on the test rows.
        curve: (round, AUC) after each round, which alone is one pass over the rows; from 1.
        orders: lowest and highest AUC of the last model over other orders of the rows.
    """

    score: Score
    curve: tuple[tuple[int, float], ...]
    orders: tuple[float, float]

    @property
    def best(self) -> float:
        """The AUC of the best pass, as with ideal early stopping."""
        return max(value for _, value in self.curve)


@dataclass(frozen=True)
class Comparison:
    """The results of all ways to train.

    Args:
        alone: party → line.
        together: the platform's own models.
        pooled: all rows in one place.
        gain: of together over the best owner alone.
        test_rows: how many rows all were measured on.
    """

    alone: Mapping[str, Line]
    together: Line
    pooled: Line
    gain: Gain
    test_rows: int

    @property
    def best_alone(self) -> str:
        """The owner with the best model of its own."""
        return max(self.alone, key=lambda party: self.alone[party].score.auc)

    @property
    def suspicious(self) -> bool:
        """Whether the classes are separated so well that a column may reveal the label."""
        return self.pooled.score.auc > SUSPICIOUS

    @property
    def weakest_alone(self) -> str:
        """The owner with the weakest model of its own."""
        return min(self.alone, key=lambda party: self.alone[party].score.auc)


def compare(study: Study, released: Mapping[int, Vector], moments: Moments) -> Comparison:
    """Train the references and measure everything.

    Args:
        study: the shares and the test rows.
        released: round → the platform's model after it; the last round's at least.
        moments: the federated moments behind them.
    """
    parts = [_training_rows(study, columns) for columns in _silos(study)]
    everything = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    alone = {
        share.party: _measured(Federation(study, [part]))
        for share, part in zip(study.shares, parts, strict=True)
    }
    pooled = _measured(Federation(study, [everything]))
    numbers = sorted(released)
    mine = _Probe(study, moments)
    aucs = mine.aucs([released[number] for number in numbers])
    probability = mine.probabilities(released[numbers[-1]])
    together = Line(
        score(study.labels, probability),
        tuple(zip(numbers, aucs, strict=True)),
        _spread(Federation(study, parts), mine),
    )
    best = max(alone.values(), key=lambda found: found.line.score.auc)
    return Comparison(
        alone={party: found.line for party, found in alone.items()},
        together=together,
        pooled=pooled.line,
        gain=gain(study.labels, probability, best.probability),
        test_rows=len(study.labels),
    )


class Federation:
    """Silos whose local training is averaged round by round, in this process.

    Args:
        study: features and plan.
        silos: training rows of each silo; one silo alone is ordinary training.
    """

    def __init__(self, study: Study, silos: Sequence[Columns]) -> None:
        sums = np.sum([moment_sums(study.features, silo) for silo in silos], axis=0)
        self.study = study
        self.moments = moments_from_sums(study.features, sums)
        self._rows = [design_matrix(study.features, self.moments, silo) for silo in silos]
        self._spec = _spec(study)

    def models(self, order: int = 0) -> Iterator[Vector]:
        """Yield the model after each round; `order` is one of the rows' orders under the seed."""
        family, weights = LogisticRegression(), [len(labels) for _, labels in self._rows]
        model, plan = initial_parameters(self._spec), self.study.plan
        for number in range(plan.rounds):
            trained = [
                family.train(self._spec, model, *silo, _seed(plan.seed, order, number, at))
                for at, silo in enumerate(self._rows)
            ]
            model = np.average(trained, axis=0, weights=weights).astype(np.float32)
            yield model


@dataclass(frozen=True)
class _Measured:
    line: Line
    probability: Vector


class _Probe:
    """The test rows, prepared with one set of moments."""

    def __init__(self, study: Study, moments: Moments) -> None:
        self._labels = study.labels
        self._inputs = feature_matrix(study.features, moments, study.test)

    def probabilities(self, model: Vector) -> Vector:
        return probabilities(logits(model, self._inputs))

    def aucs(self, models: Sequence[Vector]) -> list[float]:
        weights = np.stack(models, axis=1)
        return [auc(self._labels, scores) for scores in (self._inputs @ weights[:-1]).T]


def _measured(federation: Federation) -> _Measured:
    study = federation.study
    probe, models = _Probe(study, federation.moments), list(federation.models())
    probability = probe.probabilities(models[-1])
    line = Line(
        score(study.labels, probability),
        tuple(enumerate(probe.aucs(models), 1)),
        _spread(federation, probe),
    )
    return _Measured(line, probability)


def _spread(federation: Federation, probe: _Probe) -> tuple[float, float]:
    """Return the lowest and the highest last AUC over other orders of the rows."""
    last = [[*federation.models(order)][-1] for order in range(1, MORE_SEEDS + 1)]
    found = probe.aucs(last)
    return min(found), max(found)


def _silos(study: Study) -> Iterator[Columns]:
    names = list(study.features.columns)
    for share in study.shares:
        yield columns_of(pq.read_table(share.path, columns=names))


def _training_rows(study: Study, columns: Columns) -> Columns:
    """Return as many rows as an agent trains on: without the plan's share for validation."""
    rows = len(columns[study.features.binary.column])
    train, _ = split_validation(rows, study.plan.seed, study.plan.validation)
    return {name: values[train] for name, values in columns.items()}


def _spec(study: Study) -> TrainingSpec:
    """Return a spec for local training: it has no roster, since no party takes part."""
    return TrainingSpec(
        project="prj_0000000000",
        name=study.title,
        purpose=study.purpose,
        submitter="demo",
        roster=(),
        features=study.features,
        plan=study.plan,
    )


def _seed(*parts: int) -> bytes:
    return b"".join(part.to_bytes(8, "big") for part in parts)
