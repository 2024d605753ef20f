"""A simulation reads rows as the platform would, and tells what makes its figures meaningless."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from secureflow import simulate
from secureflow.cli.main import app
from secureflow.cli.main import exit_code as exit_of
from secureflow.kit.errors import SecureFlowError

NUMERIC = [{"column": "x", "bounds": [-4, 4], "scale": "bounds"}]
JOB: dict[str, Any] = {
    "features": {"label": {"column": "y", "positive": "1"}, "numeric": NUMERIC},
    "plan": {"rounds": 2, "learning_rate": 0.5, "validation": 0.3},
}
PRIVATE = {
    "plan": {"rounds": 2, "learning_rate": 0.5, "validation": 0.0},
    "privacy": {"delta": 1e-5, "noise_multiplier": 1.0, "rows": 200},
}
OWNER = """
datasets:
  - name: clients
    columns:
      - {name: x, type: number, bounds: [BOUNDS]}
      - {name: y, type: category, categories: ["0", "1"]}
"""


def rows(count: int = 200) -> tuple[np.ndarray, np.ndarray]:
    draws = np.random.default_rng(2)
    x = draws.normal(size=count)
    return x, (x + 0.3 * draws.normal(size=count) > 0).astype(float)


def csv(path: Path, cell: Any = str, extra: str = "") -> Path:
    lines = [f"{x:.4f},{cell(y)}" for x, y in zip(*rows(), strict=True)]
    path.write_text("\n".join(["x,y", *lines]) + "\n" + extra)
    return path


@pytest.mark.parametrize("label", [{"positive": "1"}, {"classes": ["0", "1"]}])
def test_a_label_that_the_file_holds_as_numbers_is_compared_as_numbers(
    tmp_path: Path, label: dict[str, Any]
) -> None:
    """1.0 is the class 1 wherever an owner declares a number; as text no row had the class."""
    features = {**JOB["features"], "label": {"column": "y", **label}}
    model = {"model": {"family": "softmax"}} if "classes" in label else {}
    plan = {**JOB["plan"], "rounds": 8, "learning_rate": 1.0}
    job = {**JOB, **model, "features": features, "plan": plan}
    x, y = rows()
    outcomes = [
        simulate(job, csv(tmp_path / "a.csv", lambda one: f"{one:.1f}"), parties=2),
        simulate(job, csv(tmp_path / "b.csv", lambda one: f"{one:.0f}"), parties=2),
        simulate(job, pa.table({"x": np.round(x, 4), "y": y}), parties=2),
    ]
    assert len({one.digest for one in outcomes}) == 1
    assert outcomes[0].metrics["loss"] < outcomes[0].history[0]["loss"]
    assert outcomes[0].metrics["accuracy"] < 1.0  # with one class only it would be 1
    assert outcomes[0].notes == ()


def test_each_file_has_its_label_as_it_holds_it(tmp_path: Path) -> None:
    """Numbers in one file, and words in another: each owner compares its own."""
    features = {**JOB["features"], "label": {"column": "y", "classes": ["0", "1", "02"]}}
    job = {**JOB, "features": features, "model": {"family": "softmax"}}
    numbers = csv(tmp_path / "a.csv", lambda one: f"{one:.1f}")
    words = csv(tmp_path / "b.csv", lambda one: f"{one:.0f}", "0.5,02\n")
    for files in ([numbers, words], [words, numbers]):
        outcome = simulate(job, files)
        assert sorted(outcome.rows) == [200, 201]
        assert outcome.notes == ()


def test_codes_stay_words(tmp_path: Path) -> None:
    file = csv(tmp_path / "c.csv", lambda one: f"0{one:.0f}")
    outcome = simulate(JOB, file, parties=2)
    assert "No row has the class '1'" in outcome.notes[0]
    features = {**JOB["features"], "label": {"column": "y", "positive": "01"}}
    assert simulate({**JOB, "features": features}, file, parties=2).notes == ()


def test_a_cell_that_is_no_number_ends_a_job_unless_it_is_private(tmp_path: Path) -> None:
    file = csv(tmp_path / "bad.csv", lambda one: f"{one:.0f}", "zebra,1\n")
    with pytest.raises(SecureFlowError) as caught:
        simulate(JOB, file, parties=2)
    assert caught.value.code == "schema_mismatch"
    outcome = simulate({**JOB, **PRIVATE}, file, parties=2)
    assert sum(outcome.rows) == 201


@pytest.mark.parametrize(
    ("bounds", "more", "code"),
    [
        ("-9, 9", {}, ""),
        ("-1, 1", {}, "schema_mismatch"),
        ("-9, 9", PRIVATE, "bounds_too_narrow"),
        ("-4, 4", PRIVATE, ""),
    ],
)
def test_owners_declarations_refuse_what_their_agents_would(
    tmp_path: Path, bounds: str, more: dict[str, Any], code: str
) -> None:
    file = csv(tmp_path / "rows.csv", lambda one: f"{one:.0f}")
    own = tmp_path / "agent.yaml"
    own.write_text(OWNER.replace("BOUNDS", bounds))
    if not code:
        assert simulate({**JOB, **more}, file, parties=2, dataset=own).digest
        return
    with pytest.raises(SecureFlowError) as caught:
        simulate({**JOB, **more}, file, parties=2, dataset=own)
    assert caught.value.code == code


def test_who_measures_nothing_is_told(tmp_path: Path) -> None:
    file = csv(tmp_path / "few.csv", lambda one: f"{one:.0f}")
    outcome = simulate(JOB, file, parties=20)
    assert outcome.metrics == {"rows": 0.0}
    assert "20 of 20 parties have fewer than 10 validation rows" in outcome.notes[0]
    assert outcome.as_json()["notes"] == list(outcome.notes)


def bad_csv(path: Path) -> Path:
    path.write_bytes(bytes(range(256)) * 40)
    return path


@pytest.mark.parametrize(
    ("job", "data", "more", "code", "exit_code"),
    [
        ("", "good", (), "invalid_file", 2),
        ("- a", "good", (), "invalid_file", 2),
        ("features: x", "good", (), "invalid_spec", 2),
        ("JOB", "binary", (), "invalid_file", 2),
        ("JOB", "empty", (), "invalid_file", 2),
        ("JOB", "jobfile", (), "invalid_file", 2),
        ("JOB", "header", (), "empty_dataset", 2),
        ("JOB", "good", ("--html", "/nonexistent/x.html"), "invalid_file", 2),
        ("JOB", "good", ("--save", "/nonexistent/x"), "invalid_file", 2),
        ("JOB", "good", ("--partition", "by:nope"), "unknown_column", 2),
        ("JOB", "twice", ("--parties", "7"), "invalid_request", 2),
        ("JOB", "good", ("--dataset", "JOBFILE"), "invalid_dataset", 2),
    ],
)
def test_what_cannot_be_used_is_refused_by_name_with_a_next_step(
    tmp_path: Path, job: str, data: str, more: tuple[str, ...], code: str, exit_code: int
) -> None:
    import yaml

    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump(JOB) if job == "JOB" else job)
    table = tmp_path / "rows.csv"
    csv(table, lambda one: f"{one:.0f}")
    if data == "binary":
        bad_csv(table)
    elif data in {"empty", "header"}:
        table.write_text("x,y\n" if data == "header" else "")
    elif data == "jobfile":
        table = file
    files = ["--data", str(table)] * (2 if data == "twice" else 1)
    options = [str(file) if one == "JOBFILE" else one for one in more]
    found = CliRunner().invoke(app, ["simulate", str(file), *files, *options])
    told = found.exception
    assert isinstance(told, SecureFlowError)
    assert told.code == code
    assert told.hint
    assert exit_of(told) == exit_code


def test_parquet_that_is_none_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1.0], "y": ["1"]}), tmp_path / "t.parquet")
    (tmp_path / "t.parquet").write_bytes((tmp_path / "t.parquet").read_bytes()[:60])
    with pytest.raises(SecureFlowError) as caught:
        simulate(JOB, tmp_path / "t.parquet", parties=2)
    assert caught.value.code == "invalid_file"


def test_long_steps_that_masks_clamp_are_told(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="needs the extra sklearn")
    file = csv(tmp_path / "few.csv", lambda one: f"{one:.0f}")
    job = {**JOB, "model": {"family": "sgd_classifier", "schedule": "optimal"}}
    assert simulate(job, file, parties=2).notes == ()
    (note,) = simulate({**job, "protection": "secagg"}, file, parties=2).notes
    assert "up to 10.0 long" in note
