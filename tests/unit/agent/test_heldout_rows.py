"""Which rows a worker holds out by key: the same whatever file, format or order they come in."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from peers.pictures import png

from secureflow.adapters.datasources import SourceLimits, read_with_keys
from secureflow.agent.compute.kind import Secrets
from secureflow.agent.compute.preparation import PREPARATION_WORKER
from secureflow.agent.compute.training import MOMENTS, TRAINING_WORKER
from secureflow.agent.compute.worker import Worker
from secureflow.agent.compute.worker_errors import Asked, worker_error
from secureflow.agent.compute.workers import Workers
from secureflow.domain.schemas import ColumnConfig, DatasetConfig, DatasetPrivacy
from secureflow.domain.specs.base import RosterEntry, dump, parse
from secureflow.domain.specs.preparation import PreparationSpec
from secureflow.domain.specs.privacy import Privacy
from secureflow.domain.specs.split import KeySplit
from secureflow.domain.specs.training import (
    FeatureSpec,
    Label,
    NumericFeature,
    TrainingPlan,
    TrainingSpec,
)
from secureflow.engines.preparation import held_out
from secureflow.engines.preparation.keysplit import key_places
from secureflow.kit.errors import SecureFlowError

ROWS = 600
SECRETS = Secrets(b"\x05" * 32, b"\x06" * 32)
SPEC = TrainingSpec(
    project="prj_0000000000",
    name="t",
    purpose="t",
    submitter="t",
    roster=tuple(RosterEntry(f"bank-{n}", f"{n}" * 44, "clients") for n in "abc"),
    features=FeatureSpec(Label("y", "1"), (NumericFeature("x", (0.0, 1e6)),)),
    plan=TrainingPlan(validation=0.2, split=KeySplit("key"), draws="words"),
)
PRIVATE = replace(
    SPEC,
    features=FeatureSpec(Label("y", "1"), (NumericFeature("x", (0.0, 1e6), "bounds"),)),
    privacy=parse(Privacy, {
        "unit": "record", "mechanism": "dp-sgd", "noise": "enclave", "clipping_norm": 1.0,
        "delta": 1e-6, "rows": 1000, "noise_multiplier": 1.0, "metrics_noise": 10.0,
    }, "spec"),
)  # fmt: skip


def table(persons: Any = None) -> pa.Table:
    """Return rows of which a sum of x tells which ones they are."""
    persons = [f"p{at % 200}" for at in range(ROWS)] if persons is None else persons
    x = np.random.default_rng(1).permutation(ROWS).astype(float) ** 2
    y = ["1" if at % 3 else "0" for at in range(ROWS)]
    return pa.table({"person": persons, "x": x, "y": y})


def declared(path: Path, kind: str = "csv", key: str | None = "person") -> DatasetConfig:
    columns = (
        ColumnConfig("x", "number", bounds=(0, 1e6)),
        ColumnConfig("y", "category", ("0", "1")),
    )
    return DatasetConfig("clients", str(path), kind, columns, key=key)  # type: ignore[arg-type]


def csv(folder: Path, rows: pa.Table, name: str = "clients.csv") -> DatasetConfig:
    pyarrow.csv.write_csv(rows, folder / name)
    return declared(folder / name)


def parquet(folder: Path, rows: pa.Table) -> DatasetConfig:
    pyarrow.parquet.write_table(rows, folder / "clients.parquet")
    return declared(folder / "clients.parquet", "parquet")


def trained(
    config: DatasetConfig, spec: TrainingSpec = SPEC, secrets: Secrets = SECRETS
) -> tuple[int, int, list[float]]:
    """Return how many rows train and validate, and the sums over those that train."""
    found = TRAINING_WORKER.prepare("job", spec, config, SourceLimits(), secrets)
    return found.rows, found.validation, found.state.moments().tolist()


def refused(config: DatasetConfig, spec: TrainingSpec = SPEC) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as error:
        trained(config, spec)
    return error.value


def test_format_order_and_columns_that_come_later_move_no_row(tmp_path: Path) -> None:
    first = trained(csv(tmp_path, table()))
    shuffled = table().take(np.random.default_rng(2).permutation(ROWS))
    wider = table().append_column("colour", pa.array(["red"] * ROWS))
    assert trained(csv(tmp_path, shuffled)) == first
    assert trained(parquet(tmp_path, wider)) == first
    features = replace(
        SPEC.features,
        numeric=(  # type: ignore[type-var]
            *SPEC.features.numeric,
            NumericFeature("x", (0.0, 1e6)),
        ),
    )  # type: ignore[union-attr]
    again = replace(SPEC, plan=replace(SPEC.plan, seed=99, rounds=3), features=features)
    assert trained(csv(tmp_path, table()), again)[:2] == first[:2]
    assert first[0] + first[1] == ROWS
    assert 60 < first[1] < 180


def test_rows_that_come_later_move_no_earlier_one(tmp_path: Path) -> None:
    config = csv(tmp_path, table())
    _, _, before = trained(config)
    more = pa.table({"person": [f"q{at}" for at in range(50)], "x": [5e5] * 50, "y": ["0"] * 50})
    _, _, after = trained(csv(tmp_path, pa.concat_tables([table(), more])))
    assert after[1:3] == before[1:3]  # the sums of x and of its squares: 5e5 is the middle
    assert after[0] > before[0]


@pytest.mark.parametrize("kind", ["number", "text", "undeclared"])
def test_numbers_are_the_same_keys_in_every_format(tmp_path: Path, kind: str) -> None:
    numbers = [at % 200 for at in range(ROWS)]
    whole = table(pa.array(numbers, pa.int64()))
    words = table([f"{at:06d}" for at in numbers])
    further = () if kind == "undeclared" else (ColumnConfig("person", kind),)  # type: ignore[arg-type]
    found = [
        trained(replace(config, columns=(*config.columns, *further)))
        for config in (
            csv(tmp_path, whole),
            csv(tmp_path, words, "w.csv"),
            parquet(tmp_path, whole),
        )
    ]
    assert found[0] == found[1] == found[2]
    if kind == "number":
        floats = parquet(tmp_path, table([float(at) for at in numbers]))
        assert trained(replace(floats, columns=(*floats.columns, *further))) == found[0]


def test_whose_secret_it_is_decides_and_the_files_does_not(tmp_path: Path) -> None:
    config = csv(tmp_path, table())
    assert trained(config, secrets=replace(SECRETS, file=b"\x01" * 32)) == trained(config)
    assert trained(config, secrets=replace(SECRETS, keys=b"\x01" * 32)) != trained(config)


def test_all_rows_of_a_person_have_one_part_and_folds_cover_all(tmp_path: Path) -> None:
    one = csv(tmp_path, table(["only"] * 300 + [f"p{at}" for at in range(300)]))
    counts = []
    for fold in range(4):
        plan = replace(SPEC.plan, split=KeySplit("key", 4, fold))
        counts.append(trained(one, replace(SPEC, plan=plan))[1])
    assert sum(counts) == ROWS
    assert sum(count >= 300 for count in counts) == 1


def test_the_key_is_a_column_that_no_job_has_to_be_granted(tmp_path: Path) -> None:
    config = csv(tmp_path, table())
    assert "person" not in SPEC.column_names
    columns, keys = read_with_keys(config, SourceLimits(), ("x",), tolerant=False)
    assert list(columns) == ["x"]
    assert keys[0] == "p0"


def test_the_column_of_persons_is_the_key_unless_another_is_declared(tmp_path: Path) -> None:
    privacy = DatasetPrivacy("d", 3.0, 1e-6, "person", required=False, person="person")
    config = replace(csv(tmp_path, table()), key=None, privacy=privacy)
    assert trained(config) == trained(csv(tmp_path, table()))
    by_label = replace(config, key="y")
    assert (by_label.key_column, config.key_column) == ("y", "person")


def test_without_a_key_the_error_says_what_to_write(tmp_path: Path) -> None:
    error = refused(replace(csv(tmp_path, table()), key=None))
    assert error.code == "key_undeclared"
    assert "'clients'" in str(error.message)
    assert "key: COLUMN" in str(error.hint)
    assert "data publish clients" in str(error.hint)
    config = replace(csv(tmp_path, table()), key=None)
    with pytest.raises(SecureFlowError) as early:
        TRAINING_WORKER.check("job", PRIVATE, config, SourceLimits())
    assert early.value.code == "key_undeclared"
    told = worker_error(error.as_json(), Asked("job", dump(SPEC), config))
    assert (told.code, told.hint) == ("key_undeclared", error.hint)


@pytest.mark.parametrize("blank", [None, "", "  "])
def test_a_row_without_a_key_is_named(tmp_path: Path, blank: str | None) -> None:
    persons = [f"p{at}" for at in range(ROWS)]
    config = csv(tmp_path, table([*persons[:40], blank, *persons[41:]]))
    error = refused(config)
    assert error.code == "schema_mismatch"
    assert "row 41, column 'person': it is empty, and is the key" in str(error.message)
    told = worker_error(error.as_json(), Asked("job", dump(SPEC), config))
    assert "row 41, column 'person': it is empty" in str(told.message)
    answer = Worker(SourceLimits())
    with pytest.raises(SecureFlowError, match="it is empty, and is the key"):
        answer.describe(dump(config), "05" * 32)


def test_numbers_too_large_to_be_told_apart_are_no_keys(tmp_path: Path) -> None:
    config = csv(tmp_path, table([10**17 + at for at in range(ROWS)]))
    assert trained(config)[0]  # as texts they are
    numbers = replace(config, columns=(*config.columns, ColumnConfig("person", "number")))
    assert "declare the key as text" in str(refused(numbers).message)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_first_number_that_has_a_neighbours_place_is_no_key(tmp_path: Path, sign: int) -> None:
    """2^53 + 1 is read as 2^53: two persons would be one, whichever of them comes first."""
    column = (ColumnConfig("person", "number"),)
    for last, fits in ((2**53 - 1, True), (2**53, False), (2**53 + 1, False)):
        config = csv(tmp_path, table([*range(ROWS - 1), sign * last]))
        numbers = replace(config, columns=(*config.columns, *column))
        if fits:
            assert trained(numbers)[0]
        else:
            assert f"row {ROWS}, column 'person': as a number" in str(refused(numbers).message)


def test_a_key_that_the_file_does_not_have_is_named(tmp_path: Path) -> None:
    config = replace(csv(tmp_path, table()), key="nobody")
    assert "column 'nobody': it is not in the header" in str(refused(config).message)


def parts(config: DatasetConfig) -> tuple[int, int]:
    found = TRAINING_WORKER.prepare("job", PRIVATE, config, SourceLimits(), SECRETS)
    return found.state.rows  # type: ignore[no-any-return]


def test_with_privacy_a_row_moves_no_other_and_none_is_refused(tmp_path: Path) -> None:
    """Its part depends on its own key alone: neighbours differ in one row of one part."""
    whole = parts(csv(tmp_path, table()))
    for left in (0, 17, ROWS - 1):
        rows = table().take([at for at in range(ROWS) if at != left])
        fewer = parts(csv(tmp_path, rows))
        assert sorted(a - b for a, b in zip(whole, fewer, strict=True)) == [0, 1]
    persons: list[Any] = [None if at % 10 == 0 else f"p{at % 200}" for at in range(ROWS)]
    train, valid = parts(csv(tmp_path, table(persons)))
    assert train + valid == ROWS
    alone = parts(csv(tmp_path, table([None] * ROWS)))
    assert alone == (ROWS, 0)


def test_with_privacy_a_row_without_a_label_moves_no_other(tmp_path: Path) -> None:
    """It is not there; all others are in the parts that their keys say."""
    whole = table()
    x = whole["x"].to_numpy() / 5e5 - 1
    held = held_out(np.array(whole["person"].to_pylist(), object), SECRETS.keys, 0.2)
    for missing in ([], [5], range(0, ROWS, 7)):
        labels = [None if at in missing else one for at, one in enumerate(whole["y"].to_pylist())]
        config = csv(tmp_path, whole.set_column(2, "y", pa.array(labels)))
        state = TRAINING_WORKER.prepare("job", PRIVATE, config, SourceLimits(), SECRETS).state
        there = np.array([one is not None for one in labels])
        for (rows, _), part in zip(state._private_rows, (~held, held), strict=True):
            found = rows[np.arange(len(rows))][:, 0]
            assert np.allclose(np.sort(found), np.sort(x[part & there]), atol=1e-6)


def test_with_privacy_few_held_out_rows_are_measured_as_well(tmp_path: Path) -> None:
    """A least number would have one row decide about others."""
    few = replace(PRIVATE, plan=replace(PRIVATE.plan, validation=0.01))
    config = csv(tmp_path, table([f"p{at}" for at in range(ROWS)]))
    found = TRAINING_WORKER.prepare("job", few, config, SourceLimits(), SECRETS)
    assert 0 < found.state.rows[1] < 10


def test_folders_of_arrays_and_images_have_keys_too(tmp_path: Path) -> None:
    words, numbers = [f"{at % 20}" for at in range(60)], np.arange(60) % 20
    wanted = key_places(np.array(words, dtype=object), SECRETS.keys).tolist()
    np.save(tmp_path / "x.npy", np.arange(60.0))
    columns: tuple[ColumnConfig, ...] = (ColumnConfig("x", "number"),)
    arrays = DatasetConfig("waves", str(tmp_path), "arrays", columns, key="who")
    for cells, further in ((np.array(words), ()), (numbers, (ColumnConfig("who", "number"),))):
        np.save(tmp_path / "who.npy", cells)
        declared_so = replace(arrays, columns=(*columns, *further))
        _, keys = read_with_keys(declared_so, SourceLimits(), ("x",), tolerant=False)
        assert key_places(keys, SECRETS.keys).tolist() == wanted
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / "one.png").write_bytes(png(1))
    lines = ["file,who", *(f"one.png,{word}" for word in words)]
    (folder / "list.csv").write_text("\n".join(lines) + "\n")
    columns = (ColumnConfig("file", "image", shape=(4, 6, 3)),)
    images = DatasetConfig("scans", str(folder), "images", columns, index="list.csv", key="who")
    for tolerant in (False, True):
        _, keys = read_with_keys(images, SourceLimits(), ("file",), tolerant=tolerant)
        assert key_places(keys, SECRETS.keys).tolist() == wanted


@pytest.mark.slow
async def test_a_worker_that_was_killed_holds_out_the_same_rows_again(tmp_path: Path) -> None:
    config, workers = csv(tmp_path, table()), await Workers.start()
    try:
        spec, salt = dump(SPEC), SECRETS.file
        counts = await workers.prepare("job", spec, config, salt, "", SECRETS.keys)
        sums = (await workers.compute("job", MOMENTS))["sums"]
        os.kill(workers.pids()["job"], signal.SIGKILL)
        assert (await workers.compute("job", MOMENTS))["sums"] == sums
        again = await workers.prepare("job", spec, config, salt, "", SECRETS.keys)
        other = await workers.prepare("job", spec, config, salt, "", b"\x01" * 32)
    finally:
        await workers.stop()
    assert (counts["rows"], counts["validation"], sums) == trained(config)
    assert again == counts
    assert other != counts


def test_a_preparation_is_fitted_to_the_rows_that_training_keeps(tmp_path: Path) -> None:
    roster = [dump(one) for one in SPEC.roster]
    value = {
        "project": "prj_0000000000", "name": "t", "purpose": "t", "submitter": "t",
        "roster": roster, "columns": [{"column": "x", "type": "number", "bounds": [0, 1e6]}],
        "steps": [{"step": "standardise", "columns": ["x"]}],
    }  # fmt: skip
    config = csv(tmp_path, table())

    def rows(**changes: Any) -> int:
        spec = parse(PreparationSpec, {**value, **changes})
        return PREPARATION_WORKER.prepare("job", spec, config, SourceLimits(), SECRETS).rows

    kept = trained(config)[0]
    assert rows() == ROWS
    assert rows(held_out={"share": 0.2}) == kept < ROWS
    each = [rows(held_out={"folds": 4, "fold": at}) for at in range(4)]
    assert sum(ROWS - one for one in each) == ROWS
    config = replace(config, key=None)
    with pytest.raises(SecureFlowError, match="declares no key"):
        rows(held_out={"share": 0.2})
