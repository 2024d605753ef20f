"""Coming to the page and leaving it: logins, no accounts, an agent that is away, one request."""

from __future__ import annotations

from pathlib import Path

from peers.agent_people import waiting_item
from peers.owner_page import owner_page

from secureflow.agent.console.api.routes import OPERATIONS


async def test_a_person_logs_in_sees_who_waits_and_logs_out(tmp_path: Path) -> None:
    async with owner_page(tmp_path) as page:
        asking, item = await waiting_item(page.team.world)
        browser = page.browser()
        assert (await browser.get("/inbox")).json()["code"] == "session_needed"
        wrong = await browser.log_in("ben", "wrong words of ben")
        assert (wrong.status_code, wrong.json()["code"]) == (401, "bad_credentials")
        entered = (await browser.log_in("ben")).json()
        assert (entered["account"]["row"]["name"], entered["organisation"]) == ("ben", "bank-a")
        listed = await browser.get("/inbox")
        assert [one["id"] for one in listed.json()["rows"]] == [item.id]
        held = browser.session
        assert (await browser.send("DELETE", "/session")).status_code == 204
        assert not browser.session
        assert await page.team.refusal("people.me", held) == "session_expired"
        asking.cancel()


async def test_without_accounts_the_page_says_how_the_first_is_made_and_nothing_else(
    tmp_path: Path,
) -> None:
    async with owner_page(tmp_path, people=None) as page:
        asking, item = await waiting_item(page.team.world)
        browser = page.browser()
        shown = (await browser.get("/session")).json()
        assert (shown["accounts"], shown["account"]) == (False, None)
        for one in OPERATIONS:
            if one.method != "GET" or one.need == "open":
                continue
            part = {"item": item.id, "name": "x", "grant": "g", "domain": "d", "job": item.job}
            part |= {"project": "prj_0", "settlement": "a" * 64}
            answer = await browser.get(one.path.format(**part))
            assert answer.status_code == 401, one.id
            assert "secureflow agent people add" in answer.json()["hint"], one.id
            assert item.job not in answer.json()["detail"]
        await page.team.gather("ada")  # the first one counts at once
        assert (await browser.log_in("ada")).json()["accounts"] is True
        assert (await browser.get("/inbox")).status_code == 200
        asking.cancel()


async def test_an_agent_that_is_away_is_named_and_its_return_too(tmp_path: Path) -> None:
    async with owner_page(tmp_path) as page:
        browser = await page.of("ben")
        await page.team.server.stop()
        for gone in (
            await browser.get("/inbox"),
            await browser.open("/oidc/sso/callback?state=a&code=c"),
        ):
            assert gone.status_code == 503
            assert "agent_not_running" in gone.text
            assert "secureflow agent start" in gone.text
            assert str(tmp_path) not in gone.text
        assert browser.session  # it lasts: the agent is only away
        assert (await browser.open("/app/inbox")).status_code == 200  # which says so by itself
        await page.team.server.start()
        assert (await browser.get("/inbox")).status_code == 200


async def test_one_answer_has_what_a_decision_needs_and_approves_exactly_that(
    tmp_path: Path,
) -> None:
    async with owner_page(tmp_path) as page:
        world = page.team.world
        asking, item = await waiting_item(world)
        ben = await page.of("ben")
        answer = await ben.get(f"/inbox/{item.id}")
        for told in (item.id, item.digest, "customers", "credit", "operator"):
            assert told in answer.text, told
        shown = answer.json()
        assert shown["summary"]["sensitive"] == ["job"]
        assert shown["summary"]["columns"] == 3
        columns = shown["request"]["data"]["columns"]
        assert [one["name"] for one in columns] == ["job", "age", "income"]  # sensitive ones first
        approve = {"seen": shown["seen"]}
        came = (await ben.post(f"/inbox/{item.id}/approve", approve)).json()
        assert (came["state"], came["signed"]) == ("approved", True)
        await asking
        after = (await ben.get(f"/inbox/{item.id}")).json()
        assert (after["summary"]["state"], after["decides"]) == ("approved", False)
