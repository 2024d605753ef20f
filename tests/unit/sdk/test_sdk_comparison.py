"""Models side by side: the better figure is marked where the same rows were measured, else not."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from secureflow.domain.specs.base import dump
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk.comparison import Comparison

D1, D2 = "d" * 64, "e" * 64
ROSTER = [{"party": "bank-a", "dataset": "adult"}, {"party": "bank-b", "dataset": "adult"}]
PRIVACY = {"epsilon": 2.5, "delta": 1e-6, "unit": "record", "mechanism": "gaussian",
           "noise": "shared"}  # fmt: skip
FIRST: dict[str, Any] = {
    "id": "mdl_1", "name": "income", "version": 1, "family": "logistic_regression", "job": "job_1",
    "purpose": "credit", "digest": D1, "spec_digest": D2, "protection": "secagg", "rounds": 12,
    "contributors": ["bank-a", "bank-b"], "plan": {"rounds": 40, "validation": 0.2, "seed": 7},
    "features": {
        "label": {"column": "income", "positive": ">50K"},
        "numeric": [{"column": "age", "bounds": [0, 90]}, {"column": "hours", "bounds": [0, 99]}],
        "categorical": [{"column": "sex", "categories": ["f", "m"]}],
    },
    "metrics": {"rows": 400.0, "loss": 0.5, "auc": 0.8, "own": 3.0}, "privacy": None,
    "created": 1_790_000_000, "project": "prj_1", "kept_round": 9,
}  # fmt: skip
SECOND: dict[str, Any] = {
    **FIRST, "id": "mdl_2", "version": 2, "family": "mlp", "job": "job_2", "digest": D2,
    "model": {"family": "mlp", "hidden": [6]}, "kept_round": None,
    "features": {**FIRST["features"], "categorical": [{"column": "race", "categories": ["x"]}]},
    "metrics": {"rows": 400.0, "loss": 0.4, "auc": 0.75, "own": 4.0},
}  # fmt: skip


def compared(
    sdk_server: type, sdk_job: dict[str, Any], *cards: dict[str, Any],
    rosters: tuple[Any, ...] = (ROSTER, ROSTER),
) -> Comparison:  # fmt: skip
    answers = []
    for card, roster in zip(cards, rosters, strict=True):
        answers.append(httpx.Response(200, json=card))
        job = {**sdk_job, "id": card["job"], "spec": {"roster": roster}}
        gone = {"code": "not_found", "detail": "gone"}
        answers.append(httpx.Response(404, json=gone) if roster is None
                       else httpx.Response(200, json=job))  # fmt: skip
    found: Comparison = sdk_server(*answers).client().models.compare(*(c["id"] for c in cards))
    return found


def test_the_better_figure_is_marked(sdk_server: type, sdk_job: dict[str, Any]) -> None:
    found = compared(sdk_server, sdk_job, FIRST, SECOND)
    rows = {row["metric"]: row for row in found.metrics}
    assert rows["loss"] == {"metric": "loss", "income v1": 0.5, "income v2": 0.4,
                            "better": "income v2"}  # fmt: skip
    assert rows["auc"]["better"] == "income v1"
    assert rows["own"]["better"] is None  # nobody said which direction is good
    assert rows["rows"]["better"] is None
    html = found._repr_html_()
    assert "0.8000 (better)" in html
    assert "0.4000 (better)" in html
    assert "published its file anew" in html
    assert found.to_arrow()["income v2"].to_pylist() == [400.0, 0.4, 0.75, 4.0]


def test_facts_tell_what_differs_whole(sdk_server: type, sdk_job: dict[str, Any]) -> None:
    found = compared(sdk_server, sdk_job, FIRST, {**SECOND, "privacy": PRIVACY})
    facts = {row["fact"]: (row["income v1"], row["income v2"]) for row in found.facts}
    assert facts["digest"] == (D1, D2)
    assert facts["spec_digest"] == (D2, D2)
    assert facts["only_here"] == ("sex", "race")
    assert facts["features"] == (3, 3)
    assert facts["model"] == ("", "hidden=6")
    assert facts["privacy"][0] == "no differential privacy"
    assert facts["privacy"][1].startswith("ε = 2.5, δ = 1e-06")
    assert facts["training"][0] == "12 of 40 rounds; kept is the model of round 9"
    assert facts["contributors"] == ("bank-a, bank-b", "bank-a, bank-b")
    assert facts["job"] == ("job_1", "job_2")
    assert D1 in repr(found)


@pytest.mark.parametrize(
    ("change", "rosters", "reason"),
    [
        ({}, (ROSTER, ROSTER[:1]), "their owners or datasets differ"),
        ({}, (ROSTER, None), "a job cannot be seen"),
        ({"plan": {"validation": 0.2, "seed": 8}}, (ROSTER, ROSTER), "plans choose other rows"),
        ({"plan": {"validation": 0.3, "seed": 7}}, (ROSTER, ROSTER), "plans choose other rows"),
        ({"plan": {"validation": 0.2, "seed": 7, "order": "public"}}, (ROSTER, ROSTER),
         "plans choose other rows"),
        ({"privacy": PRIVACY}, (ROSTER, ROSTER), "not all of them have differential privacy"),
        ({"features": {"label": {"column": "other", "positive": "1"}}}, (ROSTER, ROSTER),
         "they learn other labels"),
        ({"metrics": {"rows": 401.0, "loss": 0.1, "auc": 0.9}}, (ROSTER, ROSTER),
         "their numbers of rows differ"),
    ],
)  # fmt: skip
def test_figures_of_other_rows_are_not_compared(
    sdk_server: type, sdk_job: dict[str, Any], change: Any, rosters: Any, reason: str
) -> None:
    found = compared(sdk_server, sdk_job, FIRST, {**SECOND, **change}, rosters=rosters)
    assert not found.comparable
    assert {row["better"] for row in found.metrics} == {None}
    html = found._repr_html_()
    assert "(better)" not in html
    assert "other rows" in html
    assert reason in html
    assert "--evaluation" in html


def test_one_jobs_figures_compare_whatever_the_roster(
    sdk_server: type, sdk_job: dict[str, Any]
) -> None:
    found = compared(sdk_server, sdk_job, FIRST, {**SECOND, "job": "job_1"}, rosters=(None, None))
    assert found.comparable
    assert "one job measured" in found._repr_html_()


def test_what_noise_may_explain_is_not_marked(sdk_server: type, sdk_job: dict[str, Any]) -> None:
    noise = {"metrics_errors": {"loss": 0.05, "auc": 0.001}, "privacy": PRIVACY}
    other = compared(sdk_server, sdk_job, {**FIRST, **noise}, {**SECOND, **noise})
    assert other.reasons == ("their features choose other rows under differential privacy",)
    noise |= {"features": FIRST["features"]}
    found = compared(sdk_server, sdk_job, {**FIRST, **noise}, {**SECOND, **noise})
    better = {row["metric"]: row["better"] for row in found.metrics}
    assert better["loss"] is None  # 0.1 apart, ± 0.139
    assert better["auc"] == "income v1"
    assert "Of loss the difference is within the noise." in found._repr_html_()


EVALUATED = [
    {"model": D1, "figures": {"auc": 0.8, "brier": 0.2, "rows": 500}, "noise": {},
     "intervals": {"auc": [0.75, 0.85]}, "contributors": ["bank-a", "bank-b"], "seen": ["bank-b"]},
    {"model": D2, "figures": {"auc": 0.9, "brier": 0.1, "rows": 500}, "noise": {},
     "intervals": {"auc": [0.85, 0.95]}, "contributors": ["bank-a", "bank-b"], "seen": []},
]  # fmt: skip


def evaluated(sdk_server: type, models: Any) -> Comparison:
    answers = ({"evaluation": {"models": models}}, FIRST, SECOND)
    server = sdk_server(*(httpx.Response(200, json=one) for one in answers))
    found: Comparison = server.client().models.compare("mdl_1", "mdl_2", evaluation="job_9")
    assert server.requests[0].url.path.endswith("/jobs/job_9/report")
    return found


def test_an_evaluation_measures_all_on_the_same_rows(sdk_server: type) -> None:
    found = evaluated(sdk_server, EVALUATED)
    rows = {row["metric"]: row for row in found.metrics}
    assert (rows["auc"]["income v1"], rows["auc"]["income v2"]) == (0.8, 0.9)
    assert rows["auc"]["better"] == rows["brier"]["better"] == "income v2"
    html = found._repr_html_()
    assert "0.9000 (0.85 … 0.95) (better)" in html
    assert "income v1 may have learned from rows of bank-b that measure it." in html
    assert "95 % intervals" in html


def test_an_evaluation_without_a_party_in_one_model_does_not_compare(sdk_server: type) -> None:
    gone = {**EVALUATED[1], "contributors": ["bank-a"]}
    found = evaluated(sdk_server, [EVALUATED[0], gone])
    assert found.reasons == ("not the same parties' rows are in all of them",)
    assert {row["better"] for row in found.metrics} == {None}


@pytest.mark.parametrize("models", [EVALUATED[:1], "x", [1], None])
def test_a_model_that_an_evaluation_did_not_measure_is_named(sdk_server: type, models: Any) -> None:
    with pytest.raises(SecureFlowError, match="job_9 did not evaluate mdl_") as caught:
        evaluated(sdk_server, models)
    assert caught.value.code == "not_found"
    assert "secureflow model evaluate" in caught.value.hint


def test_keys_decide_whatever_the_seed_is(sdk_server: type, sdk_job: dict[str, Any]) -> None:
    split = {"validation": 0.2, "split": {"by": "key"}}
    first, second = ({**split, "seed": seed} for seed in (1, 2))
    cards = {**FIRST, "plan": first}, {**SECOND, "plan": second}
    assert compared(sdk_server, sdk_job, *cards).comparable
    noised = ({**one, "privacy": PRIVACY} for one in cards)
    assert compared(sdk_server, sdk_job, *noised).comparable
    other = {"validation": 0.2, "split": {"by": "key", "folds": 5, "fold": 1}}
    assert not compared(sdk_server, sdk_job, cards[0], {**SECOND, "plan": other}).comparable
    assert not compared(sdk_server, sdk_job, FIRST, cards[1]).comparable


def test_names_are_ids_where_two_are_called_alike(
    sdk_server: type, sdk_job: dict[str, Any]
) -> None:
    assert compared(sdk_server, sdk_job, FIRST, {**SECOND, "version": 1}).names == (
        "mdl_1", "mdl_2"
    )  # fmt: skip


def test_a_recipe_is_named_by_its_digest(sdk_server: type, sdk_job: dict[str, Any]) -> None:
    from unit.sdk.test_scorecard import rows

    from benchmarks.preparation import Fitting
    from secureflow.engines.preparation.recipe import recipe_digest

    steps = [{"step": "impute", "columns": ["age"], "by": "mean"}]
    recipe = Fitting(steps, [rows(1), rows(2), rows(3)], ("age",)).recipe
    features = {"numeric": [{"column": "age"}], "recipe": dump(recipe)}
    found = compared(sdk_server, sdk_job, FIRST, {**SECOND, "features": features})
    facts = {row["fact"]: row["income v2"] for row in found.facts}
    assert facts["recipe"] == f"{recipe_digest(recipe)} (job_0123456789)"


@pytest.mark.parametrize("names", [["mdl_1"], ["mdl_1", "mdl_1"], [f"m{n}" for n in range(21)]])
def test_a_comparison_is_of_several_models(sdk_server: type, names: list[str]) -> None:
    with pytest.raises(SecureFlowError, match="2 to 20 different"):
        sdk_server().client().models.compare(*names)


@pytest.mark.parametrize(
    "wrong",
    [
        {"plan": 1, "model": [1], "features": "x", "metrics": {"auc": "x"}, "privacy": [1]},
        {"features": {"label": 3, "numeric": [1, {"column": 2}], "recipe": {"a": 1}}},
        {"contributors": {"a": 1}, "metrics": None, "plan": {"rounds": "x"}, "created": "x"},
        {"metrics_errors": [1], "features": {"label": {"classes": 1}}, "name": None},
    ],
)
def test_whatever_a_server_sends_is_shown(
    sdk_server: type, sdk_job: dict[str, Any], wrong: dict[str, Any]
) -> None:
    found = compared(sdk_server, sdk_job, FIRST, {**SECOND, **wrong})
    assert "<table>" in found._repr_html_()
    assert found.as_json()["models"][1]["id"] == "mdl_2"
    assert "<table>" in found.cards[1]._repr_html_()
