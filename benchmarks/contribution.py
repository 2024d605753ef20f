"""How well GTG-Shapley ranks parties, against Shapley values by retraining: the 8-party study.

Eight parties of 60 to 400 rows train a softmax regression for eight rounds. Two have wrong labels
in 30 % and 70 % of their rows, two know half of the classes. Truth: the exact Shapley values of
256 trainings, one for each coalition, measured on rows of nobody. Scored are the same parties from
the updates of one training, on rows that the parties bring themselves in equal shares, wrong labels
and missing classes included; each is judged by the rows of the others.

`cost_ratio` is the processor time of scoring over that of the training that it scores.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from secureflow.engines.contribution.gtg import Sampling, round_scores
from secureflow.engines.contribution.shapley import shapley
from secureflow.engines.contribution.tally import Tally
from secureflow.engines.contribution.views import others

Floats = NDArray[np.float64]
SIZES = (60, 100, 150, 200, 250, 300, 350, 400)
WRONG = {3: 0.3, 6: 0.7}
HALF = {2: (0, 5), 5: (5, 10)}
ROUNDS, EPOCHS, BATCH, RATE = 8, 1, 16, 0.1
FEATURES, CLASSES, NOISE = 20, 10, 2.0
SHARE, TEST = 40, 2000
ORDERS, WITHIN, BETWEEN = 4, 0.001, 0.001


@dataclass(frozen=True)
class Rows:
    """Rows with their labels: float64 (n, f) and int64 (n,)."""

    inputs: Floats
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Study:
    """Eight parties' training rows, what they bring to validate, in order, and rows of nobody."""

    training: list[Rows]
    validation: Rows
    test: Rows
    seed: int


def drawn(seed: int) -> Study:
    """Draw a study."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(0.0, 1.0, (CLASSES, FEATURES))

    def rows(count: int, classes: tuple[int, int] = (0, CLASSES), wrong: float = 0.0) -> Rows:
        labels = rng.integers(*classes, count)
        inputs = centres[labels] + rng.normal(0.0, NOISE, (count, FEATURES))
        changed = rng.random(count) < wrong
        return Rows(inputs, np.where(changed, rng.integers(0, CLASSES, count), labels))

    kinds = [(HALF.get(party, (0, CLASSES)), WRONG.get(party, 0.0)) for party in range(len(SIZES))]
    sizes = rng.permutation(SIZES)
    training = [rows(int(size), *kind) for size, kind in zip(sizes, kinds, strict=True)]
    brought = [rows(SHARE, *kind) for kind in kinds]
    together = Rows(
        np.concatenate([one.inputs for one in brought]),
        np.concatenate([one.labels for one in brought]),
    )
    return Study(training, together, rows(TEST), seed)


def probabilities(model: Floats, inputs: Floats) -> Floats:
    """Return the classes' probabilities, (n, c)."""
    logits = inputs @ model[:-1] + model[-1]
    logits -= logits.max(axis=1, keepdims=True)
    powers = np.exp(logits)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def gains(model: Floats, rows: Rows, parties: int = 1) -> Floats:
    """Return the mean log-likelihood of the labels of each party's rows, which are as many."""
    found = probabilities(model, rows.inputs)[np.arange(len(rows.labels)), rows.labels]
    return np.asarray(np.log(np.maximum(found, 1e-6)).reshape(parties, -1).mean(axis=1))


def updated(model: Floats, rows: Rows, seed: Sequence[int]) -> Floats:
    """Return a party's update after its local epochs."""
    rng, local = np.random.default_rng(seed), model.copy()
    for _ in range(EPOCHS):
        shuffled = rng.permutation(len(rows.labels))
        for start in range(0, len(shuffled), BATCH):
            part = shuffled[start : start + BATCH]
            inputs = rows.inputs[part]
            error = probabilities(local, inputs)
            error[np.arange(len(part)), rows.labels[part]] -= 1.0
            local[:-1] -= RATE * (inputs.T @ error) / len(part)
            local[-1] -= RATE * error.mean(axis=0)
    return local - model


