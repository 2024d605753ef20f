"""Jobs are drawn in the console: by keyboard and by mouse, checked all the while, and submitted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pytest
from peers.browsers import expect, fits, ready, shoot, tab_to, violations

from secureflow.demo.data import PURPOSE
from secureflow.domain.specs.statistics_request import NoiseRequest
from secureflow.sdk import StatisticsRequest, query
from tests.browser.console.place import PASSWORD, TABLET, WIDE, Centre
from tests.browser.opening import Opens

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


OPTION: Final = ".ant-select-dropdown:visible .ant-select-item-option"


def open_canvas(opens: Opens, language: str = "en", address: str = "/jobs/new") -> Any:
    page = opens("ada", language)
    page.goto(address)
    ready(page)
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
    page.keyboard.press("ArrowDown")
    page.locator(OPTION).first.wait_for()
    page.keyboard.press("Enter")
    expect(page.locator(OPTION)).to_have_count(0)
    panel.get_by_role("textbox", name=words["name"], exact=True).focus()
    page.keyboard.type(name)
    panel.get_by_role("combobox", name=words["datasets"], exact=True).focus()
    page.keyboard.press("ArrowDown")
    page.locator(OPTION).nth(2).wait_for()
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
    page.get_by_text(words["ready"], exact=True).wait_for()
    assert not violations(page)
    shoot(page, f"{language}/console-canvas-list")
    with centre.client("ada") as client:
        job = client.jobs.get(submitted(page, language))
    assert (job.kind, job.name) == ("statistics", f"rows {language}")
    assert [one["party"] for one in job.spec["roster"]] == ["bank-a", "bank-b", "bank-c"]
    assert job.spec["queries"][0]["measure"] == "count"
    page.goto("/jobs/new")
    ready(page)
    expect(page.get_by_role("button", name=words["open"])).to_have_count(0)  # it is submitted
    expect(page.locator(".react-flow__node")).to_have_count(0)


def test_a_training_on_prepared_rows_is_drawn_by_mouse(opens: Opens, centre: Centre) -> None:
    page = open_canvas(opens)
    board = page.locator(".react-flow")
    for name in ("Preparation", "Training"):
        page.get_by_role("button", name=name, exact=True).drag_to(board)
    for name in ("preparation", "training"):  # seen once they are measured
        page.locator(f"[data-id={name}]").wait_for()
    given = page.locator("[data-id=preparation] [data-handleid=recipe].source")
    given.drag_to(page.locator("[data-id=training] [data-handleid=start].target"))
    ready(page)
    expect(page.locator(".react-flow__edge")).to_have_count(0)  # a recipe is no model
    given.drag_to(page.locator("[data-id=training] [data-handleid=recipe].target"))
    page.locator(".react-flow__edge").wait_for(state="attached")
    assert not violations(page)
    shoot(page, "en/console-canvas")
    page.get_by_text("File", exact=True).click()
    file = page.get_by_role("textbox", name="File")
    expect(file).to_have_value(re.compile("step: preparation"))
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
    expect(seconds).to_be_focused()
    train = settings(page).get_by_role("button", name="train", exact=True)
    expect(train).to_have_attribute("aria-pressed", "true")
    page.reload()
    page.locator("[data-id=train]").wait_for()  # the draft is still there
    expect(page.locator(".react-flow__edge")).to_have_count(1)


def asked(centre: Centre) -> Any:
    """Return the newest job of statistics; ask for one number where nobody has before."""
    with centre.client("ada") as client:
        if before := next(client.jobs.list(kind="statistics"), None):
            return before
        return client.jobs.submit(
            StatisticsRequest(
                project=centre.platform.project,
                name="rows",
                purpose=PURPOSE,
                datasets=tuple(one.dataset_id for one in centre.platform.parties.values()),
                queries=(query("count"),),
                privacy=NoiseRequest(1e-6, epsilon=0.5),
            )
        )


def test_a_job_is_run_again_as_it_was(opens: Opens, centre: Centre) -> None:
    before = asked(centre)
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
    dialog.get_by_text("(bank-c)").wait_for()  # the only project, and a dataset of each of it
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


GONE: Final = """() => {
    window.gone = [];
    const drawn = ".react-flow__node, .react-flow__edge";
    new MutationObserver(changes => {
        for (const one of changes) {
            const removed = [...one.removedNodes].filter(node => node.matches?.(drawn));
            if (removed.length || one.target.style?.visibility === "hidden")
                window.gone.push(one.target.className);
        }
    }).observe(document.querySelector(".react-flow__viewport"),
        {subtree: true, childList: true, attributes: true, attributeFilter: ["style"]});
}"""
"""Notes each step that is hidden or taken away, and each edge, were it for a moment."""


def test_what_is_drawn_stays_in_sight_while_other_things_are_filled_in(opens: Opens) -> None:
    page = open_canvas(opens)
    begun(page)
    settings(page).get_by_role("button", name="The job", exact=True).click()
    name = settings(page).get_by_role("textbox", name="Name", exact=True)
    ready(page)
    page.evaluate(GONE)
    with page.expect_response("**/api/v1/jobs/check-draft") as checked:
        name.fill("still in sight")
    assert checked.value.ok
    ready(page)
    assert page.evaluate("window.gone") == []
    step = page.locator("[data-id=train]")
    step.focus()
    page.keyboard.press("ArrowRight")
    ready(page)
    expect(step).to_be_focused()
    assert page.evaluate("window.gone") == []


STEPS: Final = "kind: pipeline\nname: many\nsteps:\n"


def open_file(page: Any, name: str, text: str) -> None:
    file = {"name": name, "mimeType": "application/yaml", "buffer": text.encode()}
    page.locator("input[type=file]").set_input_files(file)


def begun(page: Any) -> None:
    """Open a file of two steps as the draft."""
    open_file(
        page,
        "two.yaml",
        f"{STEPS}  - {{id: train, kind: training}}\n"
        "  - {id: test, kind: evaluation, models: [{step: train}]}\n",
    )
    page.locator(".react-flow__edge").wait_for(state="attached")


def test_a_step_is_copied_and_pasted_with_its_settings(opens: Opens) -> None:
    page = open_canvas(opens)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    asks = "{id: ask, kind: statistics, privacy: {epsilon: 0.7, delta: 1.0e-6}}"
    open_file(page, "ask.yaml", f"{STEPS}  - {asks}\n  - {{id: train, kind: training}}\n")
    page.locator("[data-id=ask]").click()
    page.get_by_role("spinbutton", name="Epsilon (ε)").wait_for()
    key_in(page, "Control+c", "Control+v")
    page.locator(".react-flow__node").nth(2).wait_for()
    expect(settings(page).get_by_role("spinbutton", name="Epsilon (ε)")).to_have_value("0.7")
    page.evaluate("navigator.clipboard.writeText('kind: training')")
    key_in(page, "Control+v")
    page.get_by_text("List", exact=True).click()
    expect(page.get_by_role("button", name="Open ask")).to_have_count(2)
    ready(page)
    expect(page.get_by_role("button", name="Open train")).to_have_count(1)


BOMB: Final = "\n".join(f"x{n}: &x{n} [{','.join([f'*x{n - 1}'] * 9)}]" for n in range(1, 12))


REFUSED: Final = {
    "is no YAML": "kind: training\nplan: {rounds: 3, batch",
    "longer than 1000000 characters": "kind: training\nname: " + "x" * 5_000_000,
    "says too much": f"kind: a\nx0: &x0 [1,1,1,1,1,1,1,1,1]\n{BOMB}",
    "has 1000 steps": STEPS + "  - {id: train, kind: training}\n" * 1000,
}
"""Why a file is no job → its text."""


def test_a_file_that_is_no_job_is_refused_in_words_and_the_draft_stays(
    opens: Opens, said: list[str]
) -> None:
    page = open_canvas(opens)
    begun(page)
    for why, text in REFUSED.items():
        open_file(page, "none.yaml", text)
        page.get_by_text(why).wait_for()
        expect(page.locator(".react-flow__node"), why).to_have_count(2)
    assert not [one for one in said if "status of 40" not in one]


@pytest.mark.full
def test_as_many_steps_as_are_drawn_can_be_worked_with(opens: Opens) -> None:
    page = open_canvas(opens)
    many = (f"  - {{id: s{n}, kind: {('training', 'statistics')[n % 2]}}}\n" for n in range(64))
    open_file(page, "64.yaml", STEPS + "".join(many))
    page.locator("[data-id=s63]").wait_for(state="attached")
    page.get_by_text("List", exact=True).click()
    page.get_by_role("button", name="Open s63").click()
    page.get_by_role("button", name="problem").last.wait_for()
    settings(page).get_by_role("button", name="The job", exact=True).click()
    name = settings(page).get_by_role("textbox", name="Name", exact=True)
    name.fill("")
    page.keyboard.type("typed into it")
    expect(name).to_have_value("typed into it")


@pytest.mark.full
def test_a_long_wide_name_fits_wherever_it_stands(opens: Opens, centre: Centre) -> None:
    page = open_canvas(opens)
    name = "\u6c49" * 200
    before = asked(centre)
    page.goto(f"/jobs/new?from={before.id}")
    settings(page).get_by_role("button", name="The job", exact=True).click()
    settings(page).get_by_role("textbox", name="Name", exact=True).fill(name)
    job = submitted(page)
    for address in (f"/jobs/{job}", "/jobs", "/", f"/jobs/new?from={job}", f"/jobs/{job}/graph"):
        page.goto(address)
        ready(page)
        for size in (TABLET, WIDE):
            page.set_viewport_size(size)
            assert fits(page), (address, size)
        shoot(page, f"en/console-long-name{address.replace('/', '-')[:12]}")


def test_a_draft_outlives_its_session(opens: Opens, centre: Centre) -> None:
    page = opens()
    opens.enter(page, "ada")
    page.goto("/jobs/new")
    ready(page)
    begun(page)
    with centre.client("ada") as client:
        client.sessions.revoke_all()
    opens.forget("ada")
    settings(page).get_by_role("button", name="The job", exact=True).click()
    name = settings(page).get_by_role("textbox", name="Name", exact=True)
    name.fill("typed as it ended")
    dialog = page.get_by_role("dialog", name="Your session has ended")
    dialog.get_by_label("Password", exact=True).fill(PASSWORD)
    dialog.get_by_role("button", name="Log in", exact=True).click()
    dialog.wait_for(state="hidden")
    expect(name).to_have_value("typed as it ended")
    page.get_by_role("button", name="problem").last.wait_for()  # it is checked again
    page.reload()
    page.locator("[data-id=train]").wait_for()
    settings(page).get_by_role("button", name="The job", exact=True).click()
    expect(name).to_have_value("typed as it ended")
