"""Data, grants, budgets, activity and people: every page × everybody who may come."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
from peers.agent_people import PASSWORD
from peers.agent_world import JOB, World
from peers.owner_page import OwnerPage, owner_page

from secureflow.agent.console.routes import PAGES
from secureflow.domain.grants import GrantTerms
from tests.unit.agent.test_budgets import world as private

PROJECT: Final = "prj_0123456789"
ROLES: Final = {"viewer": "vera", "decider": "ben", "owner-admin": "ada"}
READ: Final = (
    *("/overview", "/data", "/data/customers", "/grants", "/budgets", "/activity"),
    *("/activity.json", "/people", "/people/ben", "/absence"),
)
WRITES: Final = {
    "/overview": "viewer", "/grants/new": "decider", "/grants/make": "decider",
    "/grants/{grant}/revoke": "decider", "/grants/{grant}/unlock": "owner-admin",
    "/budgets/{domain}/unlock": "owner-admin", "/people": "owner-admin",
    "/people/{name}": "owner-admin", "/absence": "viewer",
}  # fmt: skip
"""Address → who may act there."""


def granted(world: World, **more: object) -> str:
    terms = GrantTerms("customers", PROJECT, ("age", "job", "income"), world.now + 10**6, **more)  # type: ignore[arg-type]
    return world.assembly.grants.create(terms).id


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


async def test_everybody_with_an_account_reads_every_page_in_both_languages(
    page: OwnerPage,
) -> None:
    grant = granted(page.team.world)
    for name in ROLES.values():
        browser = await page.of(name)
        for path in (*READ, f"/grants/{grant}", f"/grants/{grant}/revoke", "/grants/new"):
            for language in ("en", "zh") if name == "ada" else ("en",):
                answer = await browser.open(path, **{"Accept-Language": language})
                assert answer.status_code == 200, (name, path, answer.text[:400])


async def test_nobody_reads_a_page_without_a_session(page: OwnerPage) -> None:
    grant = granted(page.team.world)
    stranger = page.browser()
    for path in (*READ, f"/grants/{grant}", f"/grants/{grant}/revoke", "/grants/new"):
        answer = await stranger.open(path)
        assert answer.status_code == 303, path
        assert answer.headers["location"].startswith("/login"), path
        assert "customers" not in answer.text


async def test_the_table_of_these_tests_has_every_address_where_something_is_done() -> None:
    elsewhere = {"/login", "/logout", "/language"}
    acting = {one.path for one in PAGES if one.act is not None}
    mine = {
        one
        for one in acting
        if one.startswith(("/overview", "/grants", "/budgets", "/people", "/absence"))
    }
    assert mine == set(WRITES)
    assert elsewhere <= acting


@pytest.mark.parametrize("path", WRITES)
async def test_who_may_not_is_refused_by_the_agent_and_nothing_changes(
    page: OwnerPage, path: str
) -> None:
    """The page hides forms; whoever sends one all the same is refused by the agent's own rule."""
    world = page.team.world
    grant, least = granted(world), WRITES[path]
    terms = json.dumps({"dataset": "customers", "project": PROJECT, "columns": ["age"],
                        "expires": world.now + 10**6})  # fmt: skip
    fields = {
        "terms": terms, "name": "mallory", "password": PASSWORD, "role.viewer": "yes", "uses": "0",
        "do": "disable", "dataset": "customers",
    }  # fmt: skip
    address = path.format(grant=grant, domain="customers", name="cleo")
    order = ["viewer", "decider", "owner-admin"]
    for role in order[: order.index(least)]:
        browser = await page.of(ROLES[role])
        answer = await browser.act(address, **fields)
        if path == "/grants/new":  # it only shows what is to be signed
            assert 'action="/grants/make"' not in answer.text
            continue
        assert answer.status_code == 403, (role, answer.text[:300])
        assert "role_needed" in answer.text
    assert len(world.assembly.grants.every()) == 1
    assert world.assembly.grants.get(grant).state == "granted"
    assert {one["name"] for one in page.team.people.every()} == {"ada", "ben", "cleo", "vera"}
    assert not any(one["disabled"] for one in page.team.people.every())


@pytest.mark.parametrize("path", WRITES)
async def test_a_form_without_its_token_or_from_elsewhere_does_nothing(
    page: OwnerPage, path: str
) -> None:
    grant = granted(page.team.world)
    address = path.format(grant=grant, domain="customers", name="cleo")
    browser = await page.of("ada")
    forged = await browser.send(address, {"do": "disable"})
    assert (forged.status_code, "form_refused" in forged.text) == (403, True)
    token = await browser.token()
    foreign = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}
    crossed = await browser.send(address, {"form": token, "do": "disable"}, foreign)
    assert crossed.status_code == 403
    assert page.team.world.assembly.grants.get(grant).state == "granted"


