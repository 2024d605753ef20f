"""The pipeline's script without a network: driven whole, crashed everywhere, steps that fail."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from peers.rows_world import fitting, matching, specified

from secureflow.application.reports.page import render
from secureflow.domain.ids import part_id
from secureflow.domain.specs.base import spec_digest
from secureflow.domain.specs.conditions import signed_metrics
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.domain.specs.matchedrows import MatchedRows
from secureflow.domain.specs.outputs import Outputs
from secureflow.engines.ledger.bundle import verify_bundle
from secureflow.engines.ledger.reported import comparison_digest
from secureflow.engines.pipeline.telling import sections
from secureflow.engines.run import run
from secureflow.engines.run.run import JobContext
from secureflow.engines.script import AwaitResume, RunJob
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import text_in
from secureflow.texts import chinese
from tests.unit.engines.pipeline.world import FIT, PipelineWorld, gated
from tests.unit.engines.pipeline.world import specified as piped
from tests.unit.engines.run.test_ending import CANCELLED, ended
from tests.unit.engines.training.world import JOB, Crash, Journal, drive


def told(report: dict[str, Any]) -> dict[str, Any]:
    """The report without what the clock says."""
    rows = [{k: v for k, v in row.items() if k != "ended"} for row in report["steps"]]
    gone = {"ledger", "started", "finished", "steps"}
    return {**{k: v for k, v in report.items() if k not in gone}, "steps": rows}


def parts(world: PipelineWorld) -> list[dict[str, Any]]:
    return [one["document"] for one in world.entries if one.get("kind") == "job.part"]


def test_each_step_takes_what_the_ones_before_gave() -> None:
    world = PipelineWorld()
    report = drive(world, [])
    jobs = [part_id(JOB, number) for number in (1, 3, 5)]  # two attempts at each
    assert [job for job, _ in world.ran] == jobs
    prepared, trained, tested = (spec for _, spec in world.ran)
    assert [one.name for _, one in world.ran] == ["risk: prepare", "risk: train", "risk: test"]
    recipe = trained.features.recipe
    assert (recipe.job, recipe.fits) == (jobs[0], (FIT,))
    (model,) = tested.models
    assert (model.job, model.digest) == (jobs[1], f"{7:064x}")
    assert model.features == trained.features
    assert prepared.part_of.step == "prepare"
    assert [(row["step"], row["state"]) for row in report["steps"]] == [
        ("prepare", "succeeded"), ("train", "succeeded"), ("test", "succeeded"),
    ]  # fmt: skip
    titles = [one["title"] for one in report["sections"]]
    assert titles == ["What was made"] + [f"Step {n} of 3: {s}" for n, s in
                      [(3, "test (evaluation)"), (2, "train (training)"),
                       (1, "prepare (preparation)")]]  # fmt: skip


def test_every_party_signs_the_outputs_of_each_step_and_the_bundle_holds_them() -> None:
    world = PipelineWorld(names_models=True)
    drive(world, [])
    model = Outputs(f"{7:064x}", 2).signed()
    for party in world.keys:
        assert world.signed[party, 3] == model
        assert world.signed[party, 5] == {}
    assert [(one["step"], one["outcome"]) for one in parts(world)] == [
        ("prepare", "succeeded"), ("train", "succeeded"), ("test", "succeeded"),
    ]  # fmt: skip
    assert parts(world)[1]["outputs"] == model
    verdict = verify_bundle(json.loads(json.dumps(world.bundle())), world.charter)
    assert (verdict.ok, verdict.missing) == (True, ()), verdict


def test_ends_of_those_who_compared_a_model_go_with_it_and_with_nothing_else() -> None:
    world = PipelineWorld()
    world.ends = ({"leaf": {}, "document": {}, "salt": "05" * 32},)
    drive(world, [])
    for party in world.keys:
        assert world.shown[party, 3] == list(world.ends)
        assert world.shown[party, 1] is None  # left out: older agents refuse what they do not know
        assert world.shown[party, 5] is None


def test_killed_anywhere_it_runs_each_step_once_and_ends_alike() -> None:
    whole = PipelineWorld()
    whole.fail = frozenset({3})
    journal: Journal = []
    expected, effects = told(drive(whole, journal)), len(journal)
    for place in range(effects):
        world = PipelineWorld()
        world.fail = frozenset({3})
        kept: Journal = []
        with pytest.raises(Crash):
            drive(world, kept, die_at=place)
        assert told(drive(world, kept)) == expected
        assert world.ran == whole.ran


class GatedWorld(PipelineWorld):
    """The model is trained on if it is good enough, and evaluated then; one step needs nothing."""

    auc = 0.75

    def __post_init__(self) -> None:
        super().__post_init__()
        roster = [{"party": p, "key": k.public, "dataset": "d"} for p, k in self.keys.items()]
        self.spec = piped(roster, steps=gated(roster))
        SPEC_KINDS.check(self.spec)
        self.digest = spec_digest(self.spec)
        self.context = replace(self.context, spec=self.spec, digest=self.digest)

    def run(self, effect: RunJob) -> dict[str, Any]:
        told = super().run(effect)
        if told["state"] == "succeeded" and effect.spec["kind"] == "evaluation":
            figures = {"rows": 60.0, "auc": self.auc}
            told["outputs"] = {"metrics": signed_metrics([figures])}
        return told


@pytest.mark.parametrize("auc", [0.75, 0.8])
def test_a_step_runs_if_its_condition_holds_and_is_skipped_by_name_otherwise(auc: float) -> None:
    world = GatedWorld(names_models=True)
    world.auc = auc
    report = drive(world, [])
    states = {row["step"]: row["state"] for row in report["steps"]}
    gated = "succeeded" if auc >= 0.8 else "skipped"
    assert states == {"prepare": "succeeded", "train": "succeeded", "test": "succeeded",
                      "again": gated, "last": gated, "other": "succeeded"}  # fmt: skip
    assert {world.signed[party, 5]["metrics"][0]["auc"] for party in world.keys} == {f"{auc:.6f}"}
    recorded = {one["step"]: one for one in parts(world)}
    assert recorded["again"]["outcome"] == gated
    verdict = verify_bundle(json.loads(json.dumps(world.bundle())), world.charter)
    assert (verdict.ok, verdict.missing) == (True, ()), verdict
    if auc >= 0.8:
        return
    assert recorded["again"]["reason"] == "AUC of test is 0.750000, less than 0.8"
    assert recorded["last"]["reason"] == "it needs again, which is skipped"
    assert all(("again" in spec.name or "last" in spec.name) is False for _, spec in world.ran)
    rows = {row["step"]: row for row in report["steps"]}
    assert chinese(text_in(rows["again"], "reason")) == "test 的 AUC 为 0.750000，低于 0.8"
    page = render(report, "zh")
    assert "已略过" in page
    assert "低于 0.8" in page


def test_figures_that_no_condition_is_on_are_not_signed() -> None:
    world = GatedWorld()
    world.auc = 0.9
    drive(world, [])
    assert {"metrics" in outputs for (_, number), outputs in world.signed.items()
            if number == 9} == {False}  # fmt: skip


def test_killed_anywhere_a_step_that_is_skipped_stays_skipped() -> None:
    whole = GatedWorld()
    whole.fail = frozenset({5})
    journal: Journal = []
    expected, effects = told(drive(whole, journal)), len(journal)
    for place in range(effects):
        world = GatedWorld()
        world.fail = frozenset({5})
        kept: Journal = []
        with pytest.raises(Crash):
            drive(world, kept, die_at=place)
        assert told(drive(world, kept)) == expected
        assert world.ran == whole.ran


class TwoTonguedWorld(GatedWorld):
    """Its centre tells one party that the model is good enough, and the others that it is not."""

    def party_step(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        if party == "bank-b" and "metrics" in body["outputs"]:
            better = {"rows": 60.0, "auc": 0.9}
            body = {**body, "outputs": {"metrics": signed_metrics([better])}}
        return super().party_step(party, body)


def test_a_record_in_which_parties_signed_different_figures_is_broken() -> None:
    world = TwoTonguedWorld(names_models=True)
    with patch.object(run, "signs_what_was_asked", lambda *_: True):  # no honest centre takes it
        drive(world, [])
    verdict = verify_bundle(json.loads(json.dumps(world.bundle())), world.charter)
    assert verdict.status == "broken"
    (failure,) = verdict.failures
    assert "bank-b signed other outputs of part 5 than bank-a" in failure
    assert chinese(failure).endswith("bank-b 签署的第 5 部分的产出与 bank-a 签署的不同")


class RowsWorld(PipelineWorld):
    """An intersection, and a preparation of the rows that match in it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        roster = [{"party": p, "key": k.public, "dataset": "d"} for p, k in self.keys.items()]
        self.spec = specified(roster, matching(roster), fitting(roster))
        SPEC_KINDS.check(self.spec)
        self.digest = spec_digest(self.spec)
        steps = {"steps": {}, "epsilon": {"rdp-cks20": 1.0}}
        members = self._public(self.everybody)
        self.context = JobContext(
            JOB, self.spec, self.digest, members, 2_000_000_000, "", steps, facts=True
        )  # fmt: skip
        self.rows = {party: f"{at:x}" * 64 for at, party in enumerate(self.keys)}

    def run(self, effect: RunJob) -> dict[str, Any]:
        told = super().run(effect)
        if told["state"] == "succeeded" and effect.spec["kind"] == "psi":
            told["outputs"] = {"rows": self.rows}
        return told


