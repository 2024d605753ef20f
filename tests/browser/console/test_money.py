"""Anchors and settlements in the console: what members signed, and where it is decided."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from peers.browsers import expect, ready, shoot, violations

from tests.browser import money
from tests.browser.console.place import Centre
from tests.browser.opening import Opens
from tests.browser.place import until
from tests.survival.world import PLAN, await_end, training


@pytest.fixture(scope="module")
def job(centre: Centre) -> str:
    """A job that has ended, and that every member may settle by an agreement."""
    platform = centre.platform
    with platform.client("bank-a") as client:
        plan = replace(PLAN, rounds=1)
        submitted = client.jobs.submit(training(platform, plan, protection="secagg"))
        assert await_end(client, submitted.id).state == "succeeded"
        agreement = client.settlements.agreement(platform.project)
    if agreement.current is None:
        money.sign(platform, money.draft(platform), platform.parties)
    return str(submitted.id)


def test_anchors_are_shown_whole_and_a_second_history_is_named(
    opens: Opens, centre: Centre, job: str
) -> None:
    with centre.client("ada") as client:
        told = until(lambda: list(client.anchors.list(job=job)))
        until(lambda: list(client.anchors.list(kind="anchor", organisation="bank-b")))
    place = told[0].place
    page = opens("ada")
    page.goto(f"/jobs/{job}?part=anchors")
    page.get_by_text("This page proves nothing", exact=False).wait_for()
    rows = page.get_by_role("row").filter(has_text=place)
    expect(rows.first).to_be_visible()
    transaction = str(told[0].statement["body"]["transaction"])
    expect(page.get_by_text(transaction, exact=True).first).to_be_visible()
    page.get_by_role("link", name="Anchors", exact=True).click()
    page.wait_for_url("**/record/anchors")
    page.get_by_text("No statement contradicts another", exact=False).wait_for()
    ready(page)
    expect(page.get_by_role("row").filter(has_text="bank-b").first).to_be_visible()
    assert not violations(page)
    shoot(page, "en/anchors")

    def lie(route: Any) -> None:
        """bank-b signed another root of the very size that somebody else did."""
        told = route.fetch().json()
        first = next(one for one in told["items"] if one["kind"] == "anchor")
        body = first["statement"]["body"]
        other = {**body, "entry": {**body["entry"], "root": "0" * 64}}
        twin = {
            **first,
            "organisation": "bank-x",
            "statement": {**first["statement"], "body": other},
        }
        route.fulfill(json={**told, "items": [*told["items"], twin]})

    page.route(re.compile(r"/api/v1/anchors\?.*kind=anchor"), lie)
    page.get_by_role("button", name="Look again").click()
    alarm = page.get_by_role("alert").filter(has_text="two histories")
    alarm.wait_for()
    expect(alarm).to_contain_text("bank-x")
    expect(alarm).to_contain_text(place)


def test_a_settlement_is_previewed_proposed_and_decided_at_agents(
    opens: Opens, centre: Centre, job: str
) -> None:
    platform = centre.platform
    page = opens("ada")
    page.goto(f"/projects/{platform.project}?part=revenue")
    page.get_by_text("The version that stands").wait_for()
    expect(page.get_by_text("bank-a owes what the others are due")).to_be_visible()
    ready(page)
    page.get_by_role("button", name="Propose a settlement").click()
    dialog = page.get_by_role("dialog", name="Propose a settlement")
    dialog.get_by_role("combobox", name="Jobs to settle").click()
    page.get_by_title(re.compile(re.escape(job))).click()
    page.keyboard.press("Escape")
    expect(dialog.get_by_role("button", name="Propose it to the members")).to_be_disabled()
    dialog.get_by_role("button", name="Look at the figures").click()
    dialog.get_by_text("This is a preview", exact=False).wait_for()
    expect(dialog.get_by_text("1,000.00 EUR").first).to_be_visible()
    assert not violations(page)
    shoot(page, "en/settlement-preview")
    dialog.get_by_role("button", name="Propose it to the members").click()
    page.wait_for_url(re.compile(r"/settlements/[0-9a-f]{64}$"))
    settlement = page.url.rsplit("/", 1)[1]
    command = f"secureflow agent settlement approve {settlement}"
    page.get_by_text(command, exact=True).wait_for()
    money.approve(platform, settlement, platform.parties)
    page.reload()
    page.get_by_text("approved, can be disputed").first.wait_for()
    expect(page.get_by_text(command, exact=True)).to_have_count(0)
    expect(page.get_by_text("these amounts", exact=True)).to_have_count(3)
    ready(page)
    assert not violations(page)
    shoot(page, "en/settlement")
    page.get_by_role("button", name="Statement").click()
    with page.expect_download() as kept:
        page.get_by_role("link", name="As a table (CSV)").click()
    assert settlement[:16] in kept.value.suggested_filename
    assert job in kept.value.path().read_text()


def test_who_only_reads_proposes_nothing(opens: Opens, centre: Centre, job: str) -> None:
    page = opens("vera")
    page.goto(f"/projects/{centre.platform.project}?part=revenue")
    page.get_by_text("A settlement is proposed by who leads", exact=False).wait_for()
    expect(page.get_by_role("button", name="Propose a settlement")).to_have_count(0)


def test_an_agreement_is_drafted_with_terms_that_members_then_sign(
    opens: Opens, centre: Centre
) -> None:
    with centre.client("ada") as client:
        project = client.projects.create("To be agreed on", "credit-scoring").id
    page = opens("ada")
    page.goto(f"/projects/{project}?part=revenue")
    page.get_by_role("button", name="Draft a revenue agreement").click()
    dialog = page.get_by_role("dialog", name="Draft a revenue agreement")
    ready(page)
    assert not violations(page)
    shoot(page, "en/agreement-draft")
    currency = dialog.get_by_role("textbox", name="Currency")
    currency.fill("euro")
    dialog.get_by_role("button", name="Draft it").click()
    dialog.get_by_text("Three capital letters, such as EUR.").wait_for()
    currency.fill("JPY")
    dialog.get_by_role("spinbutton", name="Minor units that each job brings").fill("5000")
    dialog.get_by_role("spinbutton", name="Floor, in per cent").fill("12.5")
    dialog.get_by_role("spinbutton", name="bank-a").fill("80")
    dialog.get_by_role("button", name="Draft it").click()
    page.get_by_text("The version to sign").wait_for()
    page.get_by_text(f"secureflow agent revenue sign {project}", exact=True).wait_for()
    expect(dialog).to_have_count(0)
    with centre.client("ada") as client:
        drafted = client.settlements.agreement(project).candidate
    assert drafted is not None
    terms = drafted.agreement
    assert (terms["currency"], terms["per_job"], terms["floor"]) == ("JPY", 5000, 1250)
    assert (terms["payer"], terms["members"][0]["quality"]) == ("bank-a", 80)
    # The next draft begins with these terms, and takes their place.
    page.get_by_role("button", name="Draft the next version").click()
    expect(currency).to_have_value("JPY")
    page.keyboard.press("Escape")


def test_who_only_reads_drafts_nothing(opens: Opens, centre: Centre) -> None:
    page = opens("vera")
    page.goto(f"/projects/{centre.platform.project}?part=revenue")
    page.get_by_text("The centre shows what follows", exact=False).wait_for()
    expect(page.get_by_role("button", name=re.compile("^Draft"))).to_have_count(0)
