"""Decisions on the owner's page: once, on what was shown, with the words that they need."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from peers.agent_people import waiting_item
from peers.agent_world import World
from peers.owner_page import Browser, OwnerPage, owner_page

from secureflow.agent.console.views.decision import budget_bar
from secureflow.agent.console.views.inbox import ordered
from secureflow.domain.questions import MOST_TURNS

TWO = '@two_people("all") permit(principal, action, resource);'


@contextlib.asynccontextmanager
async def asked(tmp_path: Path, policy: str = "") -> AsyncIterator[tuple[OwnerPage, Any]]:
    world = World(tmp_path / "agent", policy=policy)
    people = ("ada", "ben", "cleo", "vera")
    async with owner_page(tmp_path, world=world, people=people) as page:
        asking, item = await waiting_item(world)
        yield page, item
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


def state(page: OwnerPage, item: Any) -> str:
    return str(page.team.world.assembly.inbox.get(item.id).state)


async def form(browser: Browser, item: Any) -> dict[str, str]:
    """Return what the forms of a request's screen send beside what the person types."""
    screen = (await browser.open(f"/r/{item.id}")).text.partition('class="decisions"')[2]
    return dict(re.findall(r'name="(form|seen)" value="([0-9a-f]{64})"', screen))


async def test_a_double_click_decides_once_and_shows_no_error(tmp_path: Path) -> None:
    async with asked(tmp_path) as (page, item):
        ben = await page.of("ben")
        fields, path = await form(ben, item), f"/r/{item.id}/approve"
        both = await asyncio.gather(ben.send(path, fields), ben.send(path, fields))
        assert [one.status_code for one in both] == [303, 303]
        assert (await ben.send(path, fields)).status_code == 303
        noted = page.team.world.store.actions(job=item.job, limit=50)
        assert [one["action"] for one in noted].count("inbox.approved") == 1


async def test_a_double_click_of_the_first_of_two_is_one_approval(tmp_path: Path) -> None:
    async with asked(tmp_path, TWO) as (page, item):
        ben = await page.of("ben")
        fields, path = await form(ben, item), f"/r/{item.id}/approve"
        both = await asyncio.gather(ben.send(path, fields), ben.send(path, fields))
        assert [one.status_code for one in both] == [303, 303]
        assert len(page.team.world.assembly.inbox.approvals(item.id)) == 1
        assert state(page, item) == "waiting"


async def test_a_second_person_needs_a_page_that_shows_the_first(tmp_path: Path) -> None:
    """What changed since a page was made is shown anew, with words, and not decided."""
    async with asked(tmp_path, TWO) as (page, item):
        ben, cleo = await page.of("ben"), await page.of("cleo")
        early = await form(cleo, item)
        await ben.send(f"/r/{item.id}/approve", await form(ben, item))
        again = await ben.send(f"/r/{item.id}/approve", early | {"form": await ben.token()})
        assert again.status_code == 303  # ben's own was taken already: nothing more is decided
        late = await cleo.send(f"/r/{item.id}/approve", early)
        assert late.status_code == 409
        assert "request_changed" in late.text
        assert "ben" in late.text
        assert state(page, item) == "waiting"
        assert (await cleo.send(f"/r/{item.id}/approve", await form(cleo, item))).status_code == 303
        assert state(page, item) == "approved"


@pytest.mark.parametrize("seen", ["", "0" * 64])
async def test_another_digest_than_what_is_there_decides_nothing(tmp_path: Path, seen: str) -> None:
    async with asked(tmp_path) as (page, item):
        ben = await page.of("ben")
        fields = await form(ben, item) | {"seen": seen, "reason": "x", "question": "x"}
        for way in ("approve", "reject", "ask"):
            answer = await ben.send(f"/r/{item.id}/{way}", fields)
            assert answer.status_code == 409, way
        assert state(page, item) == "waiting"


async def test_a_rejection_needs_a_reason_and_a_question_its_words(tmp_path: Path) -> None:
    async with asked(tmp_path) as (page, item):
        ben = await page.of("ben")
        fields = await form(ben, item)
        for way, name in (("reject", "reason"), ("ask", "question")):
            answer = await ben.send(f"/r/{item.id}/{way}", {**fields, name: " \r\n "})
            assert answer.status_code == 422, way
        assert state(page, item) == "waiting"
        given = {**fields, "reason": "not for\r\nmarketing"}
        assert (await ben.send(f"/r/{item.id}/reject", given)).status_code == 303
        kept = page.team.world.assembly.inbox.get(item.id)
        assert (kept.state, kept.reason) == ("rejected", "not for marketing")
        assert "not for marketing" in (await ben.open(f"/r/{item.id}")).text
        assert "not for marketing" in (await ben.open("/inbox?all=1")).text


async def test_a_question_goes_to_the_submitter_and_the_request_waits_on(tmp_path: Path) -> None:
    async with asked(tmp_path) as (page, item):
        ben = await page.of("ben")
        first = await form(ben, item)
        fields, path = {**first, "question": "Why the\r\ncolumn job?"}, f"/r/{item.id}/ask"
        assert (await ben.send(path, fields)).status_code == 303
        assert (await ben.send(path, fields)).status_code == 303  # the second click of a double one
        (kept,) = page.team.world.store.questions(item.job)
        assert (kept.question, state(page, item)) == ("Why the\ncolumn job?", "waiting")
        screen = (await ben.open(f"/r/{item.id}")).text
        assert "Why the<br>column job?" in screen
        assert "asked by ben" in screen
        assert "A question waits for its answer." in screen
        assert 'name="question"' not in screen
        another = await ben.send(path, {**await form(ben, item), "question": "And when?"})
        assert (another.status_code, "question_open" in another.text) == (409, True)
        stale = await ben.send(f"/r/{item.id}/approve", first)  # shown without the question
        assert "request_changed" in stale.text
        assert (await ben.send(f"/r/{item.id}/approve", await form(ben, item))).status_code == 303
        assert state(page, item) == "approved"


