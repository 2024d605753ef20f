"""What a simulation refuses says what to do about it, and that is what helps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from unit.engines.training.beside_world import SIDE

from secureflow.cli.main import run
from tests.unit.simulation.test_bundles import GOOD, folder
from tests.unit.simulation.test_simulation import JOB, table
from tests.unit.simulation.test_telling import NUMERIC, csv, drawn, failed, rows

__all__ = ["table"]

PLAIN: dict[str, Any] = {"label": {"column": "y", "positive": "1"}, "numeric": NUMERIC}


def test_a_weight_that_does_not_fit_leads_in_no_circle(tmp_path: Path) -> None:
    """Left empty, as the hint said, it was refused again, with the same hint."""
    columns = {name: one.tolist() for name, one in rows().items()}
    features = {**PLAIN, "weight": {"column": "w", "bounds": [0, 10]}}
    for cell, told in ((-1, "outside of the job's bounds"), ("", "it has no weight")):
        columns["w"] = [1.0] * 59 + [cell]
        file = csv(tmp_path / "bank.csv", columns)
        error = failed({"features": features, "plan": {"rounds": 1}}, file)
        assert told in error.message
        assert error.hint == "Give every row a weight from 0 to 10."


def test_words_as_the_label_of_a_number_are_classes(tmp_path: Path) -> None:
    columns: dict[str, Any] = {name: one.tolist() for name, one in rows().items()}
    columns["y"] = ["yes" if one else "no" for one in columns["y"]]
    features = {"label": {"column": "y", "bounds": [0, 1]}, "numeric": NUMERIC}
    job = {"features": features, "plan": {"rounds": 1}, "model": {"family": "linear"}}
    hint = failed(job, csv(tmp_path / "bank.csv", columns)).hint
    assert "label: {column: y, classes: [A, B]}" in hint
    assert "feature" not in hint


def test_a_file_where_the_folder_of_code_belongs(table: pa.Table, tmp_path: Path) -> None:
    job = folder(tmp_path)
    job["model"]["folder"] += "/model.py"
    error = failed(job, table)
    assert error.message.endswith("model.folder: " + job["model"]["folder"] + " is a file.")
    assert error.hint == "Name the folder that the code is in."


IMPORTS = [
    ("import util", "a module of your own belongs into the folder: util.py."),
    ("from .util import x", "write `import util` or `from util import name`"),
]


@pytest.mark.parametrize(("line", "hint"), IMPORTS)
def test_a_module_of_ones_own_that_is_not_found(
    table: pa.Table, tmp_path: Path, line: str, hint: str
) -> None:
    assert hint in failed(folder(tmp_path, f"{line}\n{GOOD}"), table).hint


def test_settings_that_are_not_those_of_the_rows(table: pa.Table, tmp_path: Path) -> None:
    source = GOOD.replace("error = chances", "1 / 0\n            error = chances")
    job = folder(tmp_path, source)
    told: list[tuple[dict[str, Any], str]] = [
        ({"classes": 3}, "settings.classes is 3, but the label has 2 classes"),
        ({}, "settings: {features: 5, classes: 2}"),
        ({"rate": 0.1}, "The rows here: "),
    ]
    for settings, hint in told:
        job["model"]["settings"] = settings
        assert hint in failed(job, table).hint


def test_no_first_tensor_is_told_of_the_code(table: pa.Table, tmp_path: Path) -> None:
    source = GOOD.replace('return {"coef": np', 'return {}\n        return {"coef": np')
    error = failed(folder(tmp_path, source), table)
    assert error.code == "bundle_output_refused"
    assert "initial gave no tensor" in error.message


def test_fewer_parties_than_contributors_name_the_option(table: pa.Table) -> None:
    error = failed({**JOB, "min_contributors": 3}, table)
    assert "--parties 3" in error.hint


def test_the_largest_factor_of_an_attack_is_said(table: pa.Table) -> None:
    assert "at most 1,000,000" in failed(JOB, table, attack="sign-flip:1x10000000").hint


def test_a_file_among_images_is_named(tmp_path: Path) -> None:
    place = drawn(tmp_path / "scans")
    kind = min(one.name for one in place.iterdir())
    label = {"column": "label", "classes": sorted(one.name for one in place.iterdir())}
    images = [{"column": "image", "shape": [SIDE, SIDE, 1]}]
    job = {"features": {"label": label, "images": images}, "plan": {"rounds": 1},
           "model": {"family": "softmax"}}  # fmt: skip
    (place / kind / "notes.txt").write_text("no image")
    error = failed(job, place)
    assert "notes.txt" in error.message
    assert error.hint == "Replace that file, or move it out of the folder."
    (place / kind / "notes.txt").rename(place / "Thumbs.db")
    error = failed(job, place)
    assert "Thumbs.db is beside the folders of its classes" in error.message


FILES: list[tuple[bytes, str, str]] = [
    (b"x,y\n1,1\n\n1,2,3\n", "line 4 has 3 cells, the header 2", "quotes"),
    (b"x;y\n1,5;1\n2,5;0\n", "semicolons separate its cells", "commas between"),
    (b"x;y\n1;1\n2;0\n", "semicolons separate its cells", "commas between"),
    (b"x\ty\n1\t1\n", "tabs separate its cells", "commas between"),
    ("x,y\n1,1\n".encode("utf-16"), "it is not in UTF-8", "UTF-16"),
]


@pytest.mark.parametrize(("content", "told", "hint"), FILES)
def test_what_is_wrong_with_a_csv_file_is_told(
    tmp_path: Path, content: bytes, told: str, hint: str
) -> None:
    file = tmp_path / "bank.csv"
    file.write_bytes(content)
    error = failed({"features": PLAIN, "plan": {"rounds": 1}}, file)
    assert error.message.startswith(f"bank.csv cannot be used: {told}")
    assert hint in error.hint
    assert error.code == "invalid_file"


def test_what_is_no_yaml_is_told_by_its_own_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "job.yaml").write_text("plan: {rounds: 1}\nname: a: b\n")
    assert run(["simulate", str(tmp_path / "job.yaml")]) == 2
    err = capsys.readouterr().err
    assert "byte string" not in err
    assert "in line 2" in err


def test_a_job_that_measures_nothing_has_no_lines_of_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = csv(tmp_path / "bank.csv", {name: one.tolist() for name, one in rows().items()})
    (tmp_path / "job.yaml").write_text(
        "features: {label: {column: y, positive: '1'}, numeric: [{column: x, bounds: [-4, 4]}]}\n"
        "plan: {rounds: 1, validation: 0}\nmodel: {family: logistic_regression}\n"
    )
    assert run(["simulate", str(tmp_path / "job.yaml"), "--data", str(file), "--parties", "2"]) == 0
    err = capsys.readouterr().err
    assert "last model" not in err
    assert "figures of a round" not in err
    assert "round 1  0." in err


@pytest.mark.parametrize("start", ["resume: first", "initial: upl_0123456789"])
def test_a_start_that_only_the_centre_completes_is_told_as_such(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], start: str
) -> None:
    (tmp_path / "job.yaml").write_text(f"kind: training\n{start}\n")
    (tmp_path / "rows.csv").write_text("x,y\n1,2\n")
    data = str(tmp_path / "rows.csv")
    assert run(["simulate", str(tmp_path / "job.yaml"), "--data", data]) == 2
    err = capsys.readouterr().err
    assert "a simulation asks no centre" in err
    assert "job dry-run" in err
