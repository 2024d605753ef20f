"""Long lists: they open, scroll far and are filtered, and the browser never freezes over them.

What is bounded: how many rows stand in the document, and how long the browser is busy in one piece
far down a list, against what the same list took in the same run while it was short. Both are told
in times of what a piece of plain work takes in the same moment: others' load comes and goes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import pytest
from peers.browsers import expect, ready

from tests.browser.whole.conftest import Opens, demand
from tests.browser.whole.place import Consortium, served
from tests.browser.whole.plenty import many_deeds, many_entries, many_events, many_jobs, writing
from tests.survival.world import PLAN, training

pytestmark = pytest.mark.full

JOBS: Final = 10_000
ENTRIES: Final = 100_000
LINES: Final = 50_000
ROWS: Final = 120
"""Rows in the document at once: what is seen, and a little above and below."""
LONGER: Final = 8
"""Times that the browser may be busy longer in one piece than while the list was short."""
SHORTEST: Final = 50
"""Milliseconds: what is shorter is no long task, and is not told."""
PLAIN: Final = """() => {
  const began = performance.now();
  let sum = 0;
  for (let one = 0; one < 3e7; one++) sum = (sum * 31 + one) % 65521;
  return performance.now() - began + sum * 0;
}"""
"""Work that takes a page tens of milliseconds, where nobody else has the processor."""
TASKS: Final = """
window.longTasks = [];
new PerformanceObserver((list) => {
  for (const one of list.getEntries()) window.longTasks.push(one.duration);
}).observe({ entryTypes: ['longtask'] });
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    """A consortium that has worked for years, of which only the rows are left."""
    demand()
    with served(tmp_path_factory.mktemp("plenty") / "p", "bank-a", "bank-b", "bank-c") as made:
        yield made


@pytest.fixture(scope="module")
def job(whole: Consortium) -> str:
    """A job that waits for its owners, and the rows that are made of what it left."""
    with whole.platform.client("bank-a") as client:
        found = client.jobs.submit(training(whole.platform, PLAN, protection="secagg"))
    return str(found.id)


@dataclass
class Scrolled:
    """A list that is scrolled, and what that took of the browser."""

    page: Any
    most: int = 0

    def rows(self) -> int:
        """Return how many rows stand in the document."""
        return int(self.page.locator(".ant-table-row").count())

    def busy(self, deed: Callable[[], Any]) -> float:
        """Return the longest time of the browser in one piece meanwhile, in times of plain work."""
        self.page.evaluate("window.longTasks.length = 0")
        deed()
        self.most = max(self.most, self.rows())
        taken = self.page.evaluate("Math.max(0, ...window.longTasks)")
        return float(max(SHORTEST, taken) / self.page.evaluate(PLAIN))

    def shown(self) -> int:
        """Return how many rows the list says it has by now."""
        foot = self.page.locator("section > p[aria-live=polite]").last.inner_text()
        found = re.search(r"[0-9][0-9,]*", foot)
        assert found, foot
        return int(found[0].replace(",", ""))

    def down(self) -> None:
        """Scroll to the end, and wait for the page of rows that this asks for."""
        before = self.shown()
        self.page.locator(".ant-table-tbody-virtual-holder").hover()
        self.page.mouse.wheel(0, 10_000_000)
        foot = self.page.locator("section > p[aria-live=polite]")
        foot.filter(has_text=re.compile(rf"^(?!{before:,}\b)[0-9]")).wait_for()


def opened(opens: Opens, who: str, path: str, where: str = "") -> Scrolled:
    page = opens(who, where)
    page.context.add_init_script(TASKS)
    page.goto(page.url.rstrip("/") + path)
    ready(page)
    return Scrolled(page)


