"""Agents that talk without the centre find out a centre that shows them two histories."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from peers.agent_world import ORIGIN
from peers.heads import Agent, saying

from secureflow.agent.keeper.gossip import MAX_BODY, Partner
from secureflow.agent.witness.continuations import SET_BACK
from secureflow.agent.witness.headwatch import HeadWatch
from secureflow.agent.witness.hearing import FACT, MAX_WAITING
from secureflow.engines.ledger.fraud import verify_fraud
from secureflow.engines.ledger.merkle import MemoryTree
from secureflow.engines.ledger.notes import Checkpoint, attach, cosign, noted_size, sign_checkpoint
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Agent, Agent]:
    return Agent(tmp_path / "a", "bank-a"), Agent(tmp_path / "b", "bank-b")


def proof_of(agent: Agent) -> Any:
    (path,) = agent.world.settings.evidence.glob("fraud-*.json")
    return verify_fraud(json.loads(path.read_text()), agent.world.charter)


async def test_one_history_alarms_nobody_however_far_each_has_come(
    pair: tuple[Agent, Agent],
) -> None:
    one, two = pair
    for ours, theirs in ((5, 5), (5, 9), (12, 9), (16, 16)):
        for agent, size in ((one, ours), (two, theirs)):
            await agent.seen(size)
        for agent, size in ((one, theirs), (two, ours)):  # each centre has what the other saw
            while agent.world.tree.size < size:
                agent.world.tree.append(f"{agent.world.tree.size}".encode())
        await one.gossip.talk(two.partner())
        await one.hearing.settle()
        await two.hearing.settle()
        for agent in pair:
            assert (agent.alarm, agent.hearing.waiting()) == ("", [])


@pytest.mark.parametrize(("ours", "theirs"), [(7, 7), (7, 12), (12, 7), (8, 12)])
async def test_a_centre_that_forked_the_log_is_convicted_by_both(
    pair: tuple[Agent, Agent], ours: int, theirs: int
) -> None:
    one, two = pair
    await one.seen(ours, "one")
    await two.seen(theirs, "two")
    for agent in pair:  # each centre goes on, so that it can be asked about both
        while agent.world.tree.size < 20:
            agent.world.tree.append(b"more")
    told = one.gossip.talk(two.partner())
    if ours == theirs:
        with pytest.raises(SecureFlowError, match="ledger_inconsistent"):
            await told
    else:
        await told
    await one.hearing.settle()
    await two.hearing.settle()
    for agent in pair:
        assert agent.alarm == "ledger_inconsistent"
        verdict = proof_of(agent)
        assert verdict.ok
        assert verdict.case == ("two_roots" if ours == theirs else "other_prefix")


async def test_a_larger_head_that_the_centre_denies_is_told_the_owner(
    pair: tuple[Agent, Agent],
) -> None:
    one, two = pair
    await one.seen(5)
    await two.seen(9)
    await one.gossip.talk(two.partner())
    await one.hearing.settle()  # the centre: not found
    assert one.witness.troubled
    context = one.world.assembly.context
    link = Link(one)
    watch = HeadWatch(
        link,
        one.witness,
        one.store,
        context.charter,
        one.world.assembly.continuations,
        context.clock,
    )
    problem = await watch.check()
    assert problem is not None
    assert (problem.code, problem.details["old"], problem.details["own"]) == ("log_set_back", 9, 5)
    assert one.store.fact(SET_BACK)["code"] == "log_set_back"
    assert 9 in [noted_size(note) for note in link.shown[0]]  # the centre learns what it signed
    for at in range(5, 9):  # the newest database is back
        one.world.tree.append(f"{at}".encode())
    assert await watch.check() is None
    await one.hearing.settle()
    assert (one.alarm, one.hearing.waiting(), one.store.fact(SET_BACK)) == ("", [], None)


class Link:
    """The link to an agent's centre."""

    def __init__(self, agent: Agent) -> None:
        self.connected, self.welcomes = asyncio.Event(), 1
        self.agent = agent
        self.shown: list[list[str]] = []

    async def call(self, kind: str, body: dict[str, Any]) -> Any:
        assert kind == "log.show"
        self.shown.append(body["heads"])
        return {"note": self.agent.world.head(), "held": None}


