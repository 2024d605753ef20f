"""Agreements and settlements over the owner's API: who signs, what is signed, what is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from peers.owner_page import OwnerPage, owner_page
from peers.revenue_world import PROJECT, TERMS, Bank, RevenueWorld

from secureflow.agent.console.api.description import described
from secureflow.agent.console.api.routes import OPERATIONS
from tests.unit.agent_console.api.test_answers import members_of

SCHEMAS = described(OPERATIONS)["components"]["schemas"]
DAY = 86_400


@dataclass
class Place:
    """An owner's page in front of a bank of a world with a project's revenue."""

    page: OwnerPage
    world: RevenueWorld
    bank: Bank

    def settlement(self, key: str) -> str:
        return f"/revenue/{PROJECT}/settlements/{key}"

    def signed(self) -> list[str]:
        """The acts that this bank has signed and kept."""
        kept = self.bank.own.shelf.of_project(PROJECT).values()
        return sorted(deed.act for one in kept for deed in one.deeds)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    world = RevenueWorld(tmp_path / "banks")
    async with owner_page(tmp_path) as page:
        bank = world.banks[page.team.people.organisation]
        page.team.table |= bank.commands.table()
        try:
            yield Place(page, world, bank)
        finally:
            world.close()


async def test_an_agreement_is_signed_as_it_was_shown_by_who_may(place: Place) -> None:
    world = place.world
    await world.start()
    for one in world.banks.values():
        await one.sign()
    vera = await place.page.of("vera")
    listed = (await vera.get("/revenue")).json()
    assert PROJECT in [one["id"] for one in listed["projects"]]
    members_of(listed, SCHEMAS["RevenueProjects"], SCHEMAS)
    terms = {**TERMS, "floor": 600}
    await world.agreements.draft(world.admin, PROJECT, terms, {})
    shown = (await vera.get(f"/revenue/{PROJECT}")).json()
    members_of(shown, SCHEMAS["OwnRevenue"], SCHEMAS)
    assert (shown["candidate"]["agreement"]["floor"], shown["mine"]) == (600, False)
    assert shown["pinned"]["agreement"]["floor"] == 500
    digest, path = shown["candidate"]["digest"], f"/revenue/{PROJECT}/sign"
    ben, ada = await place.page.of("ben"), await place.page.of("ada")
    for who in (vera, ben):
        refused = await who.post(path, {"digest": digest})
        assert (refused.status_code, refused.json()["code"]) == (403, "role_needed")
    await world.agreements.draft(world.admin, PROJECT, {**terms, "floor": 700}, {})
    stale = await ada.post(path, {"digest": digest})
    assert stale.json()["code"] == "agreement_not_confirmed", "the centre shows another one now"
    assert (await ada.get(f"/revenue/{PROJECT}")).json()["mine"] is False
    digest = (await ada.get(f"/revenue/{PROJECT}")).json()["candidate"]["digest"]
    assert (await ada.post(path, {"digest": digest})).json()["mine"] is True


async def test_amounts_are_approved_as_they_were_computed_here(place: Place) -> None:
    world = await place.world.start()
    key = await world.open()
    path = place.settlement(key)
    ada, ben, vera = [await place.page.of(one) for one in ("ada", "ben", "vera")]
    shown = (await vera.get(path)).json()
    members_of(shown, SCHEMAS["OwnSettlement"], SCHEMAS)
    assert shown["digest"] == shown["centre"] != ""
    assert sum(one["amount"] for one in shown["totals"]) == shown["amount"] == 100_000
    lines = [line for one in shown["bookings"] for line in one["lines"]]
    assert sum(one["share"] for one in lines) == 10_000
    listed = (await vera.get(f"/revenue/{PROJECT}/settlements")).json()
    members_of(listed, SCHEMAS["OwnSettlements"], SCHEMAS)
    assert [one["state"] for one in listed["settlements"]] == ["open"]
    for who in (vera, ben):
        refused = await who.post(f"{path}/approve", {"digest": shown["digest"]})
        assert (refused.status_code, refused.json()["code"]) == (403, "role_needed")
    other = await ada.post(f"{path}/approve", {"digest": "0" * 64})
    assert other.json()["code"] == "agreement_not_confirmed"
    assert place.signed() == []
    approved = await ada.post(f"{path}/approve", {"digest": shown["digest"]})
    assert approved.json()["row"]["approvals"] == [place.bank.name]
    assert place.signed() == ["approve"]


async def test_what_the_centre_altered_is_refused_and_nothing_is_signed(place: Place) -> None:
    world = await place.world.start()
    key = await world.open()
    ada = await place.page.of("ada")
    digest = (await ada.get(place.settlement(key))).json()["digest"]

    def lie(kind: str, _: Any, answer: Any) -> Any:
        return {**answer, "computed": "0" * 64} if kind == "settlement.get" else answer

    place.bank.hands.twist = lie
    for answer in (
        await ada.get(place.settlement(key)),
        await ada.post(f"{place.settlement(key)}/approve", {"digest": digest}),
        await ada.post(f"{place.settlement(key)}/approve", {"digest": "0" * 64}),
    ):
        assert answer.json()["code"] == "settlement_altered", answer.text
    assert place.signed() == ["accuse"]


async def test_a_dispute_is_signed_and_taken_back_by_an_owner_admin_alone(place: Place) -> None:
    world = await place.world.start()
    path = place.settlement(await world.open())
    ada, ben = await place.page.of("ada"), await place.page.of("ben")
    for what, body in (("dispute", {"reason": "my rows"}), ("withdraw", None)):
        refused = await ben.post(f"{path}/{what}", body)
        assert (refused.status_code, refused.json()["code"]) == (403, "role_needed")
    assert place.signed() == []
    assert (await ada.post(f"{path}/dispute", {"reason": ""})).status_code == 422
    disputed = (await ada.post(f"{path}/dispute", {"reason": "my rows"})).json()
    assert disputed["row"]["disputes"] == [place.bank.name]
    back = (await ada.post(f"{path}/withdraw")).json()
    assert (back["row"]["disputes"], back["row"]["withdrawn"]) == ([], [place.bank.name])


async def test_payments_are_stated_and_confirmed_by_owner_admins(place: Place) -> None:
    own = place.bank.name
    payer = next(one for one in place.world.banks if one != own)
    world = await place.world.start(payer=payer)
    path = place.settlement(await world.closed())
    paying = world.banks[payer]
    shown = await paying.commands.show(path.rsplit("/", 1)[1])
    due: Any = shown["owed"]
    sent = {"payee": own, "amount": due[own], "reference": "SEPA 1"}
    await paying.commands.pay(path.rsplit("/", 1)[1], **sent)
    ada, ben = await place.page.of("ada"), await place.page.of("ben")
    (payment,) = (await ben.get(path)).json()["payments"]
    assert (payment["payee"], payment["amount"], payment["confirmed"]) == (own, due[own], False)
    body = {"payer": payer, "reference": payment["reference"]}
    for who, what, given in ((ben, "confirm", body), (ben, "pay", sent)):
        refused = await who.post(f"{path}/{what}", given)
        assert (refused.status_code, refused.json()["code"]) == (403, "role_needed")
    wrong = await ada.post(f"{path}/confirm", {"payer": payer, "reference": "0" * 64})
    assert wrong.json()["code"] == "settlement_not_possible"
    done = (await ada.post(f"{path}/confirm", body)).json()
    assert [one["confirmed"] for one in done["payments"]] == [True]
    stated = await ada.post(f"{path}/pay", sent)
    assert stated.json()["code"] == "settlement_not_possible", "this one does not pay"


async def test_who_signed_first_learns_that_the_agreement_stands(place: Place) -> None:
    """Nothing is pinned by a signature alone: the others' are still to come."""
    world = place.world
    await world.start(sign=False)
    others = [one for one in world.banks.values() if one is not place.bank]
    for one in (place.bank, *others):
        await one.sign()
    key = await world.open()
    assert place.bank.own.shelf.of_project(PROJECT) == {}
    shown: Any = await place.bank.commands.show(key)
    assert shown["state"] == "open"


