"""Contributions in the script: rows before the first round, scores at the end, and their lines."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from secureflow.application.reports.page import render
from secureflow.domain.scoredocument import scores_digest
from secureflow.domain.specs.base import dump, spec_digest
from secureflow.domain.specs.contribution import ContributionPlan
from secureflow.domain.specs.tree_families import XgboostModel
from secureflow.engines.run.run import JobContext
from secureflow.engines.training import contributions as scored
from secureflow.engines.training.kind import TRAINING_ENGINE
from secureflow.kit.errors import SecureFlowError
from tests.unit.domain.test_plan_rules import SPEC, planned

from .masked_world import MaskedWorld
from .world import JOB, World, drive

SCORES = {
    "bank-a": {"score": 0.3021, "low": 0.28, "high": 0.3242, "share": 0.75},
    "bank-b": {"score": 0.1007, "low": 0.09, "high": 0.1114, "share": 0.25},
    "bank-c": {"score": -0.05, "low": -0.061, "high": -0.039, "share": 0.0},
}

NOTHING = {"score": 0.0, "low": 0.0, "high": 0.0, "share": 0.0}


@dataclass
class ScoredWorld(World):
    """An enclave that scores; `told` are members of its document that differ."""

    differs: dict[str, Any] = field(default_factory=dict)
    without_rows: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        super().__post_init__()
        plan = replace(self.spec.plan, contribution=ContributionPlan(10))
        self.spec = replace(self.spec, plan=plan)
        self.digest = spec_digest(self.spec)
        self.context = JobContext(
            JOB, self.spec, self.digest, self._public(self.everybody), 2_000_000_000,
            TRAINING_ENGINE.contributing,
        )  # fmt: skip

    def party_train(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        if body["stage"] == "validation" and party in self.without_rows:
            raise SecureFlowError("validation_not_granted", f"{party} lets no rows leave")
        return super().party_train(party, body)

    def enclave_release(self, body: dict[str, Any]) -> dict[str, Any]:
        release = super().enclave_release(body)
        if body["stage"] != "evaluate":
            return release
        plan = self.spec.plan.contribution
        assert plan is not None
        parties = self.spec.parties
        document = {
            "job": JOB, "spec": self.digest, "scored": True, **dump(plan), "rounds": [1, 2, 3],
            "evaluations": 24, "seconds": 0.5, "seed": "ab" * 32,
            "commitments": dict.fromkeys(parties, "cd" * 32),
            "scores": {one: SCORES.get(one, NOTHING) for one in parties}, **self.differs,
        }  # fmt: skip
        if document["scored"] is False:
            document = {"job": JOB, "spec": self.digest, "scored": False, "parties": [*parties]}
        signature = self.log_key.sign("contribution", document)
        return {**release, "contribution": {"document": document, "signature": signature}}


def finished(world: World) -> dict[str, Any]:
    (entry,) = (one for one in world.entries if one.get("kind") == "job.finished")
    return dict(entry["document"])


def test_rows_come_before_the_first_round_and_scores_with_the_end() -> None:
    world = ScoredWorld()
    report = drive(world, [])
    steps = [(one["document"]["round"], one["document"]["stage"]) for one in world.entries
             if one.get("kind") == "round.closed"]  # fmt: skip
    assert steps == [(0, "validation"), (1, "train"), (2, "train"), (3, "train"), (4, "evaluate")]
    signed = report["contribution"]
    assert signed["document"]["scores"] == SCORES
    assert finished(world)["contribution"] == signed
    (section,) = report["sections"]
    assert section["rows"][0] == {
        "label": "bank-a", "value": ["0.3021", "[0.2800, 0.3242]", "75.00 %"],
    }  # fmt: skip
    page = render(report)
    for text in ("[-0.0610, -0.0390]", "seconds that scoring took", "评分所用秒数", "ab" * 32):
        assert text in page


def test_a_job_that_is_not_scored_says_nothing_of_it() -> None:
    world = World()
    report = drive(world, [])
    assert "contribution" not in report
    assert "sections" not in report
    assert "contribution" not in finished(world)


def test_without_the_rows_of_all_nobody_is_scored() -> None:
    world = ScoredWorld(count=4, without_rows=frozenset({"bank-d"}))
    with pytest.raises(SecureFlowError) as refused:
        drive(world, [])
    assert refused.value.code == "validation_incomplete"
    assert refused.value.details["parties"] == ["bank-d"]
    assert not any(stage == "train" for _, stage in world.starts)


def test_an_end_that_names_other_scores_than_the_job_s_is_not_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A party could else have every bundle of an honest centre's job read as broken."""
    world = ScoredWorld(count=4)
    world.names_models = True
    honest = world.scores_named
    monkeypatch.setattr(
        world, "scores_named",
        lambda party, body: "0b" * 32 if party == "bank-d" else honest(party, body),
    )  # fmt: skip
    report = drive(world, [])
    ends = [
        one["document"]["scores"]
        for one in world.entries
        if one.get("document", {}).get("outcome") and "scores" in one["document"]
    ]
    assert ends == [scores_digest(report["contribution"])] * 3


