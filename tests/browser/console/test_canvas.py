"""Jobs are drawn in the console: by keyboard and by mouse, checked all the while, and submitted."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
from peers.browsers import shoot, tab_to, violations

from tests.browser.console.conftest import Opens
from tests.browser.console.place import Centre

WORDS: Final = {
    "en": {
        "add": "Add Statistics", "list": "List", "settings": "Settings", "job": "The job",
        "name": "Name", "questions": "Add to Questions", "measure": "Measure", "delta": "Delta (δ)",
        "epsilon": "Epsilon (ε)", "submit": "Submit", "ask": "Ask the owners", "ready": "ready",
        "open": "Open statistics", "project": "Project", "datasets": "Datasets", "count": "count",
    },
    "zh": {
        "add": "添加统计", "list": "列表", "settings": "设置", "job": "任务", "name": "名称",
        "questions": "为问题添加一项", "measure": "度量", "delta": "δ",
        "epsilon": "ε", "submit": "提交", "ask": "向数据所有者请求", "ready": "可提交",
        "open": "打开 statistics", "project": "项目", "datasets": "数据集", "count": "计数",
    },
}  # fmt: skip


def open_canvas(opens: Opens, language: str = "en", address: str = "/jobs/new") -> Any:
    page = opens("ada", language)
    page.goto(address)
    page.get_by_role("heading", level=1).wait_for()
    page.locator("[aria-busy=true]").first.wait_for(state="detached")
    return page


def settings(page: Any, language: str = "en") -> Any:
    return page.get_by_role("region", name=WORDS[language]["settings"], exact=True)


def key_in(page: Any, *keys: str) -> None:
    for one in keys:
        page.keyboard.press(one)


def say_whose(page: Any, language: str, name: str) -> None:
    """Fill in what all kinds begin with, by keyboard."""
    words, panel = WORDS[language], settings(page, language)
    panel.get_by_role("button", name=words["job"], exact=True).press("Enter")
    panel.get_by_role("combobox", name=words["project"], exact=True).focus()
    key_in(page, "ArrowDown", "Enter")
    panel.get_by_role("textbox", name=words["name"], exact=True).focus()
    page.keyboard.type(name)
    panel.get_by_role("combobox", name=words["datasets"], exact=True).focus()
    page.keyboard.press("ArrowDown")
    page.locator(".ant-select-item-option").nth(2).wait_for()
    key_in(page, "Enter", "ArrowDown", "Enter", "ArrowDown", "Enter", "Escape")


def submitted(page: Any, language: str = "en") -> str:
    """Submit what is drawn, and return the job's id."""
    words = WORDS[language]
    page.get_by_text(words["ready"], exact=True).wait_for()
    page.get_by_role("button", name=words["submit"], exact=True).click()
    page.get_by_role("dialog").get_by_text("bank-c").first.wait_for()
    assert not violations(page)
    shoot(page, f"{language}/console-canvas-submit")
    page.get_by_role("button", name=words["ask"]).click()
    page.wait_for_url("**/jobs/job_*")
    return str(page.url.rsplit("/", 1)[1])


@pytest.mark.parametrize("language", [pytest.param("en", marks=pytest.mark.full), "zh"])
def test_one_number_is_asked_for_by_keyboard(opens: Opens, centre: Centre, language: str) -> None:
    words = WORDS[language]
    page = open_canvas(opens, language)
    tab_to(page, words["add"])
    page.keyboard.press("Enter")
    page.get_by_role("radio", name=words["list"]).press("Space")
    page.get_by_role("button", name=words["open"]).wait_for()
    say_whose(page, language, f"rows {language}")
    page.get_by_role("button", name=words["open"]).press("Enter")
    panel = settings(page, language)
    panel.get_by_role("button", name=words["questions"]).press("Enter")
    panel.get_by_role("textbox", name=words["name"], exact=True).focus()
    page.keyboard.type("rows")
    panel.get_by_role("combobox", name=words["measure"], exact=True).focus()
    page.keyboard.type(words["count"])
    page.keyboard.press("Enter")
    panel.get_by_role("spinbutton", name=words["epsilon"], exact=True).focus()
    page.keyboard.type("0.5")
    panel.get_by_role("spinbutton", name=words["delta"], exact=True).focus()
    page.keyboard.type("0.000001")
    key_in(page, "Tab")
    assert not violations(page)
    shoot(page, f"{language}/console-canvas-list")
    with centre.client("ada") as client:
        job = client.jobs.get(submitted(page, language))
    assert (job.kind, job.name) == ("statistics", f"rows {language}")
    assert [one["party"] for one in job.spec["roster"]] == ["bank-a", "bank-b", "bank-c"]
    assert job.spec["queries"][0]["measure"] == "count"
    page.goto("/jobs/new")
    page.get_by_role("heading", level=1).wait_for()
    assert page.get_by_role("button", name=words["open"]).count() == 0  # the draft is submitted
    assert not page.locator(".react-flow__node").count()