def test_rows_that_match_are_signed_by_all_and_taken_wherever_it_is_killed() -> None:
    """The first attempt at the intersection fails, too."""
    whole = RowsWorld()
    whole.fail = frozenset({1})
    journal: Journal = []
    expected, effects = told(drive(whole, journal)), len(journal)
    fitted = whole.ran[-1][1]
    assert fitted.rows == MatchedRows.of(part_id(JOB, 2), whole.rows)
    assert {whole.signed[party, 2]["rows"][party] for party in whole.keys} == {*whole.rows.values()}
    for place in range(effects):
        world = RowsWorld()
        world.fail = frozenset({1})
        kept: Journal = []
        with pytest.raises(Crash):
            drive(world, kept, die_at=place)
        assert told(drive(world, kept)) == expected
        assert world.ran == whole.ran


def test_an_intersection_that_tells_no_rows_ends_the_pipeline_by_name() -> None:
    world = RowsWorld(names_models=True)
    world.rows = {}
    error = ended(world)
    assert error is not None
    assert (error.code, error.details["step"]) == ("step_failed", "fit")
    assert error.details["code"] in {"step_output_missing", "step_output_unfit"}


def test_a_step_that_fails_names_itself_and_is_tried_again_when_resumed() -> None:
    world = PipelineWorld()
    world.fail = frozenset({3})
    report = drive(world, [])
    (paused,) = world.paused
    assert paused.code == "step_failed"
    assert "train" in paused.message
    assert "bank-b is silent" in paused.message
    assert f"secureflow job resume {JOB}" in paused.hint
    assert paused.details["step"] == "train"
    assert [job for job, _ in world.ran] == [part_id(JOB, n) for n in (1, 3, 4, 5)]
    assert [row["state"] for row in report["steps"]] == [
        "succeeded", "failed", "succeeded", "succeeded",
    ]  # fmt: skip
    assert world.ran[2][1].name == "risk: train (2)"


