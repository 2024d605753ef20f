"""The worker's half of an evaluation on real files: which rows, which model, whose noise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from unit.engines.evaluation.world import FEATURES, MODELS, specified

from secureflow.adapters.datasources import SourceLimits
from secureflow.agent.compute.worker import Worker
from secureflow.domain.schemas import ColumnConfig, DatasetConfig, DatasetPrivacy
from secureflow.domain.specs.base import dump
from secureflow.domain.specs.evaluation import EvaluationSpec
from secureflow.engines.evaluation.figures import figures_of
from secureflow.engines.evaluation.plan import noised, parts
from secureflow.engines.evaluation.sums import read
from secureflow.engines.preparation.keysplit import held_out
from secureflow.kit.errors import SecureFlowError

ROWS = 400
ROSTER = [{"party": f"bank-{one}", "key": one * 44, "dataset": "people"} for one in ("a", "b", "c")]
LINEAR = np.array([2.0, 0.5], "<f4")
"""A logistic regression on the scaled age."""


@pytest.fixture
def rows() -> dict[str, Any]:
    draw = np.random.default_rng(3)
    ages = draw.integers(0, 101, ROWS)
    rich = draw.random(ROWS) < 1 / (1 + np.exp(-(ages - 50) / 15))
    return {"age": ages, "income": np.where(rich, ">50K", "<=50K"), "person": np.arange(ROWS) // 4}


@pytest.fixture
def dataset(tmp_path: Path, rows: dict[str, Any]) -> DatasetConfig:
    lines = [f"{a},{i},p{p}" for a, i, p in zip(*rows.values(), strict=True)]
    (tmp_path / "people.csv").write_text("\n".join(["age,income,person", *lines]) + "\n")
    columns = (
        ColumnConfig("age", "number", bounds=(0.0, 100.0)),
        ColumnConfig("income", "category", categories=(">50K", "<=50K")),
    )
    return DatasetConfig("people", str(tmp_path / "people.csv"), "csv", columns)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    LINEAR.tofile(tmp_path / "model")
    return tmp_path / "model"


def summed(
    dataset: DatasetConfig, spec: EvaluationSpec, model: Path, party: str = "bank-a", **keys: str
) -> Any:
    worker = Worker(SourceLimits())
    worker.prepare("job_1", dump(spec), dump(dataset), "00" * 32, **keys)
    asked = {"model": str(model), "number": 1, "party": party, "seed": "11" * 32, "key": "22" * 32}
    return np.array(worker.compute("measure", "job_1", **asked)["sums"], np.int64)


def figures(spec: EvaluationSpec, sums: Any, party: str = "") -> dict[str, float]:
    part = next(one for one in parts(spec, 1) if one.party == party)
    return figures_of(part.form, read(part.form, sums[part.place], part.unit))


def test_sums_are_of_what_the_model_computes_for_every_row(
    dataset: DatasetConfig, model: Path, rows: dict[str, Any]
) -> None:
    spec = specified(ROSTER, models=MODELS[:1])
    found = figures(spec, summed(dataset, spec, model))
    assert found["rows"] == ROWS
    assert found["auc"] == pytest.approx(roc_auc_score(rows["income"] == ">50K", rows["age"]),
                                         abs=1e-3)  # fmt: skip


def test_a_party_fills_its_own_place_and_no_other(dataset: DatasetConfig, model: Path) -> None:
    spec = specified(ROSTER, models=MODELS[:1], per_party=True)
    sums = summed(dataset, spec, model, "bank-b")
    assert figures(spec, sums, "bank-b")["rows"] == ROWS
    for other in ("bank-a", "bank-c"):
        place = next(one.place for one in parts(spec, 1) if one.party == other)
        assert not sums[place].any()


def test_only_rows_of_held_out_keys_are_measured(
    dataset: DatasetConfig, model: Path, rows: dict[str, Any]
) -> None:
    keyed = replace(dataset, key="person")
    spec = specified(ROSTER, models=MODELS[:1], held_out={"share": 0.3})
    found = figures(spec, summed(keyed, spec, model, keys="ab" * 32))
    names = np.array([f"p{one}" for one in rows["person"]], object)
    assert found["rows"] == held_out(names, b"\xab" * 32, 0.3).sum()
    assert 0 < found["rows"] < ROWS
    with pytest.raises(SecureFlowError, match="declares no key"):
        summed(dataset, spec, model)


def test_private_sums_have_the_noise_of_their_seed_in_every_part(
    dataset: DatasetConfig, model: Path
) -> None:
    privacy = {"delta": 1e-6, "noise_multiplier": 2.0}
    spec = specified(ROSTER, models=MODELS[:1], per_party=True, privacy=privacy)
    sums = summed(dataset, spec, model, "bank-b")
    noise = noised(spec, 1, np.zeros_like(sums), b"\x11" * 32)
    for part in parts(spec, 1):
        assert (noise[part.place] != 0).mean() > 0.9
        exact = (sums - noise)[part.place]
        if part.party in {"", "bank-b"}:
            assert exact[0] == ROWS * part.unit
        else:
            assert not exact.any()


def test_noise_counts_no_more_of_a_person_than_it_hides(
    dataset: DatasetConfig, model: Path
) -> None:
    privacy = DatasetPrivacy("people", 5.0, 1e-5, "person", person="person", rows_per_person=2)
    spec = specified(
        ROSTER,
        models=MODELS[:1],
        privacy={"delta": 1e-6, "noise_multiplier": 0.1, "unit": "person"},
        contributions=2,
    )
    found = figures(spec, summed(replace(dataset, privacy=privacy), spec, model))
    assert found["rows"] == pytest.approx(ROWS / 2, abs=4)
    with pytest.raises(SecureFlowError, match="no column says whose"):
        summed(dataset, spec, model)


def test_a_hostile_row_ends_no_private_job_and_is_named_in_another(
    dataset: DatasetConfig, model: Path
) -> None:
    path = Path(dataset.path)
    path.write_text(path.read_text() + "old,>50K,p0\n,,p1\n1e999,<=50K,p2\n")
    private = specified(ROSTER, models=MODELS[:1], privacy={"delta": 1e-6, "noise_multiplier": 0.1})
    found = figures(private, summed(dataset, private, model))
    assert found["rows"] == pytest.approx(ROWS + 2, abs=2)  # one has no label
    exact = specified(ROSTER, models=MODELS[:1])
    with pytest.raises(SecureFlowError) as caught:
        summed(dataset, exact, model)
    assert caught.value.code in {"schema_mismatch", "malformed_cell"}


def test_own_figures_of_a_few_rows_are_refused(dataset: DatasetConfig, model: Path) -> None:
    path = Path(dataset.path)
    path.write_text("\n".join(path.read_text().splitlines()[:9]) + "\n")
    spec = specified(ROSTER, models=MODELS[:1], per_party=True)
    with pytest.raises(SecureFlowError, match="at least 10"):
        summed(dataset, spec, model)
    whole = specified(ROSTER, models=MODELS[:1])
    assert figures(whole, summed(dataset, whole, model))["rows"] == 8


@pytest.mark.parametrize("size", [0, 4, 12, 1 << 16])
def test_a_model_of_another_size_is_not_computed_with(
    dataset: DatasetConfig, tmp_path: Path, size: int
) -> None:
    (tmp_path / "other").write_bytes(bytes(size))
    spec = specified(ROSTER, models=MODELS[:1])
    with pytest.raises(SecureFlowError, match="its features need 8"):
        summed(dataset, spec, tmp_path / "other")


def test_moments_scale_as_in_the_training(
    dataset: DatasetConfig, model: Path, rows: dict[str, Any]
) -> None:
    ages = rows["age"].astype(float)
    federated = {**FEATURES, "numeric": [{"column": "age", "bounds": [0, 100]}]}
    spec = specified(
        ROSTER, models=[{**MODELS[0], "features": federated, "moments": sums_of(ages)}]
    )
    found = figures(spec, summed(dataset, spec, model))
    standard = LINEAR[0] * (ages - ages.mean()) / ages.std() + LINEAR[1]
    hits = ((standard > 0) == (rows["income"] == ">50K")).mean()
    assert found["accuracy"] == pytest.approx(hits, abs=1e-9)


def sums_of(ages: Any) -> list[float]:
    """The released moment sums of one column, as a training's card has them."""
    from secureflow.domain.specs.base import parse
    from secureflow.domain.specs.training import FeatureSpec
    from secureflow.engines.preparation import moment_sums

    features = parse(FeatureSpec, {**FEATURES, "numeric": [{"column": "age", "bounds": [0, 100]}]})
    return [float(one) for one in moment_sums(features, {"age": ages, "income": ages})]