def test_a_training_on_prepared_rows_is_drawn_by_mouse(opens: Opens, centre: Centre) -> None:
    page = open_canvas(opens)
    board = page.locator(".react-flow")
    for name in ("Preparation", "Training"):
        page.get_by_role("button", name=name, exact=True).drag_to(board)
    for name in ("preparation", "training"):  # seen once they are measured
        page.locator(f"[data-id={name}]").wait_for()
    given = page.locator("[data-id=preparation] [data-handleid=recipe].source")
    given.drag_to(page.locator("[data-id=training] [data-handleid=start].target"))
    assert page.locator(".react-flow__edge").count() == 0  # a recipe is no model
    given.drag_to(page.locator("[data-id=training] [data-handleid=recipe].target"))
    page.locator(".react-flow__edge").wait_for(state="attached")
    assert not violations(page)
    shoot(page, "en/console-canvas")
    page.get_by_text("File", exact=True).click()
    text = page.get_by_role("textbox", name="File").input_value
    page.get_by_role("textbox", name="File").wait_for()
    assert "recipe: {step: preparation}" in text() or "step: preparation" in text()
    page.get_by_text("Drawing", exact=True).click()
    page.locator(".react-flow__edge").wait_for(state="attached")
    page.locator("[data-id=training]").click()
    page.keyboard.press("Delete")
    page.locator("[data-id=training]").wait_for(state="detached")
    page.keyboard.press("Control+z")
    page.locator("[data-id=training]").wait_for()
    page.locator(".react-flow__edge").wait_for(state="attached")
    page.keyboard.press("Control+y")
    page.locator("[data-id=training]").wait_for(state="detached")


def test_a_problem_leads_to_its_step_and_field(opens: Opens, tmp_path: Path) -> None:
    page = open_canvas(opens)
    file = tmp_path / "wrong.yaml"
    file.write_text(
        "kind: pipeline\nname: wrong\nsteps:\n"
        "  - {id: train, kind: training, limits: {patience_seconds: -1}}\n"
        "  - {id: test, kind: evaluation, models: [{step: train}]}\n"
    )
    page.locator("input[type=file]").set_input_files(file)
    say_whose(page, "en", "")
    page.get_by_role("button", name="problem").last.click()
    page.get_by_role("button", name="Patience").first.click()
    seconds = settings(page).get_by_role("spinbutton", name="Patience")
    seconds.wait_for()
    assert seconds.evaluate("one => one === document.activeElement")
    assert settings(page).get_by_role("button", name="train", exact=True).get_attribute(
        "aria-pressed"
    ) == "true"  # fmt: skip
    page.reload()
    page.locator("[data-id=train]").wait_for()  # the draft is still there
    assert page.locator(".react-flow__edge").count() == 1


def test_a_job_is_run_again_as_it_was(opens: Opens, centre: Centre) -> None:
    with centre.client("ada") as client:
        before = next(client.jobs.list(kind="statistics"))
    page = open_canvas(opens, address=f"/jobs/new?from={before.id}")
    page.get_by_text("ready", exact=True).wait_for()
    page.get_by_role("button", name="Submit", exact=True).click()
    page.get_by_role("dialog").get_by_text(before.digest).wait_for()
    page.get_by_role("dialog").get_by_text("Both say the same.").wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.goto(f"/jobs/{before.id}/graph")
    page.locator("[data-id=statistics]").wait_for()
    assert not violations(page)


def test_a_template_is_filled_and_nothing_is_asked_while_idle(opens: Opens) -> None:
    page = open_canvas(opens, address="/jobs/new?template=data-quality")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox", name="Project").focus()
    key_in(page, "ArrowDown", "Enter")
    dialog.get_by_role("combobox", name="Datasets, one of each organisation").focus()
    page.keyboard.press("ArrowDown")
    page.locator(".ant-select-item-option:visible").nth(2).wait_for()
    key_in(page, "Enter", "ArrowDown", "Enter", "ArrowDown", "Enter", "Escape")
    page.locator(".ant-select-dropdown:visible").first.wait_for(state="detached")
    assert not violations(page)
    with page.expect_response("**/api/v1/jobs/check-draft") as first:
        dialog.get_by_role("button", name="Begin with it").click()
    assert first.value.json()["problems"] == []
    page.get_by_text("ready", exact=True).wait_for()
    page.locator("[data-id=statistics]").wait_for()
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url))
    settings(page).get_by_role("button", name="The job", exact=True).click()
    page.get_by_text("List", exact=True).click()
    page.get_by_role("button", name="Open statistics").click()
    with page.expect_request("**/api/v1/jobs/check-draft") as second:
        settings(page).get_by_role("spinbutton", name="Epsilon (ε)").fill("0.7")
    assert second.value.post_data_json["privacy"]["epsilon"] == 0.7
    assert [one for one in asked if "check-draft" in one] == [second.value.url]