def joined(model: Floats, updates: Floats, weights: Floats, mask: int) -> Floats:
    """Return the model that a coalition's updates make."""
    members = [party for party in range(len(weights)) if mask >> party & 1]
    if not members:
        return model
    shares = weights[members] / weights[members].sum()
    return np.asarray(model + np.tensordot(shares, updates[members], axes=1))


def training(study: Study, mask: int) -> list[tuple[Floats, Floats]]:
    """Train a coalition; return each round's model before it and its updates (0 of outsiders)."""
    model, weights = np.zeros((FEATURES + 1, CLASSES)), sizes_of(study)
    rounds = []
    for number in range(ROUNDS):
        updates = np.zeros((len(SIZES), *model.shape))
        for party, rows in enumerate(study.training):
            if mask >> party & 1:
                updates[party] = updated(model, rows, (study.seed, number, party))
        rounds.append((model, updates))
        model = joined(model, updates, weights, mask)
    return [*rounds, (model, np.zeros((0,)))]


def sizes_of(study: Study) -> Floats:
    """Return the parties' training rows."""
    return np.array([len(rows.labels) for rows in study.training], np.float64)


def truth(study: Study) -> Floats:
    """Return the exact Shapley values by 256 trainings."""

    def value(mask: int) -> Floats:
        return np.full(len(SIZES), gains(training(study, mask)[-1][0], study.test)[0])

    return shapley(len(SIZES), value)


def scored(study: Study, rounds: list[tuple[Floats, Floats]]) -> Tally:
    """Score the parties from the rounds of one training."""
    weights, players = sizes_of(study), len(SIZES)
    sampling = Sampling(study.seed.to_bytes(32, "big"), ORDERS, WITHIN, BETWEEN)
    tally = Tally([str(party) for party in range(players)], ORDERS)
    for number, (model, updates) in enumerate(rounds[:-1], 1):

        def value(mask: int, model: Floats = model, updates: Floats = updates) -> Floats:
            made = joined(model, updates, weights, mask)
            return others(gains(made, study.validation, players))

        tally.add(number, tally.parties, round_scores(players, number, value, sampling))
    return tally


def ranks_agree(first: Floats, second: Floats) -> float:
    """Return Spearman's rank correlation; there are no ties."""
    count = len(first)
    ranks = [np.argsort(np.argsort(values)) - (count - 1) / 2 for values in (first, second)]
    return float(ranks[0] @ ranks[1]) * 12 / (count**3 - count)


def measured(seed: int) -> dict[str, float]:
    """Run one study."""
    study, everybody = drawn(seed), (1 << len(SIZES)) - 1
    began = time.process_time()
    rounds = training(study, everybody)
    trained = time.process_time()
    tally = scored(study, rounds)
    ended = time.process_time()
    exact, found = truth(study), tally.scores()
    scores = np.array([found[party].score for party in tally.parties])
    shares = np.maximum(exact, 0.0) / np.maximum(exact, 0.0).sum()
    moved = sum(abs(found[party].share - share) for party, share in zip(found, shares, strict=True))
    return {
        "seed": seed,
        "spearman": ranks_agree(exact, scores),
        "moved": moved / 2,
        "evaluations": tally.evaluations,
        "cost_ratio": (ended - trained) / (trained - began),
        "training_seconds": trained - began,
        "exact_ratio": (time.process_time() - ended) / (trained - began),
    }


def main(seeds: Sequence[int]) -> None:
    """Print each study and their means."""
    studies = [measured(seed) for seed in seeds]
    for study in studies:
        print(json.dumps({name: round(value, 4) for name, value in study.items()}))
    means = {name: float(np.mean([one[name] for one in studies])) for name in studies[0]}
    del means["seed"]
    print(json.dumps({name: round(value, 4) for name, value in means.items()}))


if __name__ == "__main__":
    main([int(seed) for seed in sys.argv[1:]] or range(8))
