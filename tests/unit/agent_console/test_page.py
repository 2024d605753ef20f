from __future__ import annotations

import re
from pathlib import Path

from peers.agent_people import waiting_item
from peers.owner_page import Browser, owner_page


async def test_a_person_logs_in_sees_who_waits_and_logs_out(tmp_path: Path) -> None:
    async with owner_page(tmp_path) as page:
        asking, item = await waiting_item(page.team.world)
        browser = page.browser()
        answer = await browser.open("/inbox")
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")
        wrong = await browser.log_in("ben", "wrong words of ben")
        assert wrong.status_code == 401
        assert "bad_credentials" in wrong.text
        entered = await browser.log_in("ben")
        assert (entered.status_code, entered.headers["location"]) == (303, "/inbox")
        listed = await browser.open("/inbox")
        assert listed.status_code == 200
        assert f"/r/{item.id}" in listed.text
        assert "ben" in listed.text
        assert "bank-a" in listed.text
        held = browser.session
        left = await browser.act("/logout")
        assert left.headers["location"] == "/login"
        assert not browser.session
        assert await page.team.refusal("people.me", held) == "session_expired"
        asking.cancel()


async def test_without_accounts_the_page_says_how_the_first_is_made_and_nothing_else(
    tmp_path: Path,
) -> None:
    async with owner_page(tmp_path, people=None) as page:
        asking, item = await waiting_item(page.team.world)
        for path in ("/inbox", "/login", f"/r/{item.id}", "/account"):
            answer = await page.browser().open(path)
            assert "secureflow agent people add" in answer.text
            assert item.job not in answer.text
            assert '<form method="post" action="/login"' not in answer.text
        asking.cancel()


async def test_an_agent_that_is_away_is_named_and_its_return_too(tmp_path: Path) -> None:
    async with owner_page(tmp_path) as page:
        browser = await page.of("ben")
        await page.team.server.stop()
        gone = await browser.open("/inbox")
        assert gone.status_code == 503
        assert "agent_not_running" in gone.text
        assert "secureflow agent start" in gone.text
        assert str(tmp_path) not in gone.text
        assert browser.session  # it lasts: the agent is only away
        await page.team.server.start()
        assert (await browser.open("/inbox")).status_code == 200


async def seen(browser: Browser, item: str) -> str:
    """Return what a form of the request's screen says that the person saw."""
    return re.findall(
        r'name="seen" value="([0-9a-f]{64})"', (await browser.open(f"/r/{item}")).text
    )[0]


async def test_one_screen_has_what_a_decision_needs_and_approves_exactly_that(
    tmp_path: Path,
) -> None:
    async with owner_page(tmp_path) as page:
        world = page.team.world
        asking, item = await waiting_item(world)
        ben = await page.of("ben")
        screen = (await ben.open(f"/r/{item.id}")).text
        for told in (item.id, item.digest, "customers", "SENSITIVE: job", "credit", "operator"):
            assert told in screen, told
        columns = screen.partition("Which data")[2]
        assert columns.index("SENSITIVE: job") < columns.index("age, income")
        answer = await ben.act(f"/r/{item.id}/approve", seen=await seen(ben, item.id))
        assert (answer.status_code, answer.headers["location"]) == (303, f"/r/{item.id}")
        await asking
        after = (await ben.open(f"/r/{item.id}")).text
        assert "approved" in after
        assert "Your decision" not in after
