"""Model cards and reports for people: noised figures with ±, digests last, no raw sums."""

from __future__ import annotations

import json
from typing import Any

import pytest

from secureflow.texts import catalogue
from tests.full import thinned

VALUES = thinned(
    ["x\u202e", True, 3, [5], [], {"a": 1}, [[]], {}, None, 10**400], 5, pytest.mark.full
)
"""What a centre may say in the place of something else."""

PRIVACY = {"unit": "record", "mechanism": "gaussian", "noise": "shared", "epsilon": 1.25,
           "delta": 1e-6, "metrics_noise": 4.0}  # fmt: skip
CARD = {
    "moments": [float(n) for n in range(69)],
    "id": "mdl_00000000", "name": "default risk", "version": 2, "family": "logistic_regression",
    "digest": "d" * 64, "spec_digest": "e" * 64, "job": "job_00000000", "project": "prj_00000000",
    "created": 1_790_000_000, "purpose": "credit-scoring", "parents": [], "protection": "secagg",
    "contributors": ["bank-a", "bank-b", "bank-c"], "tee": "", "rounds": 12,
    "plan": {"rounds": 40, "learning_rate": 0.1},
    "features": {
        "label": {"column": "income", "positive": ">50K"},
        "numeric": [{"column": "age", "bounds": [17, 90]}],
        "categorical": [{"column": "sex", "categories": ["f", "m"]}],
    },
    "metrics": {"rows": 9768.317, "loss": 0.41234, "accuracy": 0.80312, "auc": 0.87654},
    "metrics_errors": {}, "privacy": None,
}  # fmt: skip
ERRORS = {"rows": 32.0, "loss": 0.0131, "accuracy": 0.00421, "auc": 0.0012}
NOISED = {"privacy": PRIVACY, "metrics_errors": ERRORS}
_SHOWN = ["id", "project", "job", "name", "version", "digest", "family", "metrics", "created"]
MODEL = {name: CARD[name] for name in _SHOWN}


@pytest.fixture(autouse=True)
def _served(centre: Any) -> None:
    centre.answers["GET /models/mdl_00000000/card"] = (200, CARD | NOISED)
    centre.answers["GET /models/mdl_00000000"] = (200, MODEL | {"artifact": "f" * 64})
    centre.answers["GET /models"] = (200, {"items": [MODEL | {"artifact": "f" * 64}]})
    report = {"job": "job_00000000", "state": "succeeded", "metrics": CARD["metrics"], **NOISED}
    centre.answers["GET /jobs/job_00000000/report?format=json"] = (200, report)


def test_a_card_reads_from_the_purpose_to_the_digest(cli: Any) -> None:
    code, out, err = cli("model", "card", "mdl_00000000")
    assert (code, err) == (0, "")
    wanted = ["default risk  v2", "credit-scoring", "income = >50K", "age", "sex (2)",
              "bank-a, bank-b, bank-c", "ε = 1.25", "secagg", "12 of 40 rounds",
              "d" * 64]  # fmt: skip
    places = [out.index(text) for text in wanted]
    assert places == sorted(places)
    assert "67.0" not in out  # the moments are for programs
    assert json.loads(cli("model", "card", "mdl_00000000", "-o", "json")[1]) == CARD | NOISED


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(
    "place",
    ["features", "features.numeric", "features.categorical", "features.label", "plan",
     "plan.split", "plan.validation", "plan.rounds", "rounds", "kept_round", "contributors",
     "parents", "metrics", "metrics.rows", "metrics.auc", "metrics_errors", "metrics_errors.auc",
     "privacy", "privacy.epsilon", "privacy.unit", "model", "created", "family", "protection",
     "contributions", "contributions.bank-a", "code"],
)  # fmt: skip
def test_nothing_that_a_centre_says_of_a_model_ends_the_command_line(
    cli: Any, centre: Any, place: str, value: Any
) -> None:
    given = {"contributions": {"bank-a": {"rounds": 1}}, "state": "succeeded"}
    whole: dict[str, Any] = json.loads(json.dumps({**CARD, **NOISED, **given}))
    whole["plan"]["split"] = {"folds": None}
    name, _, member = place.partition(".")
    changed = {**whole, name: {**whole[name], member: value} if member else value}
    centre.answers["GET /models/mdl_00000000/card"] = (200, changed)
    centre.answers["GET /jobs/job_00000000/report?format=json"] = (200, changed)
    for command in (("model", "card", "mdl_00000000"), ("job", "report", "job_00000000")):
        code, out, err = cli(*command)
        assert (code, "\u202e" in out) == (0, False), err


