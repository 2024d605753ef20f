"""Grants, budgets, data and the own log over the API: what owners do, and what they read then."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from peers.agent_world import JOB, World
from peers.owner_page import OwnerPage, owner_page

from secureflow.domain.grants import GrantTerms
from tests.unit.agent.test_budgets import world as private

PROJECT: Final = "prj_0123456789"
CHINESE: Final = {"Accept-Language": "zh"}


def granted(world: World) -> str:
    terms = GrantTerms("customers", PROJECT, ("age", "job", "income"), world.now + 10**6)
    return str(world.assembly.grants.create(terms).id)


@asynccontextmanager
async def served(directory: Path, world: World | None = None) -> AsyncIterator[OwnerPage]:
    async with owner_page(directory, world) as made:
        made.team.table["status"] = connected  # the team has no link whose state could be told
        yield made


async def connected() -> dict[str, str]:
    return {"link": "connected"}


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[OwnerPage]:
    async with served(tmp_path) as made:
        yield made


async def test_who_may_not_changes_nothing_that_there_is(page: OwnerPage) -> None:
    """The page hides forms; whoever sends one all the same is refused by the agent's own rule."""
    world = page.team.world
    grant, vera, ben = granted(world), await page.of("vera"), await page.of("ben")
    terms = {"dataset": "customers", "project": PROJECT, "columns": ["age"],
             "expires": world.now + 10**6}  # fmt: skip
    new = {"name": "mallory", "password": "some initial words to change", "roles": ["viewer"]}
    reset = {"password": new["password"]}
    for who, method, path, body in (
        (vera, "POST", "/grants", {"terms": terms, "once": "0" * 32}),
        (vera, "POST", f"/grants/{grant}/revoke", {}),
        (ben, "POST", f"/grants/{grant}/unlock", {"uses": 0}),
        (ben, "POST", "/budgets/customers/unlock", None),
        (ben, "POST", "/people", new),
        (ben, "PUT", "/people/cleo/roles", {"roles": ["owner-admin"]}),
        (ben, "PUT", "/people/cleo/state", {"disabled": True}),
        (ben, "POST", "/people/cleo/reset", reset),
    ):
        answer = await who.send(method, path, body)
        assert (answer.status_code, answer.json()["code"]) == (403, "role_needed"), path
        assert "An owner-admin gives roles" in answer.json()["hint"], path
    assert [one.state for one in world.assembly.grants.every()] == ["granted"]
    rows = page.team.people.every()
    assert {one["name"] for one in rows} == {"ada", "ben", "cleo", "vera"}
    assert not any(one["disabled"] for one in rows)
    assert page.team.people.named("cleo").roles == ("decider",)


async def test_a_proposal_is_confirmed_with_the_terms_that_were_shown(page: OwnerPage) -> None:
    team = page.team
    terms = {"dataset": "customers", "project": PROJECT, "columns": ["age"],
             "expires": team.world.now + 1000}  # fmt: skip
    proposal = {"id": "grt_0123456789", "terms": terms, "by": "usr_alice"}
    team.watch.proposals["grt_0123456789"] = proposal
    ben = await page.of("ben")
    (waiting,) = (await ben.get("/overview")).json()["proposals"]
    assert (waiting["id"], waiting["by"]) == ("grt_0123456789", "usr_alice")
    shown = (await ben.get("/grants/grt_0123456789/review")).json()["terms"]
    proposal["terms"] = terms | {"columns": ["age", "income"]}  # the centre shows others meanwhile
    sent = {"terms": shown, "proposal": "grt_0123456789", "once": "0" * 32}
    assert (await ben.post("/grants", sent)).status_code == 200
    (kept,) = team.world.assembly.grants.every()
    assert team.world.assembly.grants.terms_of(kept).columns == ("age",)


async def test_a_form_that_is_sent_twice_makes_one_grant_and_brings_none_back(
    page: OwnerPage,
) -> None:
    """Two clicks would make two grants, with twice the uses and twice the budget."""
    ben, grants = await page.of("ben"), page.team.world.assembly.grants
    terms = {"dataset": "customers", "project": PROJECT, "columns": ["age"], "uses": 5,
             "purposes": ["credit scoring"], "kinds": ["training"],
             "expires": page.team.world.now + 10**6}  # fmt: skip
    reviewed = (await ben.post("/grants/review", {"terms": terms})).json()
    assert not grants.every()  # the first of two steps signs nothing
    form = {"terms": reviewed["terms"], "once": "a" * 32}
    first, second = [(await ben.post("/grants", form)).json()["id"] for _ in range(2)]
    (kept,) = grants.every()
    assert first == second == kept.id
    signed = grants.terms_of(kept)
    assert (signed.columns, signed.purposes, signed.kinds) == (
        ("age",), ("credit scoring",), ("training",),
    )  # fmt: skip
    assert (signed.uses, signed.epsilon, signed.bundles) == (5, None, "none")
    taken = await ben.post(f"/grants/{kept.id}/revoke", {"reason": "the study is over"})
    assert taken.json()["grant"]["reason"] == "the study is over"
    assert (await ben.post("/grants", form)).json()["id"] == kept.id  # by the browser's button
    assert [one.state for one in grants.every()] == ["revoked"]
    await ben.post("/grants", {**form, "terms": {**form["terms"], "uses": 6}})
    assert len(grants.every()) == 2
    log = (await ben.get("/activity?group=grants")).json()["entries"]
    assert "the study is over" in [one["note"] for one in log]


