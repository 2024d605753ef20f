"""The forms for people who need one number: asked, answered with its interval, or refused."""

from __future__ import annotations

import json
import re
import statistics
from typing import Any, Final

import pytest
from peers.browsers import expect, pick, ready, shoot, violations

from secureflow.demo.data import PURPOSE
from secureflow.domain.specs.statistics_request import NoiseRequest
from secureflow.sdk import StatisticsRequest, query
from tests.browser.asked.place import PARTIES, SHARED, ages
from tests.browser.console.place import Centre
from tests.browser.console.test_frame import faults
from tests.browser.opening import Opens
from tests.browser.whole.words import Words

NUMBER: Final = re.compile(r"-?[\d,]+(?:\.\d+)?")
FAR: Final = 30.0
"""Years: the noise on a mean of ages is a small part of it, whatever is drawn."""


def choose(page: Any, name: str, *options: str) -> None:
    """Choose in a list, as people do who point: each option of several."""
    box = page.get_by_role("main").get_by_role("combobox", name=name, exact=True)
    for option in options:
        box.click()
        drawn = page.locator(".ant-select-dropdown:visible")
        pick(page, drawn.locator(".ant-select-item-option", has_text=option).first)
        page.keyboard.press("Escape")
        expect(drawn).to_have_count(0)


def submit(page: Any, button: str = "Submit") -> None:
    page.get_by_role("button", name=button, exact=True).click()
    page.wait_for_url("**/jobs/job_*")


def ask_for_the_mean(page: Any, words: tuple[str, ...]) -> None:
    project, datasets, columns, _ = words
    page.goto("/ask/statistics")
    ready(page)
    choose(page, project, "demo")
    # The only dataset of each bank is chosen by the page.
    chosen = page.locator(".ant-select").filter(has=page.get_by_role("combobox", name=datasets))
    for party in PARTIES:
        chosen.locator(".ant-select-selection-item", has_text=party).wait_for()
    choose(page, columns, "age")
    page.get_by_text("δ = 1e-6").wait_for()
    assert not violations(page)
    submit(page, words[-1])


def ask_for_the_overlap(page: Any, other: str) -> None:
    page.goto("/ask/overlap")
    ready(page)
    choose(page, "Project", "demo")
    choose(page, "First dataset", "bank-a")
    choose(page, "Column to match in the first", "phone")
    choose(page, "Second dataset", other)
    choose(page, "Column to match in the second", "phone")
    choose(page, "Who learns it", "bank-a")


def answered(centre: Centre) -> str:
    """Return a job of one number that has its answer; ask for it where nobody has before."""
    with centre.client("ada") as client:
        for one in client.jobs.list(kind="statistics"):
            if one.state == "succeeded":
                return str(one.id)
        asked = StatisticsRequest(
            project=centre.platform.project, name="mean", purpose=PURPOSE,
            datasets=tuple(one.dataset_id for one in centre.platform.parties.values()),
            queries=(query("mean:age"),), privacy=NoiseRequest(1e-6, epsilon=1.0),
        )  # fmt: skip
        return str(client.jobs.wait(client.jobs.submit(asked).id).id)


EN: Final = ("Project", "Datasets", "Columns", "Submit")
ZH: Final = ("项目", "数据集", "列", "提交")


def test_a_mean_is_asked_for_and_answered_with_its_interval(opens: Opens, said: list[str]) -> None:
    page = opens("ada")
    ask_for_the_mean(page, EN)
    page.get_by_role("tab", name="Report").click()
    row = page.get_by_role("row", name="mean of age")
    expect(row).to_contain_text(NUMBER)
    shoot(page, "en/ask-answer")
    assert not violations(page)
    value, low, high = (
        float(one.replace(",", "")) for one in NUMBER.findall(row.inner_text().partition("age")[2])
    )
    assert low < value < high
    true = statistics.mean(age for party in PARTIES for age in ages(party))
    assert abs(value - true) < FAR
    assert faults(said) == []


