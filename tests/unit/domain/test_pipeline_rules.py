"""What contradicts itself in a pipeline, and the ports of its steps."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from secureflow.domain.specs.base import dump, parse
from secureflow.domain.specs.conditions import Condition, are_metrics, metrics_of, signed_metrics
from secureflow.domain.specs.kinds import PIPELINE_SPEC, SPEC_KINDS
from secureflow.domain.specs.pipeline import Edge, PipelineSpec
from secureflow.domain.specs.ports import PORTS, WHEN, Port, connects
from secureflow.domain.specs.preparation import PreparationSpec
from secureflow.domain.specs.provisional import provisional_recipe
from secureflow.domain.specs.targets import ClassesLabel, Label, NumberLabel
from secureflow.engines.evaluation.figures import evaluate
from secureflow.engines.kinds import PIPELINE_ENGINE
from secureflow.engines.pipeline.label import together
from secureflow.kit.errors import SecureFlowError
from tests.unit.engines.evaluation.rows import BINARY, CLASSES, NUMBER, rows_of
from tests.unit.engines.pipeline.world import gated, head_of, specified, steps_of

ROSTER = [{"party": f"bank-{n}", "key": n * 44, "dataset": "d"} for n in "abcd"]


def changed(place: int, **job: Any) -> PipelineSpec:
    """The pipeline with other members of one step's job."""
    steps = steps_of(ROSTER)
    steps[place]["job"] = {**steps[place]["job"], **job}
    return specified(ROSTER, steps=steps)


def refusal(spec: PipelineSpec) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        SPEC_KINDS.check(spec)
    assert caught.value.code == "contradictory_spec", caught.value
    return caught.value


def test_a_sound_pipeline_is_read_back_as_it_was_written() -> None:
    spec = specified(ROSTER)
    SPEC_KINDS.check(spec)
    assert parse(PipelineSpec, dump(spec)) == spec
    assert spec.facts() == {
        "kinds": ("evaluation", "preparation", "training"), "jobs": 3, "attempts": 2,
    }  # fmt: skip
    assert set(spec.facts()) == set(PIPELINE_SPEC.facts)
    assert spec.column_names == ("age", "income")
    assert [spec.place(n) for n in range(1, 7)] == [
        (1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ({"step": "last"}, "no step 'last' before it"),
        ({"step": "train"}, "no evaluation"),
        ({"metric": "rmse"}, "tells no rmse"),
        ({"of": "prepare"}, "measures several models, or none of that step"),
        ({"at_most": 0.9}, "no limit, or two"),
        ({"at_least": None}, "no limit, or two"),
        ({"at_least": 0.8000004}, "more than 6 decimals"),
        ({"at_least": None, "at_most": 1e-7}, "more than 6 decimals"),
    ],
)
def test_a_condition_is_on_a_figure_that_an_earlier_evaluation_tells(
    when: dict[str, Any], told: str
) -> None:
    SPEC_KINDS.check(specified(ROSTER, steps=gated(ROSTER)))
    SPEC_KINDS.check(specified(ROSTER, steps=gated(ROSTER, of="train")))
    assert told in refusal(specified(ROSTER, steps=gated(ROSTER, **when))).message


@pytest.mark.parametrize(
    ("limit", "told"),
    [(0.8, "0.8"), (0.999999, "0.999999"), (1_234_567.25, "1234567.25"), (1e12, "1000000000000"),
     (1e-6, "0.000001"), (-3.0, "-3"), (0.0, "0"), (100.0, "100")],
)  # fmt: skip
def test_people_read_the_very_limit_that_decides(limit: float, told: str) -> None:
    """Rounded to six digits, 0.9999999 would be read as 1, and 1234567.25 as 1.23457e+06."""
    least, most = Condition("test", "auc", None, limit), Condition("test", "auc", None, None, limit)
    assert (least.sentence, most.sentence) == (
        f"AUC of test is at least {told}", f"AUC of test is at most {told}"
    )  # fmt: skip
    above, below = f"{limit + 1e-6:.6f}", f"{limit - 1e-6:.6f}"
    assert f"less than {told}" in str(least.unmet([{"auc": below}], 0)) or limit == 1e12
    assert f"more than {told}" in str(most.unmet([{"auc": above}], 0)) or limit == 1e12
    assert least.unmet([{"auc": f"{limit:.6f}"}], 0) is None
    assert most.unmet([{"auc": f"{limit:.6f}"}], 0) is None
    SPEC_KINDS.check(specified(ROSTER, steps=gated(ROSTER, at_least=limit)))