@pytest.mark.parametrize(
    "wrong", [{"uses": "some"}, {"uses": 1.5}, {"epsilon": -1}, {"columns": []},
              {"expires": 1}, {"days": 9}, {"bundles": "any"}],
    ids=str,
)  # fmt: skip
async def test_what_is_no_term_is_refused_before_anybody_is_asked_to_sign(
    page: OwnerPage, wrong: dict[str, Any]
) -> None:
    ben = await page.of("ben")
    terms = {"dataset": "customers", "project": PROJECT, "columns": ["age"],
             "expires": page.team.world.now + 10**6}  # fmt: skip
    assert (await ben.post("/grants/review", {"terms": terms})).status_code == 200
    answer = await ben.post("/grants/review", {"terms": terms | wrong})
    assert answer.status_code == 422
    assert answer.json()["code"] in ("invalid_request", "invalid_grant"), answer.text


async def test_a_revocation_names_what_stops_and_afterwards_what_stays(tmp_path: Path) -> None:
    world = World(tmp_path / "agent")
    async with served(tmp_path, world) as page:
        grant = granted(world)
        await world.admitted()
        await world.round(1)
        ben = await page.of("ben")
        assert (await ben.get(f"/grants/{grant}")).json()["running"] == [JOB]
        assert JOB in (await ben.get("/overview")).text
        taken = (await ben.post(f"/grants/{grant}/revoke", {"reason": ""})).json()
        (stopped,) = taken["stopped"]
        assert stopped["job"] == JOB
        assert "It had voted on" in (await ben.get(f"/grants/{grant}")).text
        (differs,) = (await ben.get("/datasets")).json()["usage"]["differences"]
        assert "not proved to be in the log" in differs["message"]
        told = (await ben.get("/datasets", **CHINESE)).json()["usage"]["differences"][0]
        assert "证明" in told["message"]


@pytest.mark.slow
async def test_a_budget_says_what_is_spent_reserved_and_left(tmp_path: Path) -> None:
    world = private(tmp_path / "agent")
    async with served(tmp_path, world) as page:
        await world.admitted()
        await world.round(1)
        vera = await page.of("vera")
        (row,) = await page.team.give("data.budget", "vera", exact=False)
        assert 0 < row["committed"] <= row["spent"]
        (listed,) = (await vera.get("/budgets")).json()["budgets"]
        assert listed["domain"] == row["domain"]
        share = listed["share"]
        assert share["spent"] == pytest.approx(row["committed"])
        assert share["used"] == pytest.approx(row["spent"])
        assert share["left"] == pytest.approx(share["limit"] - share["used"])
        one = (await vera.get(f"/budgets/{row['domain']}")).json()
        assert [entry["job"] for entry in one["budget"]["entries"]] == [JOB]
        assert (await vera.get("/budgets/other")).status_code == 404


async def test_the_record_is_paged_narrowed_and_kept_as_a_file(page: OwnerPage) -> None:
    for number in range(30):
        await page.team.log_in("ben")
        page.team.world.now += number
    vera = await page.of("vera")
    first = (await vera.get("/activity?group=people&limit=20")).json()
    assert (len(first["entries"]), first["older"]) == (20, first["entries"][-1]["id"])
    kept = await vera.get("/activity/export?group=people&limit=20")
    name = 'attachment; filename="activity-people-newest.json"'
    assert kept.headers["content-disposition"] == name
    rows = kept.json()["entries"]
    assert [one["id"] for one in rows] == [one["id"] for one in first["entries"]]
    assert {one["action"].split(".")[0] for one in rows} == {"person"}
    assert (rows[0]["told"], rows[0]["who"]) == ("Logged in.", "vera")
    assert rows[0]["facts"]["person"] == page.team.people.named("vera").id
    older = f"/activity/export?group=people&before={first['older']}"
    assert (await vera.get(older)).json()["entries"][0]["id"] < first["older"]
    chinese = (await vera.get("/activity/export?limit=1", **CHINESE)).json()["entries"]
    assert chinese[0]["told"] != rows[0]["told"]
    for query in ("before=x", "group=..", "limit=0"):
        for path in ("/activity", "/activity/export"):
            assert (await vera.get(f"{path}?{query}")).status_code == 422, query


async def test_notices_are_marked_as_read(page: OwnerPage) -> None:
    world = page.team.world
    with world.store.transaction():
        world.store.set_fact("notified", world.store.newest_action())
        world.store.note(world.now, "settings.reloaded", "", changed=[], restart=[])
    vera = await page.of("vera")
    ids = [one["id"] for one in (await vera.get("/overview")).json()["notices"] if one["id"]]
    assert ids
    assert (await vera.post("/notices/read", {"ids": ids})).status_code == 204
    assert not [one for one in (await vera.get("/overview")).json()["notices"] if one["id"]]
