"""In the worker: a step that takes rows which match reads these alone, whatever its kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peers.rows_world import fitting, head_of

from secureflow.adapters.datasources import SourceLimits, open_source, read_with_keys
from secureflow.agent.compute.mpc_engine_rows import EngineRows
from secureflow.agent.compute.worker import Worker
from secureflow.domain.ids import part_id
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.base import dump, parse
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.domain.specs.mpc import MpcSpec
from secureflow.kit.errors import SecureFlowError

JOB = "job_1m8nje847evwjh6gfj1c"
PART = part_id(JOB, 3)
TABLE = "age,income,id\n" + "".join(f"{n},{'high' if n % 2 else 'low'},k{n}\n" for n in range(40))
COLUMNS = [
    {"name": "age", "type": "number", "bounds": [0, 100]},
    {"name": "income", "type": "category", "categories": ["low", "high"]},
    {"name": "id", "type": "text"},
]
SELECTED = [31, 3, 17]
ROSTER = [{"party": f"bank-{n}", "key": n * 44, "dataset": "d"} for n in "abc"]
LABEL = {"column": "income", "positive": "high"}
AGE = {"column": "age", "bounds": [0, 100], "scale": "bounds"}


def spec_of(kind: str, **parts: Any) -> dict[str, Any]:
    rows = {"job": JOB, "selections": [{"party": "bank-a", "digest": "a" * 64}]}
    value = {**head_of(ROSTER), "kind": kind, "rows": rows,
             "part_of": {"job": JOB, "number": 3, "step": "fit"}, **parts}  # fmt: skip
    return dump(SPEC_KINDS.parse(value))


KINDS: dict[str, dict[str, Any]] = {
    "preparation": spec_of(
        "preparation", columns=fitting(ROSTER)["columns"], steps=fitting(ROSTER)["steps"]
    ),
    "training": spec_of(
        "training", features={"label": LABEL, "numeric": [AGE]},
        plan={"rounds": 1, "validation": 0.0},
    ),
    "mpc": spec_of(
        "mpc", computation={"name": "joint-sums", "queries": [
            {"name": "ages", "measure": "mean", "columns": ["age"]}]}, protocol="masked-sum",
        columns=[{"column": "age", "type": "number", "bounds": [0, 100]}],
    ),
}  # fmt: skip


@pytest.fixture
def config(tmp_path: Path) -> DatasetConfig:
    path = tmp_path / "d.csv"
    path.write_text(TABLE)
    value = {"name": "d", "path": str(path), "format": "csv", "columns": COLUMNS, "key": "id"}
    return parse(DatasetConfig, value, "dataset")


@pytest.fixture
def selection(tmp_path: Path) -> Path:
    path = tmp_path / "selection"
    path.write_bytes(np.array(SELECTED, "<i8").tobytes())
    return path


def prepared(spec: dict[str, Any], config: DatasetConfig, selection: str) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "spec": spec,
        "dataset": dump(config),
        "salt": "00" * 32,
        "keys": "11" * 32,
    }
    return Worker(SourceLimits()).prepare(PART, **arguments, selection=selection)


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_reads_the_rows_that_match_alone(
    kind: str, config: DatasetConfig, selection: Path
) -> None:
    assert prepared(KINDS[kind], config, str(selection))["rows"] == len(SELECTED)
    every = {name: one for name, one in KINDS[kind].items() if name not in {"rows", "part_of"}}
    assert prepared(every, config, str(selection))["rows"] == 40


@pytest.mark.parametrize("kind", KINDS)
def test_without_its_list_it_reads_none(kind: str, config: DatasetConfig) -> None:
    with pytest.raises(SecureFlowError) as caught:
        prepared(KINDS[kind], config, "")
    assert caught.value.code == "worker_failed"


@pytest.mark.parametrize(
    ("numbers", "code"),
    [([3, 3], "worker_failed"), ([-1], "worker_failed"), ([40], "dataset_changed")],
)
def test_numbers_that_are_no_rows_are_refused(
    config: DatasetConfig, selection: Path, numbers: list[int], code: str
) -> None:
    selection.write_bytes(np.array(numbers, "<i8").tobytes())
    with pytest.raises(SecureFlowError) as caught:
        prepared(KINDS["preparation"], config, str(selection))
    assert caught.value.code == code


def test_rows_come_in_the_order_of_the_list_with_their_keys(config: DatasetConfig) -> None:
    limits = SourceLimits(rows=np.array(SELECTED, np.int64))
    source = open_source(config, limits)
    assert source.describe().rows == 3
    assert source.read(("age",))["age"].tolist() == [31.0, 3.0, 17.0]
    assert [block["age"].tolist() for block in source.blocks(("age",))] == [[31.0, 3.0, 17.0]]
    columns, keys = read_with_keys(config, limits, ("age",), tolerant=True)
    assert (columns["age"].tolist(), keys.tolist()) == ([31.0, 3.0, 17.0], ["k31", "k3", "k17"])


def test_what_a_party_brings_to_an_engine_is_in_that_order(
    config: DatasetConfig, tmp_path: Path
) -> None:
    """Engines match rows by their places: the list is in the order of the keys at every party."""
    sides = [{"party": one["party"], "columns": ["age"]} for one in ROSTER[:2]]
    value = {**head_of(ROSTER[:2]), "kind": "mpc", "computation": {"name": "correlation"},
             "protocol": "cheetah", "sides": sides, "protection": "peers",
             "engine": {"name": "spu", "version": "0.9.5"}, "min_contributors": 2}  # fmt: skip
    path = tmp_path / "brought.npy"
    path.touch()
    rows = EngineRows(parse(MpcSpec, value), config, SourceLimits(rows=np.array(SELECTED)))
    assert rows.write_input("bank-a", path).tolist() == [3, 1]
    assert np.load(path).ravel().tolist() == [31.0, 3.0, 17.0]
