"""What happens while a page is still read, or before its stream begins, is seen all the same."""

from __future__ import annotations

import re
import time
from typing import Any, Final

from peers.browsers import expect, ready

from tests.browser.asked.test_forms import answered, ask_for_the_overlap
from tests.browser.console.place import Centre
from tests.browser.opening import Opens

JOB: Final = re.compile(r"/api/v1/jobs/(job_[^/?]+)$")
TOLD: Final = 1.0
"""Seconds in which the stream tells a page of an end that has come."""


def submit(page: Any) -> None:
    page.get_by_role("button", name="Submit", exact=True).click()
    page.wait_for_url("**/jobs/job_*")


def test_a_job_that_ends_while_its_first_answer_is_under_way_is_shown_ended(
    opens: Opens, centre: Centre
) -> None:
    """The stream tells of the end, and then comes the answer from before it."""
    page = opens("ada")
    held: list[str] = []

    def late(route: Any, request: Any) -> None:
        answer = route.fetch()
        if not held:
            held.append(answer.json()["state"])
            with centre.client("ada") as client:
                client.jobs.wait(JOB.search(request.url)[1])  # type: ignore[index]
            time.sleep(TOLD)
        route.fulfill(response=answer)

    page.route(JOB, late)
    ask_for_the_overlap(page, "bank-b")
    submit(page)
    page.get_by_role("tab", name="Report").wait_for()
    assert held
    assert held[0] != "succeeded", "the answer was of before the end"


def test_a_job_that_comes_before_the_stream_begins_is_listed(opens: Opens, centre: Centre) -> None:
    """The stream begins with what is new from then on: what was read before it may be old."""
    answered(centre)
    page = opens("ada")
    held: list[Any] = []
    holding = True

    def late(route: Any) -> None:
        if holding:
            held.append(route)
        else:
            route.continue_()

    page.route("**/api/v1/events*", late)
    page.goto("/jobs")
    ready(page)
    rows = page.get_by_role("main").locator('a[href*="/jobs/job_"]')
    rows.first.wait_for()
    before = rows.count()
    other = opens("ada")
    ask_for_the_overlap(other, "bank-b")
    submit(other)
    other.get_by_role("tab", name="Report").wait_for()
    expect(rows).to_have_count(before)
    holding = False
    for one in held:
        one.continue_()
    expect(rows).to_have_count(before + 1)
