"""`secureflow prep`: the catalogue of steps, and recipes for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from unit.engines.preparation.steps.world import PRIVATE, number, spec_of

from secureflow.cli.kinds import PreparationText
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.passes import FITTED
from secureflow.domain.specs.preparation_request import PreparationRequest
from secureflow.domain.specs.steps import CATALOGUE
from secureflow.engines.recipes.disclosure import attacks
from tests.unit.cli.test_cli_starts import NAMED, RECIPE


def test_every_step_is_listed_with_what_it_reads_and_does(cli: Any) -> None:
    status, out, _ = cli("prep", "list", "-o", "json")
    assert status == 0
    rows = json.loads(out)
    assert [row["step"] for row in rows] == [one.step for one in CATALOGUE]
    assert all(row["does"] and row["reads"] for row in rows)


@pytest.mark.parametrize("step", [one.step for one in CATALOGUE])
def test_the_example_of_a_step_is_one_that_a_job_may_hold(cli: Any, step: str) -> None:
    status, out, _ = cli("prep", "describe", step)
    assert status == 0
    shown = yaml.safe_load(out[out.index("steps:") :])
    request = {
        "project": "prj_0123456789", "name": "x", "purpose": "p", "datasets": ["d"],
        "columns": ["age"], **shown,
    }  # fmt: skip
    assert parse(PreparationRequest, request).steps[0].step == step


def test_a_step_says_what_each_parameter_takes(cli: Any) -> None:
    _, out, _ = cli("prep", "describe", "impute")
    assert "mean | median | mode | constant  required" in out
    _, out, _ = cli("prep", "describe", "woe")
    assert "> 0 … 1000" in out
    _, out, err = cli("prep", "describe", "standardise")
    assert "parameter" not in out + err
    _, out, _ = cli("prep", "describe", "hash", "-o", "json")
    assert json.loads(out)["parameters"] == [
        {"parameter": "buckets", "takes": "2 … 4096", "required": False, "default": 64}
    ]


@pytest.mark.parametrize("step", [one.step for one in CATALOGUE])
def test_a_step_is_described_for_programs_and_in_chinese(
    cli: Any, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, out, _ = cli("prep", "describe", step, "-o", "json")
    assert json.loads(out)["fitted"] is (step in FITTED)
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    status, out, _ = cli("prep", "describe", step)
    reads = next(one.reads for one in CATALOGUE if one.step == step)
    assert status == 0
    assert reads not in out.split("\n")[2]


def test_an_explanation_shows_what_was_fitted(centre: Any, cli: Any) -> None:
    fitted = [
        {"step": 1, "name": "impute", "column": "age", "fit": {"value": 37.5}},
        {"step": 2, "name": "quantile_bins", "column": "b\u202e", "fit": {"edges": [1.0, 2.5]}},
        {"step": 3, "name": "select", "column": "",
         "fit": {"kept": ["age"], "values": {"age": {}, "old": {"age": 0.75}}}},
        {"step": 4, "name": "select", "column": "",
         "fit": {"kept": ["age"], "values": {"age": 0.25}}},
        "nonsense", {"fit": 3}, {"fit": {"kept": 3, "values": {"a": [1]}}},
    ]  # fmt: skip
    centre.answers["GET /jobs/job_00000000/explain"] = (200, {"rounds": 2, "fitted": fitted})
    status, out, _ = cli("job", "explain", "job_00000000")
    assert status == 0
    part = out[out.index("What was fitted") :]
    for told in ("value 37.5", "edges [1, 2.5]", "keeps age (age, old ~ age 0.75)", "(age 0.25)"):
        assert told in part
    assert "\u202e" not in part


def test_an_unknown_step_is_refused_with_those_that_there_are(cli: Any) -> None:
    status, _, err = cli("prep", "describe", "imput")
    assert status == 2
    assert "impute, clip, standardise" in err


def test_a_recipe_is_shown_and_saved(centre: Any, cli: Any, tmp_path: Path) -> None:
    centre.answers["GET /jobs"] = (200, {"items": [NAMED], "next": ""})
    centre.answers["GET /jobs/job_00000000/recipe"] = (200, RECIPE)
    status, out, err = cli("prep", "show", "credit", "--save", tmp_path / "r.json")
    assert status == 0, err
    assert "mean 40, std 20" in out
    assert "makes: age" in out
    saved = json.loads((tmp_path / "r.json").read_text())
    assert saved["fits"] == RECIPE["fits"]
    status, out, _ = cli("prep", "show", "credit", "-o", "json")
    assert json.loads(out)["digest"] in cli("prep", "show", "credit")[1]


def test_a_fit_is_checked_without_submitting_it(centre: Any, cli: Any, tmp_path: Path) -> None:
    centre.answers["GET /datasets"] = (200, {"items": [], "next": ""})
    centre.answers["POST /jobs/dry-run"] = (200, {"digest": "d" * 64, "spec": {}})
    file = tmp_path / "prep.yaml"
    file.write_text("project: prj_00000000\nname: x\ncolumns: [age]\ndatasets: [dst_00000000]\n")
    status, _, err = cli("prep", "fit", file, "--dry-run")
    assert status == 0, err
    (sent,) = (body for path, _, body in centre.asked if path == "POST /jobs/dry-run")
    assert (sent["kind"], sent["datasets"]) == ("preparation", ["dst_00000000"])


ENDS = {"step": "min_max", "columns": ["x"], "of": "rows"}
MEAN = {"step": "impute", "columns": ["z"], "by": "mean"}


def test_an_owner_is_told_what_closes_in_on_single_values() -> None:
    columns = [number("x", 0, 1), number("z", 0, 1)]
    told = PreparationText()
    exact = spec_of([MEAN, ENDS], columns)
    assert "impute (mean) of z" in told.task(exact)
    assert "min_max (rows) of x" in told.task(exact)
    assert told.leaves(exact).endswith("they close in on single values of x")
    telling = {row["attack"] for row in attacks(exact)}
    assert "a search for quantiles closes in on one row's value" in telling
    sums = spec_of([MEAN], columns)
    assert "single values" not in told.leaves(sums)
    assert telling - {row["attack"] for row in attacks(sums)} == {
        "a search for quantiles closes in on one row's value"
    }
    median = {"step": "impute", "columns": ["z"], "by": "median"}
    noised = spec_of([median], columns, privacy=PRIVATE)
    assert told.leaves(noised).startswith("noised sums")
    assert "single values" not in told.leaves(noised)