@pytest.mark.parametrize(
    ("path", "what", "name"),
    [("report", "Report", ""), ("explain", "Explanation", "-explanation")],
)
def test_what_is_told_of_a_job_is_printed_or_said_not_to_be(
    opens: Opens, centre: Centre, path: str, what: str, name: str
) -> None:
    """What the centre prints is kept as a file; one that cannot print says why in a message."""
    job = answered(centre)
    page = opens("ada")
    page.goto(f"/jobs/{job}")
    ready(page)
    printed, hint = f"**/{path}?*format=pdf*", "Install what prints, then try again."
    refusal = {"code": "library_missing", "detail": "Printing needs a library.", "hint": hint}
    page.route(printed, lambda route: route.fulfill(
        status=503, content_type="application/problem+json", body=json.dumps(refusal)))  # fmt: skip
    page.get_by_role("button", name="Download", exact=True).click()
    page.get_by_text(f"{what} as PDF (English)").click()
    failure = page.get_by_role("dialog").filter(has_text=hint)
    failure.wait_for()
    failure.get_by_role("button").click()
    failure.wait_for(state="hidden")
    page.unroute(printed)
    page.route(printed, lambda route: route.fulfill(
        content_type="application/pdf", body=f"%PDF- {route.request.url}"))  # fmt: skip
    page.get_by_role("button", name="Download", exact=True).click()
    with page.expect_download() as kept:
        page.get_by_text(f"{what} as PDF (Chinese)").click()
    assert kept.value.suggested_filename == f"{job}{name}-zh.pdf"
    assert "lang=zh" in kept.value.path().read_text()


def test_a_budget_that_is_spent_is_named_in_the_readers_language_with_the_next_step(
    opens: Opens, centre: Centre
) -> None:
    answered(centre)
    page = opens("ada", "zh")
    ask_for_the_mean(page, ZH)
    alert = page.get_by_role("alert").filter(has_text="budget_exceeded")
    alert.get_by_text("数据所有者允许 1.3").first.wait_for()
    alert.get_by_text("请采用更低的 ε").wait_for()
    shoot(page, "zh/ask-refused")
    assert not violations(page)


def test_an_overlap_is_counted_and_told_in_the_report(opens: Opens, said: list[str]) -> None:
    page = opens("ada")
    ask_for_the_overlap(page, "bank-b")
    page.get_by_text("bank-a learns how many of its keys match, and not which").wait_for()
    shoot(page, "en/ask-overlap")
    assert not violations(page)
    submit(page)
    page.get_by_role("tab", name="Report").click()
    page.get_by_text("Keys in common, as bank-a counts them").wait_for()
    counted = page.locator(".ant-statistic").get_by_text(str(SHARED), exact=True)
    expect(counted).to_be_visible()
    shoot(page, "en/ask-overlap-answer")
    assert not violations(page)
    assert faults(said) == []


@pytest.mark.full
def test_an_answer_that_only_its_owner_has_is_said_to_be_there(opens: Opens) -> None:
    page = opens("ada")
    ask_for_the_overlap(page, "bank-b")
    page.get_by_label("Show the number in the job's report").uncheck()
    submit(page)
    page.get_by_role("tab", name="Report").click()
    page.get_by_text("The answer is kept by bank-a").wait_for()
    page.get_by_text("secureflow agent results show job_").wait_for()
    ready(page)
    expect(page.locator(".ant-statistic")).to_have_count(0)


def test_an_owner_without_the_engine_is_named_before_anybody_is_asked(opens: Opens) -> None:
    page = opens("ada")
    ask_for_the_overlap(page, "bank-c")
    page.get_by_text("bank-c does not have the engine openmined.").wait_for()
    page.get_by_text("secureflow engine install openmined").wait_for()
    ready(page)
    expect(page.get_by_role("button", name="Submit", exact=True)).to_be_disabled()


@pytest.mark.full
def test_a_project_without_grants_says_who_gives_them(opens: Opens, centre: Centre) -> None:
    with centre.client("ada") as client:
        client.projects.create("empty", "research")
    page = opens("ada")
    page.goto("/ask/statistics")
    ready(page)
    choose(page, "Project", "empty")
    page.get_by_text("No dataset is granted to this project yet.").wait_for()
    page.get_by_role("link", name="See the datasets").wait_for()
    assert not violations(page)


HIDDEN: Final = "nav, .ant-tabs-nav, button, .ant-typography-copy"
CUT: Final = """() => [...document.querySelectorAll('main *')].filter((one) =>
  one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).overflowX !== 'visible'
  && one.getClientRects().length).map((one) => one.className)"""