def test_a_step_needs_steps_before_it() -> None:
    steps = steps_of(ROSTER)
    steps[2]["needs"] = ["prepare"]
    spec = specified(ROSTER, steps=steps)
    SPEC_KINDS.check(spec)
    assert parse(PipelineSpec, dump(spec)) == spec
    steps[0]["needs"] = ["test"]
    assert "no step 'test' before it" in refusal(specified(ROSTER, steps=steps)).message


def test_limits_are_reached_exactly() -> None:
    least = Condition("test", "auc", at_least=0.8)
    assert least.unmet([{"auc": "0.800000"}], 0) is None
    assert least.unmet([{"auc": "0.799999"}], 0) is not None
    assert least.unmet([{}], 0) is not None
    assert least.unmet([], 0) is not None
    most = Condition("test", "bias", at_most=-0.1)
    assert most.unmet([{"bias": "-0.100000"}], 0) is None
    assert most.unmet([{"bias": "-0.099999"}], 0) is not None


@pytest.mark.parametrize(
    ("label", "form"),
    [
        (Label("y", "1"), BINARY),
        (ClassesLabel("y", ("low", "middle", "high", "rare")), CLASSES),
        (NumberLabel("y", (0.0, 100.0)), NUMBER),
    ],
)
def test_conditions_are_on_the_figures_that_evaluations_tell(label: Any, form: Any) -> None:
    told = set(evaluate(form, rows_of(form, count=900).totals(form))["figures"])
    assert told - {"undefined", "ks_threshold", "target_deviation"} == metrics_of(label)


@pytest.mark.parametrize("name", ["project", "name", "purpose", "submitter"])
def test_steps_share_what_the_pipeline_says(name: str) -> None:
    other = {"project": "prj_abcdefghij"}.get(name, "another")
    assert "prepare" in refusal(changed(0, **{name: other})).message


def test_steps_share_their_roster() -> None:
    refusal(changed(2, roster=ROSTER[:3], min_contributors=3))


def test_each_step_has_its_own_id() -> None:
    steps = steps_of(ROSTER)
    steps[1]["id"] = "prepare"
    refusal(specified(ROSTER, steps=steps))


@pytest.mark.parametrize(
    "edge",
    [
        Edge("models", "test", "model"),
        Edge("models", "later", "model"),
        Edge("models", "prepare", "recipe"),
        Edge("models", "train", "metrics"),
        Edge("recipe", "prepare", "recipe"),
    ],
    ids=str,
)
def test_an_edge_leads_from_a_step_before_to_an_input_of_its_type(edge: Edge) -> None:
    steps = steps_of(ROSTER)
    steps[2]["takes"] = [dump(edge)]
    refusal(specified(ROSTER, steps=steps))


@pytest.mark.parametrize("place", [1, 2])
def test_nothing_provisional_stands_without_its_edge(place: int) -> None:
    steps = steps_of(ROSTER)
    steps[place]["takes"] = []
    assert "nothing gives it" in refusal(specified(ROSTER, steps=steps)).message


def test_a_model_that_is_taken_is_the_one_that_the_step_trains() -> None:
    spec: Any = specified(ROSTER)
    model = replace(spec.steps[2].job.models[0], digest="ab" * 32)
    job = replace(spec.steps[2].job, models=(model,))
    steps = (*spec.steps[:2], replace(spec.steps[2], job=job))
    refusal(replace(spec, steps=steps))


def test_a_recipe_that_is_taken_is_the_one_that_the_step_fits() -> None:
    other = changed(0, steps=[{"step": "min_max", "columns": ["age"]}])
    assert "train" in refusal(other).message


def test_a_step_that_contradicts_itself_is_named() -> None:
    error = refusal(changed(1, min_contributors=1 + len(ROSTER)))
    assert "steps.train" in error.message


def test_without_noise_no_party_may_be_missing_in_the_sum_of_any_step() -> None:
    error = refusal(changed(1, min_contributors=3))
    assert error.details["field"] == "steps.train.min_contributors"