@pytest.mark.parametrize(
    "differs",
    [
        {"job": "job_other00000"},
        {"spec": "00" * 32},
        {"permutations": 9},
        {"scores": SCORES | {"x": NOTHING}},
    ],
)
def test_scores_of_another_job_are_refused(differs: dict[str, Any]) -> None:
    with pytest.raises(SecureFlowError) as refused:
        drive(ScoredWorld(differs=differs), [])
    assert refused.value.code == "scores_forged"


def test_an_enclave_that_was_restarted_is_said_to_have_scored_nothing() -> None:
    report = drive(ScoredWorld(differs={"scored": False}), [])
    (section,) = report["sections"]
    assert section["title"].endswith("not scored")
    assert "飞地重新启动过" in render(report)


def test_under_masks_the_report_tells_rounds_and_that_they_can_be_gamed() -> None:
    report = drive(MaskedWorld(count=4, rounds=2), [])
    (section,) = report["sections"]
    assert section["rows"][0] == {"label": "bank-a", "value": ["2/2"]}
    page = render(report)
    assert "it can be gamed" in page
    assert "可以造假" in page


def test_parties_tell_figures_of_their_own_only_where_the_spec_asks() -> None:
    """Of the first round and the evaluation; who tells nothing is shown with none."""

    class Telling(MaskedWorld):
        def party_mask(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
            reply = super().party_mask(party, body)
            first, last = (
                (body["stage"], body["round"]) == ("train", 1),
                body["stage"] == "evaluate",
            )
            away = (party == "bank-b" and first) or (party == "bank-c" and last)
            if party == "bank-d" or away or not (first or last):
                return reply
            return {**reply, "told": {"rows": 40, "loss": 0.6931 if first else 0.4021}}

    world = Telling(count=4, rounds=2)
    (section,) = drive(world, [])["sections"]
    assert section["rows"][0]["value"] == ["2/2"]
    world = Telling(count=4, rounds=2)
    world.context = replace(
        world.context,
        spec=replace(world.spec, plan=replace(world.spec.plan, self_report="rows_and_loss")),
    )
    report = drive(world, [])
    (section,) = report["sections"]
    assert section["rows"][0] == {"label": "bank-a", "value": ["2/2", "40", "0.6931", "0.4021"]}
    # What a party did not tell is not what it told another time.
    assert section["rows"][1] == {"label": "bank-b", "value": ["2/2", "40", "–", "0.4021"]}
    assert section["rows"][2] == {"label": "bank-c", "value": ["2/2", "40", "0.6931", "–"]}
    assert section["rows"][3] == {"label": "bank-d", "value": ["2/2", "–", "–", "–"]}
    page = render(report)
    assert "nobody can check it, and it can be gamed" in page
    assert "无人能查证" in page


def test_trees_take_part_in_rounds_of_which_each_is_a_level(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two trees of three levels, and their edges, are seven."""
    spec = planned(replace(SPEC, model=XgboostModel("xgboost", max_depth=3)), rounds=2)
    course: Any = SimpleNamespace(spec=spec, contributed=SimpleNamespace(told={}))
    monkeypatch.setattr(scored, "contributions", lambda _: {"bank-a": {"rounds": 7}})
    assert scored._told(course)["rows"] == [{"label": "bank-a", "value": ["7/7"]}]
