"""The utility bar: Adult in 8 unlike silos, FedAvg and record-level ε = 1 side by side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from secureflow.demo.data import (
    adult_rows,
    columns_of,
    demo_features,
    demo_plan,
    private_features,
    split_silos,
    test_set,
)
from secureflow.domain.specs.base import RosterEntry
from secureflow.domain.specs.privacy import Privacy
from secureflow.domain.specs.training import FeatureSpec, TrainingPlan, TrainingSpec
from secureflow.domain.specs.training_rules import check
from secureflow.engines.preparation import (
    declared_moments,
    design_matrix,
    moment_sums,
    moments_from_sums,
)
from secureflow.engines.privacy import epsilon
from secureflow.engines.privacy.seeds import joint_seed
from secureflow.engines.training.logistic import LogisticRegression
from secureflow.engines.training.noising import noise_of, noised_state, split_sums
from secureflow.engines.training.private import charge, private_delta, private_sums
from secureflow.kit.crypto import SigningKey

test_set.__test__ = False  # type: ignore[attr-defined]
PARTIES = tuple(f"bank-{letter}" for letter in "abcdefgh")
ROWS = 32_561


def spec(
    features: FeatureSpec, plan: TrainingPlan, privacy: Privacy | None, **changes: Any
) -> TrainingSpec:
    keys = (SigningKey.from_seed(p.ljust(32).encode()).public for p in PARTIES)
    roster = tuple(RosterEntry(p, k, "adult") for p, k in zip(PARTIES, keys, strict=True))
    made = TrainingSpec(
        "prj_0123456789", "income", "scoring", "t", roster, features, plan=plan,
        privacy=privacy, **changes,
    )  # fmt: skip
    check(made)
    return made


def accuracy(model: np.ndarray, rows: tuple[np.ndarray, np.ndarray]) -> float:
    inputs, labels = rows
    return float((((inputs @ model[:-1] + model[-1]) > 0) == (labels > 0.5)).mean())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("noise", "protection"),
    [pytest.param("enclave", "sealed", marks=pytest.mark.full), ("shared", "secagg")],
)
def test_record_level_privacy_costs_little(tmp_path: Path, noise: Any, protection: str) -> None:
    silos = [columns_of(pq.read_table(path)) for path in split_silos(tmp_path, 8)]
    assert sum(len(silo["age"]) for silo in silos) == ROWS == adult_rows("train").num_rows
    federated = fedavg(silos)
    private, spent = dp_sgd(silos, noise, protection)
    assert federated >= 0.840
    assert spent <= 1.0
    assert private >= federated - 0.005


def fedavg(silos: list[dict[str, np.ndarray]]) -> float:
    """Twenty rounds of FedAvg on federated moments."""
    features = demo_features()
    job = spec(features, replace(demo_plan(20), validation=0.0), None)
    moments = moments_from_sums(features, sum(moment_sums(features, silo) for silo in silos))  # type: ignore[arg-type]
    data = [design_matrix(features, moments, silo) for silo in silos]
    model, family = np.zeros(job.parameters, np.float32), LogisticRegression()
    for number in range(20):
        trained = [
            family.train(job, model, x, y, bytes([number, n])) for n, (x, y) in enumerate(data)
        ]
        model = np.average(trained, axis=0, weights=[len(y) for _, y in data]).astype(np.float32)
    return accuracy(model, design_matrix(features, moments, test_set()))


def dp_sgd(silos: list[dict[str, np.ndarray]], placed: Any, protection: str) -> tuple[float, float]:
    """The private rounds of eight parties, 100 of them; accuracy and ε."""
    features = private_features()
    privacy = Privacy(delta=1e-5, noise_multiplier=40.46, rows=ROWS, noise=placed)
    plan = TrainingPlan(rounds=100, validation=0.0, learning_rate=4.0)
    job = spec(features, plan, privacy, protection=protection)
    moments = declared_moments(features)
    data = [design_matrix(features, moments, silo) for silo in silos]
    model = np.zeros(job.parameters, np.float32)
    for number in range(plan.rounds):
        seeds = {party: f"{party}/{number}".encode() for party in PARTIES}
        deltas = [
            private_delta(job, model, d, seeds[p]) for p, d in zip(PARTIES, data, strict=True)
        ]
        own = {p: split_sums(job, "train", private_sums(job, s))[1] for p, s in seeds.items()}
        drawn = own.values() if placed == "shared" else [joint_seed(own, round=number)]
        parts = [delta.astype(np.int64) for delta in deltas]
        total = np.sum([*parts, *(noise_of(job, "train", seed) for seed in drawn)], axis=0)
        model = noised_state(job, model, total.astype(np.float64))
    return accuracy(model, design_matrix(features, moments, test_set())), epsilon(charge(job), 1e-5)