def typical(times: list[float]) -> float:
    """Return the median: a machine that is busy otherwise makes some of them long."""
    return sorted(times)[len(times) // 2]


def test_ten_thousand_jobs_scroll_to_the_first_and_are_filtered(
    opens: Opens, whole: Consortium, job: str
) -> None:
    many_jobs(whole.platform.server / "secureflow.db", JOBS)
    scrolled = opened(opens, "ada", "/jobs")
    assert 0 < scrolled.rows() < ROWS
    near = [scrolled.busy(scrolled.down) for _ in range(8)]
    while scrolled.shown() < JOBS - 500:
        scrolled.down()
    far = [scrolled.busy(scrolled.down) for _ in range(8)]
    assert scrolled.most < ROWS
    assert typical(far) <= LONGER * typical(near), (near, far)
    page = scrolled.page
    search = page.get_by_role("searchbox").or_(page.get_by_label("Name or id")).first
    search.fill("the oldest of all")
    search.press("Enter")
    page.get_by_role("link", name="the oldest of all").wait_for()
    expect(page.locator(".ant-table-row")).to_have_count(1)


def test_a_hundred_thousand_entries_of_the_ledger(opens: Opens, whole: Consortium) -> None:
    many_entries(whole.platform.server / "secureflow.db", ENTRIES)
    scrolled = opened(opens, "ada", "/record")
    assert 0 < scrolled.rows() < ROWS
    near = [scrolled.busy(scrolled.down) for _ in range(5)]
    while scrolled.shown() < 8000:
        scrolled.down()
    far = [scrolled.busy(scrolled.down) for _ in range(5)]
    assert scrolled.most < ROWS
    assert typical(far) <= LONGER * typical(near), (near, far)
    scrolled.page.goto(whole.url() + "/record?author=the-oldest")
    ready(scrolled.page)
    first = scrolled.page.locator(".ant-table-row")
    expect(first, "the first of a hundred thousand").to_have_count(1)


def test_fifty_thousand_lines_of_a_jobs_log(opens: Opens, whole: Consortium, job: str) -> None:
    short = opened(opens, "ada", f"/jobs/{job}?part=log")
    near = searches(short, "state", "none", "")
    many_events(whole.platform.server / "secureflow.db", job, LINES)
    long = opened(opens, "ada", f"/jobs/{job}?part=log")
    long.page.get_by_text(f"line {LINES - 1} of the worker").wait_for()
    far = searches(long, "line 17 ", "of the", "line 4")
    long.page.get_by_label("Search the log").fill("line 17 of")
    long.page.get_by_text("line 17 of the worker").wait_for()
    assert 0 < long.rows() < ROWS
    assert long.most < ROWS
    assert typical(far) <= LONGER * typical(near), (near, far)


def searches(log: Scrolled, *texts: str) -> list[float]:
    """Search for texts, and return how long the browser was busy with each."""
    return [log.busy(partial(sought, log.page, text)) for text in texts]


def sought(page: Any, text: str) -> None:
    page.get_by_label("Search the log").fill(text)
    ready(page)  # what is drawn after the last key is measured, too


def test_fifty_thousand_lines_of_an_agents_own_log(opens: Opens, whole: Consortium) -> None:
    many_deeds(whole.platform.parties["bank-b"].directory / "agent.db", LINES)
    log = opened(opens, "omar", "/record", "bank-b")
    page = log.page
    entries = page.get_by_role("main").get_by_role("listitem")
    near = [log.busy(lambda: older(page))]
    bounded(entries)
    with writing(whole.platform.parties["bank-b"].directory / "agent.db") as database:
        (last,) = database.execute("SELECT max(id) FROM deeds").fetchone()
    page.goto(whole.url("bank-b") + f"/record?before={last - LINES + 100}")
    ready(page)
    far = [log.busy(lambda: older(page)) for _ in range(3)]
    bounded(entries)
    page.get_by_text("Pinned a charter.").wait_for()
    assert typical(far) <= LONGER * typical(near), (near, far)
    page.goto(whole.url("bank-b") + "/record?group=people")
    ready(page)
    bounded(entries)
    expect(page.get_by_text("Published the dataset")).to_have_count(0)


def bounded(entries: Any) -> None:
    """Wait until there are entries, and no more than a page has."""
    expect(entries).not_to_have_count(0)
    expect(entries.nth(ROWS)).to_have_count(0)


def older(page: Any) -> None:
    """Turn to what happened before, if there is more."""
    button = page.get_by_role("button", name="Older")
    if button.count():
        with page.expect_response("**/api/activity*"):
            button.click()
        ready(page)
