"""Decisions on the owner's page: once, on what was shown, with the words that they need."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from peers.agent_people import waiting_item
from peers.agent_world import World
from peers.owner_page import Browser, OwnerPage, owner_page

from secureflow.agent.console.screens.inbox import inbox_rows
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


async def shown(browser: Browser, item: Any) -> dict[str, Any]:
    """Return a request as a person sees it."""
    answer = await browser.get(f"/inbox/{item.id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def decide(
    browser: Browser, item: Any, way: str, seen: str = "", **said: str
) -> httpx.Response:
    """Decide on what was seen, or on what is seen now."""
    known = seen or (await shown(browser, item))["seen"]
    return await browser.post(f"/inbox/{item.id}/{way}", {"seen": known, **said})


def code(answer: httpx.Response) -> str:
    return str(answer.json()["code"])


async def test_a_double_click_decides_once_and_shows_no_error(tmp_path: Path) -> None:
    async with asked(tmp_path) as (page, item):
        ben = await page.of("ben")
        seen = (await shown(ben, item))["seen"]
        both = await asyncio.gather(*(decide(ben, item, "approve", seen) for _ in range(2)))
        assert [one.status_code for one in both] == [200, 200]
        assert (await decide(ben, item, "approve", seen)).json()["state"] == "approved"
        noted = page.team.world.store.actions(job=item.job, limit=50)
        assert [one["action"] for one in noted].count("inbox.approved") == 1


async def test_a_double_click_of_the_first_of_two_is_one_approval(tmp_path: Path) -> None:
    async with asked(tmp_path, TWO) as (page, item):
        ben = await page.of("ben")
        seen = (await shown(ben, item))["seen"]
        both = await asyncio.gather(*(decide(ben, item, "approve", seen) for _ in range(2)))
        assert [(one.status_code, one.json()["second"]) for one in both] == [(200, True)] * 2
        assert len(page.team.world.assembly.inbox.approvals(item.id)) == 1
        assert state(page, item) == "waiting"


async def test_a_second_person_needs_a_page_that_shows_the_first(tmp_path: Path) -> None:
    """What changed since it was shown is refused: the page shows it anew."""
    async with asked(tmp_path, TWO) as (page, item):
        ben, cleo = await page.of("ben"), await page.of("cleo")
        early = (await shown(cleo, item))["seen"]
        await decide(ben, item, "approve")
        again = await decide(ben, item, "approve", early)
        assert again.status_code == 200  # ben's own was taken already: nothing more is decided
        late = await decide(cleo, item, "approve", early)
        assert (late.status_code, code(late)) == (409, "request_changed")
        now = await shown(cleo, item)
        assert [one["name"] for one in now["request"]["people"]["approved"]] == ["ben"]
        assert (await shown(ben, item))["mine"] is True
        assert state(page, item) == "waiting"
        assert (await decide(cleo, item, "approve", now["seen"])).status_code == 200
        assert state(page, item) == "approved"


@pytest.mark.parametrize(("seen", "status"), [("0" * 64, 409), ("", 422), ("x", 422)])
async def test_another_digest_than_what_is_there_decides_nothing(
    tmp_path: Path, seen: str, status: int
) -> None:
    async with asked(tmp_path) as (page, item):
        ben = await page.of("ben")
        for way, said in {
            "approve": {},
            "reject": {"reason": "x"},
            "ask": {"question": "x"},
        }.items():
            answer = await ben.post(f"/inbox/{item.id}/{way}", {"seen": seen, **said})
            assert answer.status_code == status, way
        assert state(page, item) == "waiting"


async def test_a_rejection_needs_a_reason_and_a_question_its_words(tmp_path: Path) -> None:
    async with asked(tmp_path) as (page, item):
        ben = await page.of("ben")
        for way, name in (("reject", "reason"), ("ask", "question")):
            for empty in ("", " \r\n "):
                answer = await decide(ben, item, way, **{name: empty})
                assert (answer.status_code, code(answer)) == (422, "invalid_request"), way
        assert page.team.world.store.questions(item.job) == []
        assert state(page, item) == "waiting"
        assert (await decide(ben, item, "reject", reason="not for\r\nmarketing")).status_code == 200
        kept = page.team.world.assembly.inbox.get(item.id)
        assert (kept.state, kept.reason) == ("rejected", "not for marketing")
        assert (await shown(ben, item))["summary"]["reason"] == "not for marketing"


async def test_a_question_goes_to_the_submitter_and_the_request_waits_on(tmp_path: Path) -> None:
    async with asked(tmp_path) as (page, item):
        ben = await page.of("ben")
        first, question = (await shown(ben, item))["seen"], "Why the\ncolumn job?"
        for _ in range(2):  # the second click of a double one
            assert (await decide(ben, item, "ask", first, question=question)).status_code == 204
        (kept,) = page.team.world.store.questions(item.job)
        assert (kept.question, state(page, item)) == (question, "waiting")
        now = await shown(ben, item)
        (told,) = now["request"]["questions"]
        assert (told["question"], told["person"], told["answered"]) == (question, "ben", 0)
        assert (now["asks"], now["decides"]) == (False, True)
        another = await decide(ben, item, "ask", question="And when?")
        assert (another.status_code, code(another)) == (409, "question_open")
        stale = await decide(ben, item, "approve", first)  # shown without the question
        assert code(stale) == "request_changed"
        assert (await decide(ben, item, "approve")).status_code == 200
        assert state(page, item) == "approved"


async def test_an_answer_is_the_centres_word_and_text(tmp_path: Path) -> None:
    async with asked(tmp_path) as (page, item):
        ben, questions = await page.of("ben"), page.team.world.assembly.questions
        store, told = page.team.world.store, "For the\nstudy <script>alert(1)</script>\u202e"
        for number in range(MOST_TURNS):
            answer = await decide(ben, item, "ask", question=f"Question {number}?")
            assert answer.status_code == 204
            before = (await shown(ben, item))["seen"]
            kept = store.questions(item.job)[-1]
            questions.keep_answers([kept], [{"key": kept.key, "text": told, "by": "usr_<b>"}])
            late = await decide(ben, item, "approve", before)
            assert code(late) == "request_changed"  # nobody decides beside an answer unread
        now = await shown(ben, item)
        last = now["request"]["questions"][-1]
        assert last["answer"].startswith("For the\nstudy <script>")
        assert last["answer"].endswith("\\u202e")
        assert last["by"] == "usr_<b>"
        assert now["asks"] is False
        more = await decide(ben, item, "ask", question="More?")
        assert (more.status_code, code(more)) == (409, "questions_exhausted")
        assert state(page, item) == "waiting"


async def test_what_somebody_else_decided_meanwhile_is_said(tmp_path: Path) -> None:
    async with asked(tmp_path) as (page, item):
        ben, cleo = await page.of("ben"), await page.of("cleo")
        seen = (await shown(cleo, item))["seen"]
        await decide(ben, item, "reject", reason="no")
        answer = await decide(cleo, item, "approve", seen)
        assert (answer.status_code, code(answer)) == (409, "request_changed")
        now = await shown(cleo, item)
        assert (now["summary"]["state"], now["decides"]) == ("rejected", False)
        late = await decide(cleo, item, "approve", now["seen"])
        assert (late.status_code, code(late)) == (409, "already_decided")
        assert state(page, item) == "rejected"


async def test_what_policies_refuse_after_the_approval_is_said(tmp_path: Path) -> None:
    async with asked(tmp_path) as (page, item):
        ben = await page.of("ben")
        seen = (await shown(ben, item))["seen"]
        page.team.world.publish("age,job,income\n42,x,low\n")  # the data changed meanwhile
        answer = await decide(ben, item, "approve", seen)
        told = answer.json()
        assert answer.status_code == 200 or told["code"], told
        if answer.status_code == 200:
            assert told["signed"] or told["refused"], told


async def test_a_stand_in_decides_and_a_viewer_may_not(tmp_path: Path) -> None:
    async with asked(tmp_path) as (page, item):
        vera, seen = await page.of("vera"), (await shown(await page.of("ben"), item))["seen"]
        assert (await shown(vera, item))["decides"] is False
        refused = await decide(vera, item, "approve", seen)
        assert code(refused) == "role_needed"
        assert "An owner-admin gives roles" in refused.json()["hint"]
        people = page.team.people
        people.delegate(people.named("ben").id, "vera", page.team.world.now + 3600)
        page.team.ticks += 16  # whose a session is is asked again
        assert (await shown(vera, item))["decides"] is True
        assert (await decide(vera, item, "approve")).status_code == 200
        assert state(page, item) == "approved"


async def test_a_request_of_which_only_a_summary_is_kept_is_shown_and_not_decided(
    tmp_path: Path,
) -> None:
    async with asked(tmp_path) as (page, item):
        page.team.world.assembly.inbox.withdraw(item.job)
        now = await shown(await page.of("ben"), item)
        assert (now["request"], now["decides"], now["asks"]) == (None, False, False)
        assert now["summary"]["state"] == "withdrawn"


async def test_the_answer_is_chinese_in_a_chinese_browser_and_by_the_switch(tmp_path: Path) -> None:
    async with asked(tmp_path) as (page, item):
        ben = await page.of("ben")
        asked_for = {"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.5"}
        told = await ben.get(f"/inbox/{item.id}", **asked_for)
        assert told.headers["content-language"] == "zh"
        assert told.json()["request"]["waits"]["reasons"] == ["没有策略许可"]
        for chosen, asks in (("zh", "en"), ("en", "zh")):
            answer = await ben.send("PUT", "/language", {"language": chosen})
            assert answer.status_code == 204
            switched = await ben.get(f"/inbox/{item.id}", **{"Accept-Language": asks})
            assert switched.headers["content-language"] == chosen


def test_the_inbox_begins_with_what_is_overdue() -> None:
    rows = [
        {"id": "d", "state": "approved", "at": 9},
        {"id": "b", "state": "waiting", "overdue": False, "expires": 5},
        {"id": "c", "state": "waiting", "overdue": False, "expires": 7},
        {"id": "a", "state": "waiting", "overdue": True, "expires": 9},
    ]
    assert [one.id for one in inbox_rows(rows)] == ["a", "b", "c", "d"]
