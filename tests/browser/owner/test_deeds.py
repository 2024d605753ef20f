"""What people come to the owner's page for by a link, and what they stop there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from peers.browsers import expect, ready, shoot, violations

from secureflow.agent.console.addresses import WEB
from tests.browser.opening import Opens, held_back
from tests.browser.owner.conftest import log_in, session_of
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


def half_approved(opens: Opens, place: Place) -> tuple[str, str]:
    """Return a job that one person has approved, and its request; ask for it where none waits."""
    for one in place.ask("inbox.list"):
        if one.get("approved_by") == 1:
            return one["job"], one["id"]
    job = submit(place)
    item = place.waiting(job)
    place.ask("inbox.approve", session_of(opens("ada")), item=item, reason="")
    return job, item


def test_one_job_that_no_grant_covers_is_stopped_alone(opens: Opens, place: Place) -> None:
    job, item = half_approved(opens, place)
    cleo = opens("cleo")
    cleo.goto(f"/r/{item}")
    approve(cleo)
    with place.platform.client("bank-a") as client:
        for event in client.jobs.watch(job):
            if event.kind == "round":
                break
        vera = opens("vera")
        vera.goto(f"{WEB}/running")
        vera.get_by_text(job).first.wait_for()
        ready(vera)
        expect(vera.get_by_role("button", name="Stop this job")).to_have_count(0)
        cleo.goto(f"{WEB}/running")
        cleo.get_by_role("button", name="Stop this job").click()
        dialog = cleo.get_by_role("dialog", name="Withdraw the approval of this job?")
        dialog.get_by_text(job).wait_for()
        assert not violations(cleo)
        shoot(cleo, "en/owner-stop")
        dialog.get_by_role("button", name="Let it run").click()
        dialog.wait_for(state="hidden")
        assert [one["job"] for one in place.ask("data.usage", running=True)["uses"]] == [job]
        cleo.get_by_role("button", name="Stop this job").click()
        dialog.get_by_label("Why, for the log").fill("the study is over")
        dialog.get_by_role("button", name="Withdraw and stop it").click()
        cleo.get_by_text(f"The approval of {job} was withdrawn.").wait_for()
        shoot(cleo, "en/owner-stopped")
        ended = await_end(client, job)
    assert ended.state == "failed"
    assert "withdrawn" in str(ended.error)
    assert place.ask("data.usage", running=True)["uses"] == []
    cleo.goto(f"{WEB}/record?group=decisions")
    cleo.get_by_text("the study is over").first.wait_for()
    with cleo.expect_download() as kept:
        cleo.get_by_role("button", name="Keep as a file").click()
    assert kept.value.suggested_filename == "activity-decisions-newest.json"
    assert '"approval.withdrawn"' in kept.value.path().read_text()


def test_a_request_that_comes_before_the_stream_begins_is_in_the_inbox(
    opens: Opens, place: Place
) -> None:
    page = opens("vera")
    let_go = held_back(page, "**/api/events*")
    page.goto(f"{WEB}/inbox")
    ready(page)
    job = submit(place)
    item = place.waiting(job)
    requests = page.locator(f'a[href$="/inbox/{item}"]')
    expect(requests).to_have_count(0)
    let_go()
    requests.first.wait_for()
    place.ask("inbox.reject", session_of(opens("ada")), item=item, reason="only to be seen")
