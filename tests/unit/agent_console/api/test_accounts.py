"""People and their own accounts over the API: passwords, second factors, roles, absence."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from peers.agent_people import PASSWORD, waiting_item
from peers.owner_page import OwnerPage, owner_page

from secureflow.agent.settings import ControlSettings

NEW = "five other words of ivy"


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[OwnerPage]:
    async with owner_page(tmp_path) as made:
        yield made


async def test_a_first_login_needs_an_own_password_before_decisions(tmp_path: Path) -> None:
    async with owner_page(tmp_path, people=("ada",)) as page:
        await page.team.people.add("ivy", PASSWORD, ["decider"])
        asking, item = await waiting_item(page.team.world)
        ivy = page.browser()
        assert (await ivy.log_in("ivy")).json()["account"]["initial_password"] is True
        seen = {"seen": (await ivy.get(f"/inbox/{item.id}")).json()["seen"]}
        early = await ivy.post(f"/inbox/{item.id}/approve", seen)
        assert (early.status_code, early.json()["code"]) == (403, "password_initial")
        for old, new, code in (
            (PASSWORD, "short", "weak_password"),
            ("no words of hers", NEW, "bad_credentials"),
        ):
            refused = await ivy.post("/account/password", {"old": old, "new": new})
            assert refused.json()["code"] == code
        held = ivy.session
        done = await ivy.post("/account/password", {"old": PASSWORD, "new": NEW})
        assert done.status_code == 204
        assert not ivy.session
        assert await page.team.refusal("people.me", held) == "session_expired"
        assert (await ivy.log_in("ivy", NEW)).json()["account"]["initial_password"] is False
        assert (await ivy.post(f"/inbox/{item.id}/approve", seen)).status_code == 200
        await asyncio.gather(asking, return_exceptions=True)


async def test_a_second_factor_is_set_up_and_asked_for(tmp_path: Path) -> None:
    control = ControlSettings(second_factor="required")
    async with owner_page(tmp_path, people=("ada", "ben"), control=control) as page:
        ben = await page.of("ben")
        wrong = await ben.post("/account/second-factor", {"password": "no words of his"})
        assert (wrong.status_code, wrong.json()["code"]) == (401, "bad_credentials")
        drawn = (await ben.post("/account/second-factor", {"password": PASSWORD})).json()
        secret = drawn["secret"]
        assert drawn["address"].startswith("otpauth://totp/")
        bad = await ben.post("/account/second-factor/confirm", {"code": "000000"})
        assert bad.json()["code"] == "second_factor_refused"
        code = {"code": page.team.code(secret)}
        recovery = (await ben.post("/account/second-factor/confirm", code)).json()["codes"]
        assert len(recovery) == 10
        account = (await ben.get("/account")).text
        assert not [one for one in (secret, *recovery) if one in account]  # shown once
        again = page.browser()
        missing = await again.log_in("ben")
        assert (missing.status_code, missing.json()["code"]) == (401, "second_factor_required")
        assert PASSWORD not in missing.text
        page.team.world.now += 30
        assert (await again.log_in("ben", code=page.team.code(secret))).status_code == 200
        assert (await page.browser().log_in("ben", code=recovery[0])).status_code == 200


async def test_an_owner_admin_makes_an_account_gives_roles_and_disables_it(page: OwnerPage) -> None:
    ada = await page.of("ada")
    dora = {"name": "dora", "password": "x", "roles": ["viewer"]}
    assert (await ada.post("/people", dora)).json()["code"] == "weak_password"
    made = await ada.post("/people", {**dora, "password": "four other words here"})
    assert made.json()["name"] == "dora"
    await ada.send("PUT", "/people/dora/roles", {"roles": ["decider"]})
    assert page.team.people.named("dora").roles == ("decider",)
    await ada.send("PUT", "/people/dora/state", {"disabled": True})
    assert page.team.people.named("dora").disabled
    for path, body in (("roles", {"roles": ["viewer"]}), ("state", {"disabled": True})):
        last = await ada.send("PUT", f"/people/ada/{path}", body)
        assert last.json()["code"] == "last_administrator"
    unknown = await ada.get("/people/nobody")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "person_unknown")


async def test_a_person_goes_away_and_has_another_decide(page: OwnerPage) -> None:
    ben, people = await page.of("ben"), page.team.people
    until = time.strftime("%Y-%m-%d", time.gmtime(page.team.world.now + 5 * 86_400))
    assert (await ben.send("PUT", "/account/absence", {"until": until})).status_code == 204
    assert people.named("ben").absent > page.team.world.now + 5 * 86_400 - 86_400
    lets = {"to": "vera", "until": until}
    assert (await ben.send("PUT", "/account/deputy", lets)).status_code == 204
    assert people.authorities(people.named("vera")) == (people.named("ben").id,)
    own = (await ben.get("/account")).json()
    assert [one["name"] for one in own["given"]] == ["vera"]
    assert "ben" not in own["others"]
    for odd in ("soon", "2026-02-30", "9999-13-01"):
        wrong = await ben.send("PUT", "/account/deputy", {"to": "vera", "until": odd})
        assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_request"), odd
    for path, body in (("deputy", {"to": "vera", "until": ""}), ("absence", {"until": ""})):
        await ben.send("PUT", f"/account/{path}", body)
    assert not people.authorities(people.named("vera"))
    assert not people.named("ben").absent
    vera = await page.of("vera")
    refused = await vera.send("PUT", "/account/deputy", {"to": "ben", "until": until})
    assert refused.json()["code"] == "role_needed"
