"""`secureflow model evaluate`, and the figures of an evaluation for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from unit.engines.evaluation.world import MODELS, specified

from secureflow.cli.comparison import show_comparison
from secureflow.cli.console import Form
from secureflow.cli.evaluation import show_evaluation
from secureflow.cli.kinds import EvaluationText
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.evaluation_request import EvaluationRequest
from tests.full import thinned

VALUES = thinned(
    ["x\u202e", True, 3, [5], [], {"a": 1}, [[]], {}, None, 10**400], 5, pytest.mark.full
)
"""What a centre may say in the place of something else."""

MODEL: dict[str, Any] = {
    "id": "mdl_00000000", "project": "prj_00000000", "job": "job_00000000", "name": "scores",
    "version": 1, "digest": "ab" * 32, "artifact": "ab" * 32, "family": "logistic_regression",
    "metrics": {}, "created": 1,
}  # fmt: skip
REPORT: dict[str, Any] = {
    "job": "job_11111111", "name": "figures", "state": "succeeded", "protection": "secagg",
    "evaluation": {"models": [{
        "model": "ab" * 32, "figures": {"rows": 300.0, "auc": 0.87654321, "ks": 0.5},
        "psi": {"psi": 0.031}, "parties": {"bank-a\u202e": {"rows": 100.0, "auc": 0.8}},
        "honest": [{"line": "With so few rows nothing is certain.", "texts": {"line": None}}],
    }]},
}  # fmt: skip


@pytest.fixture
def asked(centre: Any) -> Any:
    """What is sent to the dry run."""
    centre.answers["GET /models"] = (200, {"items": [MODEL], "next": ""})
    centre.answers["GET /models/mdl_00000000"] = (200, MODEL)
    centre.answers["GET /datasets?project=prj_00000000"] = (200, {"items": [], "next": ""})
    centre.answers["POST /jobs/dry-run"] = (200, {"digest": "d" * 64, "spec": {}})

    def sent() -> EvaluationRequest:
        (body,) = (one for path, _, one in centre.asked if path == "POST /jobs/dry-run")
        return parse(EvaluationRequest, body, "request")

    return sent


def test_options_become_the_request(cli: Any, asked: Any) -> None:
    status, _, err = cli(
        *("model", "evaluate", "scores", "--purpose", "credit-scoring", "--held-out", "0.2"),
        *("--per-party", "--cost", "1:5", "--epsilon", "2", "--dry-run"),
    )
    assert status == 0, err
    request = asked()
    assert (request.project, request.models) == ("prj_00000000", ("mdl_00000000",))
    assert (request.held_out.share, request.per_party) == (0.2, True)
    assert (request.costs.false_positive, request.costs.false_negative) == (1.0, 5.0)
    assert (request.privacy.epsilon, request.privacy.delta) == (2.0, 1e-6)


def test_a_fold_is_named_by_its_number(cli: Any, asked: Any) -> None:
    cli("model", "evaluate", "scores", "--purpose", "p", "--held-out", "5:0", "--dry-run")
    assert (asked().held_out.folds, asked().held_out.fold) == (5, 0)


@pytest.mark.parametrize(("name", "text"), [("--held-out", "a fifth"), ("--cost", "5")])
def test_what_is_no_number_is_refused_before_anything_is_sent(
    cli: Any, centre: Any, name: str, text: str
) -> None:
    status, _, err = cli("model", "evaluate", "scores", "--purpose", "p", name, text)
    assert status == 2
    assert name in err
    assert not [path for path, _, _ in centre.asked if path.startswith("POST")]


def test_a_job_file_names_models_and_the_baseline(cli: Any, asked: Any, tmp_path: Path) -> None:
    file = tmp_path / "evaluation.yaml"
    file.write_text(
        "kind: evaluation\nproject: prj_00000000\nname: figures\npurpose: p\n"
        "datasets: [dst_00000000]\nmodels: [scores]\nbaseline: job_11111111\n"
    )
    status, _, err = cli("job", "dry-run", file)
    assert status == 0, err
    assert (asked().models, asked().baseline) == (("mdl_00000000",), "job_11111111")


def test_a_shift_that_no_rows_show_is_no_number(cli: Any, centre: Any) -> None:
    (model,) = REPORT["evaluation"]["models"]
    empty = {**model, "figures": {"rows": 0}, "psi": {"rows": 0, "groups": [], "reading": "none"}}
    report = {**REPORT, "evaluation": {"models": [empty]}}
    centre.answers["GET /jobs/job_11111111/report?format=json"] = (200, report)
    status, out, err = cli("job", "report", "job_11111111")
    assert (status, "psi" in out) == (0, False), err


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("place", ["evaluation", "models", "figures", "auc", "parties", "honest"])
def test_no_report_of_a_centre_ends_the_command_line(
    cli: Any, centre: Any, place: str, value: Any
) -> None:
    (model,) = REPORT["evaluation"]["models"]
    if place == "auc":
        value = {"rows": 3.0, "auc": value}
    changed: Any = {"models": [{**model, "figures" if place == "auc" else place: value}]}
    changed = {"models": value} if place == "models" else changed
    report = {**REPORT, "evaluation": value if place == "evaluation" else changed}
    centre.answers["GET /jobs/job_11111111/report?format=json"] = (200, report)
    status, out, err = cli("job", "report", "job_11111111")
    assert (status, "\u202e" in out) == (0, False), err


def test_owners_see_whose_rows_a_model_may_have_learned_from() -> None:
    roster = [{"party": f"bank-{one}", "key": one * 44, "dataset": "people"} for one in "abc"]
    told = EvaluationText().task(specified(roster))
    assert told.endswith("learned from rows of bank-a, bank-b that are measured")
    held = {"share": 0.2}
    models = [{**one, "held_out": held} for one in MODELS]
    told = EvaluationText().task(specified(roster, models=models, held_out=held))
    assert "learned" not in told
    assert told.endswith("20% of the keys")


def test_owners_see_whether_what_leaves_has_noise() -> None:
    roster = [{"party": f"bank-{one}", "key": one * 44, "dataset": "people"} for one in "abc"]
    noise = {"privacy": {"delta": 1e-6, "noise_multiplier": 1.0}}
    for per_party in (False, True):
        for changes, word in (({}, "exact"), (noise, "noised")):
            spec = specified(roster, per_party=per_party, **changes)
            told = EvaluationText().leaves(spec)
            assert told.startswith(word)
            assert ("own are opened" in told) == per_party


def test_figures_are_shown_by_model_and_party(cli: Any, centre: Any) -> None:
    centre.answers["GET /jobs/job_11111111/report?format=json"] = (200, REPORT)
    status, out, err = cli("job", "report", "job_11111111")
    assert status == 0, err
    assert "ab" * 32 in out  # whole
    assert "0.8765" in out
    assert "0.031" in out
    assert "\u202e" not in out
    assert "With so few rows" in out
    status, out, _ = cli("job", "report", "job_11111111", "-o", "json")
    assert json.loads(out)["evaluation"] == REPORT["evaluation"]


def test_a_model_is_called_by_its_name_where_the_report_has_one(cli: Any, centre: Any) -> None:
    (model,) = REPORT["evaluation"]["models"]
    named = {**REPORT, "evaluation": {"models": [{**model, "name": "risk@2\u202e"}]}}
    centre.answers["GET /jobs/job_11111111/report?format=json"] = (200, named)
    _, out, _ = cli("job", "report", "job_11111111")
    assert "risk@2" in out
    assert "\u202e" not in out


def test_the_last_round_of_a_training_is_no_empty_table(capsys: pytest.CaptureFixture[str]) -> None:
    show_evaluation({"evaluation": {"round": 4, "stage": "evaluate", "sums": [1]}}, Form.TABLE)
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "")


CELL = {"value": "0.8765", "interval": "0.8 – 0.9", "noise": "± 0.01", "best": True}


def test_models_that_are_compared_stand_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    other = {"value": "0.7\u202e", "interval": "", "noise": "", "best": False}
    comparison = {
        "title": "Models compared", "same_rows": True,
        "models": [{"name": "a", "rows_of": ["bank-a"]}, {"name": "a", "rows_of": ["bank-a"]}],
        "lines": [{"metric": "auc", "better": "higher", "cells": [CELL, other]}],
        "rows": [{"label": "1.", "value": "Said of the rows."}],
    }  # fmt: skip
    show_comparison({"comparison": comparison})
    out = capsys.readouterr().out
    assert "0.8765 (0.8 – 0.9) ± 0.01 *" in out
    assert "a (2)" in out
    assert "* is the best of a line." in out
    assert "Said of the rows." in out
    assert "\u202e" not in out


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("name", ["models", "lines", "rows", "title"])
def test_a_comparison_of_any_shape_is_shown_or_left_out(name: str, value: Any) -> None:
    comparison = {"title": "t", "models": [{"name": value}, {"rows_of": value}],
                  "lines": [{"metric": value,
                             "cells": [{"value": value, "best": value}]}]}  # fmt: skip
    show_comparison({"comparison": comparison})
    show_comparison({"comparison": {**comparison, name: value}})
    show_comparison({"comparison": value})
