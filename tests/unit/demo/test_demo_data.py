from __future__ import annotations

import re
import statistics
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from secureflow.adapters.policy import CedarPolicies, completed
from secureflow.demo import data
from secureflow.demo.make_data import SCHEMA
from secureflow.demo.study import Study
from secureflow.demo.words import Words
from secureflow.domain.policies import Policy
from secureflow.domain.schemas import check_dataset
from secureflow.kit.errors import SecureFlowError


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return data.adult_study(tmp_path_factory.mktemp("shares"))


def test_the_file_holds_every_original_row() -> None:
    table = pq.read_table(data.ADULT)
    assert table.schema.equals(SCHEMA)
    folds = table["fold"].value_counts().to_pylist()
    assert [(f["values"], f["counts"]) for f in folds] == [("train", 32_561), ("test", 16_281)]
    # Sums that `awk -F,` gives over the two original files.
    assert pc.sum(pc.equal(table["income"], ">50K")).as_py() == 7_841 + 3_846
    assert sum(table[name].null_count for name in table.column_names) == 2_799 + 2_809 + 857
    assert pc.sum(table["fnlwgt"]).as_py() == 9_263_575_662


def test_shares_partition_the_training_rows_and_differ(study: Study) -> None:
    rows = [share.rows for share in study.shares]
    assert sum(rows) == 32_561
    assert [share / 32_561 for share in rows] == pytest.approx([0.21, 0.32, 0.47], abs=0.01)
    assert [share.means["age"] for share in study.shares] == pytest.approx([22, 32, 50], abs=1)
    positives = [share.positives for share in study.shares]
    assert max(positives) > 10 * min(positives)
    assert all(sum(share.spread) == share.rows for share in study.shares)


def test_the_test_rows_are_nobody_s(study: Study) -> None:
    assert len(study.labels) == 16_281
    assert int(study.labels.sum()) == 3_846


def test_silos_are_reproducible_for_any_number_of_parties(tmp_path: Path) -> None:
    first = data.split_silos(tmp_path / "a", 8, seed=3)
    again = data.split_silos(tmp_path / "b", 8, seed=3)
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in again]
    counts = [pq.read_metadata(path).num_rows for path in first]
    assert sum(counts) == 32_561
    assert min(counts) > 500


def test_the_declared_schema_fits_and_marks_what_is_sensitive(study: Study) -> None:
    config = study.datasets["bank-a"]
    check_dataset(config)
    assert {c.name for c in config.columns if c.sensitive} == {
        "phone", "race", "sex", "native-country",
    }  # fmt: skip
    used: Any = set(data.demo_features().columns)
    assert used <= {c.name for c in config.columns}
    assert not used & {"fnlwgt", "phone", "race", "sex", "native-country"}


def test_banks_share_some_customers_by_a_key_that_nobody_trains_on(study: Study) -> None:
    phones = [pq.read_table(share.path)["phone"].to_pylist() for share in study.shares]
    every = [set(one) for one in phones]
    assert [len(one) for one in every] == [share.rows for share in study.shares]
    assert all(re.fullmatch(r"1\d{10}", one) for one in phones[0])
    shared = every[0] & every[1]
    assert 0.15 < len(shared) / len(every[0]) < 0.35
    assert 0 < len(shared & every[2]) < len(shared)
    ages = dict(zip(phones[0], pq.read_table(study.shares[0].path)["age"].to_pylist(), strict=True))
    assert statistics.mean(ages[one] for one in shared) == pytest.approx(22, abs=1), "by chance"
    for declared in study.datasets.values():
        assert (declared.key, next(c.type for c in declared.columns if c.name == "phone")) == (
            "phone", "text",
        )  # fmt: skip
        assert declared.probing is not None
    assert "phone" not in study.test
    assert not any("phone" in share.means for share in study.shares)


def test_a_share_is_the_same_table_but_for_the_key(study: Study, tmp_path: Path) -> None:
    for share, plain in zip(study.shares, data.split_silos(tmp_path), strict=True):
        made = pq.read_table(share.path)
        assert made.drop_columns(["phone"]).equals(pq.read_table(plain))


def test_the_shares_can_be_cut_by_another_column_and_not_by_what_is_predicted() -> None:
    assert data.adult_column("", Words()) == "age"
    assert data.adult_column("occupation", Words()) == "occupation"
    for name in ("income", "fold", "agee"):
        with pytest.raises(SecureFlowError) as refusal:
            data.adult_column(name, Words())
        assert refusal.value.code == "unknown_column"


def test_every_bank_offers_a_budget_that_no_job_needs(study: Study) -> None:
    for declared in study.datasets.values():
        budget = declared.privacy
        assert budget is not None
        assert (budget.unit, budget.required) == ("record", False)
        assert budget.epsilon >= 5  # of several questions of ε = 1
        assert budget.delta >= 1e-6  # which the console's form and the templates ask for


@pytest.mark.parametrize(
    ("changes", "effect"),
    [
        ({}, "allow"),
        ({"epsilon": 1.01}, "ask"),
        ({"epsilon": None}, "ask"),
        ({"sensitive": ["sex"]}, "ask"),
        ({"group_size": 2}, "ask"),
        ({"noise": "local"}, "ask"),
        ({"purpose": "marketing"}, "ask"),
        ({"dataset": "other"}, "ask"),
        ({"kind": "training", "noise": None}, "ask"),
    ],
)
def test_a_kept_demo_answers_small_statistics_and_asks_about_the_rest(
    changes: dict[str, Any], effect: str
) -> None:
    asked = {"kind": "statistics", "submitter": "usr_a", "dataset": "adult",
             "purpose": data.PURPOSE, "columns": ["age"], "sensitive": [], "group_size": 3,
             "noise": "shared", "epsilon": 1.0}  # fmt: skip
    policies = CedarPolicies([Policy("consent.cedar", data.STATISTICS_POLICY, "")])
    given = {name: one for name, one in {**asked, **changes}.items() if one is not None}
    assert policies.decide(completed(given)).effect == effect