def test_a_card_and_a_report_in_chinese_are_chinese(
    cli: Any, centre: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    out = cli("model", "card", "mdl_00000000")[1]
    assert "逻辑回归：income = >50K" in out
    assert "bank-a、bank-b、bank-c" in out
    report = {"job": "job_00000000", "state": "succeeded", "protection": "sealed+secagg"}
    centre.answers["GET /jobs/job_00000000/report?format=json"] = (200, report)
    out = cli("job", "report", "job_00000000")[1]
    assert "密封 + 安全聚合" in out
    assert "secagg" in cli("job", "report", "job_00000000", "-o", "json")[1]


def test_every_family_has_a_name_in_chinese() -> None:
    from secureflow.domain.specs.families import LEARNS

    ours = {"softmax", "rehearsal"}  # written so in Chinese too; no model
    assert not {name for name in LEARNS if name not in catalogue()} - ours


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("command", [("model", "card"), ("job", "report")])
def test_the_code_of_a_model_is_named_in_full(
    cli: Any, centre: Any, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], language: str
) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", language)
    code = {"digest": "b" * 64, "entry": "model:Model", "environment": "c" * 64}
    card = {**CARD, "family": "bundle", "model": {"bundle": code}}
    centre.answers["GET /models/mdl_00000000/card"] = (200, card)
    report = {"job": "job_00000000", "state": "succeeded", "metrics": {}, "code": code}
    centre.answers["GET /jobs/job_00000000/report?format=json"] = (200, report)
    of = "mdl_00000000" if command[0] == "model" else "job_00000000"
    out = cli(*command, of)[1]
    assert all(one in out for one in code.values())
    assert ("运行环境" if language == "zh" else "environment") in out


