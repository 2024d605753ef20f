"""Every page of the console's areas, for everybody: both languages, both themes; the verifier."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest
from peers.browsers import expect, fits, ready, shoot, violations

from tests.browser import money
from tests.browser.console.place import TABLET, WIDE, Centre
from tests.browser.console.test_frame import faults
from tests.browser.opening import Opens, turn
from tests.survival.world import PLAN, await_end, training

PAGES: Final = (
    *("/organisations", "/organisations/bank-a", "/organisations/charter"),
    *("/projects", "/projects/{project}", "/data", "/data/{dataset}"),
    *("/jobs", "/jobs/compare?ids={job},{job}", "/jobs/{job}?part=live", "/jobs/{job}?part=report"),
    *("/jobs/{job}?part=explanation", "/jobs/{job}?part=request", "/jobs/{job}?part=log"),
    *("/models", "/models/{model}", "/models/compare?ids={model}"),
    *("/administration", "/administration?part=webhooks", "/administration?part=queue"),
    *("/administration?part=limits", "/administration?part=verdicts"),
    *("/administration?part=authority", "/administration/people/{person}"),
    *("/record", "/record?entry={entry}", "/record?kind=job.&text=nothing", "/record/verify"),
    *("/record/anchors", "/jobs/{job}?part=anchors"),
    *("/projects/{project}?part=revenue", "/settlements/{settlement}"),
    *("/ask/statistics", "/ask/overlap"),
)


@dataclass(frozen=True)
class Things:
    """What the pages are about: one training that has ended, what it made, and what it earned."""

    project: str
    dataset: str
    job: str
    model: str
    person: str
    entry: int
    settlement: str

    def at(self, page: str) -> str:
        """Return the address of a page that is about these."""
        return page.format(**vars(self))


@pytest.fixture(scope="module")
def things(centre: Centre) -> Things:
    platform = centre.platform
    plan = replace(PLAN, rounds=1)
    with platform.client("bank-a") as client:
        submitted = client.jobs.submit(training(platform, plan, protection="secagg"))
        job = await_end(client, submitted.id)
        assert job.state == "succeeded", job.error
        (model,) = client.models.list(job=job.id)
        entry = client.jobs.bundle(job.id)["entries"][-1]["index"]
    dataset = platform.parties["bank-a"].dataset_id
    with centre.client("ada") as client:
        person = client.me().id
    digest = money.draft(platform)
    money.sign(platform, digest, platform.parties)
    settlement = money.propose(platform, job.id)
    return Things(platform.project, dataset, job.id, model.id, person, entry, settlement)


@pytest.mark.parametrize(
    ("language", "theme"),
    [("en", "dark"), pytest.param("zh", "light", marks=pytest.mark.full)],
)
def test_everybody_can_use_every_page_of_the_areas(
    opens: Opens, things: Things, said: list[str], language: str, theme: str
) -> None:
    page = opens("ada", language, theme)
    wrong: dict[str, list[str]] = {}
    for pattern in PAGES:
        if language == "zh" or pattern == PAGES[0]:
            page.goto(things.at(pattern))
        else:
            turn(page, things.at(pattern))
        ready(page)
        expect(page).not_to_have_url(re.compile("/login"))
        shoot(page, f"{language}/areas-{theme}{re.sub('[^a-z0-9]+', '-', pattern)}")
        found = violations(page)
        for size in (TABLET, WIDE):
            page.set_viewport_size(size)
            found += [] if fits(page) else [f"it does not fit {size['width']}"]
        if found:
            wrong[pattern] = found
    assert not wrong, json.dumps(wrong, indent=1)
    assert faults(said) == []


def test_an_entry_is_checked_in_the_browser_and_a_lie_is_seen(opens: Opens, things: Things) -> None:
    page = opens("ada")
    page.goto(things.at("/record?entry={entry}"))
    drawer = page.get_by_role("dialog")
    for step in ("leaf", "signature", "document", "inclusion"):
        drawer.locator(f"[data-check={step}][data-found=holds]").wait_for()

    def lie(route: Any) -> None:
        """The document's name is another one."""
        told = route.fetch().json()
        told["items"][0]["document"]["added"] = 1
        route.fulfill(json=told)

    page.route("**/api/v1/audit/entries*", lie)
    page.goto(things.at("/record?entry={entry}&text=x"))
    drawer.locator("[data-check=document][data-found=fails]").wait_for()
    drawer.locator("[data-check=inclusion][data-found=holds]").wait_for()


def test_a_job_is_verified_under_the_readers_own_charter(
    opens: Opens, centre: Centre, things: Things
) -> None:
    page = opens("ada")
    page.goto("/record/verify")
    ready(page)
    page.get_by_role("combobox", name="or choose a job, and fetch its bundle").click()
    page.get_by_title(re.compile(re.escape(things.job))).click()
    status = page.get_by_test_id("status")
    status.get_by_text("Consistent, unauthenticated").wait_for()
    page.get_by_label("Your own charter").set_input_files(str(centre.platform.charter_file()))
    status.get_by_text("Verified", exact=True).wait_for()
    assert not violations(page)
    with centre.client("ada") as client:
        bundle = client.jobs.bundle(things.job)
    bundle["entries"][-1]["document"]["added"] = 1
    broken = {
        "name": "b.json",
        "mimeType": "application/json",
        "buffer": json.dumps(bundle).encode(),
    }
    page.get_by_label("Audit bundle").set_input_files([broken])
    status.get_by_text("Broken").wait_for()
    page.locator("[data-check=documents][data-state=failed]").wait_for()
    expect(page.locator("[data-check=inclusion][data-state=passed]")).to_have_count(1)
