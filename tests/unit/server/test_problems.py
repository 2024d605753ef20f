"""A problem's title is Chinese where the request prefers it; its words for logs stay English."""

from __future__ import annotations

import pytest

from secureflow.server.rest.languages import prefers_chinese
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
