"""What people come to the owner's page for by a link, and what they stop there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from peers.browsers import shoot, violations

from secureflow.agent.console.web import WEB
from tests.browser.opening import Opens
from tests.browser.owner.conftest import log_in, ready
from tests.browser.place import Place
from tests.survival.world import PLAN, await_end, training


def submit(place: Place) -> str:
    """Submit a long job of three banks under masks, as the first of them."""
    with place.platform.client("bank-a") as client:
        plan = replace(PLAN, rounds=500)
        return str(client.jobs.submit(training(place.platform, plan, protection="secagg")).id)


def approve(page: Any) -> None:
    ready(page)
    page.get_by_role("button", name="Approve exactly this").click()


def test_a_link_of_a_mail_leads_through_the_login_to_the_request_on_the_built_page(
    opens: Opens, place: Place
) -> None:
    item = place.waiting(submit(place))
    page = opens()
    page.goto(f"/r/{item}")
    page.wait_for_url(f"**{WEB}/login?back=%2Fr%2F{item}")
    log_in(page, place, "ada")
    page.wait_for_url(f"**{WEB}/r/{item}")
    approve(page)
    page.get_by_text("You approved it. It waits for a second person.").wait_for()


def test_one_job_that_no_grant_covers_is_stopped_alone(opens: Opens, place: Place) -> None:
    job, item = next((one["job"], one["id"]) for one in place.ask("inbox.list"))
    ben = opens("ben")
    ben.goto(f"/r/{item}")
    approve(ben)
    with place.platform.client("bank-a") as client:
        for event in client.jobs.watch(job):
            if event.kind == "round":
                break
        vera = opens("vera")
        vera.goto(f"{WEB}/running")
        vera.get_by_text(job).first.wait_for()
        assert not vera.get_by_role("button", name="Stop this job").count()
        ben.goto(f"{WEB}/running")
        ben.get_by_role("button", name="Stop this job").click()
        dialog = ben.get_by_role("dialog", name="Withdraw the approval of this job?")
        dialog.get_by_text(job).wait_for()
        assert not violations(ben)
        shoot(ben, "en/owner-stop")
        dialog.get_by_role("button", name="Let it run").click()
        dialog.wait_for(state="hidden")
        assert [one["job"] for one in place.ask("data.usage", running=True)["uses"]] == [job]
        ben.get_by_role("button", name="Stop this job").click()
        dialog.get_by_label("Why, for the log").fill("the study is over")
        dialog.get_by_role("button", name="Withdraw and stop it").click()
        ben.get_by_text(f"The approval of {job} was withdrawn.").wait_for()
        shoot(ben, "en/owner-stopped")
        ended = await_end(client, job)
    assert ended.state == "failed"
    assert "withdrawn" in str(ended.error)
    assert place.ask("data.usage", running=True)["uses"] == []
    ben.goto(f"{WEB}/record?group=decisions")
    ben.get_by_text("the study is over").first.wait_for()
