"""Which jobs' contributions can be scored, and why others' cannot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from secureflow.domain.specs.base import JobSpec, Part, RosterEntry, dump, parse, spec_digest
from secureflow.domain.specs.compression import Int8
from secureflow.domain.specs.contribution import MAX_VALUES
from secureflow.domain.specs.contribution_rules import (
    MAX_WORK,
    MEASURING,
    scored_models,
    scoring_work,
)
from secureflow.domain.specs.inputs import ArrayFeature
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.domain.specs.privacy import Privacy
from secureflow.domain.specs.sklearn_families import SgdClassifierModel
from secureflow.domain.specs.sweep import check_sweep
from secureflow.domain.specs.training import TrainingPlan, TrainingSpec
from secureflow.domain.specs.training_rules import check
from secureflow.engines.contribution.gtg import Sampling, round_scores
from secureflow.kit.errors import SecureFlowError
from tests.unit.domain.test_plan_rules import SPEC
from tests.unit.domain.test_sweep_rules import sweep, training
from tests.unit.domain.test_timetable_rules import HEAD, TRAINING, timetable

PLAN: dict[str, Any] = {"validation": 0.2, "contribution": {"rows": 50}}


def scored(spec: TrainingSpec = SPEC, **plan: Any) -> TrainingSpec:
    return replace(spec, plan=parse(TrainingPlan, {**PLAN, **plan}, "spec"))


def features(**changes: Any) -> Any:
    assert SPEC.features is not None
    return replace(SPEC.features, **changes)


def test_a_plan_can_ask_for_it() -> None:
    check(scored())
    check(scored(strategy={"name": "fedprox"}))
    assert scored().facts()["validation_rows"] == 50


def test_a_plan_without_it_is_the_same_as_ever() -> None:
    assert "contribution" not in dump(SPEC)["plan"]
    assert SPEC.facts()["validation_rows"] == 0
    assert spec_digest(parse(TrainingSpec, dump(SPEC), "spec")) == spec_digest(SPEC)


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (replace(SPEC, protection="secagg"), "masks hide them"),
        (replace(SPEC, protection="sealed+secagg"), "masks hide them"),
        (replace(SPEC, roster=SPEC.roster[:2], min_contributors=2), "must be 3 or more"),
        (replace(SPEC, part_of=Part("job_0123456789", 1)), "step of another job"),
        (replace(SPEC, wire="float16"), "rounded to it"),
        (replace(SPEC, compression=Int8("int8")), "as they were trained"),
        (replace(SPEC, model=SgdClassifierModel("sgd_classifier")), "family sgd_classifier"),
    ],
)
def test_what_makes_no_single_update_or_no_model_is_refused(spec: TrainingSpec, why: str) -> None:
    assert why in refusal(scored(spec))


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        ({"validation": 0.0}, "there are none"),
        ({"aggregation": {"rule": "median"}}, "median a coalition's model is not the mean"),
        ({"strategy": {"name": "fedadam"}}, "fedadam keeps from round to round"),
        ({"strategy": {"name": "feddyn"}}, "feddyn keeps from round to round"),
        ({"strategy": {"name": "fednova"}}, "fednova keeps from round to round"),
    ],
)
def test_plans_under_which_a_coalition_has_no_model_are_refused(
    plan: dict[str, Any], why: str
) -> None:
    assert why in refusal(scored(**plan))


def test_noise_is_not_paid_for_scores() -> None:
    privacy = Privacy(
        unit="record", delta=1e-6, mechanism="dp-sgd", clipping_norm=1.0, sampling=0.1,
        rows=1000, metrics_noise=10.0, noise_multiplier=2.0,
    )  # fmt: skip
    assert "without noise" in refusal(scored(replace(SPEC, privacy=privacy)))


def test_an_enclave_holds_no_more_than_it_can() -> None:
    many = tuple(RosterEntry(f"bank-{n}", f"{n:044d}", "clients") for n in range(200))
    spec = replace(SPEC, roster=many)
    check(scored(spec, contribution={"rows": 10_000, "permutations": 10}))
    wide = features(
        numeric=tuple(
            replace(SPEC.features.numeric[0], column=f"x{n}")  # type: ignore[union-attr]
            for n in range(200)
        )
    )
    told = refusal(scored(replace(spec, features=wide), contribution={"rows": 10_000}))
    assert "more than the enclave holds" in told
    assert MAX_VALUES // (201 * 200) == 417


@pytest.mark.parametrize("rows", [0, 9, 10_001, 1.5])
def test_rows_out_of_range_are_refused(rows: Any) -> None:
    with pytest.raises(SecureFlowError) as refused:
        scored(contribution={"rows": rows})
    assert refused.value.code == "invalid_spec"


def test_inputs_that_are_no_numbers_are_refused() -> None:
    spec = replace(SPEC, features=features(arrays=(ArrayFeature("a", (4,), (0.0, 1.0)),)))
    assert "not sealed as rows" in refusal(scored(spec))


def refusal(spec: TrainingSpec) -> str:
    with pytest.raises(SecureFlowError) as error:
        check(spec)
    assert error.value.code == "contradictory_spec"
    return str(error.value.message)


def test_jobs_that_other_jobs_start_are_refused_as_they_are_submitted() -> None:
    """Their owners are asked once for all of them, and rows leave under a grant of their own."""
    plan = {"rounds": 2, "draws": "words", **PLAN}
    with pytest.raises(SecureFlowError) as swept:
        check_sweep(sweep(training=training(plan=plan)))
    assert "points.1" in swept.value.message
    with pytest.raises(SecureFlowError) as timed:
        timetable({**TRAINING, "plan": plan})
    with pytest.raises(SecureFlowError) as piped:
        SPEC_KINDS.check(pipeline(plan))
    for one in (swept, timed, piped):
        assert "no grant of its own for rows that leave" in one.value.message


def pipeline(plan: dict[str, Any], **more: Any) -> JobSpec:
    """Return a pipeline of one training."""
    job = {**TRAINING, "plan": plan, "part_of": None, **more}
    step = {"id": "train", "job": job}
    return SPEC_KINDS.parse({**HEAD, "kind": "pipeline", "steps": [step]})


def test_every_party_comes_first_in_some_order() -> None:
    """Else one that is worth as much as others scored 0, with an interval of no width."""
    roster = tuple(RosterEntry(f"bank-{n}", f"{n}" * 44, "clients") for n in "abcdefgh")
    spec = replace(SPEC, roster=roster)
    for rounds, permutations, part, sure in (
        (1, 4, None, False), (2, 4, None, True), (1, 8, None, True), (3, 2, None, False),
        (4, 2, None, True), (1, 4, 7, False), (1, 7, 7, True),
        (1, 37, None, True),  # every coalition of eight is measured
    ):  # fmt: skip
        sampled = {"rows": 50, "permutations": permutations}
        job = scored(spec, rounds=rounds, contribution=sampled, parties_per_round=part)
        if sure:
            check(job)
        else:
            assert "not each of" in refusal(job)


def test_scoring_takes_no_more_than_an_enclave_takes_on() -> None:
    """Counted as the enclave counts: few parties' coalitions are all measured."""
    plan = scored(rounds=3, contribution={"rows": 10_000, "permutations": 64}).plan
    assert plan.contribution is not None
    for parties, models in ((3, 3 * 8), (9, 3 * 512), (10, 3 * (2 + 64 * 9))):
        roster = tuple(RosterEntry(f"bank-{n}", f"{n:044d}", "clients") for n in range(parties))
        spec = replace(SPEC, roster=roster, plan=plan)
        assert scored_models(spec, plan.contribution) == models
        sampled = Sampling(b"s" * 32, 64, 0.0, 0.0)
        one = round_scores(parties, 1, lambda mask, n=parties: np.arange(n) * 1.0 * mask, sampled)
        assert one.evaluations <= models / 3
        each = parties * (10_001 * spec.model_parameters + MEASURING)
        assert scoring_work(spec, plan.contribution) == models * each
    check(spec)
    roster = tuple(RosterEntry(f"bank-{n}", f"{n:044d}", "clients") for n in range(100))
    long = replace(spec, roster=roster, plan=replace(plan, rounds=10_000))
    assert scoring_work(long, plan.contribution) > MAX_WORK
    assert f"would measure {10_000 * (2 + 64 * 99)} models" in refusal(long)