def test_a_recipe_that_stands_for_one_to_come_is_one_that_its_steps_could_have_fitted() -> None:
    steps = [
        {"step": "impute", "columns": ["age"], "by": "mean"},
        {"step": "quantile_bins", "columns": ["pay"], "bins": 4},
        {"step": "woe", "columns": ["pay"]},
        {"step": "yeo_johnson", "columns": ["debt"]},
        {"step": "standardise", "columns": ["age", "debt"]},
        {"step": "one_hot", "columns": ["job"], "least": 5},
        {"step": "min_max", "columns": ["rate"], "of": "rows"},
        {"step": "select", "columns": ["age", "debt"], "by": "correlation", "threshold": 0.9},
        {"step": "select", "columns": ["pay"], "by": "iv", "threshold": 0.1},
        {"step": "select", "columns": ["rate"], "by": "variance", "threshold": 0.1},
    ]
    numbers = [{"column": c, "type": "number", "bounds": [-5, 100]}
               for c in ("age", "pay", "debt", "rate")]  # fmt: skip
    job = {"column": "job", "type": "category", "categories": ["x", "y"]}
    label = {"column": "income", "positive": "high"}
    value = {**head_of(ROSTER), "columns": [*numbers, job], "steps": steps, "label": label,
             "min_contributors": 4}  # fmt: skip
    spec = parse(PreparationSpec, value)
    SPEC_KINDS.check(spec)
    recipe = provisional_recipe(spec)
    assert recipe.fault == ""
    assert recipe.made == ("age", "pay", "debt", "rate", "job=x", "job=y")


def test_ports_are_inputs_of_requests_and_each_that_goes_on_is_taken_somewhere() -> None:
    assert set(PORTS) == set(SPEC_KINDS) - {"sweep", "timetable", "pipeline"}
    for kind, ports in PORTS.items():
        members = {one.name for one in fields(SPEC_KINDS[kind].request)}  # type: ignore[arg-type]
        members.add("rows")  # of every step, as `needs` is
        for port in ports.inputs:
            assert port.field.partition(".")[0] in members
            assert any(connects(giver, out.name, kind, port.name)
                       for giver, its in PORTS.items() for out in its.outputs)  # fmt: skip
        for port in ports.outputs:
            taken = any(connects(kind, port.name, taker, one.name)
                        for taker, its in PORTS.items() for one in its.inputs)  # fmt: skip
            assert (taken or port == Port("metrics", WHEN.type, goes_on=True)) is port.goes_on


def test_the_label_says_what_steps_tell_together() -> None:
    spec = specified(ROSTER)
    rows = together(spec)
    assert [row["steps"] for row in rows] == [
        ["prepare", "train", "test"],  # exact figures of the same rows
        ["train", "prepare", "test"],  # a model, and figures of the rows that it learned from
        ["prepare", "train", "test"],  # several attempts
    ]
    told = PIPELINE_ENGINE.disclosure(spec, "")
    assert [one for one in told if one.get("together")] == rows
    assert all(one["steps"] for one in told)


def test_the_label_says_who_keeps_the_figures_by_which_a_step_runs() -> None:
    spec = specified(ROSTER, steps=gated(ROSTER))
    (told,) = (row for row in together(spec) if "own record" in str(row["who"]))
    assert told["steps"] == ["test", "again"]
    assert all(party in str(told["who"]) for party in spec.parties)
    assert "all figures of test" in str(told["sees"])


def test_figures_of_other_rows_can_be_subtracted() -> None:
    share = {"held_out": {"by": "key", "share": 0.2}}
    whole, part = together(specified(ROSTER)), together(changed(2, **share))
    assert len(part) == len(whole) + 1
    assert "figures of other rows" in str(part[1]["sees"])


def test_one_step_alone_tells_nothing_together() -> None:
    assert together(specified(ROSTER, steps=steps_of(ROSTER)[:1], attempts=1)) == []


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), -float("inf"), 1e300, -1e308])
def test_a_figure_that_cannot_be_told_takes_no_other_with_it(odd: float) -> None:
    """A condition on it does not hold, by its name; one on another figure decides as ever."""
    told = signed_metrics([{"rows": 60.0, "auc": odd, "loss": 0.5, "Odd name": 1.0}])
    assert told == [{"rows": "60.000000", "loss": "0.500000"}]
    assert are_metrics(told)
    assert str(Condition("test", "auc", at_least=0.8).unmet(told, 0)) == "test tells no AUC"
    assert Condition("test", "loss", at_most=0.8).unmet(told, 0) is None
    assert are_metrics(signed_metrics([{"loss": 9.9e299}]))
