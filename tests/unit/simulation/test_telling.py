"""A simulation is of one's own code and one's own rows: what fails in it says everything."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import save_file
from unit.engines.training.beside_world import FEATURES as BESIDE
from unit.engines.training.beside_world import LABELS, SIDE
from unit.engines.training.beside_world import table as beside_rows

from secureflow import simulate
from secureflow.adapters.datasources import SourceLimits
from secureflow.kit.errors import SecureFlowError
from secureflow.simulation.training import table as reading
from secureflow.texts import chinese
from tests.unit.simulation.test_bundles import GOOD, TRAIN, folder
from tests.unit.simulation.test_simulation import table

__all__ = ["table"]

NUMERIC = [{"column": "x", "bounds": [-4, 4]}]


@pytest.fixture(autouse=True)
def usual_warnings() -> Iterator[None]:
    """Have warnings shown, as in a Python that nobody configured."""
    with warnings.catch_warnings():
        warnings.resetwarnings()
        yield


def failed(job: dict[str, Any], data: Any, **more: Any) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        simulate(job, data, **{"parties": 2, **more})
    error = caught.value
    assert chinese(error.message) is not None
    assert error.hint
    assert chinese(error.hint) is not None
    return error


def notes(error: SecureFlowError) -> str:
    return "\n".join(getattr(error, "__notes__", ()))


def training(body: str) -> str:
    """Return the bundle whose `train` begins with these lines."""
    lines = "".join(f"        {line}\n" for line in body.split("\n"))
    return GOOD.replace(TRAIN, TRAIN + lines)


def test_an_exception_shows_the_lines_of_ones_own_code(table: pa.Table, tmp_path: Path) -> None:
    """All of the bundle's frames, also of the error before, and none of ours or of a library."""
    body = "try:\n    chances(weights, 'no rows')\nexcept Exception as error:\n"
    body += "    if round == 2:\n        raise KeyError('row 7') from error"
    error = failed(folder(tmp_path, training(body)), table)
    told = "party-001, round 2: The bundle's train failed here: KeyError: 'row 7' (model.py, line"
    assert error.message.startswith(told)
    trace = notes(error).splitlines()
    frames = [one.strip() for one in trace if one.strip().startswith("File ")]
    own = tmp_path.resolve() / "churn"
    assert frames == [
        f'File "{own}/model.py", line 14, in train',
        f'File "{own}/parts/chances.py", line 5, in chances',
        f'File "{own}/model.py", line 17, in train',
    ]
    assert "    chances(weights, 'no rows')" in trace
    assert "The above exception was the direct cause of the following exception:" in trace
    assert trace[-1] == "KeyError: 'row 7'"


def test_a_module_that_does_not_parse_shows_its_line(table: pa.Table, tmp_path: Path) -> None:
    error = failed(folder(tmp_path, "class Model:\n    def f(:\n"), table)
    assert "    def f(:" in notes(error)
    assert 'model.py", line 2' in notes(error)


CALLS: dict[str, tuple[str, str, str]] = {
    "train gives nothing": (
        TRAIN, TRAIN + "        return None\n",
        "party-001, round 1: The bundle's train failed here: it returned None, not a dict of",
    ),
    "initial gives a list": (
        'return {"coef": np', 'return [1]\n        return {"coef": np',
        "The bundle's initial failed here: it returned list, not a dict of names to arrays",
    ),
    "a shape": (
        TRAIN, TRAIN + "        return {**weights, 'coef': weights['coef'][:2]}\n",
        "party-001, round 1: The bundle's train failed here: coef has the shape [2], not [5]",
    ),
    "evaluate gives an array": (
        '"loss": loss,', '"loss": np.zeros(3),',
        "party-001, round 1: The bundle's evaluate failed here: loss is ndarray [3], not a number",
    ),
    "evaluate gives a number": (
        "return {\"rows\"", "return 7\n        return {\"rows\"",
        "The bundle's evaluate failed here: it returned int, not a dict of names to numbers",
    ),
    "prepare raises": (
        "self.training, self", "1 / 0\n        self.training, self",
        "party-001, round 1: The bundle's prepare failed here: ZeroDivisionError",
    ),
    "it cannot be made": (
        "self.rate =", "1 / 0\n        self.rate =",
        "The bundle's __init__ failed here: ZeroDivisionError",
    ),
    "a counter is too large": (
        '"coef": np.zeros(5, "float32")', '"coef": np.zeros(5, "float32"), "n": np.int64(1 << 25)',
        "holds a whole number above 2^24",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_the_method_that_failed_is_named(table: pa.Table, tmp_path: Path, name: str) -> None:
    before, after, told = CALLS[name]
    assert before in GOOD
    assert told in failed(folder(tmp_path, GOOD.replace(before, after)), table).message


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("weights['coef'][1:3] = np.nan", "coef holds NaN (2 of its 5 numbers)"),
        ("weights['intercept'] = np.float32([1]) / 0", "intercept holds infinite numbers (1 of"),
        ("weights['coef'] = np.full(5, 1e300)", "coef holds infinite numbers (5 of its 5)"),
    ],
)  # fmt: skip
def test_numbers_that_are_none_are_called_so(
    table: pa.Table, tmp_path: Path, body: str, told: str
) -> None:
    source = training(f"if round == 2:\n    {body}\n    return weights")
    error = failed(folder(tmp_path, source), table)
    assert error.code == "bundle_output_refused"
    assert error.message.startswith(f"party-001, round 2: The bundle's train failed here: {told}")
    first = GOOD.replace("np.zeros(1,", "np.full(1, -np.inf).astype(")
    error = failed(folder(tmp_path / "first", first), table)
    assert "The bundle's initial failed here: intercept holds infinite" in error.message