async def test_who_may_not_reads_who_may(page: OwnerPage) -> None:
    grant = granted(page.team.world)
    browser = await page.of("vera")
    for path in ("/grants", "/grants/new?dataset=customers", f"/grants/{grant}/revoke"):
        text = (await browser.open(path)).text
        assert "ada, ben, cleo may" in text, path
        assert 'action="/grants/' not in text
    text = (await browser.open("/people")).text
    assert "ada may" in text
    assert 'action="/people"' not in text


async def test_a_grant_is_made_in_two_steps_and_taken_back(page: OwnerPage) -> None:
    world = page.team.world
    browser = await page.of("ben")
    form = (await browser.open("/grants/new?dataset=customers")).text
    assert 'name="column.age"' in form
    fields = {
        "dataset": "customers", "project": PROJECT, "column.age": "yes", "kind.training": "yes",
        "purposes": "credit scoring", "epsilon": "", "uses": "5", "days": "30", "bundles": "none",
    }  # fmt: skip
    wrong = await browser.act("/grants/new", **fields | {"uses": "some"})
    assert (wrong.status_code, "invalid_grant" in wrong.text) == (422, True)
    assert 'value="some"' in wrong.text
    review = await browser.act("/grants/new", **fields)
    assert review.status_code == 200
    assert not world.assembly.grants.every()
    terms = json.loads(_field(review.text, "terms"))
    made = await browser.act("/grants/make", terms=json.dumps(terms), proposal="")
    assert made.status_code == 303
    (kept,) = world.assembly.grants.every()
    assert made.headers["location"] == f"/grants/{kept.id}"
    shown = world.assembly.grants.terms_of(kept)
    assert (shown.columns, shown.purposes, shown.kinds) == (
        ("age",), ("credit scoring",), ("training",),
    )  # fmt: skip
    assert (shown.uses, shown.epsilon, shown.bundles) == (5, None, "none")
    text = (await browser.open(f"/grants/{kept.id}")).text
    assert kept.id in text
    taken = await browser.act(f"/grants/{kept.id}/revoke", reason="the study is over")
    assert taken.status_code == 303
    assert world.assembly.grants.get(kept.id).reason == "the study is over"
    assert "the study is over" in (await browser.open("/activity?group=grants")).text


async def test_columns_that_the_dataset_does_not_declare_are_refused_before_signing(
    page: OwnerPage,
) -> None:
    browser = await page.of("ben")
    fields = {"dataset": "customers", "project": PROJECT, "column.salary": "yes", "days": "9"}
    answer = await browser.act("/grants/new", **fields)
    assert "unknown_column" in answer.text
    assert 'action="/grants/make"' not in answer.text


async def test_a_proposal_is_confirmed_with_the_terms_that_were_shown(page: OwnerPage) -> None:
    team = page.team
    terms = {"dataset": "customers", "project": PROJECT, "columns": ["age"],
             "expires": team.world.now + 1000}  # fmt: skip
    proposal = {"id": "grt_0123456789", "terms": terms, "by": "usr_alice"}
    team.watch.proposals["grt_0123456789"] = proposal
    browser = await page.of("ben")
    assert "usr_alice" in (await browser.open("/overview")).text
    review = (await browser.open("/grants/grt_0123456789/confirm")).text
    shown = _field(review, "terms")
    proposal["terms"] = terms | {"columns": ["age", "income"]}  # the centre shows others meanwhile
    made = await browser.act("/grants/make", terms=shown, proposal="grt_0123456789")
    assert made.status_code == 303
    (kept,) = team.world.assembly.grants.every()
    assert team.world.assembly.grants.terms_of(kept).columns == ("age",)


async def test_a_form_that_is_sent_twice_makes_one_grant_and_brings_none_back(
    page: OwnerPage,
) -> None:
    """Two clicks would make two grants, with twice the uses and twice the budget."""
    team = page.team
    browser, grants = await page.of("ben"), team.world.assembly.grants
    fields = {"dataset": "customers", "project": PROJECT, "column.age": "yes", "days": "9",
              "uses": "5"}  # fmt: skip
    review = (await browser.act("/grants/new", **fields)).text
    form = {name: _field(review, name) for name in ("terms", "proposal", "once")}
    first, second = [await browser.act("/grants/make", **form) for _ in range(2)]
    (kept,) = grants.every()
    assert first.headers["location"] == second.headers["location"] == f"/grants/{kept.id}"
    await browser.act(f"/grants/{kept.id}/revoke", reason="over")
    back = await browser.act("/grants/make", **form)  # by the browser's button
    assert back.headers["location"] == f"/grants/{kept.id}"
    assert [one.state for one in grants.every()] == ["revoked"]
    other = json.dumps(json.loads(form["terms"]) | {"uses": 6})
    await browser.act("/grants/make", **{**form, "terms": other})
    assert len(grants.every()) == 2


