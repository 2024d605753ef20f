"""A problem's title is Chinese where the request prefers it; its words for logs stay English."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from secureflow.texts.negotiation import prefers_chinese
from tests.unit.server.conftest import Api


@pytest.mark.parametrize(
    ("languages", "chinese"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", True),
        ("zh", True),
        ("fr, zh-Hant;q=0.2", True),
        ("en-GB,en;q=0.9,zh;q=0.8", False),
        ("zh;q=0", False),
        ("zh;q=nan", False),
        ("zh;q=9", False),
        ("", False),
        ("*", False),
        (",;=," * 10_000, False),
    ],
)
def test_the_preferred_language(languages: str, chinese: bool) -> None:
    assert prefers_chinese(languages) is chinese


async def test_a_title_has_the_language_that_was_asked_for(api: Api) -> None:
    english = await api.call("GET", "/me")
    chinese = await api.call("GET", "/me", headers={"Accept-Language": "zh-CN"})
    assert english.json()["title"] == "Unauthorized"
    assert chinese.json()["title"] == "尚未登录，或登录已失效"
    assert chinese.headers["content-language"] == "zh"
    assert english.headers["content-language"] == "en"
    assert english.headers["vary"] == chinese.headers["vary"] == "Accept-Language"
    assert chinese.json()["detail"] == "请求没有携带有效令牌。"
    assert chinese.json()["hint"].startswith("请登录：")
    told = {"title", "detail", "hint"}
    assert chinese.json() == english.json() | {name: chinese.json()[name] for name in told}


async def test_the_edge_speaks_it_too(api: Api) -> None:
    refused = await api.call("GET", "/me%01", headers={"Accept-Language": "zh"})
    assert (refused.status_code, refused.json()["title"]) == (400, "请求格式有误")


@pytest.mark.parametrize(("body", "told"), [({}, "缺少该项"), ({"kind": "no"}, "须为 ")])
async def test_what_is_wrong_with_a_body_is_chinese_too(
    api: Api, body: dict[str, str], told: str
) -> None:
    headers = {"Accept-Language": "zh", "Idempotency-Key": "key-1"}
    ada = api.stage.scientist("bank-a")
    answer = await api.call("POST", "/jobs", ada, json=body, headers=headers)
    assert answer.status_code == 422
    assert f"kind：{told}" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("part", "field"),
    [
        ({"model": {"family": "mlp", "hidden": [0]}}, "model.hidden.0"),
        ({"model": {"family": "bundel"}}, "model.family"),
        ({"surprise": 1}, "surprise"),
        ({"privacy": {"delta": "x"}}, "privacy.delta"),
    ],
)
async def test_a_wrong_field_is_named_as_the_job_file_has_it(
    api: Api, part: dict[str, object], field: str
) -> None:
    asked = {"kind": "training", "project": "p", "name": "n", "purpose": "p", "datasets": []}
    answer = await api.call(
        "POST", "/jobs/dry-run", api.stage.scientist("bank-a"), json=asked | part
    )
    told = answer.json()
    assert told["details"]["fields"][0]["field"] == field
    assert f": {field}: " in told["detail"]


async def test_a_query_and_a_whole_body_are_named_too(api: Api) -> None:
    ada = api.stage.scientist("bank-a")
    answer = await api.call("GET", "/jobs", ada, params={"limit": 0})
    assert answer.json()["details"]["fields"][0]["field"] == "limit"
    answer = await api.call("POST", "/projects", ada, json=[], headers={"Idempotency-Key": "k"})
    assert answer.json()["details"]["fields"][0]["field"] == "body"


async def test_a_misspelt_family_is_told_in_one_language(api: Api) -> None:
    asked = {"kind": "training", "project": "p", "name": "n", "purpose": "p", "datasets": []}
    asked["model"] = {"family": "bundel"}
    ada = api.stage.scientist("bank-a")
    answer = await api.call(
        "POST", "/jobs/dry-run", ada, json=asked, headers={"Accept-Language": "zh"}
    )
    told = answer.json()["detail"]
    assert "model.family：没有名为“bundel”的模型族：您可能是指 bundle。" in told
    assert "rehearsal" not in told


RULES = (
    "it must be 'none', 'trim', 'case', 'phone', 'id_card' or 'email', or an object with the "
    "fields rule, country"
)
PSI = {
    "kind": "psi",
    **{"project": "p", "name": "n", "purpose": "p", "datasets": []},
    "key": ["phone"],
    "columns": {"bank-a": {"key": ["a"]}, "bank-b": {"key": ["b"]}},
}


@pytest.mark.parametrize(
    ("part", "told"),
    [
        (
            {"learns": "bank-a", "key": ["fax"]},
            f"key.0: {RULES}.",
        ),
        (
            {"lerns": "bank-a"},
            "lerns: there is no field of this name here: learns may be meant.",
        ),
        (
            {"learns": "bank-a", "columns": {"bank-a": {"kye": ["a"]}, "bank-b": {"key": ["b"]}}},
            "columns.bank-a.kye: there is no field of this name here: key may be meant.",
        ),
    ],
)
async def test_all_forms_of_a_field_are_told_and_what_a_misspelt_one_means(
    api: Api, part: dict[str, object], told: str
) -> None:
    answer = await api.call("POST", "/jobs/dry-run", api.stage.scientist("bank-a"), json=PSI | part)
    assert answer.json()["detail"] == f"The request is not valid: {told}"


async def test_a_parameter_of_several_forms_is_told_all_of_them(api: Api) -> None:
    answer = await api.call("GET", "/jobs", api.stage.scientist("bank-a"), params={"state": "odd"})
    told = answer.json()["details"]["fields"]
    assert [one["field"] for one in told] == ["state"]
    assert told[0]["problem"].startswith("it must be 'draft', 'proposed', ")
    assert told[0]["problem"].endswith(", or ''")


@pytest.mark.parametrize("hidden", ["\u202e", "\u200b", "\x85", "\ufeff"])
async def test_a_path_hides_nothing_in_what_is_told_of_it(api: Api, hidden: str) -> None:
    ada = api.stage.scientist("bank-a")
    for method, path in (("GET", "/nowhere/"), ("PUT", "/me"), ("GET", "/jobs/job_")):
        answer = await api.call(method, f"{path}{hidden}", ada)
        assert answer.status_code >= 400
        assert hidden not in answer.text
        assert quote(hidden) in answer.json()["instance"]
    assert (await api.call("GET", "/jobs/a,b", ada)).json()["instance"] == "/api/v1/jobs/a,b"
