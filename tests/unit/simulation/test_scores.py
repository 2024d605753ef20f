"""Contributions in simulated jobs: scored by the enclave's code, the same each time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pytest
from typer.testing import CliRunner

from secureflow import simulate
from secureflow.cli.main import app
from secureflow.kit.errors import SecureFlowError

ROWS = 900


@pytest.fixture(scope="module")
def table() -> pa.Table:
    draws = np.random.default_rng(6)
    x, z = draws.normal(size=(2, ROWS))
    chance = 1 / (1 + np.exp(-3 * x + z))
    return pa.table({"x": x, "z": z, "y": np.where(draws.random(ROWS) < chance, "yes", "no")})


def job(**more: Any) -> dict[str, Any]:
    plan = {"rounds": 3, "learning_rate": 0.2, "validation": 0.2, "contribution": {"rows": 12}}
    columns = [{"column": one, "bounds": [-4, 4]} for one in ("x", "z")]
    return {
        "kind": "training",
        "features": {"label": {"column": "y", "positive": "yes"}, "numeric": columns},
        "plan": {**plan, **more},
        "protection": "sealed",
    }


@pytest.mark.parametrize("parties", [3, 12])
def test_a_simulation_scores_as_an_enclave_does(table: pa.Table, parties: int) -> None:
    first, again = (simulate(job(), table, parties=parties).contribution for _ in range(2))
    assert first is not None
    assert again is not None
    assert first["scores"] == again["scores"]
    assert (first["scored"], first["rounds"], first["rows"]) == (True, [1, 2, 3], 12)
    assert len(first["scores"]) == parties
    assert sum(one["share"] for one in first["scores"].values()) == pytest.approx(1.0)
    assert all(one["low"] <= one["score"] <= one["high"] for one in first["scores"].values())


def test_scoring_changes_no_model(table: pa.Table) -> None:
    scored = simulate(job(), table, parties=4)
    plain = simulate(job(contribution=None), table, parties=4)
    assert scored.digest == plain.digest
    assert plain.contribution is None
    assert "contribution" not in plain.as_json()


def test_who_turns_its_updates_around_is_worth_least(table: pa.Table) -> None:
    told = simulate(job(), table, parties=5, attack="sign-flip:1x10").contribution
    assert told is not None
    scores = {name: one["score"] for name, one in told["scores"].items()}
    worst = min(scores, key=scores.__getitem__)
    assert scores[worst] < 0
    assert told["scores"][worst]["share"] == 0
    assert sum(one < 0 for one in scores.values()) == 1


def test_a_party_that_holds_out_too_few_rows_is_named(table: pa.Table) -> None:
    with pytest.raises(SecureFlowError) as refused:
        simulate(job(contribution={"rows": 100}), table, parties=3)
    assert refused.value.code == "validation_too_few"
    assert "party-001" in str(refused.value)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_command_line_shows_scores_shares_and_intervals(
    table: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", language)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "job.json").write_text(json.dumps(job()))
    csv.write_csv(table, tmp_path / "rows.csv")
    given = ["simulate", str(tmp_path / "job.json"), "--data", str(tmp_path / "rows.csv")]
    page = tmp_path / "page.html"
    ran = CliRunner().invoke(app, [*given, "--parties", "3", "--html", str(page)])
    assert ran.exit_code == 0, ran.output
    words = {"en": ("updates were worth", "nobody signed them"), "zh": ("价值", "无人签署")}
    for text in (*words[language], "party-001", " %", "["):
        assert text in ran.output
    assert all(text in page.read_text() for text in ("party-003", "评分", "95 % interval"))