async def test_an_answer_is_the_centres_word_and_text(tmp_path: Path) -> None:
    async with asked(tmp_path) as (page, item):
        ben, questions = await page.of("ben"), page.team.world.assembly.questions
        store, told = page.team.world.store, "For the\nstudy <script>alert(1)</script>\u202e"
        for number in range(MOST_TURNS):
            fields = {**await form(ben, item), "question": f"Question {number}?"}
            assert (await ben.send(f"/r/{item.id}/ask", fields)).status_code == 303
            before = await form(ben, item)
            kept = store.questions(item.job)[-1]
            questions.keep_answers([kept], [{"key": kept.key, "text": told, "by": "usr_<b>"}])
            late = await ben.send(f"/r/{item.id}/approve", before)
            assert "request_changed" in late.text  # nobody decides beside an answer unread
        screen = (await ben.open(f"/r/{item.id}")).text
        assert "For the<br>study &lt;script&gt;" in screen
        assert "answered, as the centre tells, by usr_&lt;b&gt;" in screen
        for hostile in ("<script", "\u202e", "usr_<b>"):
            assert hostile not in screen
        assert f"{MOST_TURNS} questions were asked already" in screen
        last = await ben.send(f"/r/{item.id}/ask", {**await form(ben, item), "question": "More?"})
        assert (last.status_code, "questions_exhausted" in last.text) == (409, True)
        assert state(page, item) == "waiting"


async def test_what_somebody_else_decided_meanwhile_is_said(tmp_path: Path) -> None:
    async with asked(tmp_path) as (page, item):
        ben, cleo = await page.of("ben"), await page.of("cleo")
        fields = await form(cleo, item)
        await ben.send(f"/r/{item.id}/reject", {**await form(ben, item), "reason": "no"})
        answer = await cleo.send(f"/r/{item.id}/approve", fields)
        assert answer.status_code == 409
        assert "rejected" in answer.text
        assert state(page, item) == "rejected"


async def test_what_policies_refuse_after_the_approval_is_said(tmp_path: Path) -> None:
    async with asked(tmp_path) as (page, item):
        ben = await page.of("ben")
        fields = await form(ben, item)
        page.team.world.publish("age,job,income\n42,x,low\n")  # the data changed meanwhile
        answer = await ben.send(f"/r/{item.id}/approve", fields)
        assert answer.status_code in (303, 403, 409, 422)
        if answer.status_code != 303:
            assert 'role="alert"' in answer.text


async def test_a_stand_in_decides_and_a_viewer_is_told_who_could(tmp_path: Path) -> None:
    async with asked(tmp_path) as (page, item):
        vera = await page.of("vera")
        assert "an owner-admin gives the role decider" in (await vera.open(f"/r/{item.id}")).text
        people = page.team.people
        people.delegate(people.named("ben").id, "vera", page.team.world.now + 3600)
        answer = await vera.send(f"/r/{item.id}/approve", await form(vera, item))
        assert answer.status_code == 303
        assert state(page, item) == "approved"


async def test_a_request_of_which_only_a_summary_is_kept_is_shown_and_not_decided(
    tmp_path: Path,
) -> None:
    async with asked(tmp_path) as (page, item):
        page.team.world.assembly.inbox.withdraw(item.job)
        screen = (await (await page.of("ben")).open(f"/r/{item.id}")).text
        assert "Only a summary is kept of it." in screen
        assert "/approve" not in screen


async def test_the_screen_is_chinese_in_a_chinese_browser_and_by_the_switch(tmp_path: Path) -> None:
    async with asked(tmp_path) as (page, item):
        ben = await page.of("ben")
        told = await ben.open(f"/r/{item.id}", **{"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.5"})
        assert told.headers["content-language"] == "zh"
        for one in ("谁在请求", "敏感", "更新", "批准以上内容", 'lang="zh"'):
            assert one in told.text, one
        await ben.send("/language", {"language": "zh", "back": f"/r/{item.id}"})
        assert "批准以上内容" in (await ben.open(f"/r/{item.id}")).text
        await ben.send("/language", {"language": "en", "back": "/inbox"})
        english = await ben.open(f"/r/{item.id}", **{"Accept-Language": "zh"})
        assert "Approve exactly this" in english.text


def test_the_bar_of_a_budget_is_never_longer_than_the_budget() -> None:
    assert budget_bar({"limit": 2.0, "before": 0.5, "after": 1.0}) == {
        "spent": 25.0, "more": 25.0, "over": 0.0,
    }  # fmt: skip
    over = budget_bar({"limit": 1.0, "before": 0.5, "after": 9.0})
    assert over == {"spent": 50.0, "more": 50.0, "over": 1.0}
    for bad in (
        {},
        {"limit": 0, "before": 0, "after": 0},
        {"limit": 1, "before": 0, "after": None},
    ):
        assert budget_bar(bad) is None


def test_the_inbox_begins_with_what_is_overdue() -> None:
    rows = [
        {"id": "d", "state": "approved", "at": 9},
        {"id": "b", "state": "waiting", "overdue": False, "expires": 5},
        {"id": "c", "state": "waiting", "overdue": False, "expires": 7},
        {"id": "a", "state": "waiting", "overdue": True, "expires": 9},
    ]
    assert [one["id"] for one in ordered(rows)] == ["a", "b", "c", "d"]
