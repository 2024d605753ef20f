"""The owner's page in a real browser: who decides, what it shows, and that everybody can use it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest
from peers.browsers import shoot, tab_to, violations

from secureflow.agent.console.web import WEB
from secureflow.kit.errors import SecureFlowError
from tests.browser.owner.conftest import CODE, Opens, ready
from tests.browser.place import PASSWORD, Place
from tests.survival.world import PLAN, await_end, training

APPROVE: Final = "Approve exactly this"


def submit(place: Place, rounds: int = 2) -> str:
    """Submit a job of three banks under masks, as the first of them."""
    with place.platform.client("bank-a") as client:
        request = training(place.platform, replace(PLAN, rounds=rounds), protection="secagg")
        return str(client.jobs.submit(request).id)


def test_a_link_leads_through_the_login_with_a_second_factor(
    opens: Opens, place: Place, states: dict[str, Any]
) -> None:
    page = opens()
    page.goto(f"{WEB}/record?group=people")
    page.wait_for_url("**/login?back=%2Frecord%3Fgroup%3Dpeople")
    assert page.get_by_role("heading", level=1).inner_text() == "bank-b's own agent"
    page.get_by_label("Name", exact=True).fill("ben")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()
    page.get_by_label(CODE["en"]).fill(place.code("ben", away=1))
    page.get_by_role("button", name="Log in", exact=True).click()
    page.wait_for_url("**/record?group=people")
    ready(page)
    states["ben"] = page.context.storage_state()


def test_two_people_decide_one_of_them_by_the_keyboard_alone(opens: Opens, place: Place) -> None:
    ben = opens("ben")
    ben.goto("/")
    ben.wait_for_url(f"**{WEB}/")
    ready(ben)
    job = submit(place, rounds=500)
    item = place.waiting(job)
    ben.get_by_role("link", name="1 request waits").wait_for()  # by the stream: nobody asked for it
    tab_to(ben, "Inbox")
    ben.keyboard.press("Enter")
    ben.wait_for_url("**/inbox")
    tab_to(ben, "income")
    ben.keyboard.press("Enter")
    ben.wait_for_url(f"**/inbox/{item}")
    tab_to(ben, "A note for the log")
    ben.keyboard.type("seen by the board")
    tab_to(ben, APPROVE)
    ben.keyboard.press("Enter")
    ben.get_by_text("You approved it. It waits for a second person.").wait_for()
    assert not ben.get_by_role("button", name=APPROVE).count()
    ada = opens("ada")
    ada.goto(f"{WEB}/r/{item}")
    ready(ada)
    assert ada.get_by_text("ben", exact=False).first.is_visible()
    assert not ada.get_by_text("seen by the board").count(), "what would sway the second person"
    ada.get_by_role("button", name=APPROVE).click()
    ada.get_by_text("Approved and signed.").or_(ada.get_by_text("signs it then")).wait_for()
    with place.platform.client("bank-a") as client:
        for event in client.jobs.watch(job):
            if event.kind == "round":
                break
    ada.get_by_role("link", name="Running").click()
    ada.get_by_text(job).first.wait_for()


def test_a_rejection_reaches_the_submitter(opens: Opens, place: Place) -> None:
    job = submit(place)
    item = place.waiting(job)
    viewer = opens("vera")
    viewer.goto(f"{WEB}/inbox/{item}")
    viewer.get_by_text("an owner-admin gives the role").wait_for()
    assert not viewer.get_by_role("button", name="Reject").count()
    page = opens("ada")
    page.goto(f"{WEB}/inbox/{item}")
    ready(page)
    shoot(page, "en/owner-decision")
    assert not violations(page)
    page.get_by_role("button", name="Reject").click()
    page.get_by_text("Say why: the submitter reads that.").wait_for()
    page.get_by_label("Why you reject it").fill("ask for fewer columns")
    page.get_by_role("button", name="Reject").click()
    page.get_by_text("Rejected. The submitter reads your reason.").wait_for()
    page.get_by_text("ask for fewer columns").first.wait_for()
    with place.platform.client("bank-a") as client:
        await_end(client, job)
        with pytest.raises(SecureFlowError, match="ask for fewer columns"):
            client.jobs.wait(job)
