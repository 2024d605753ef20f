"""The visitor's own table: what becomes of odd columns, and refusals that say what would help."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from secureflow.adapters.datasources import open_source
from secureflow.demo import own_table
from secureflow.demo.own_table import OwnTable, load
from secureflow.demo.words import Words
from secureflow.kit.errors import SecureFlowError

ROWS = 600


def cells(rows: int = ROWS) -> dict[str, list[object]]:
    draws = np.random.default_rng(5)
    age = draws.integers(18, 80, rows)
    income = np.exp(draws.normal(10, 0.6, rows))
    risk = 0.05 * (age - 45) - np.log(income) + 10 + draws.normal(0, 1, rows)
    return {
        "customer_id": [f"C{n:06}" for n in range(rows)],
        "年龄": [None if n % 20 == 0 else int(age[n]) for n in range(rows)],
        "income €": ["?" if n % 10 == 0 else round(float(income[n]), 2) for n in range(rows)],
        "region": [None if n % 50 == 0 else "北南东西"[n % 4] for n in range(rows)],
        "opened": [f"2024-0{1 + n % 9}-1{n % 9}" for n in range(rows)],
        "currency": ["EUR"] * rows,
        "outcome": [["good", "late", "bad"][int(r > 0) + int(r > 1)] for r in risk],
        "default": [
            None if n % 100 == 0 else ["no", "yes"][int(r > 0.5)] for n, r in enumerate(risk)
        ],
    }  # fmt: skip


def written(path: Path, table: dict[str, list[object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8-sig") as file:  # a byte order mark, as Excel
        writer = csv.writer(file)
        writer.writerow(table)
        writer.writerows(["" if c is None else c for c in row] for row in rows_of(table))
    return path


def rows_of(table: dict[str, list[object]]) -> Iterable[tuple[object, ...]]:
    return zip(*table.values(), strict=True)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("own") / "clients.csv", cells())


def refused(asked: OwnTable, parties: int = 3) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as refusal:
        load(asked, parties, Words())
    assert refusal.value.hint
    return refusal.value


def test_an_odd_table_becomes_a_study(path: Path, tmp_path: Path) -> None:
    loaded = load(OwnTable(path, "outcome", "bad", by="年龄"), 4, Words())
    study = loaded.study(tmp_path / "data", rounds=5)
    assert study.features.columns == ("年龄", "income €", "region", "default", "outcome")
    assert set(study.left_out) == {"customer_id", "opened", "currency"}
    ages = [share.means["年龄"] for share in study.shares]
    assert ages == sorted(ages)
    assert sum(share.rows for share in study.shares) + len(study.labels) == ROWS
    assert study.plan.batch_size == 16
    for config in study.datasets.values():  # every share fits the declaration that it is under
        assert open_source(config).describe().rows > 40
    again = load(OwnTable(path, "outcome", "bad", by="年龄"), 4, Words())
    assert [s.path.read_bytes() for s in study.shares] == [
        s.path.read_bytes() for s in again.study(tmp_path / "again", 5).shares
    ]


def test_rows_without_a_label_are_left_aside_and_the_telling_value_is_chosen(
    path: Path, tmp_path: Path
) -> None:
    study = load(OwnTable(path, "default"), 3, Words()).study(tmp_path, 5)
    assert study.dropped == ROWS // 100
    assert study.features.label.positive == "yes"
    assert study.by is None
    assert study.shares[0].spread == ()


@pytest.mark.parametrize("kind", ["float", "bool", "int", "category"])
def test_a_label_of_any_kind_of_two_values_can_be_predicted(tmp_path: Path, kind: str) -> None:
    table = cells()
    positive = pa.array([word == "bad" for word in table["outcome"]])
    made = {
        "float": pa.array([None if n == 0 else float(b.as_py()) for n, b in enumerate(positive)]),
        "bool": positive,
        "int": positive.cast(pa.int8()),
        "category": pa.array(table["outcome"]).dictionary_encode(),
    }[kind]
    pq.write_table(pa.table({"age": pa.array(table["年龄"]), "y": made}), tmp_path / "t.parquet")
    wanted = "bad" if kind == "category" else ""
    loaded = load(OwnTable(tmp_path / "t.parquet", "y", wanted), 3, Words())
    assert loaded.features.label.positive == wanted or {"bool": "true"}.get(kind, "1")
    study = loaded.study(tmp_path / "data", 5)
    assert 0 < study.labels.mean() < 0.5
    assert open_source(study.datasets["party-a"]).describe().rows == study.shares[0].rows


@pytest.mark.parametrize(
    ("asked", "code", "told"),
    [
        ({"label": "outcome"}, "unsuitable_label", "--positive VALUE (found: bad, good, late)"),
        ({"label": "outcome", "positive": "worse"}, "unsuitable_label", "found: bad, good, late"),
        ({"label": "currency"}, "unsuitable_label", "--label"),
        ({"label": "customer_id"}, "unsuitable_label", "two values"),
        ({"label": "defualt"}, "unknown_column", "Did you mean default? Its columns: "),
        ({"label": "xyz"}, "unknown_column", "Name one of its columns: "),
        ({"label": "default", "by": "currency"}, "unsuitable_table", "--by"),
        ({"label": "default", "by": "regoin"}, "unknown_column", "region"),
        ({"label": "default", "by": "default"}, "unknown_column", "年龄"),
    ],
)
def test_refusals_say_what_would_help(
    path: Path, asked: dict[str, str], code: str, told: str
) -> None:
    refusal = refused(OwnTable(path, **asked))
    assert refusal.code == code
    assert told in refusal.hint


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_an_empty_column_cuts_no_table_and_a_doubled_one_is_said_to_be(
    tmp_path: Path, suffix: str
) -> None:
    table = cells() | {"empty": [None] * ROWS}
    hollow = written(tmp_path / "hollow.csv", table)
    if suffix == "parquet":
        plain = pa.table(
            {"age": [n % 50 for n in range(ROWS)], "default": ["yes", "no"] * (ROWS // 2)}
        )
        nan = plain.append_column("empty", pa.array([float("nan")] * ROWS))
        pq.write_table(nan, hollow := tmp_path / "hollow.parquet")
    refusal = refused(OwnTable(hollow, "default", by="empty"))
    assert (refusal.code, refusal.hint) == ("unsuitable_table", "Name another column: --by.")
    assert "no value" in refusal.message
    doubled = tmp_path / "doubled.csv"
    doubled.write_text("a,a,y\n" + "1,2,0\n2,3,1\n" * 200)
    assert "twice" in refused(OwnTable(doubled, "a")).hint


def test_too_few_rows_and_too_small_shares_are_refused(path: Path, tmp_path: Path) -> None:
    small = written(tmp_path / "small.csv", cells(100))
    assert refused(OwnTable(small, "default")).code == "unsuitable_table"
    refusal = refused(OwnTable(path, "default", by="region"), 9)
    assert refusal.code == "unsuitable_table"
    assert "--by" in refusal.hint


def test_too_few_of_a_class_to_test_on_and_too_many_cells_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = cells()
    table["default"] = ["yes" if n < 20 else "no" for n in range(ROWS)]
    rare = written(tmp_path / "rare.csv", table)
    refusal = refused(OwnTable(rare, "default"))
    assert refusal.code == "unsuitable_table"
    assert "10 of each class" in refusal.hint
    monkeypatch.setattr(own_table, "MOST_CELLS", 1000)
    assert refused(OwnTable(rare, "outcome", "bad")).code == "dataset_too_large"


def test_hidden_characters_are_refused_in_a_label_and_left_out_elsewhere(tmp_path: Path) -> None:
    table = cells()
    table["default"] = [word and f"{word}\u202e" for word in table["default"]]
    table["region"] = [word and f"{word}\x1b[2J" for word in table["region"]]
    hiding = written(tmp_path / "hiding.csv", table)
    assert refused(OwnTable(hiding, "default")).code == "unsuitable_label"
    assert "region" not in load(OwnTable(hiding, "outcome", "bad"), 3, Words()).features.columns


def test_a_table_without_any_usable_column_is_refused(tmp_path: Path) -> None:
    table = {name: cells()[name] for name in ("customer_id", "opened", "default")}
    refusal = refused(OwnTable(written(tmp_path / "bare.csv", table), "default"))
    assert refusal.code == "unsuitable_table"
    assert "opened: it holds dates" in refusal.message


def test_refusals_speak_chinese(path: Path) -> None:
    with pytest.raises(SecureFlowError) as refusal:
        load(OwnTable(path, "outcome"), 3, Words("zh"))
    assert refusal.value.message == "无法预测列 'outcome'：它有 3 个不同的值。"
