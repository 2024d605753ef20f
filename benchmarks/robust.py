"""Every robust rule under every attack by two of ten parties: one JSON line at the end.

    python -m benchmarks.robust [--seeds 2] [--rounds 20]

Digits and MNIST-5k (`benchmarks.strategies`), dealt alike; the norm cap is off. The attacks:

- `sign flip`: −10 times their updates;
- `scaling`: 10 times their updates;
- `label flip`: they train on 9 − digit;
- `alie`: the mean of the honest updates less 1.5 standard deviations in each coordinate (Baruch et
  al. 2019, "A Little Is Enough"), by parties that know all updates;
- `inner product`: −10 times the mean of the honest updates (Xie et al. 2020, "Fall of Empires").

Each figure is the accuracy on rows that no party has, a mean over seeds. `mean` is FedAvg. Bulyan
needs eleven parties for two attackers: it is told of one. Bars: under sign flips the mean loses at
least .10, and at least four rules stay within .03 of the clean run.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from benchmarks.learning import (
    Attacks,
    Images,
    Update,
    accuracy,
    datasets,
    job,
    owners_rows,
    trained,
)
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.training import TrainingPlan

ATTACKERS: Final = 2
PARTITION: Final = "iid"
RULES: Final[dict[str, Any]] = {
    "mean": None,
    "median": {"rule": "median"},
    "trimmed mean": {"rule": "trimmed_mean", "trim": 2},
    "Krum": {"rule": "krum", "malicious": 2, "select": 1},
    "Multi-Krum": {"rule": "krum", "malicious": 2, "select": 6},
    "Bulyan": {"rule": "bulyan", "malicious": 1},
    "geometric median": {"rule": "geometric_median"},
    "centred clipping": {"rule": "centered_clipping", "radius": 1.0},
}
ALIE: Final = 1.5
FACTOR: Final = 10
LOST, WITHIN, STANDING = 0.10, 0.03, 4


def honest_of(updates: Sequence[Update]) -> Update:
    """Return the updates of those that do as they should, float32 (n − 2, d)."""
    return np.stack(updates[ATTACKERS:])


def _sent(updates: Sequence[Update], false: Sequence[Update]) -> Sequence[Update]:
    return [*(one.astype(np.float32) for one in false), *updates[ATTACKERS:]]


def sign_flip(updates: Sequence[Update]) -> Sequence[Update]:
    """Turn the attackers' updates around."""
    return _sent(updates, [-FACTOR * one for one in updates[:ATTACKERS]])


def scaling(updates: Sequence[Update]) -> Sequence[Update]:
    """Make the attackers' updates longer."""
    return _sent(updates, [FACTOR * one for one in updates[:ATTACKERS]])


def alie(updates: Sequence[Update]) -> Sequence[Update]:
    """Hide in the spread of the honest updates."""
    honest = honest_of(updates)
    return _sent(updates, [honest.mean(axis=0) - ALIE * honest.std(axis=0)] * ATTACKERS)


def inner_product(updates: Sequence[Update]) -> Sequence[Update]:
    """Point away from the mean of the honest updates."""
    return _sent(updates, [-FACTOR * honest_of(updates).mean(axis=0)] * ATTACKERS)


def untouched(updates: Sequence[Update]) -> Sequence[Update]:
    """Send what was trained."""
    return updates


ATTACKS: Final[dict[str, Attacks]] = {
    "none": untouched,
    "sign flip": sign_flip,
    "scaling": scaling,
    "label flip": untouched,
    "alie": alie,
    "inner product": inner_product,
}


def one_run(rule: Any, name: str, images: Images, seed: int, rounds: int) -> float:
    """Return the accuracy of one rule under one attack."""
    chosen = parse(TrainingPlan, {"aggregation": rule}, "plan").aggregation
    train, test = images.parted(seed)
    labels = train.digits.copy()
    if name == "label flip":
        for party in range(ATTACKERS):
            rows = owners_rows(train, PARTITION, seed, party)
            labels[rows] = 9 - labels[rows]
    spec = job(images, seed, aggregation=chosen, rounds=rounds)
    model = trained(spec, train, PARTITION, seed, labels=labels, attack=ATTACKS[name])
    return accuracy(spec, model, test)


def main() -> int:
    """Print the table; return 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=20)
    wanted = parser.parse_args()
    table: dict[str, dict[str, float]] = {told: {} for told in RULES}
    for data, images in datasets().items():
        for told, rule in RULES.items():
            for name in ATTACKS:
                runs = [
                    one_run(rule, name, images, seed, wanted.rounds) for seed in range(wanted.seeds)
                ]
                table[told][f"{data}, {name}"] = round(float(np.mean(runs)), 4)
            print(told, table[told], file=sys.stderr, flush=True)
    lost, stand = {}, {}
    for data in datasets():
        clean, column = table["mean"][f"{data}, none"], f"{data}, sign flip"
        lost[data] = round(clean - table["mean"][column], 4)
        stand[data] = [
            told for told in RULES if told != "mean" and table[told][column] >= clean - WITHIN
        ]
    met = all(lost[data] >= LOST and len(stand[data]) >= STANDING for data in lost)
    print(json.dumps({"table": table, "lost": lost, "stand": stand, "met": met}))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
