"""Two browsers at once, and what breaks off in mid-work: sessions, and an agent that is killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

import pytest
from peers.browsers import expect, pick, ready, violations

from secureflow.domain.specs.updatelimits import Limits
from secureflow.domain.users import Role
from tests.browser.whole.conftest import Opens, demand
from tests.browser.whole.place import (
    PASSWORD,
    Consortium,
    approve,
    served,
    submit,
)
from tests.survival.world import PLAN, training

pytestmark = pytest.mark.full

BANKS: Final = 4
"""One more than a sum needs: a round closes without one of them."""
PATIENT: Final = 20.0
"""Seconds that a round waits for who was killed: the others are not so slow on a busy machine."""
PIPELINE: Final = "joint-risk-model"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    demand()
    directory = tmp_path_factory.mktemp("together") / "p"
    banks = [f"bank-{letter}" for letter in "abcd"]
    with served(directory, *banks, banks=BANKS) as made:
        with made.platform.client() as admin:
            admin.users.create("abe", PASSWORD, "bank-a", [Role.DATA_SCIENTIST], "Abe")
        yield made


def lasting(whole: Consortium, name: str, patience: float) -> str:
    """Submit what lasts until somebody ends it, and have it approved."""
    request = training(
        whole.platform, replace(PLAN, rounds=1000), protection="secagg", name=name,
        limits=Limits(patience_seconds=patience),
    )  # fmt: skip
    job = submit(whole, name, request)
    approve(whole, job)
    return job


def test_a_deed_of_one_person_appears_once_in_the_browser_of_another(
    opens: Opens, whole: Consortium
) -> None:
    ada, abe = opens("ada"), opens("abe")
    for page in (ada, abe):
        page.goto(whole.url() + "/jobs")
        ready(page)
    loads: list[str] = []
    abe.on("framenavigated", lambda frame: loads.append(frame.url))
    job = submit(whole, "seen by both")
    row = abe.get_by_role("link", name="seen by both", exact=True)
    row.wait_for()
    ada.goto(whole.url() + f"/jobs/{job}")
    ada.get_by_role("button", name="Cancel the job").click()
    ada.get_by_role("dialog").get_by_role("button", name="Cancel the job").click()
    ada.get_by_role("main").get_by_text("Cancelled").first.wait_for()
    line = abe.locator(".ant-table-row").filter(has=row)
    line.get_by_text("cancelled", exact=True).wait_for()
    ready(abe)
    expect(row, "the change is not a second row").to_have_count(1)
    assert not loads, "nobody loaded the page again"


def test_one_person_in_two_browsers_and_a_deed_that_comes_too_late(
    opens: Opens, whole: Consortium
) -> None:
    job = submit(whole, "cancelled twice")
    one, other = opens("ada"), opens("ada")
    for page in (one, other):
        page.goto(whole.url() + f"/jobs/{job}")
        page.get_by_role("button", name="Cancel the job").click()
        page.get_by_role("dialog").get_by_role("button", name="Cancel the job").wait_for()
    one.get_by_role("dialog").get_by_role("button", name="Cancel the job").click()
    one.get_by_role("main").get_by_text("Cancelled").first.wait_for()
    other.get_by_role("main").get_by_text("Cancelled").first.wait_for()
    for page in (one, other):
        page.goto(whole.url() + "/administration")
        page.get_by_role("button", name="Add a person").click()
    answers = [added(page, "zed") for page in (one, other)]
    assert answers == ["", "The user name zed is taken. Choose another one."]


def added(page: Any, name: str) -> str:
    """Add a person, and return what the page says against it."""
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Login name").fill(name)
    dialog.get_by_role("combobox", name="Roles").click()
    pick(page, page.locator(".ant-select-dropdown:visible").get_by_title("auditor"))
    dialog.get_by_label("First password").fill(PASSWORD)
    with page.expect_response("**/api/v1/users") as answer:
        dialog.get_by_role("button", name="Add", exact=True).click()
    if answer.value.status < 300:
        dialog.wait_for(state="hidden")
        return ""
    alert = dialog.get_by_role("alert")
    alert.wait_for()
    told = answer.value.json()
    expect(alert).to_contain_text(told["detail"])
    expect(alert).to_contain_text(told["hint"])
    assert not violations(page)
    return f"{told['detail']} {told['hint']}"


def test_two_deciders_of_one_request_at_the_owners_page(
    owners: Callable[..., Any], whole: Consortium
) -> None:
    """The second browser does not hear of the first one's decision, and decides otherwise."""
    job = submit(whole, "decided once")
    first, second = owners("bank-b"), owners("bank-b")
    second.route("**/api/events*", lambda route: route.abort())
    second.reload()
    for page in (first, second):
        page.get_by_role("link", name="Overview", exact=True).click()
        page.get_by_role("link", name="credit scoring").first.click()
        page.get_by_role("heading", name="Your decision").wait_for()
    first.get_by_role("button", name="Approve exactly this").click()
    first.get_by_text("Approved and signed.").or_(first.get_by_text("signs it then")).wait_for()
    second.get_by_label("Why you reject it").fill("not this one")
    second.get_by_role("button", name="Reject").click()
    second.get_by_text("The request has changed since you read it").wait_for()
    second.get_by_text("The request is not as this").wait_for()
    expect(second.get_by_label("Why you reject it")).to_have_value("not this one")
    assert not violations(second)
    second.get_by_role("button", name="Show it as it is now").click()
    second.get_by_role("main").get_by_text("approved", exact=True).first.wait_for()
    ready(second)
    expect(second.get_by_role("button", name="Reject")).to_have_count(0)
    with whole.client("ada") as client:
        assert client.jobs.get(job).state == "proposed"
        client.jobs.cancel(job)