def test_a_whole_number_that_cannot_be_held_is_named_after_training_too(
    table: pa.Table, tmp_path: Path
) -> None:
    source = training("weights['n'] = weights['n'] + (1 << 25)")
    source = source.replace('return {"coef"', 'return {"n": np.int64(0), "coef"')
    error = failed(folder(tmp_path, source), table)
    assert error.message.startswith("party-001, round 1: The bundle's train failed here: ")
    assert "'n' holds a whole number above 2^24" in error.message


def test_prints_are_marked_and_warnings_told_once(
    table: pa.Table, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    body = "import sys, warnings\nprint('two\\nlines', end='')\nprint('aside', file=sys.stderr)\n"
    body += "warnings.warn(f'it took {round} steps\\nof {round * 1.5e3}')"
    outcome = simulate(folder(tmp_path, training(body)), table, parties=2)
    out, err = capfd.readouterr()
    assert out == ""
    rounds = len(outcome.history)
    one = ["party-001 | two", "party-001 | linesaside"]
    assert err.splitlines() == [*one, *(line.replace("1 |", "2 |") for line in one)] * rounds
    (note,) = outcome.notes
    told = f"A warning of the code ({2 * rounds} ×): UserWarning: it took 1 steps of 1500.0 "
    told += "(model.py, line 16)"
    assert note == told
    assert f"{2 * rounds} 次" in str(chinese(note))


def test_logs_have_the_mark_of_the_party_whose_code_wrote_them(
    table: pa.Table, tmp_path: Path, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A handler keeps the stream that it met first: every line was the first party's."""
    monkeypatch.setattr(logging, "root", logging.RootLogger(logging.WARNING))
    monkeypatch.setattr(logging.Logger, "root", logging.root)
    body = "import logging\nlogging.root.handlers or logging.basicConfig()\n"
    body += "print('a', end='')\nlogging.root.warning('said')"
    simulate(folder(tmp_path, training(body)), table, parties=2)
    told = capfd.readouterr().err.splitlines()
    assert set(told) == {f"party-00{n} | aWARNING:root:said" for n in (1, 2)}


def test_warnings_before_a_failure_are_told_with_it(
    table: pa.Table, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    error = failed(folder(tmp_path, training("return {**weights, 'coef': weights['coef'] / 0}")),
                   table)  # fmt: skip
    assert "RuntimeWarning: invalid value" in notes(error)
    assert capfd.readouterr().err == ""
    assert warnings.filters == []


def test_many_warnings_are_counted_together_and_streams_have_what_streams_have(
    table: pa.Table, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    body = "import sys, warnings\nfor at in range(40):\n    warnings.warn('a' * (1 + at))\n"
    body += "print(sys.stdout.encoding.lower(), sys.stdout.isatty(), sys.stderr.fileno() > 0)\n"
    body += "sys.stdout.flush()\nsys.stdout.buffer.write(b'bytes\\n')"
    found = simulate(folder(tmp_path, training(body)), table, parties=2).notes
    assert len(found) == 31
    assert found[-1] == "60 further warnings of the code."
    err = capfd.readouterr().err
    assert "party-002 | utf-8 False True\n" in err
    assert "bytes\n" in err


def test_code_that_ignores_its_warnings_is_left_alone(table: pa.Table, tmp_path: Path) -> None:
    source = "import warnings\nwarnings.filterwarnings('ignore')\n"
    source += training("warnings.warn('not this one')")
    assert simulate(folder(tmp_path, source), table, parties=2).notes == ()


def rows(count: int = 60) -> dict[str, np.ndarray]:
    draws = np.random.default_rng(4)
    return {"x": draws.normal(size=count), "y": draws.integers(0, 2, count).astype(float)}


def csv(path: Path, columns: dict[str, Any]) -> Path:
    lines = [",".join(map(str, line)) for line in zip(*columns.values(), strict=True)]
    path.write_text("\n".join([",".join(columns), *lines]) + "\n")
    return path


LABELS_OF: list[tuple[dict[str, Any], Any, str, str]] = [
    ({"bounds": [0, 1]}, 41.5, "the cell holds 41.5.", "The column goes from 0 to 41.5."),
    ({"classes": ["0", "1"]}, 7, "the cell holds 7.", "The column holds 0, 1, 7."),
    ({"classes": ["0", "1"]}, "maybe", "the cell holds 'maybe'.", "holds '0', '1', 'maybe'."),
    ({"positive": "1"}, "", "Row {row} has no label in column 'y'.", "Remove rows"),
]


@pytest.mark.parametrize(("label", "cell", "told", "hint"), LABELS_OF)
def test_a_label_that_does_not_fit_is_told_by_the_row_of_the_file(
    tmp_path: Path, label: dict[str, Any], cell: Any, told: str, hint: str
) -> None:
    columns: dict[str, Any] = {name: one.tolist() for name, one in rows().items()}
    columns["y"] = [f"{one:.0f}" for one in columns["y"]]
    columns["y"][49] = cell
    features = {"label": {"column": "y", **label}, "numeric": NUMERIC}
    model = {"positive": {}, "classes": {"model": {"family": "softmax"}},
             "bounds": {"model": {"family": "linear"}}}[next(iter(label))]  # fmt: skip
    job = {"features": features, "plan": {"rounds": 1}, **model}
    file = csv(tmp_path / "bank.csv", columns)
    for partition in ("iid", "by:x"):
        error = failed(job, file, partition=partition, parties=3)
        assert error.message.startswith("bank.csv: Row 50 ")
        assert told.format(row=50) in error.message
        assert hint in error.hint
    columns["y"][49] = "1"
    first = csv(tmp_path / "first.csv", columns)
    assert failed(job, [first, file]).message.startswith("bank.csv: Row 50 ")


def test_a_cell_that_does_not_fit_names_the_file_and_no_agent(tmp_path: Path) -> None:
    columns = {name: one.tolist() for name, one in rows().items()}
    columns["x"][2] = "zebra"
    job = {"features": {"label": {"column": "y", "positive": "1"}, "numeric": NUMERIC}}
    error = failed(job, csv(tmp_path / "bank.csv", columns))
    told = "bank.csv does not fit the job: row 3, column 'x': it is not a number."
    assert (error.code, error.message) == ("schema_mismatch", told)
    assert "agent" not in error.hint


OWNERS = """
datasets:
  - name: narrow
    path: x.csv
    format: csv
    columns: [{name: x, type: number, bounds: [-1, 1]}, {name: y, type: number}]
  - name: wide
    path: x.csv
    format: csv
    columns: [{name: x, type: number}, {name: y, type: number}]
"""


def test_one_of_several_declarations_is_chosen_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "agent.yaml").write_text(OWNERS)
    file = csv(tmp_path / "bank.csv", {name: one.tolist() for name, one in rows().items()})
    features = {"label": {"column": "y", "positive": "1"}, "numeric": NUMERIC}
    job = {"features": features, "plan": {"rounds": 1}}
    agent = tmp_path / "agent.yaml"
    assert simulate(job, file, parties=2, dataset=f"{agent}:wide").digest
    error = failed(job, file, dataset=Path(f"{agent}:narrow"))
    assert error.message.startswith("Dataset 'bank.csv' does not fit its declared schema: row ")
    assert "--dataset" in error.hint
    error = failed(job, file, dataset=f"{agent}:other")
    assert (error.code, error.hint) == ("invalid_request", "It declares: narrow, wide.")
    error = failed(job, file, dataset=agent)
    assert "--dataset FILE:NAME" in error.hint
    assert "narrow, wide" in error.hint


def drawn(place: Path) -> Path:
    pictures = pytest.importorskip("PIL.Image")
    found = beside_rows(90)
    for at, (kind, scan) in enumerate(zip(found["kind"], found["scan"], strict=True)):
        (place / kind).mkdir(parents=True, exist_ok=True)
        pictures.fromarray(scan[..., 0]).save(place / kind / f"{at:03}.png")
    return place


def test_images_of_another_size_are_told_by_their_file_and_the_jobs_shape(tmp_path: Path) -> None:
    place = drawn(tmp_path / "scans")
    images = [{**BESIDE["images"]["images"][0], "column": "image", "shape": [SIDE, 9, 1]}]
    features = {"label": {**LABELS["classes"], "column": "label"}, "images": images}
    job = {"features": features, "plan": {"rounds": 1}, "model": {"family": "softmax"}}
    error = failed(job, place)
    assert error.code == "schema_mismatch"
    assert error.message.startswith("scans does not fit the job: row 1, file ")
    assert (
        f"are [{SIDE}, {SIDE}, 1], in the job's `shape` they are [{SIDE}, 9, 1]." in error.message
    )
    assert "`shape` of 'image' in the job file" in error.hint
    assert "table" not in error.message + error.hint


def test_arrays_of_another_shape_are_told_by_the_jobs(tmp_path: Path) -> None:
    arrays = [{**BESIDE["arrays"]["arrays"][0], "shape": [3, 5]}]
    features = {"label": LABELS["classes"], "arrays": arrays}
    job = {"features": features, "plan": {"rounds": 1}, "model": {"family": "softmax"}}
    found = beside_rows(90)
    error = failed(job, {name: found[name] for name in ("signal", "kind")})
    shape = list(found["signal"].shape[1:])
    told = f"column 'signal': its rows have the shape {shape}, the job's `shape` is [3, 5]."
    assert error.message.startswith("dict does not fit the job: ")
    assert error.message.endswith(told)
    assert "`shape` and `dtype` of 'signal' in the job file" in error.hint


def test_too_many_rows_are_told_by_their_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = csv(tmp_path / "bank.csv", {name: one.tolist() for name, one in rows().items()})
    monkeypatch.setattr(reading, "LIMITS", SourceLimits(max_rows=10))
    job = {"features": {"label": {"column": "y", "positive": "1"}, "numeric": NUMERIC}}
    error = failed(job, file)
    assert error.message == "bank.csv has more rows or bytes than a simulation reads."
    assert "agent" not in error.hint


def test_a_declared_folder_has_the_columns_that_its_owner_calls_it(tmp_path: Path) -> None:
    place = drawn(tmp_path / "scans")
    own = tmp_path / "own.yaml"
    kinds = sorted(one.name for one in place.iterdir())
    own.write_text(
        f"name: scans\npath: x\nformat: images\ncolumns: [{{name: scan, type: image, shape: "
        f"[{SIDE}, 9, 1], fit: resize}}, {{name: kind, type: category, categories: {kinds}}}]\n"
    )
    images = [{**BESIDE["images"]["images"][0], "shape": [SIDE, 9, 1]}]
    features = {"label": LABELS["classes"], "images": images}
    job = {"features": features, "plan": {"rounds": 1}, "model": {"family": "softmax"}}
    assert sum(simulate(job, place, parties=2, dataset=own).rows) == 90


def test_weights_of_another_model_are_listed_beside_the_models_own(
    table: pa.Table, tmp_path: Path
) -> None:
    other = {"coef": np.zeros(4, np.float32), "w": np.zeros((2, 3), np.float16)}
    save_file(other, tmp_path / "other.safetensors")
    error = failed(folder(tmp_path), table, initial=tmp_path / "other.safetensors")
    assert error.message == (
        "other.safetensors holds other tensors than the job's model: coef [4] float32, "
        "w [2, 3] float16; the model has coef [5] float32, intercept [1] float32."
    )
    assert "--save" in error.hint
    assert "upload" not in error.hint
    many = {f"t{at:02}": np.zeros(1, np.float32) for at in range(20)}
    save_file({**many, "coef": np.zeros(5, np.float32)}, tmp_path / "many.safetensors")
    error = failed(folder(tmp_path), table, initial=tmp_path / "many.safetensors")
    assert "model: t00 [1] float32, " in error.message
    assert "t07 [1] float32, …; the model has coef" in error.message


def test_missing_words_in_arrays_by_column_are_missing() -> None:
    """A file of an array holds no gaps: they became the word None, a class of its own."""
    gaps: dict[str, Any] = {
        "x": np.arange(30.0), "y": np.array(["1", None, "0"] * 10, object)
    }  # fmt: skip
    job = {
        "features": {
            "numeric": [{"column": "x", "bounds": [0, 30]}],
            "label": {"column": "y", "positive": "1"},
        },
        "plan": {"rounds": 1, "validation": 0.0},
    }
    with pytest.raises(SecureFlowError, match="missing_label"):
        simulate(job, gaps, parties=3)
    gaps["y"] = np.array(["1", "0", "0"] * 10, object)
    gaps["x"] = np.array([None, *range(29)], object)
    assert simulate(job, gaps, parties=3).rows == (10, 10, 10)