@pytest.mark.parametrize(("language", "theme", "head"), [
    ("en", "dark", "Who could see what"), ("zh", "light", "谁能看到什么"),
])  # fmt: skip
@pytest.mark.parametrize("part", ["explanation", pytest.param("report", marks=pytest.mark.full)])
def test_explanation_and_report_print_whole_and_on_white(
    opens: Opens, centre: Centre, language: str, theme: str, head: str, part: str
) -> None:
    job = answered(centre)
    page = opens("ada", language, theme)
    page.goto(f"/jobs/{job}?part={part}")
    ready(page)
    page.get_by_role("main").get_by_text(head, exact=True).last.wait_for()
    page.set_viewport_size({"width": 718, "height": 1010})  # A4 with the margins of a browser
    page.emulate_media(media="print", color_scheme=theme)
    page.locator("html[data-theme=light]").wait_for()
    shoot(page, f"{language}/print-{part}")
    expect(page.locator(HIDDEN).filter(visible=True)).to_have_count(0)
    ready(page)
    assert page.evaluate(CUT) == []
    expect(page.get_by_role("main").get_by_text(head, exact=True).last).to_be_visible()
    page.emulate_media(media="screen", color_scheme=theme)
    page.locator(f"html[data-theme={theme}]").wait_for()


@pytest.mark.full
def test_an_overlap_is_asked_for_and_told_in_chinese(opens: Opens, said: list[str]) -> None:
    t, page = Words("zh"), opens("ada", "zh")
    page.goto("/ask/overlap")
    ready(page)
    choose(page, t("ask:project"), "demo")
    choose(page, t("ask:first"), "bank-a")
    choose(page, t("ask:key.first"), "phone")
    choose(page, t("ask:second"), "bank-b")
    choose(page, t("ask:key.second"), "phone")
    choose(page, t("ask:who"), "bank-a")
    submit = page.get_by_role("button", name=ZH[-1], exact=True)
    expect(submit).to_be_enabled()
    assert not violations(page)
    submit.click()
    page.wait_for_url("**/jobs/job_*")
    page.get_by_role("tab", name=t("jobs:report")).click()
    counted = page.locator(".ant-statistic").get_by_text(str(SHARED), exact=True)
    expect(counted).to_be_visible()
    expect(page.get_by_text(t("jobs:shared.by", party="bank-a"))).to_be_visible()
    shoot(page, "zh/ask-overlap-answer")
    assert not violations(page)
    assert faults(said) == []


@pytest.mark.full
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_key_is_no_column_of_which_a_number_is_asked(opens: Opens, language: str) -> None:
    """Of data that declare a key the form offers the numbers, and counts rows without one."""
    t, page = Words(language), opens("ada", language)
    page.goto("/ask/statistics")
    ready(page)
    choose(page, t("ask:project"), "demo")
    box = page.get_by_role("main").get_by_role("combobox", name=t("ask:columns"), exact=True)
    box.click()
    drawn = page.locator(f".ant-select-dropdown:has(#{box.get_attribute('aria-controls')})")
    option = drawn.locator(".ant-select-item-option")
    expect(option.filter(has_text="age").first).to_be_visible()
    expect(option.filter(has_text="phone")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(drawn).to_be_hidden()
    choose(page, t("ask:columns"), "age")
    expect(page.get_by_text("δ = 1e-6")).to_be_visible()
    expect(page.locator(".ant-skeleton")).to_have_count(0)
    assert not violations(page)


@pytest.mark.full
def test_a_grant_that_was_taken_back_meanwhile_refuses_and_keeps_the_form(
    opens: Opens, centre: Centre
) -> None:
    platform = centre.platform
    page = opens("ada")
    ask_for_the_overlap(page, "bank-b")
    submit = page.get_by_role("button", name="Submit", exact=True)
    page.locator("button:not([disabled])", has_text="Submit").wait_for()
    with platform.client("bank-b") as client:
        (grant,) = (one for one in client.grants.list(platform.project)
                    if one.dataset == platform.parties["bank-b"].dataset_id)  # fmt: skip
        client.grants.revoke(grant.id)
    submit.click()
    page.get_by_role("alert").filter(has_text="bank-b").first.wait_for()
    shoot(page, "en/ask-revoked")
    ready(page)
    expect(page).to_have_url(re.compile("/ask/overlap$"))
    expect(page.get_by_role("textbox", name="Purpose")).to_have_value("credit scoring")
