"""`secureflow prep`: the catalogue of steps, and recipes for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from secureflow.domain.specs.base import parse
from secureflow.domain.specs.preparation_request import PreparationRequest
from secureflow.domain.specs.steps import CATALOGUE
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