def end_sessions(whole: Consortium, who: str) -> None:
    """End every session of a person, as an administrator or their own other browser does."""
    with whole.client(who) as client:
        client.sessions.revoke_all()
    whole.states.pop(("", who), None)


def back(page: Any, who: str) -> None:
    """Log in again over the work."""
    dialog = page.get_by_role("dialog", name="Your session has ended")
    dialog.wait_for()
    expect(dialog.get_by_label("Name", exact=True)).to_have_value(who)
    dialog.get_by_label("Password", exact=True).fill(PASSWORD)
    dialog.get_by_role("button", name="Log in", exact=True).click()
    dialog.wait_for(state="hidden")


def test_a_drawing_outlives_the_session(opens: Opens, whole: Consortium) -> None:
    page = opens("abe")
    page.goto(whole.url() + "/jobs/new")
    page.get_by_role("button", name="Add Statistics").click()
    page.locator("[data-id=statistics]").wait_for()
    page.get_by_role("button", name="The job", exact=True).click()
    page.get_by_role("textbox", name="Name", exact=True).fill("drawn before")
    end_sessions(whole, "abe")
    back(page, "abe")
    expect(page.locator(".react-flow__node")).to_have_count(1)
    expect(page.get_by_role("textbox", name="Name", exact=True)).to_have_value("drawn before")
    with page.expect_response("**/api/v1/jobs/check-draft") as checked:
        page.get_by_role("textbox", name="Name", exact=True).fill("drawn after")
    assert checked.value.status == 200
    page.reload()
    page.locator("[data-id=statistics]").wait_for()


def test_a_grant_that_is_being_filled_in_outlives_the_session(
    opens: Opens, whole: Consortium
) -> None:
    page = opens("ada")
    page.goto(whole.url() + f"/data/{whole.dataset('bank-a')}")
    page.get_by_role("button", name="Grant to a project").click()
    dialog = page.get_by_role("dialog", name="Grant to a project")
    dialog.get_by_role("combobox", name="Project").click()
    pick(page, page.locator(".ant-select-dropdown:visible").get_by_title("credit risk"))
    filled = page.locator('input[value="credit scoring"]')  # the project's own purpose
    filled.wait_for()
    dialog.get_by_role("combobox", name="Columns").click()
    page.keyboard.type("age")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    end_sessions(whole, "ada")
    dialog.get_by_role("button", name="Grant", exact=True).click()
    back(page, "ada")
    expect(dialog.get_by_label("Purpose")).to_have_value("credit scoring")
    dialog.get_by_text("age", exact=True).first.wait_for()
    with page.expect_response("**/grants") as made:
        dialog.get_by_role("button", name="Grant", exact=True).click()
    assert made.value.status == 201
    dialog.wait_for(state="hidden")