async def test_while_the_centre_is_away_a_head_waits_and_nothing_is_claimed(
    pair: tuple[Agent, Agent], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = pair
    await one.seen(5)
    await two.seen(9)
    await one.gossip.talk(two.partner())

    async def away(*_: Any) -> Any:
        raise SecureFlowError("link_broken", "away")

    with monkeypatch.context() as patch:
        patch.setattr(one.witness, "_call", away)
        await one.hearing.settle()
    assert one.alarm == ""
    assert [noted_size(note) for note in one.hearing.waiting()] == [9]
    for at in range(5, 9):
        one.world.tree.append(f"{at}".encode())
    loop, settled, keep = asyncio.get_running_loop(), asyncio.Event(), one.hearing._settled

    def told(note: str) -> None:
        keep(note)
        loop.call_soon_threadsafe(settled.set)

    monkeypatch.setattr(one.hearing, "_settled", told)
    running = asyncio.create_task(one.hearing.run())
    await settled.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert (one.alarm, one.hearing.waiting()) == ("", [])


# Attackers.


def note_of(agent: Agent, size: int, key: SigningKey | None = None, salt: str = "y") -> str:
    tree = MemoryTree()
    tree.append(*(f"{salt}{at}".encode() for at in range(size)))
    return sign_checkpoint(Checkpoint(ORIGIN, size, tree.root()), key or agent.world.log_key)


async def posted(agent: Agent, note: Any) -> int:
    body = note if isinstance(note, bytes) else json.dumps({"note": note}).encode()
    answer = await agent.http().ask("POST", "/gossip/v1/head", MAX_BODY, body, "application/json")
    return answer.status


async def test_invented_heads_reach_nothing(pair: tuple[Agent, Agent]) -> None:
    one, two = pair
    await one.seen(5)
    stranger, member = SigningKey.generate(), two.world.keys["bank-b"]
    real = note_of(one, 5)
    forged = note_of(one, 5, stranger)
    other = sign_checkpoint(Checkpoint("other.example", 5, b"\1" * 32), one.world.log_key)
    cases = [
        (real, 403),  # nobody cosigned it
        (attach(real, [cosign(real, "bank-b", stranger, 7)]), 403),
        (attach(real, [cosign(real, "nobody", stranger, 7)]), 403),
        (attach(forged, [cosign(forged, "bank-b", member, 7)]), 403),
        (attach(other, [cosign(other, "bank-b", member, 7)]), 404),
        ("nonsense", 400),
        (7, 400),
        (b"{", 400),
        (b"[]", 400),
        (b"x" * (MAX_BODY + 1), 413),
    ]
    for note, status in cases:
        assert await posted(one, note) == status
    assert (one.alarm, one.hearing.waiting()) == ("", [])
    fork = attach(real, [cosign(real, "bank-b", member, 7)])
    assert await posted(one, fork) == 200  # and the asker learns what this agent holds
    assert one.alarm == "ledger_inconsistent"


async def test_a_log_that_signs_heads_without_end_fills_nothing(pair: tuple[Agent, Agent]) -> None:
    one, two = pair
    await one.seen(5)
    member = two.world.keys["bank-b"]
    for size in range(10, 10 + 2 * MAX_WAITING):
        note = note_of(one, size)
        assert await posted(one, attach(note, [cosign(note, "bank-b", member, 7)])) == 200
    waiting = [noted_size(note) for note in one.store.fact(FACT)]
    assert waiting == list(range(9 + 2 * MAX_WAITING, 9 + MAX_WAITING, -1))


async def test_a_partner_that_is_somebody_else_is_refused(pair: tuple[Agent, Agent]) -> None:
    one, two = pair
    await one.seen(5)
    await two.seen(5)
    impostor = Partner("bank-c", two.http())
    with pytest.raises(SecureFlowError, match="gossip_refused"):
        await one.gossip.talk(impostor)
    answers = [
        (500, b"", "gossip_refused"),
        (200, b"nonsense", "malformed_json"),
        (200, b'{"note": 7}', "malformed_request"),
        (200, b'{"note": "x"}', "malformed_note"),
        (200, b"x" * (MAX_BODY + 1), "endpoint_unreachable"),
        (302, b"", "gossip_refused"),
    ]
    for status, body, code in answers:
        http = saying(status, body)
        with pytest.raises(SecureFlowError, match=code):
            await one.gossip.talk(Partner("bank-b", http))
    assert one.alarm == ""


async def test_an_agent_without_a_head_says_so(pair: tuple[Agent, Agent]) -> None:
    one, two = pair
    await one.gossip.talk(two.partner())
    await two.seen(5)
    await two.gossip.talk(one.partner())
    assert (one.alarm, two.alarm) == ("", "")
    assert [noted_size(note) for note in one.hearing.waiting()] == [5]