def test_after_its_last_attempt_it_fails_with_the_step() -> None:
    world = PipelineWorld(names_models=True)
    world.fail = frozenset({3, 4})
    error = ended(world)
    assert error is not None
    assert (error.code, error.details["step"]) == ("step_failed", "train")
    assert len(world.paused) == 1
    verdict = verify_bundle(json.loads(json.dumps(world.bundle())), world.charter)
    assert (verdict.ok, verdict.missing) == (True, ()), verdict


def test_models_that_steps_measured_are_compared_and_the_record_holds_the_digest() -> None:
    first = {"name": "a", "model": "aa" * 32, "job": "job_a", "form": "binary", "noise": {},
             "figures": {"rows": 60.0, "auc": 0.8}, "intervals": {"auc": [0.7, 0.9]},
             "contributors": ["bank-a", "bank-b", "bank-c"]}  # fmt: skip
    second = {**first, "name": "b", "model": "bb" * 32, "figures": {"rows": 60.0, "auc": 0.7}}
    world = PipelineWorld()
    world.measured = [first, second]
    report = drive(world, [])
    told = report["comparison"]
    assert [one["step"] for one in told["models"]] == ["test", "test"]
    (auc,) = (one for one in told["lines"] if one["metric"] == "auc")
    assert [one["best"] for one in auc["cells"]] == [True, False]
    (end,) = (one for one in world.entries if one.get("kind") == "job.finished")
    assert end["document"]["comparison"] == comparison_digest(told)
    assert not [row for row in report["steps"] if "measured" in row]
    assert "measured" not in json.dumps(world.entries, default=str)
    page = render(report, "en")
    made, compared = page.index("What was made"), page.index("Models compared")
    assert made < compared < page.index("Step 3 of 3") < page.index("Step 1 of 3")
    assert report["protections"] == ["secagg", "sealed"]
    assert "none" not in page[page.index("Protection") : page.index("Rounds run")]


def test_figures_of_a_step_are_rounded_as_people_read_them() -> None:
    row = {"state": "succeeded", "job": "job_2", "step": "train", "rounds": 2,
           "metrics": {"rows": 6550.0, "auc": 0.8}}  # fmt: skip
    found = sections(PipelineWorld().spec, [row])
    (told,) = (one for one in found if "train" in text_in(one, "title"))
    lines = {text_in(one, "label"): text_in(one, "value") if isinstance(one["value"], str)
             else one["value"] for one in told["rows"]}  # fmt: skip
    assert (lines["rows"], lines["auc"], lines["Number of rounds"]) == ("6,550", "0.8000", 2)
    assert chinese("Number of rounds") == "轮数"