def test_many_small_models_are_work_too() -> None:
    """Each is measured on every party's rows, which takes its time however few they are."""
    roster = tuple(RosterEntry(f"bank-{n}", f"{n:044d}", "clients") for n in range(256))
    spec = replace(SPEC, roster=roster)
    few = {"rows": 10, "permutations": 64}
    assert "more than an enclave takes on" in refusal(scored(spec, rounds=20, contribution=few))
    check(scored(spec, rounds=4, contribution=few))


def test_only_what_masks_hide_is_asked_for() -> None:
    plan = replace(SPEC.plan, self_report="rows_and_loss")
    masked = replace(SPEC, plan=plan, protection="secagg")
    check(masked)
    assert (masked.facts()["self_report"], SPEC.facts()["self_report"]) == ("rows_and_loss", "")
    assert "self_report" not in dump(SPEC)["plan"]
    assert "only masks hide" in refusal(replace(masked, protection="sealed"))
    privacy = Privacy(
        unit="record", delta=1e-6, mechanism="dp-sgd", clipping_norm=1.0, sampling=0.1,
        rows=1000, metrics_noise=10.0, noise_multiplier=2.0, noise="local",
    )  # fmt: skip
    assert "without noise" in refusal(replace(masked, privacy=privacy))
    part = replace(masked, part_of=Part("job_0123456789", 1))
    assert "asks nobody for figures of its own" in refusal(part)
    whole = {"rounds": 2, "draws": "words", "self_report": "rows_and_loss"}
    with pytest.raises(SecureFlowError) as piped:
        SPEC_KINDS.check(pipeline(whole, protection="secagg"))
    assert "figures of its own" in piped.value.message
