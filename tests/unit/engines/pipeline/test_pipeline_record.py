"""What a pipeline's record shows against its centre: steps skipped or run, its table of models."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from secureflow.domain.specs.base import dump, parse
from secureflow.domain.specs.conditions import signed_metrics, skipped_by
from secureflow.domain.specs.pipeline import PipelineSpec
from secureflow.engines.ledger.bundle import verify_bundle
from secureflow.engines.ledger.gates import UnreadableStepsError, gates_of
from secureflow.engines.ledger.reported import _agree
from secureflow.engines.run.comparison import _shown
from secureflow.kit.errors import SecureFlowError
from secureflow.server.rest.languages import spoken
from secureflow.texts import chinese
from tests.unit.engines.pipeline.test_pipeline_script import GatedWorld
from tests.unit.engines.pipeline.world import gated, specified
from tests.unit.engines.pipeline.worlds_that_lie import (
    Comparing,
    Contradicting,
    GoingOn,
    LeavingOut,
    Praising,
    played,
)
from tests.unit.engines.training.world import drive

ROSTER = [{"party": f"bank-{one}", "key": one * 44, "dataset": "d"} for one in "abc"]


@pytest.mark.parametrize("when", [{}, {"at_least": None, "at_most": 0.25}, {"of": "train"}])
def test_conditions_are_read_from_a_spec_as_those_who_sign_it_read_them(
    when: dict[str, Any],
) -> None:
    spec = specified(ROSTER, steps=gated(ROSTER, **when))
    read = gates_of(dump(spec))
    assert tuple(read) == spec.gates
    for auc in (0.1, 0.25, 0.8, 0.9):
        signed = {5: {"metrics": signed_metrics([{"auc": auc}])}}
        assert skipped_by(read, signed.get) == spec.skips(signed.get)
        assert bool(spec.skips(signed.get)) == (auc > 0.25 if "at_most" in when else auc < 0.8)


Spoiled = Callable[[dict[str, Any]], None]
SPOILED: dict[str, Spoiled] = {
    "no list": lambda spec: spec.update(steps={}),
    "no step": lambda spec: spec.update(steps=[]),
    "too many steps": lambda spec: spec.update(steps=spec["steps"] * 11),
    "one id twice": lambda spec: spec["steps"][0].update(id="train"),
    "no id": lambda spec: spec["steps"][0].pop("id"),
    "attempts as a text": lambda spec: spec.update(attempts="2"),
    "too many attempts": lambda spec: spec.update(attempts=10**9),
    "an unknown step": lambda spec: spec["steps"][3]["when"].update(step="none"),
    "no limit": lambda spec: spec["steps"][3]["when"].pop("at_least"),
    "two limits": lambda spec: spec["steps"][3]["when"].update(at_most=1.0),
    "a limit that is none": lambda spec: spec["steps"][3]["when"].update(at_least=True),
    "too great a limit": lambda spec: spec["steps"][3]["when"].update(at_least=1e13),
    "too fine a limit": lambda spec: spec["steps"][3]["when"].update(at_least=1e-7),
    "needs of no steps": lambda spec: spec["steps"][3].update(needs=[1]),
}


@pytest.mark.parametrize("name", SPOILED)
def test_conditions_of_another_form_are_not_guessed(name: str) -> None:
    spec = dump(specified(ROSTER, steps=gated(ROSTER)))
    SPOILED[name](spec)
    with pytest.raises(UnreadableStepsError):
        gates_of(spec)
    assert gates_of({**spec, "kind": "training"}) == ()


def test_a_record_that_skips_a_step_which_was_due_is_broken() -> None:
    bundle, _, charter = played(LeavingOut)
    verdict = verify_bundle(bundle, charter)
    assert verdict.status == "broken"
    told = ("step again is told to be skipped, and by what parties signed it is not",
            "step last is told to be skipped", "the job succeeded without its step again",
            "the job succeeded without its step last")  # fmt: skip
    assert len(verdict.failures) == len(told)
    for failure, words in zip(verdict.failures, told, strict=True):
        assert words in failure
    assert "称步骤 again 已略过" in chinese(verdict.failures[0])


def test_a_record_in_which_a_step_ran_that_was_to_be_skipped_is_broken() -> None:
    bundle, _, charter = played(GoingOn)
    failures = verify_bundle(bundle, charter).failures
    assert [one.partition(": ")[2] for one in failures] == [
        f"step {step} ran, and by what parties signed it is skipped" for step in ("again", "last")
    ]


@pytest.mark.parametrize("unasked", [False, True])
def test_a_party_cannot_make_an_honest_centres_record_contradict_itself(unasked: bool) -> None:
    world = Contradicting(names_models=True)
    world.unasked = unasked
    with contextlib.suppress(SecureFlowError):  # a party that forks its leaves ends the job
        drive(world, [])
    (paused, *_) = world.paused
    told = "ledger leaf in bank-a's answer signs other outputs of a step than it was asked for"
    assert told in paused.message
    verdict = verify_bundle(json.loads(json.dumps(world.bundle())), world.charter)
    assert not [one for one in verdict.failures if "step" in one or "outputs" in one]


@pytest.mark.parametrize("kind", ["step", "job.part"])
def test_what_was_signed_of_steps_cannot_be_kept_from_who_verifies(kind: str) -> None:
    bundle, _, charter = played(GatedWorld)
    assert verify_bundle(bundle, charter).ok
    entry = next(one for one in bundle["entries"] if one["leaf"]["leaf"]["kind"] == kind)
    del entry["document"], entry["salt"]
    verdict = verify_bundle(bundle, charter)
    assert verdict.status == "unfinished"
    (missing,) = verdict.missing
    assert missing.endswith("the outcome of a step comes without its document")


def test_a_report_compares_models_as_the_record_says_in_every_language() -> None:
    bundle, report, charter = played(Comparing)
    assert verify_bundle(bundle, charter, report=report).ok
    told = spoken(report, "zh")
    assert told["comparison"]["rows"] != report["comparison"]["rows"]
    assert verify_bundle(bundle, charter, report=told).ok


Change = Callable[[dict[str, Any]], None]
CHANGED: dict[str, tuple[Change, str]] = {
    "a figure": (
        lambda report: report["comparison"]["lines"][1]["cells"][1].update(value="0.9900"),
        "the report compares models in a table of digest",
    ),
    "the best": (
        lambda report: report["comparison"]["lines"][1]["cells"][1].update(best=False),
        "the report compares models in a table of digest",
    ),
    "the rows": (
        lambda report: report["comparison"].update(same_rows=False),
        "the report compares models in a table of digest",
    ),
    "no table": (lambda report: report.pop("comparison"), "and the report has none"),
    "another job": (lambda report: report.update(job="job_other"), "the report is not one of job"),
    "no text": (
        lambda report: report["comparison"].update(models=["\ud800"]), "cannot be read"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGED)
def test_a_report_that_was_changed_contradicts_the_record(name: str) -> None:
    bundle, report, charter = played(Comparing)
    change, words = CHANGED[name]
    change(report)
    verdict = verify_bundle(bundle, charter, report=report)
    assert verdict.status == "broken"
    assert words in verdict.failures[0]


def test_a_table_of_other_figures_than_parties_signed_is_named() -> None:
    bundle, report, charter = played(Praising)
    assert verify_bundle(bundle, charter).ok
    verdict = verify_bundle(bundle, charter, report=report)
    assert verdict.status == "broken"
    assert verdict.failures == (
        "the report's table shows auc of model 1 of step test as 0.8502, parties signed 0.850000",
    )


def test_a_table_without_a_model_whose_figures_parties_signed_is_named() -> None:
    bundle, report, charter = played(Comparing)
    report["comparison"]["models"][0]["step"] = "other"
    failures = verify_bundle(bundle, charter, report=report).failures
    assert "compares 0 models of step test, parties signed figures of 1" in failures[1]


def test_a_record_of_before_tables_were_recorded_is_incomplete_beside_a_report() -> None:
    bundle, report, charter = played(GatedWorld)
    report["comparison"] = {"same_rows": True, "models": [], "lines": []}
    report["comparison"]["models"] = [{"step": "test"}]
    cells = [{"value": "0.7500"}]
    report["comparison"]["lines"] = [{"metric": "auc", "cells": cells},
                                     {"metric": "rows", "cells": [{"value": "60"}]}]  # fmt: skip
    verdict = verify_bundle(bundle, charter, report=report)
    assert verdict.status == "unfinished"
    assert verdict.missing == ("the record names no comparison of models; the report has one",)


@pytest.mark.parametrize("metric", ["auc", "rows"])
def test_a_cell_agrees_with_the_signed_figure_it_was_rounded_from(metric: str) -> None:
    """Both are rounded from the same number, each on its own."""
    for power in range(-9, 12):
        for at in range(60):
            value = (1 + at / 61) * 10.0**power * (-1) ** at
            (figures,) = signed_metrics([{metric: value}])
            assert _agree(metric, _shown(metric, value), figures[metric]), value
    assert _agree(metric, "0.0000" if metric == "auc" else "0", "0.000000")


@pytest.mark.parametrize(
    ("metric", "cell", "signed"),
    [("auc", "0.8501", "0.850000"), ("rmse", "12.35", "12.360000"), ("rows", "60", "61.000000"),
     ("auc", "", "0.850000"), ("auc", "nan", "0.850000"), ("mse", "1.234e+04", "12360.000000")],
)  # fmt: skip
def test_a_cell_of_another_figure_does_not_agree(metric: str, cell: str, signed: str) -> None:
    assert not _agree(metric, cell, signed)


def test_reports_and_specs_of_any_form_are_judged() -> None:
    bundle, report, charter = played(Comparing)
    for value in (
        1,
        [],
        "report",
        {"job": bundle["job"], "comparison": [1]},
        {"job": bundle["job"], "comparison": {"models": 1, "lines": [1, {"cells": 2}]}},
    ):
        verdict = verify_bundle(bundle, charter, report=value)
        assert verdict.status == "broken"
    changed = copy.deepcopy(bundle)
    changed["spec"]["steps"][0]["id"] = 1
    assert "the steps of the spec cannot be read" in verify_bundle(changed, charter).failures
    assert parse(PipelineSpec, bundle["spec"]).gates
    assert report["comparison"]
