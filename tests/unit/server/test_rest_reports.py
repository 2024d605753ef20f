"""A job's report in its forms and languages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from secureflow.domain.jobs import JobState
from secureflow.kit.text import Text
from secureflow.server.rest.documents import accepted
from tests.stage import Stage
from tests.unit.application.test_reports import report
from tests.unit.server.conftest import Api


class NotingPrinter:
    def __init__(self) -> None:
        self.pages: list[str] = []
        self.users: set[str] = set()

    async def pdf(self, page: str, user: str = "") -> bytes:
        self.pages.append(page)
        self.users.add(user)
        return b"%PDF-1.7"


@pytest.fixture
async def key(stage: Stage) -> str:
    async with stage.services.begin() as work:
        job = await work.jobs.get(stage.ids["job"])
    await stage.finish(job, state=JobState.SUCCEEDED, report=report(name="收入"))
    return job.id


async def test_a_report_is_printed_in_the_wanted_language(stage: Stage, key: str) -> None:
    printer = NotingPrinter()
    stage.services = replace(stage.services, printer=printer)
    api, who = Api(stage), stage.scientist("bank-b")
    path = f"/jobs/{key}/report"
    printed = await api.call("GET", f"{path}?format=pdf&lang=zh", who)
    assert (printed.headers["content-type"], printed.content[:5]) == ("application/pdf", b"%PDF-")
    assert f'filename="{key}-zh.pdf"' in printed.headers["content-disposition"]
    assert printer.users == {who.user}
    by_header = {"Accept": "application/pdf", "Accept-Language": "zh-CN"}
    assert (await api.call("GET", path, who, headers=by_header)).content[:5] == b"%PDF-"
    await api.call("GET", f"{path}?format=pdf", who)
    assert ['<html lang="zh">' in one for one in printer.pages] == [True, True, False]
    outsider = stage.scientist("outsider")
    assert (await api.call("GET", f"{path}?format=pdf", outsider)).status_code == 404
    assert len(printer.pages) == 3


async def test_an_explanation_is_printed_as_a_report_is(stage: Stage) -> None:
    printer = NotingPrinter()
    stage.services = replace(stage.services, printer=printer)
    api, who, key = Api(stage), stage.scientist("bank-b"), stage.ids["job"]
    path = f"/jobs/{key}/explain"
    printed = await api.call("GET", f"{path}?format=pdf&lang=zh", who)
    assert (printed.headers["content-type"], printed.content[:5]) == ("application/pdf", b"%PDF-")
    assert f'filename="{key}-explanation-zh.pdf"' in printed.headers["content-disposition"]
    await api.call("GET", path, who, headers={"Accept": "application/pdf"})
    assert ['<html lang="zh">' in one for one in printer.pages] == [True, False]
    page = await api.call("GET", path, who, headers={"Accept": "text/html"})
    assert page.text == printer.pages[1]
    assert "default-src 'none'" in page.headers["content-security-policy"]
    told = await api.call("GET", path, who, headers={"Accept-Language": "zh-CN"})
    assert (told.json()["job"], told.headers["content-language"]) == (key, "zh")
    assert not told.json()["disclosure"][0]["who"].isascii()
    outsider = stage.scientist("outsider")
    assert (await api.call("GET", f"{path}?format=pdf", outsider)).status_code == 404
    assert len(printer.pages) == 2


async def test_a_page_is_self_contained_and_a_program_gets_json(stage: Stage, key: str) -> None:
    api, who = Api(stage), stage.scientist("bank-b")
    page = await api.call("GET", f"/jobs/{key}/report", who, headers={"Accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "@media print" in page.text
    assert "<script" not in page.text
    assert (await api.call("GET", f"/jobs/{key}/report", who)).json()["name"] == "收入"


async def test_a_report_read_on_a_page_is_told_in_its_language(stage: Stage) -> None:
    title = Text("Step {place} of {count}: {step} ({kind})", place=1, count=2, step="a", kind="psi")
    rows = [
        {"label": "Outcome", "value": "succeeded"},
        {"label": "Job", "value": "job_1"},
        {"label": "Rounds", "value": 2},
        {"label": "mean", "value": ["failed", 3]},
    ]
    said = [{"who": "owner", "sees": "x", "why": "they are its own"}]
    sections = [{"title": title, "texts": {"title": title.as_json()}, "rows": rows}, "odd"]
    async with stage.services.begin() as work:
        job = await work.jobs.get(stage.ids["job"])
    kept = report(sections=sections, disclosure=said)
    await stage.finish(job, state=JobState.SUCCEEDED, report=kept)
    api, who = Api(stage), stage.scientist("bank-b")
    path = f"/jobs/{job.id}/report?format=json"
    told = (await api.call("GET", f"{path}&lang=zh", who)).json()
    section = told["sections"][0]
    assert section["title"] == "第 1 步，共 2 步：a（隐私求交）"
    values = [(row["label"], row["value"]) for row in section["rows"]]
    assert values[:3] == [("结果", "成功"), ("任务", "job_1"), ("各轮", 2)]
    assert values[3][1] == ["失败", 3]
    assert told["disclosure"] == [{"who": "数据所有者", "sees": "x", "why": "属于自己"}]
    as_kept = (await api.call("GET", f"{path}&lang=en", who)).json()
    assert as_kept["sections"][0]["rows"] == rows


async def test_the_report_that_the_console_draws_is_in_the_users_language(
    stage: Stage, key: str
) -> None:
    api, who = Api(stage), stage.scientist("bank-b")
    path = f"/jobs/{key}/report"
    english = await api.call("GET", path, who)
    chinese = await api.call("GET", path, who, headers={"Accept-Language": "zh-CN"})
    assert english.json()["disclosure"][0]["who"].isascii()
    assert not chinese.json()["disclosure"][0]["who"].isascii()
    assert [one.headers["content-language"] for one in (english, chinese)] == ["en", "zh"]
    wanted = await api.call("GET", f"{path}?lang=en", who, headers={"Accept-Language": "zh-CN"})
    assert wanted.json() == english.json()


@pytest.mark.parametrize(
    ("header", "form"),
    [
        ("", "json"), ("*/*", "json"), ("application/pdf", "pdf"), ("TEXT/HTML;q=0.9", "html"),
        ("image/png, text/html, application/pdf", "html"), ("application/json,text/html", "json"),
    ],
)  # fmt: skip
def test_the_first_form_that_is_known_counts(header: str, form: str) -> None:
    assert accepted(header) == form
