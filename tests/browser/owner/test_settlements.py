"""What the owner signs about money on its own page: an agreement, and a settlement's amounts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from peers.browsers import expect, ready, shoot, violations

from secureflow.agent.console.addresses import WEB
from tests.browser import money
from tests.browser.opening import Opens
from tests.browser.owner.conftest import session_of
from tests.browser.owner.granting import own_grant
from tests.browser.place import OWNER, Place
from tests.survival.world import PLAN, await_end, training


def finished(opens: Opens, place: Place) -> str:
    """Return a job that succeeded: two people approve it here, whatever became of the grant."""
    own_grant(place, session_of(opens("ada")))
    with place.platform.client("bank-a") as client:
        request = training(place.platform, replace(PLAN, rounds=1), protection="secagg")
        job = str(client.jobs.submit(request).id)
        item = place.waiting(job)
        for who in ("ada", "ben"):
            place.ask("inbox.approve", session_of(opens(who)), item=item, reason="")
        ended = await_end(client, job)
    assert ended.state == "succeeded", ended.error
    return job


def looked(page: Any, path: str) -> None:
    page.goto(f"{WEB}{path}")
    ready(page)
    assert not violations(page)


def test_an_agreement_and_a_settlement_are_signed_as_this_agent_checked_them(
    opens: Opens, place: Place
) -> None:
    platform = place.platform
    project = f"/settlements/{platform.project}"
    digest = money.draft(platform)
    others = [one for one in platform.parties if one != OWNER]
    money.sign(platform, digest, others)
    ada, vera = opens("ada"), opens("vera")
    vera.goto(f"{WEB}/settlements")
    vera.get_by_text("A revenue agreement to sign").first.wait_for()
    looked(vera, project)
    vera.get_by_text("That is signed by an owner-admin", exact=False).wait_for()
    expect(vera.get_by_role("button", name="Sign exactly this")).to_have_count(0)
    ada.goto(f"{WEB}{project}")
    ada.get_by_text("bank-a owes what the others are due").wait_for()
    ada.get_by_text(digest, exact=True).first.wait_for()
    ready(ada)
    shoot(ada, "en/owner-agreement")
    ada.get_by_role("button", name="Sign exactly this").click()
    ada.get_by_role("heading", name="The version that stands").wait_for()
    pinned = place.ask("revenue.show", project=platform.project)["pinned"]
    assert [one["digest"] for one in pinned] == [digest]
    assert OWNER in pinned[0]["signed"]
    settlement = money.propose(platform, finished(opens, place))
    looked(vera, f"{project}/{settlement}")
    vera.get_by_text("The centre shows the very amounts", exact=False).wait_for()
    expect(vera.get_by_role("button", name="Approve exactly these amounts")).to_have_count(0)
    ada.goto(f"{WEB}/settlements")
    ada.get_by_role("link", name=settlement).click()
    ready(ada)
    told = place.ask("settlement.show", settlement=settlement)
    expect(ada.get_by_text(told["digest"], exact=True)).to_have_count(2)
    shoot(ada, "en/owner-settlement")
    ada.get_by_role("button", name="Approve exactly these amounts").click()
    ada.get_by_text("1 of 3 that are needed: bank-b").wait_for()
    assert place.ask("settlement.show", settlement=settlement)["approvals"] == [OWNER]
    ada.get_by_label("Why you dispute it").fill("my rows were counted twice")
    ada.get_by_role("button", name="Dispute it").click()
    ada.get_by_role("button", name="Take the dispute back").wait_for()
    assert place.ask("settlement.show", settlement=settlement)["disputes"] == [OWNER]
    assert not violations(ada)