async def test_no_beginning_of_an_id_reaches_the_agent(place: Place) -> None:
    asked: list[str] = []

    async def note(settlement: str = "", project: str = "") -> Any:
        asked.append(settlement + project)
        return {}

    place.page.team.table |= {"settlement.show": note, "revenue.show": note}
    ada = await place.page.of("ada")
    for path in ("/revenue/prj", f"/revenue/{PROJECT}/settlements/{'a' * 8}"):
        assert (await ada.get(path)).json()["code"] == "not_found"
    assert asked == []
    assert (await ada.get(f"/revenue/{PROJECT}/settlements/{'a' * 64}")).status_code == 200
    assert len(asked) == 1


async def test_places_are_told_and_examined(place: Place) -> None:
    trouble = {"code": "anchor_unavailable", "message": "It does not answer.", "hint": "Look."}
    state = {"name": "one", "make": "file", "place": f"file:{'ab' * 32}", "waiting": 2,
             "late": 7200, "looked": 5, "trouble": trouble}  # fmt: skip

    async def every(place: str = "", limit: int = 100) -> Any:
        return {"places": [state], "entries": []}

    async def doctor() -> Any:
        return [{**state, "facts": {}, "problem": "It is away.", "hint": "Start it."}]

    place.page.team.table |= {"anchor.list": every, "anchor.doctor": doctor}
    vera = await place.page.of("vera")
    told = (await vera.get("/anchors")).json()
    members_of(told, SCHEMAS["AnchorPlaces"], SCHEMAS)
    (one,) = told["places"]
    assert (one["place"], one["waiting"], one["late"]) == (state["place"], 2, 7200)
    assert one["trouble"]["code"] == "anchor_unavailable"
    (found,) = (await vera.post("/anchors/doctor")).json()["places"]
    members_of({"places": [found]}, SCHEMAS["ExaminedPlaces"], SCHEMAS)
    assert (found["problem"], found["hint"]) == ("It is away.", "Start it.")
