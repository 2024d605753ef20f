"""What an owner asks about places, and what the agent tells the centre of them."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest
from peers.agent_world import ME, ORIGIN
from peers.anchor_place import member

from secureflow.agent.edge.anchorcommands import AnchorCommands
from secureflow.agent.edge.anchors import own_anchors
from secureflow.agent.edge.anchortelling import AnchorTelling
from secureflow.agent.record.anchoroutbox import RecordOutbox
from secureflow.application.anchoring import Anchoring
from secureflow.application.ports.anchor import Page
from secureflow.engines.anchors.entries import SetContributions, Split, currency_word, job_digest
from secureflow.engines.anchors.statements import parse_statement
from secureflow.engines.revenue.agreement import Member, SignedAgreement
from secureflow.kit.canonical import b64decode
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from tests.unit.agent.test_anchoring import FAST, Anchored
from tests.unit.engines.revenue.parts import PROJECT, agreement_of


class Centre:
    """A link that keeps what it is told."""

    def __init__(self) -> None:
        self.connected = asyncio.Event()
        self.welcomes = 1
        self.told: list[Any] = []
        self.refusal: SecureFlowError | None = None

    async def call(self, kind: str, body: dict[str, Any]) -> Any:
        assert kind == "anchor.tell"
        if self.refusal is not None:
            raise self.refusal
        self.told += body["statements"]
        return {"kept": len(body["statements"])}


def commands(agent: Anchored) -> AnchorCommands:
    context, places = agent.world.assembly.context, {agent.settings: agent.view}
    unused: Any = None
    sender = Anchoring(unused, [agent.view], "", context.clock, FAST)
    agreements = agent.world.assembly.agreements
    return AnchorCommands(context, places, agent.watch, sender, agent.heads, agreements)


async def with_a_head(agent: Anchored) -> None:
    agent.world.record()
    await agent.world.ask("cosign", {"head": agent.world.head(), "job": ""})


async def test_what_waits_is_listed_with_its_age(tmp_path: Path) -> None:
    agent = Anchored(tmp_path)
    await agent.world.ask("consent", agent.world.consent_body())
    agent.world.now += 7200
    found: Any = await commands(agent).every()
    (place,) = found["places"]
    assert (place["name"], place["waiting"], place["late"]) == ("c", 2, 7200)
    assert {one["state"] for one in found["entries"]} == {"queued"}
    with pytest.raises(SecureFlowError) as caught:
        await commands(agent).every(place="elsewhere")
    assert caught.value.code == "anchor_unknown"


def agreed(agent: Anchored, payer: str) -> None:
    """Have all sign an agreement by which a member pays, and pin it."""
    keys, world = agent.world.all_keys, agent.world
    members = tuple(Member(name, key.public) for name, key in keys.items())
    terms = {"payer": payer, "rounding": payer, "origin": ORIGIN, "members": members}
    signed = SignedAgreement(agreement_of(list(keys), **terms))
    for name, key in keys.items():
        signed = signed.sign(name, key)
    assert world.assembly.agreements.take(PROJECT, signed)


def split(agent: Anchored, payer: str, amount: int) -> list[str]:
    """Have all vote at the place to share an amount among all; return who is owed some of it."""
    raw = {name: b64decode(key.public) for name, key in agent.world.all_keys.items()}
    members = tuple(sorted(raw.values()))
    shares = (10_000 // len(members),) * (len(members) - 1)
    shares = (*shares, 10_000 - sum(shares))
    job = job_digest("job_1")
    vote = SetContributions(job, 1, bytes(32), members, shares, raw[payer])
    for step in (vote, Split(job, 1, raw[payer], amount, currency_word("EUR"))):
        for account in raw.values():
            agent.place.take(account, f"{step.kind} {account.hex()}", [step])
        agent.place.now += 60
    return [name for name in raw if name != payer]


async def test_a_payer_sees_all_that_it_owes(tmp_path: Path) -> None:
    agent = Anchored(tmp_path)
    with pytest.raises(SecureFlowError, match="no revenue agreement"):
        await commands(agent).owed(PROJECT)
    agreed(agent, ME)
    payees = split(agent, ME, 1000)
    (found,) = await commands(agent).owed(PROJECT)
    assert (found["place"], found["payer"], found["currency"]) == ("c", ME, "EUR")
    assert (sorted(found["owed"]), found["trouble"]) == (sorted(payees), None)  # type: ignore[call-overload]
    assert min(found["owed"].values()) > 0  # type: ignore[union-attr]


async def test_a_payee_sees_only_its_own_part(tmp_path: Path) -> None:
    agent = Anchored(tmp_path)
    payer = next(name for name in agent.world.all_keys if name != ME)
    agreed(agent, payer)
    split(agent, payer, 1000)
    (found,) = await commands(agent).owed(PROJECT)
    assert [*found["owed"]] == [ME]  # type: ignore[call-overload]


async def test_what_a_place_of_strangers_says_is_owed_is_not_shown(tmp_path: Path) -> None:
    agent = Anchored(tmp_path)
    agreed(agent, ME)
    stranger = SigningKey.from_seed(b"s" * 32)
    agent.place.admitted.append(member(agent.place.name, stranger))
    (found,) = await commands(agent).owed(PROJECT)
    assert found["owed"] == {}
    assert found["trouble"]["code"] == "anchor_untrusted"  # type: ignore[index,call-overload]


async def test_a_place_that_keeps_no_settlements_is_not_asked(tmp_path: Path) -> None:
    agent = Anchored(tmp_path, events=("heads",))
    agreed(agent, ME)
    assert await commands(agent).owed(PROJECT) == []


async def test_a_deed_is_shown_with_what_it_stands_for(tmp_path: Path) -> None:
    agent = Anchored(tmp_path)
    await agent.world.ask("consent", agent.world.consent_body())
    await agent.carried()
    listed: Any = await commands(agent).every()
    for one in listed["entries"]:
        shown: Any = await commands(agent).show(one["digest"])
        assert shown["stands_for"] == {"job": "job_0123456789"}
        assert shown["places"][0]["receipt"]["transaction"] == one["transaction"]
    with pytest.raises(SecureFlowError, match="64 digits"):
        await commands(agent).show(listed["entries"][0]["digest"][:12])
    with pytest.raises(SecureFlowError, match="no deed"):
        await commands(agent).show("0" * 64)


async def test_verifying_asks_the_place_again(tmp_path: Path) -> None:
    agent = Anchored(tmp_path)
    await with_a_head(agent)
    await agent.carried()
    (found,) = await commands(agent).verify()
    assert (found["heads"], found["receipts"], found["problems"]) == (1, 1, [])
    agent.place.events.clear()  # the node denies it
    (found,) = await commands(agent).verify("c")
    (problem,) = found["problems"]
    assert problem["code"] == "anchor_receipt_false"
    agent.place.away = True
    (found,) = await commands(agent).verify()
    assert found["problems"][0]["code"] == "anchor_unavailable"


async def test_the_doctor_names_what_is_wrong(tmp_path: Path) -> None:
    agent = Anchored(tmp_path)
    (well,) = await commands(agent).doctor()
    assert (well["problem"], well["facts"]) == ("", {"entries": "0"})
    agent.place.away = True
    (ill,) = await commands(agent).doctor()
    assert ill["problem"] == "the place does not answer"


async def test_the_centre_is_told_once_and_under_the_members_key(tmp_path: Path) -> None:
    agent = Anchored(tmp_path)
    await with_a_head(agent)
    await agent.world.ask("consent", agent.world.consent_body())
    centre, context = Centre(), agent.world.assembly.context
    telling = AnchorTelling(context, centre, lambda: [agent.settings])
    assert await telling.tell(agent.place.name) == 0  # nothing is final yet
    await agent.carried()
    centre.refusal = SecureFlowError("link_broken", "The link is down.")
    with pytest.raises(SecureFlowError):
        await telling.tell(agent.place.name)
    centre.refusal = None
    assert await telling.tell(agent.place.name) == 3
    assert await telling.tell(agent.place.name) == 0
    found = [parse_statement(one) for one in centre.told]
    assert [one.entry.kind for one in found] == ["anchor", "registerJob", "approveJob"]
    assert {one.key for one in found} == {context.key.public}


async def test_what_is_overtaken_at_a_place_is_told_later(tmp_path: Path) -> None:
    """Nothing between what was told and what is not final yet is skipped."""
    agent = Anchored(tmp_path)
    await with_a_head(agent)
    await agent.carried()
    store = agent.world.store
    await agent.world.ask("consent", agent.world.consent_body())
    centre, context = Centre(), agent.world.assembly.context
    telling = AnchorTelling(context, centre, lambda: [agent.settings])
    assert await telling.tell(agent.place.name) == 1
    assert len(store.anchor_entries("", ended=False)) == 2
    await agent.carried()
    assert await telling.tell(agent.place.name) == 2


async def test_what_was_told_ahead_of_a_late_deed_is_not_told_again(tmp_path: Path) -> None:
    agent = Anchored(tmp_path)
    await agent.world.ask("consent", agent.world.consent_body())
    store = agent.world.store
    late = store.queued_anchor_entries(agent.place.name, 1)[0].number
    with store.transaction():  # as one whose ticket contradicts itself
        store._write("UPDATE anchor_entries SET state = 'carried' WHERE number = ?", late)
    async with agent.sending(), asyncio.timeout(30):
        while store.anchor_backlog(agent.place.name)[0] > 1:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)
    centre, context = Centre(), agent.world.assembly.context
    telling = AnchorTelling(context, centre, lambda: [agent.settings])
    assert await telling.tell(agent.place.name) == 1
    assert await telling.tell(agent.place.name) == 0
    with store.transaction():
        store._write("UPDATE anchor_entries SET state = 'queued' WHERE number = ?", late)
    await agent.carried()
    assert await telling.tell(agent.place.name) == 1
    assert await telling.tell(agent.place.name) == 0
    assert len(centre.told) == 2


async def test_what_was_told_before_a_reorganisation_is_told_again(tmp_path: Path) -> None:
    """It may stand in another transaction by now, and the old statement would be a lie."""
    agent = Anchored(tmp_path)
    await agent.world.ask("consent", agent.world.consent_body())
    await agent.carried()
    centre, context = Centre(), agent.world.assembly.context
    telling = AnchorTelling(context, centre, lambda: [agent.settings])
    assert await telling.tell(agent.place.name) == 2
    outbox = RecordOutbox(agent.world.store)
    member = agent.account("bank-a").hex()
    await outbox.heard(agent.place.name, Page((), None, reorganised=True), member)
    assert await telling.tell(agent.place.name) == 0
    await agent.carried()
    assert await telling.tell(agent.place.name) == 2
    assert await telling.tell(agent.place.name) == 0


async def test_a_deed_too_long_for_a_statement_holds_up_no_other(tmp_path: Path) -> None:
    """The centre takes a message whole or not at all."""
    agent = Anchored(tmp_path)
    await with_a_head(agent)
    store, context = agent.world.store, agent.world.assembly.context
    names = sorted(bytes([at % 256, at // 256]) * 16 for at in range(600))
    shares = (10_000 - 599, *(1 for _ in range(599)))
    long = SetContributions(b"\x01" * 32, 1, b"\x02" * 32, tuple(names), shares, names[0])
    with store.transaction():
        store.add_anchor_entries([agent.place.name], [long], 1)
    agent.place.state.members.update((one.hex(), one.hex()) for one in names)
    await agent.carried()
    centre = Centre()
    telling = AnchorTelling(context, centre, lambda: [agent.settings])
    await telling.tell(agent.place.name)
    assert [parse_statement(one).entry.kind for one in centre.told] == ["anchor"]
    assert await telling.tell(agent.place.name) == 0


async def test_an_agent_without_places_runs_nothing_for_them(tmp_path: Path) -> None:
    agent = Anchored(tmp_path)
    async with contextlib.AsyncExitStack() as stack:
        made = own_anchors(agent.world.assembly, Centre(), lambda _: {}, stack)
        assert made.tasks == ()
        assert await made.commands.verify() == []


async def test_places_are_closed_and_tasks_end_with_the_agent(tmp_path: Path) -> None:
    agent = Anchored(tmp_path)
    await with_a_head(agent)
    agent.world.now += 10  # entries are gathered for a moment
    async with contextlib.AsyncExitStack() as stack:
        opening: Any = lambda _: {agent.settings: agent.view}  # noqa: E731
        made = own_anchors(agent.world.assembly, Centre(), opening, stack)
        tasks = [asyncio.create_task(one.run()) for one in made.tasks]
        async with asyncio.timeout(60):
            while not agent.place.events:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert agent.place.away  # it was closed
