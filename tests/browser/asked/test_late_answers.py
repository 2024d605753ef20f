"""What happens while a page is still read, or before its stream begins, is seen all the same."""

from __future__ import annotations

import re
import time
from typing import Any, Final
from urllib.parse import urlsplit

from peers.browsers import expect, ready

from tests.browser.asked.test_forms import answered, ask_for_the_overlap, submit
from tests.browser.console.place import Centre
from tests.browser.opening import Opens, held_back

JOB: Final = re.compile(r"/api/v1/jobs/(job_[^/?]+)$")
EVENTS: Final = "**/api/v1/events*"
TOLD: Final = 1.0
"""Seconds in which the stream tells a page of an end that has come."""


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
    let_go = held_back(page, EVENTS)
    page.goto("/jobs")
    ready(page)
    other = opens("ada")
    ask_for_the_overlap(other, "bank-b")
    submit(other)
    other.get_by_role("tab", name="Report").wait_for()
    row = page.locator(f'a[href$="{urlsplit(other.url).path}"]')
    expect(row).to_have_count(0)
    let_go()
    row.wait_for()


def test_events_of_a_job_from_before_the_stream_begins_are_in_its_log(
    opens: Opens, centre: Centre
) -> None:
    """The history was read when there was none yet, and the stream begins after all of it."""
    job = answered(centre)
    page = opens("ada")
    let_go = held_back(page, EVENTS)
    none_yet = {"items": [], "next": None}
    page.route("**/history*", lambda route: route.fulfill(json=none_yet), times=1)
    page.goto(f"/jobs/{job}?part=log")
    nothing = page.get_by_role("main").get_by_text("Nothing has happened yet").first
    nothing.wait_for()
    let_go()
    page.locator(".ant-table-row").first.wait_for()
    expect(nothing).to_be_hidden()