def test_an_agent_that_is_killed_is_shown_and_so_is_its_return(
    opens: Opens, whole: Consortium
) -> None:
    job = lasting(whole, "one dies", PATIENT)
    overview, live = opens("ada"), opens("ada")
    live.goto(whole.url() + f"/jobs/{job}")
    live.get_by_text("Running, begun").wait_for()
    lane = live.get_by_role("row").filter(has_text="bank-d").first
    lane.get_by_text("contributed").wait_for()
    away = live.get_by_text("its agent is not connected, last seen")
    expect(away).to_have_count(0)
    whole.platform.processes["bank-d"].kill()
    live.get_by_role("alert").filter(has=away).filter(has_text="bank-d").wait_for()
    lane.get_by_text("not connected", exact=True).wait_for()
    overview.get_by_text("The agent of bank-d is not connected").wait_for()
    drops = live.locator(".ant-card").filter(has_text="Who dropped out")
    drops.get_by_role("cell", name="bank-d", exact=True).first.wait_for()
    dropped = drops.get_by_role("row").filter(has_text="bank-d").last
    expect(dropped.get_by_role("cell").nth(3), "why it dropped out").not_to_be_empty()
    assert not violations(live)
    whole.platform.start("bank-d")
    away.first.wait_for(state="detached")
    overview.get_by_text("is not connected").first.wait_for(state="detached")
    back_again = "it is gone because the agent is back"
    expect(live.get_by_text("Running, begun"), back_again).not_to_have_count(0)
    whole.platform.processes["bank-a"].kill()
    link = overview.get_by_role("region", name="Links of the agents")
    link.get_by_text("broken").wait_for()
    link.get_by_text("secureflow agent").first.wait_for()
    whole.platform.start("bank-a")
    link.get_by_text("in order").wait_for()
    with whole.client("ada") as client:
        client.jobs.cancel(job)
    live.get_by_role("main").get_by_text("Cancelled").first.wait_for()


def test_the_graph_of_a_pipeline_shows_each_steps_state_as_it_runs(
    opens: Opens, whole: Consortium
) -> None:
    with whole.client("ada") as client:
        datasets = [whole.dataset(party) for party in ("bank-a", "bank-b", "bank-c")]
        made = client.job_templates.fill(PIPELINE, project=whole.platform.project,
                                         datasets=datasets)  # fmt: skip
        request = dict(made.request)
        request["steps"] = [
            {**step, "limits": {"patience_seconds": PATIENT}} if step["id"] == "train" else step
            for step in request["steps"]
        ]
        job = client.jobs.submit(request).id
    page = opens("ada")
    page.goto(whole.url() + f"/jobs/{job}/graph")
    ready(page)

    def step(name: str, state: str) -> Any:
        return page.locator(f"[data-id={name}]").get_by_text(state, exact=True)

    for name in ("prepare", "train", "test"):
        step(name, "waits").wait_for()
    assert not violations(page)
    approve(whole, job)
    step("train", "started").wait_for()
    step("prepare", "succeeded").wait_for()
    whole.platform.processes["bank-c"].kill()
    away = page.locator("[data-id=test]").get_by_label("The agent of bank-c is not connected")
    away.wait_for()
    step("test", "waits").wait_for()
    assert not violations(page)
    whole.platform.start("bank-c")
    away.wait_for(state="detached")
    for name in ("prepare", "train", "test"):
        step(name, "succeeded").wait_for()