def test_no_step_begins_before_every_party_signed_what_it_takes() -> None:
    world = PipelineWorld()
    world.refuse["bank-b", "step"] = SecureFlowError("not_finished", "it has not ended here", "")
    error = ended(world)
    assert error is not None
    assert error.code == "step_failed"
    assert [job for job, _ in world.ran] == [part_id(JOB, 1)]
    assert len(world.paused) == 4


@pytest.mark.parametrize("at", [RunJob, AwaitResume])
def test_a_cancelled_pipeline_ends_for_every_party(at: type[Any]) -> None:
    world = PipelineWorld(names_models=True)
    world.fail = frozenset({1})
    error = ended(world, lambda _, effect: isinstance(effect, at))
    assert error is not None
    assert error.code == CANCELLED.code
    verdict = verify_bundle(json.loads(json.dumps(world.bundle())), world.charter)
    assert (verdict.ok, verdict.missing) == (True, ()), verdict


def test_what_people_are_told_has_its_chinese() -> None:
    report = drive(PipelineWorld(), [])
    for row in report["disclosure"]:
        assert chinese(row["sees"]) != row["sees"] or "texts" in row


def test_a_report_begins_with_what_was_made_by_whom_from_which_steps() -> None:
    spec = PipelineWorld().spec
    figures = [("predicted_rate", "0.2500"), ("auc", "0.8100")]
    lines = [{"label": name, "value": value} for name, value in figures]
    measured = {"title": "Evaluation of risk@1", "rows": lines}
    ended = {"state": "succeeded", "job": "job_2"}
    rows = [
        {**ended, "step": "train", "metrics": {"loss": 0.5, "auc": 0.8}},
        {**ended, "step": "test", "sections": [measured]},
    ]
    found = sections(spec, rows)
    made = {text_in(row, "label"): row for row in found[0]["rows"]}
    assert made["Asked for by"]["value"] == "ann"
    assert made["From the data of"]["value"] == list(spec.parties)
    steps = ("prepare", "train", "test")
    gave = [text_in(made[f"{n}. {step}"], "value") for n, step in enumerate(steps, 1)]
    assert gave == ["preparation: did not run", "training: AUC 0.8000", "evaluation: AUC 0.8100"]
    assert [chinese(one) for one in gave] == [
        "数据准备：未运行", "训练：AUC 0.8000", "评估：AUC 0.8100"]  # fmt: skip
    assert made["3. test"]["job"] == "job_2"
    page = render({"kind": "pipeline", "state": "succeeded", "sections": found}, "zh")
    assert "mean predicted probability" in page
    assert "平均预测概率" in page
    assert "predicted_rate" not in page


@pytest.mark.parametrize(
    ("metric", "values", "parties", "said"),
    [
        ("auc", (0.9063, 0.9121), "ab", "evaluation: AUC 0.9121, the best, of network"),
        (
            "rmse",
            (3.5, 4.25),
            "ab",
            "evaluation: root mean squared error 3.5000, the best, of linear",
        ),
        ("auc", (0.9063, 0.9121), "a", "evaluation"),  # of other rows: none is the best
    ],
)
def test_a_headline_names_the_best_of_several_models(
    metric: str, values: tuple[float, float], parties: str, said: str
) -> None:
    measured = [
        {"name": name, "figures": {"rows": 60.0, metric: value}, "contributors": list(known)}
        for name, value, known in zip(("linear", "network"), values, ("ab", parties), strict=True)
    ]
    row = {"state": "succeeded", "job": "job_2", "step": "test", "measured": measured}
    (told,) = (one for one in sections(PipelineWorld().spec, [row])[0]["rows"]
               if text_in(one, "label") == "3. test")  # fmt: skip
    assert text_in(told, "value") == said
    assert re.search("[a-z]{2} [a-z]{2}", chinese(text_in(told, "value"))) is None


def test_a_step_of_statistics_tells_its_answers() -> None:
    mean = {"value": 38.60234, "low": 38.56123, "high": 38.64345, "standard_error": 0.0213}
    row = {"state": "succeeded", "job": "job_2", "step": "test", "answers": [
        {"name": "mean of age", "measure": "mean", "rows": [mean]},
        {"name": "people", "measure": "count", "rows": [{"group": "Private", "value": 120}]},
    ]}  # fmt: skip
    found = sections(PipelineWorld().spec, [row])
    (told,) = (one for one in found if one["title"] == "Answers")
    assert told["rows"] == [
        {"label": "mean of age", "value": "38.602 [38.561, 38.643]"},
        {"label": "people · Private", "value": "120"},
    ]
    page = render({"kind": "pipeline", "state": "succeeded", "sections": found}, "zh")
    assert "答案" in page
    assert "38.602 [38.561, 38.643]" in page
