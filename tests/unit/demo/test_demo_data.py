from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from secureflow.demo import data
from secureflow.demo.make_data import SCHEMA
from secureflow.domain.schemas import check_dataset
from secureflow.domain.specs import TrainingSpec
from secureflow.engines.preparation import (
    design_matrix,
    moment_sums,
    moments_from_sums,
    split_validation,
)
from secureflow.engines.training.models import model_family

Columns = dict[str, np.ndarray]


def spec() -> TrainingSpec:
    return TrainingSpec(
        project="prj_0000000000",
        name="income",
        purpose="credit",
        submitter="ada",
        roster=(),
        features=data.demo_features(),
        plan=data.demo_plan(),
    )


def federate(job: TrainingSpec, silos: list[Columns]) -> dict[str, float]:
    """FedAvg over the silos, in process; the metrics on the official test set."""
    features, family = job.features, model_family(job)
    assert features is not None
    parts = []
    for silo in silos:
        train, _ = split_validation(len(silo["age"]), job.plan.seed, job.plan.validation)
        parts.append({name: values[train] for name, values in silo.items()})
    moments = moments_from_sums(
        features, np.sum([moment_sums(features, part) for part in parts], axis=0)
    )
    rows = [design_matrix(features, moments, part) for part in parts]
    weights = np.array([len(y) for _, y in rows])
    model = family.initial(job)
    for number in range(job.plan.rounds):
        deltas = [
            family.train(job, model, X, y, bytes([number, party])) - model
            for party, (X, y) in enumerate(rows)
        ]
        model = (model + np.average(deltas, axis=0, weights=weights)).astype(np.float32)
    X, y = design_matrix(features, moments, data.test_set())
    metrics = family.summarise(family.metric_sums(job, model, X, y))
    exact = roc_auc_score(y, X @ model[:-1])
    assert metrics["auc"] == pytest.approx(exact, abs=2e-3)
    return metrics


@pytest.fixture(scope="module")
def silos(tmp_path_factory: pytest.TempPathFactory) -> list[Columns]:
    paths = data.split_silos(tmp_path_factory.mktemp("silos"))
    return [data.columns_of(pq.read_table(path)) for path in paths]


def test_the_file_holds_every_original_row() -> None:
    table = pq.read_table(data.ADULT)
    assert table.schema.equals(SCHEMA)
    folds = table["fold"].value_counts().to_pylist()
    assert [(f["values"], f["counts"]) for f in folds] == [("train", 32_561), ("test", 16_281)]
    # Sums that `awk -F,` gives over the two original files.
    assert pc.sum(pc.equal(table["income"], ">50K")).as_py() == 7_841 + 3_846
    assert sum(table[name].null_count for name in table.column_names) == 2_799 + 2_809 + 857
    assert pc.sum(table["fnlwgt"]).as_py() == 9_263_575_662


def test_silos_partition_the_training_rows_and_differ(silos: list[Columns]) -> None:
    assert sum(len(silo["age"]) for silo in silos) == 32_561
    positives = [float((silo["income"] == ">50K").mean()) for silo in silos]
    ages = [float(silo["age"].mean()) for silo in silos]
    shares = [len(silo["age"]) / 32_561 for silo in silos]
    assert shares == pytest.approx([0.21, 0.32, 0.47], abs=0.02)
    assert max(positives) > 5 * min(positives)
    assert max(ages) > min(ages) + 10


def test_silos_are_reproducible_for_any_number_of_parties(tmp_path: Path) -> None:
    first = data.split_silos(tmp_path / "a", 8, seed=3)
    again = data.split_silos(tmp_path / "b", 8, seed=3)
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in again]
    counts = [pq.read_metadata(path).num_rows for path in first]
    assert sum(counts) == 32_561
    assert min(counts) > 500


def test_the_declared_schema_fits_and_marks_what_is_sensitive(tmp_path: Path) -> None:
    config = data.dataset_config(data.split_silos(tmp_path, 3)[0])
    check_dataset(config)
    assert {c.name for c in config.columns if c.sensitive} == {"race", "sex", "native-country"}
    used: Any = set(data.demo_features().columns)
    assert used <= {c.name for c in config.columns}
    assert not used & {"fnlwgt", "race", "sex", "native-country"}


def test_federated_training_beats_every_silo_alone(silos: list[Columns]) -> None:
    together = federate(spec(), silos)
    assert together["accuracy"] >= 0.840
    assert together["auc"] >= 0.890
    alone = [federate(spec(), [silo]) for silo in silos]
    assert np.mean([a["accuracy"] for a in alone]) < together["accuracy"] - 0.02
    assert max(a["accuracy"] for a in alone) < together["accuracy"] - 0.005
    assert max(a["auc"] for a in alone) < together["auc"]