@pytest.mark.parametrize(
    "command",
    [("model", "card", "mdl_00000000"), ("model", "show", "mdl_00000000"),
     ("job", "report", "job_00000000")],
)  # fmt: skip
def test_noised_metrics_are_told_with_their_noise(cli: Any, command: tuple[str, ...]) -> None:
    out = cli(*command)[1]
    for text in ("9,768 ± 63", "0.412 ± 0.026", "0.8031 ± 0.0083", "0.8765 ± 0.0024", "noised"):
        assert text in out
    assert "9768.3" not in out


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_report_tells_what_a_private_job_cost(
    cli: Any, centre: Any, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", language)
    (told,) = [
        line for line in cli("job", "report", "job_00000000")[1].splitlines() if "ε = 1.25" in line
    ]
    assert told.startswith("隐私" if language == "zh" else "privacy")
    assert "δ = 1e-06" in told
    assert ("记录" if language == "zh" else "record") in told
    plain = {"job": "job_00000000", "state": "succeeded", "privacy": None}
    centre.answers["GET /jobs/job_00000000/report?format=json"] = (200, plain)
    assert "ε" not in cli("job", "report", "job_00000000")[1]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_round_that_was_kept_is_told(
    cli: Any, centre: Any, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", language)
    report = {"job": "job_00000000", "state": "succeeded", "rounds": 12}
    path = "GET /jobs/job_00000000/report?format=json"
    centre.answers[path] = (200, report)
    line = "保留的轮次" if language == "zh" else "kept_round"
    assert line not in cli("job", "report", "job_00000000")[1]
    centre.answers[path] = (200, report | {"kept_round": 7})
    out = cli("job", "report", "job_00000000")[1]
    (told,) = [one for one in out.splitlines() if one.startswith(line)]
    assert told.split() == [line, "7"]
    centre.answers["GET /models/mdl_00000000/card"] = (200, CARD | {"kept_round": 7})
    told = "保留的是第 7 轮的模型" if language == "zh" else "kept is the model of round 7"
    assert told in cli("model", "card", "mdl_00000000")[1]


def test_figures_without_noise_are_not_called_noised(centre: Any, cli: Any) -> None:
    centre.answers["GET /models/mdl_00000000/card"] = (200, CARD)
    out = cli("model", "card", "mdl_00000000")[1]
    assert "noised" not in out
    assert "±" not in out
    assert "no differential privacy" in out


def test_a_list_of_models_tells_no_metric_without_its_noise(cli: Any) -> None:
    assert "0.87" not in cli("model", "list")[1]


def test_a_card_in_chinese(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    out = cli("model", "card", "mdl_00000000")[1]
    for text in ("数据所有者", "已加噪", "行数", "安全聚合", "规格摘要"):
        assert text in out


def test_that_a_metric_is_noised_is_not_said_to_be_where_noise_is_added(
    centre: Any, cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    out = cli("model", "card", CARD["id"])[1]
    (title,) = [line for line in out.splitlines() if line.startswith("指标")]
    assert title.split() == ["指标", "值", "备注"]
    assert "已加噪" in out


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ({"column": "job", "classes": ["a", "b", "c"]}, "softmax: which of 3 classes job is"),
        ({"column": "pay", "bounds": [0, 9]}, "softmax: the number pay"),
    ],
)
def test_a_card_tells_other_targets(
    cli: Any, centre: Any, label: dict[str, Any], told: str
) -> None:
    features = {**CARD["features"], "label": label}
    card = CARD | {"family": "softmax", "features": features}
    centre.answers["GET /models/mdl_00000000/card"] = (200, card)
    code, out, err = cli("model", "card", "mdl_00000000")
    assert (code, err) == (0, "")
    assert told in out


@pytest.mark.parametrize(("language", "said"), [("en", "20% of the keys"), ("zh", "20% 的键")])
def test_a_card_says_which_keys_were_held_out(
    cli: Any, centre: Any, monkeypatch: pytest.MonkeyPatch, language: str, said: str
) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", language)
    plan = {"rounds": 40, "validation": 0.2, "split": {"by": "key"}}
    centre.answers["GET /models/mdl_00000000/card"] = (200, CARD | {"plan": plan})
    assert said in cli("model", "card", "mdl_00000000")[1]
    fold = {**plan, "split": {"by": "key", "folds": 5, "fold": 3}}
    centre.answers["GET /models/mdl_00000000/card"] = (200, CARD | {"plan": fold})
    out = cli("model", "card", "mdl_00000000")[1]
    assert "fold 3 of 5 of the keys" in out or "键分 5 折中的第 3 折" in out
    assert said not in out


@pytest.mark.parametrize(("language", "said"), [("en", "compared by auc"), ("zh", "按AUC比较")])
def test_a_card_says_what_rounds_were_compared_by(
    cli: Any, centre: Any, monkeypatch: pytest.MonkeyPatch, language: str, said: str
) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", language)
    chosen = {"kept_round": 5, "plan": {"rounds": 40, "keep": "best", "metric": "auc"}}
    centre.answers["GET /models/mdl_00000000/card"] = (200, CARD | chosen)
    assert said in cli("model", "card", "mdl_00000000")[1]
    report = {"job": "job_00000000", "state": "succeeded", "kept_round": 5, "chosen_by": "auc"}
    centre.answers["GET /jobs/job_00000000/report?format=json"] = (200, report)
    assert "chosen" in cli("job", "report", "job_00000000")[1] or language == "zh"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_models_are_compared_side_by_side(
    cli: Any, centre: Any, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", language)
    other = {**CARD, "id": "mdl_00000001", "version": 3, "digest": "a" * 64, "job": "job_1",
             "metrics": {"auc": 0.9, "rows": CARD["metrics"]["rows"]}}  # fmt: skip
    centre.answers["GET /models/mdl_00000000/card"] = (200, CARD)
    centre.answers["GET /models/mdl_00000001/card"] = (200, other)
    job = {
        "id": "j", "project": "p", "organisation": "o", "name": "n", "submitter": "s",
        "kind": "training", "script": "t", "digest": "d", "state": "succeeded", "created": 1,
        "updated": 1, "spec": {"roster": [{"party": "bank-a", "dataset": "x"}]},
    }  # fmt: skip
    centre.answers["GET /jobs/job_00000000"] = centre.answers["GET /jobs/job_1"] = (200, job)
    code, out, err = cli("model", "compare", "mdl_00000000", "mdl_00000001")
    assert (code, err) == (0, "")
    for text in ("default risk v2", "default risk v3", "d" * 64, "a" * 64):
        assert text in out
    assert ("更好" if language == "zh" else "0.9000 (better)") in out
    found = json.loads(cli("model", "compare", "mdl_00000000", "mdl_00000001", "-o", "json")[1])
    assert found["comparable"] is True
    assert [one["id"] for one in found["models"]] == ["mdl_00000000", "mdl_00000001"]
    assert cli("model", "compare", "mdl_00000000")[0] == 2
    figures = [{"model": one, "figures": {"auc": at / 10}, "contributors": ["bank-a"]}
               for at, one in enumerate((CARD["digest"], other["digest"]), 7)]  # fmt: skip
    centre.answers["GET /jobs/job_9/report?format=json"] = (
        200, {"evaluation": {"models": figures}}
    )  # fmt: skip
    asked = ("model", "compare", "mdl_00000000", "mdl_00000001", "--evaluation", "job_9")
    assert "0.8000" in cli(*asked)[1]
    assert "0.8031" not in cli(*asked)[1]