async def test_the_page_of_a_revocation_names_what_stops_and_afterwards_what_stays(
    tmp_path: Path,
) -> None:
    world = World(tmp_path / "agent")
    async with served(tmp_path, world) as page:
        grant = granted(world)
        await world.admitted()
        await world.round(1)
        browser = await page.of("ben")
        asked = (await browser.open(f"/grants/{grant}/revoke")).text
        assert "1 job that runs stops at once" in asked
        assert JOB in asked
        assert JOB in (await browser.open("/overview")).text
        await browser.act(f"/grants/{grant}/revoke", reason="")
        told = (await browser.open(f"/grants/{grant}")).text
        assert "It had voted on" in told
        differs = (await browser.open("/data")).text
        assert 'role="alert"' in differs
        assert "not proved to be in the log" in differs
        chinese = (await browser.open("/data", **{"Accept-Language": "zh"})).text
        assert "未获证明" in chinese or "证明" in chinese


@pytest.mark.slow
async def test_a_budget_says_what_is_spent_reserved_and_left(tmp_path: Path) -> None:
    world = private(tmp_path / "agent")
    async with served(tmp_path, world) as page:
        await world.admitted()
        await world.round(1)
        browser = await page.of("vera")
        (row,) = await page.team.give("data.budget", "vera", exact=False)
        assert 0 < row["committed"] <= row["spent"]
        text = (await browser.open("/budgets")).text
        assert row["domain"] in text
        entry = (await browser.open(f"/budgets/{row['domain']}")).text
        assert JOB in entry
        assert (await browser.open("/budgets/other")).status_code == 404


async def test_the_record_is_paged_narrowed_and_kept_as_json(page: OwnerPage) -> None:
    for number in range(30):
        await page.team.log_in("ben")
        page.team.world.now += number
    browser = await page.of("vera")
    first = (await browser.open("/activity?group=people")).text
    assert first.count("Logged in.") == 50 or "Older" not in first
    exported = await browser.open("/activity.json?group=people")
    rows = exported.json()
    assert exported.headers["content-disposition"].startswith("attachment")
    assert rows[0]["id"] > rows[-1]["id"]
    assert {one["action"].split(".")[0] for one in rows} == {"person"}
    older = (await browser.open(f"/activity.json?before={rows[3]['id']}")).json()
    assert older[0]["id"] < rows[3]["id"]
    assert (await browser.open("/activity?before=x&group=..")).status_code == 200


async def test_an_owner_admin_makes_an_account_gives_roles_and_disables_it(page: OwnerPage) -> None:
    browser = await page.of("ada")
    weak = await browser.act("/people", name="dora", password="x", **{"role.viewer": "yes"})
    assert "weak_password" in weak.text
    fields = {"name": "dora", "password": "four other words here", "role.viewer": "yes"}
    made = await browser.act("/people", **fields)
    assert made.headers["location"] == "/people/dora"
    await browser.act("/people/dora", **{"do": "roles", "role.decider": "yes"})
    assert page.team.people.named("dora").roles == ("decider",)
    await browser.act("/people/dora", do="disable")
    assert page.team.people.named("dora").disabled
    last = await browser.act("/people/ada", **{"do": "roles", "role.viewer": "yes"})
    assert "last_administrator" in last.text
    assert (await browser.open("/people/nobody")).status_code == 404


async def test_a_person_goes_away_and_has_another_decide(page: OwnerPage) -> None:
    browser, people = await page.of("ben"), page.team.people
    until = time.strftime("%Y-%m-%d", time.gmtime(page.team.world.now + 5 * 86_400))
    await browser.act("/absence", do="away", until=until)
    assert people.named("ben").absent > page.team.world.now + 5 * 86_400 - 86_400
    await browser.act("/absence", do="delegate", to="vera", until=until)
    assert people.authorities(people.named("vera")) == (people.named("ben").id,)
    shown = (await browser.open("/absence")).text
    assert "vera until" in shown
    wrong = await browser.act("/absence", do="delegate", to="vera", until="soon")
    assert "invalid_request" in wrong.text
    await browser.act("/absence", do="end", to="vera")
    await browser.act("/absence", do="back")
    assert not people.authorities(people.named("vera"))
    assert not people.named("ben").absent
    viewer = await page.of("vera")
    refused = await viewer.act("/absence", do="delegate", to="ben", until=until)
    assert "role_needed" in refused.text


async def test_notices_are_marked_as_read(page: OwnerPage) -> None:
    world = page.team.world
    with world.store.transaction():
        world.store.set_fact("notified", world.store.newest_action())
        world.store.note(world.now, "settings.reloaded", "", changed=[], restart=[])
    browser = await page.of("vera")
    assert 'name="ids"' in (await browser.open("/overview")).text
    ids = _field((await browser.open("/overview")).text, "ids")
    await browser.act("/overview", ids=ids)
    assert 'name="ids"' not in (await browser.open("/overview")).text


def _field(text: str, name: str) -> str:
    from html import unescape

    return unescape(text.split(f'name="{name}" value="', 1)[1].split('"', 1)[0])
