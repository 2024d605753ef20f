"""The agent as a C2SP witness: what it answers to whoever submits a head."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from peers.agent_world import ORIGIN
from peers.heads import Agent, saying
from pydantic import ValidationError

from secureflow.agent.keeper import serving
from secureflow.agent.keeper.app import Asked, Endpoint, ListenerApp, Reply, json_reply
from secureflow.agent.keeper.otherwitnesses import OtherWitnesses
from secureflow.agent.keeper.serving import listening
from secureflow.agent.witness.hearing import WITNESSES
from secureflow.agent.witnesssettings import OtherWitness, WitnessedLog, WitnessSettings
from secureflow.engines.ledger.fraud import verify_fraud
from secureflow.engines.ledger.merkle import MemoryTree
from secureflow.engines.ledger.notes import Checkpoint, attach, parse_note, sign_checkpoint
from secureflow.engines.ledger.submission import MAX_SUBMISSION, Submission
from secureflow.kit.boundedhttp import HttpAnswer
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import InfrastructureError, SecureFlowError

OTHER = SigningKey.from_seed(b"\x0b" * 32)
OTHER_ORIGIN = "other.example/log"


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    return Agent(tmp_path, "bank-a", (WitnessedLog(origin=OTHER_ORIGIN, key=OTHER.public),))


class Log:
    """The other log."""

    def __init__(self, salt: str = "") -> None:
        self.tree, self.salt = MemoryTree(), salt

    def step(self, old: int, new: int, key: SigningKey = OTHER) -> Submission:
        while self.tree.size < new:
            self.tree.append(f"{self.salt}{self.tree.size}".encode())
        point = Checkpoint(OTHER_ORIGIN, new, self.tree.root(new))
        proof = self.tree.consistency_proof(old, new) if 0 < old <= new else []
        return Submission(old, tuple(proof), sign_checkpoint(point, key))


async def asked(agent: Agent, body: bytes) -> HttpAnswer:
    return await agent.http().ask("POST", "/add-checkpoint", 1 << 16, body, "text/plain")


async def test_a_listed_log_is_cosigned_step_by_step(agent: Agent) -> None:
    log, key = Log(), agent.world.keys["bank-a"].public
    for old, new in ((0, 0), (0, 3), (3, 3), (3, 8), (8, 20)):
        step = log.step(old, new)
        answer = await asked(agent, step.body)
        assert (answer.status, answer.type) == (200, "text/plain")
        note = parse_note(attach(step.note, [answer.body.decode()]))
        assert note.cosigners({"bank-a": key}) == {"bank-a"}


async def test_each_refusal_has_its_status(agent: Agent) -> None:
    log = Log()
    assert (await asked(agent, log.step(0, 5).body)).status == 200
    behind = await asked(agent, log.step(0, 8).body)
    assert (behind.status, behind.type, behind.body) == (409, "text/x.tlog.size", b"5\n")
    wrong = Submission(5, (b"\1" * 32,), log.step(5, 8).note)
    assert (await asked(agent, wrong.body)).status == 422
    assert (await asked(agent, log.step(5, 8, SigningKey.generate()).body)).status == 403
    unknown = sign_checkpoint(Checkpoint("nobody.example", 8, b"\1" * 32), OTHER)
    assert (await asked(agent, Submission(0, (), unknown).body)).status == 404
    assert (await asked(agent, b"old 9\n\n" + log.step(5, 8).note.encode())).status == 400
    assert (await asked(agent, b"x" * (MAX_SUBMISSION + 1))).status == 413
    assert (await agent.http().ask("GET", "/add-checkpoint", 9999)).status == 404
    assert (await asked(agent, log.step(5, 8).body)).status == 200


async def test_two_roots_of_a_listed_log_are_kept_as_proof_and_alarm_nobody_else(
    agent: Agent,
) -> None:
    await asked(agent, Log().step(0, 5).body)
    forked = Log("x").step(5, 5)
    for _ in range(2):
        answer = await asked(agent, Submission(5, (), forked.note).body)
        assert (answer.status, answer.body) == (409, b"5\n")
    (path,) = agent.world.settings.evidence.glob("fraud-*.json")
    assert verify_fraud(json.loads(path.read_text()), key=OTHER.public).ok
    assert not agent.alarm
    assert [one["action"] for one in agent.store.actions()].count("alarm") == 1


async def test_the_platforms_log_is_judged_by_the_agents_own_witness(agent: Agent) -> None:
    await agent.seen(5)
    tree = agent.world.tree
    tree.append(b"more")
    step = Submission(5, tuple(tree.consistency_proof(5, 6)), agent.world.head())
    assert (await asked(agent, step.body)).status == 200
    kept = agent.store.fact("head")["note"]
    assert parse_note(kept).checkpoint.size == 6
    agent.reopen()
    assert agent.witness.view.size == 6
    again = await asked(agent, step.body)
    assert (again.status, again.body) == (409, b"6\n")


async def test_a_bad_proof_raises_no_alarm_and_a_fork_does(agent: Agent) -> None:
    await agent.seen(5)
    agent.world.tree.append(b"more")
    bad = Submission(5, (b"\1" * 32,), agent.world.head())
    assert (await asked(agent, bad.body)).status == 422
    assert not agent.alarm
    fork = MemoryTree()
    fork.append(*(b"x" for _ in range(5)))
    note = sign_checkpoint(Checkpoint(ORIGIN, 5, fork.root()), agent.world.log_key)
    assert (await asked(agent, Submission(5, (), note).body)).status == 409
    assert agent.alarm == "ledger_inconsistent"
    (path,) = agent.world.settings.evidence.glob("fraud-*.json")
    verdict = verify_fraud(json.loads(path.read_text()), agent.world.charter)
    assert (verdict.ok, verdict.case) == (True, "two_roots")
    good = Submission(5, tuple(agent.world.tree.consistency_proof(5)), agent.world.head())
    assert (await asked(agent, good.body)).status == 503  # it cosigns nothing any more


async def test_requests_at_once_cosign_one_history(agent: Agent) -> None:
    """Of many that name one old size, one is answered; the view never goes back."""
    log = Log()
    await asked(agent, log.step(0, 5).body)
    steps = [log.step(5, size) for size in (9, 6, 12, 7, 9, 6)]
    answers = await asyncio.gather(*(asked(agent, one.body) for one in steps))
    assert sorted(one.status for one in answers)[:2] == [200, 409]
    assert [one.status for one in answers].count(200) == 1
    own = agent.world.tree
    own.append(*(bytes([at]) for at in range(12)))
    mine = [Submission(0, (), agent.world.head(size)) for size in (3, 9, 12, 4)]
    answers = await asyncio.gather(*(asked(agent, one.body) for one in mine))
    assert [one.status for one in answers].count(200) == 1


async def test_submissions_are_judged_one_at_a_time(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, release = asyncio.Event(), threading.Event()
    loop, whole = asyncio.get_running_loop(), agent.checkpoints._cosign_other
    inside: list[int] = []  # who came in

    def slow(origin: str, submission: Submission) -> str:
        inside.append(0)
        loop.call_soon_threadsafe(entered.set)
        release.wait()
        return whole(origin, submission)

    monkeypatch.setattr(agent.checkpoints, "_cosign_other", slow)
    log = Log()
    steps = [log.step(0, size) for size in (5, 6)]
    asking = [asyncio.create_task(agent.checkpoints.add(one)) for one in steps]
    await entered.wait()
    for _ in range(50):
        await asyncio.sleep(0)
    came_in = list(inside)
    release.set()
    assert came_in == [0]
    ended = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(one) for one in ended] == [str, SecureFlowError]


async def test_what_is_answered_was_stored_before(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log()

    def full(*_: Any) -> None:
        raise InfrastructureError("disk_full", "The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(type(agent.store), "set_fact", full)
        assert (await asked(agent, log.step(0, 5).body)).status == 503
        agent.world.tree.append(b"one")
        own = Submission(0, (), agent.world.head())
        assert (await asked(agent, own.body)).status == 503
    assert (await asked(agent, log.step(0, 5).body)).status == 200


# Others that witness this log.


def others(agent: Agent, witness: Agent, key: str, name: str = "bank-b") -> OtherWitnesses:
    one = OtherWitness(name=name, key=key, url="https://w.example")
    context = agent.world.assembly.context
    https = {name: witness.http()}
    call = agent.world.call
    return OtherWitnesses([one], https, agent.witness, agent.store, context.clock, call)


async def test_a_witness_of_others_cosigns_what_this_agent_accepted(
    agent: Agent, tmp_path: Path
) -> None:
    await agent.seen(5)
    listed = WitnessedLog(origin=ORIGIN, key=agent.world.log_key.public)
    third = Agent(tmp_path / "third", "bank-b", (listed,))
    third.checkpoints._own = lambda: ""  # type: ignore[method-assign]  # no member of it
    key = third.world.keys["bank-b"].public
    asking = others(agent, third, key)
    (one,) = asking._listed
    await asking.ask(one)
    for size in (9, 14):
        await agent.seen(size)
        with agent.store.transaction():  # it forgot what was cosigned: the witness says so
            agent.store.set_fact(WITNESSES, None)
        await asking.ask(one)
    kept = agent.store.fact(WITNESSES)["bank-b"]
    assert kept["size"] == 14
    note = parse_note(attach(kept["note"], [kept["line"]]))
    assert note.cosigners({"bank-b": key}) == {"bank-b"}
    await agent.seen(20)
    asking = others(agent, third, SigningKey.generate().public)
    (impostor,) = asking._listed
    with pytest.raises(SecureFlowError, match="witness_refused"):
        await asking.ask(impostor)


async def test_a_witness_that_answers_nonsense_is_refused(agent: Agent) -> None:
    await agent.seen(5)
    answers = [
        (200, "text/plain", b"nonsense\n", "malformed_note"),
        (200, "text/plain", b"x" * 20_000, "endpoint_unreachable"),
        (409, "text/x.tlog.size", b"0\n", "witness_refused"),
        (409, "text/x.tlog.size", b"no", "witness_refused"),
        (409, "text/plain", b"3\n", "witness_refused"),
        (302, "text/plain", b"", "witness_refused"),
        (500, "text/plain", b"", "witness_refused"),
        (409, "text/x.tlog.size", b"999\n", "not_found"),
    ]
    for status, media, body, code in answers:
        http = saying(status, body, media)
        one = OtherWitness(name="w", key=OTHER.public, url="https://w.example")
        context = agent.world.assembly.context
        asking = OtherWitnesses(
            [one], {"w": http}, agent.witness, agent.store, context.clock, agent.world.call
        )
        with pytest.raises(SecureFlowError, match=code):
            await asking.ask(one)
    assert agent.store.fact(WITNESSES) is None


# The listener.


async def echo(asked: Asked) -> Reply:
    return json_reply({"bytes": len(asked.body)})


@contextlib.asynccontextmanager
async def listener(**given: Any) -> AsyncIterator[str]:
    async def fails(_: Asked) -> Reply:
        message = "a secret of the agent"
        raise RuntimeError(message)

    settings = WitnessSettings(listen="127.0.0.1:0", **given)
    endpoints = [Endpoint("POST", "/echo", 100, echo), Endpoint("POST", "/fails", 100, fails)]
    async with listening(settings, endpoints) as port:
        yield f"http://127.0.0.1:{port}"


async def test_it_answers_at_its_address_and_tells_nothing_of_itself() -> None:
    async with listener() as url, httpx.AsyncClient(trust_env=False) as client:
        assert (await client.post(f"{url}/echo", content=b"12")).json() == {"bytes": 2}
        large = (b"x" * 60 for _ in range(2))

        async def chunks() -> AsyncIterator[bytes]:
            for one in large:
                yield one

        assert (await client.post(f"{url}/echo", content=b"x" * 101)).status_code == 413
        assert (await client.post(f"{url}/echo", content=chunks())).status_code == 413
        headers = {"x-long": "y" * 9000}
        assert (await client.post(f"{url}/echo", headers=headers)).status_code == 413
        assert (await client.post(f"{url}/echo?{'z' * 600}")).status_code == 413
        failed = await client.post(f"{url}/fails")
        assert failed.status_code == 500
        assert "secret" not in failed.text
        assert "server" not in failed.headers


async def test_what_says_that_it_is_too_large_is_refused_unread() -> None:
    async with listener() as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(url).port)
        writer.write(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")
        assert b"413" in await reader.readline()
        writer.close()


async def test_one_address_has_its_rate() -> None:
    async with listener(per_minute=3) as url, httpx.AsyncClient(trust_env=False) as client:
        codes = [(await client.post(f"{url}/echo")).status_code for _ in range(4)]
    assert codes == [200, 200, 200, 429]


async def test_who_sends_no_head_is_hung_up_on_and_none_takes_all_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serving, "HEAD_SECONDS", 0.05)
    monkeypatch.setattr(serving, "MOST", 2)
    async with listener() as url:
        port = httpx.URL(url).port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /echo HTTP/1.1\r\nHost: ")
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        monkeypatch.setattr(serving, "HEAD_SECONDS", 600.0)
        many = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        for _, one in [*many, (reader, writer)]:
            one.close()
    assert not serving._open


@pytest.mark.parametrize(
    "given",
    [
        {"listen": "0.0.0.0:8790"},
        {"listen": "agent.example:8790"},
        {"listen": "127.0.0.1:1", "tls_key": "k.pem"},
        {"keeper": {}},
        {"logs": ({"origin": "x", "key": OTHER.public},)},
        {"listen": "127.0.0.1:1", "logs": ({"origin": "x", "key": OTHER.public},) * 2},
        {"listen": "127.0.0.1:1", "logs": ({"origin": "x y", "key": OTHER.public},)},
        {"gossip": {"bank-b": {"url": "http://bank-b.example"}}},
        {"gossip": {"bank-b": {"url": "https://a@bank-b.example"}}},
        {"gossip": {"bank-b": {"url": "https://bank-b.example/?x=1"}}},
        {"gossip": {"bank-b": {"url": "file:///etc/passwd"}}},
        {"witnesses": ({"name": "w", "key": "x", "url": "https://w.example"},)},
        {"keeper": {"window": 5}},
        {"per_minute": 0},
    ],
    ids=str,
)
def test_settings_that_would_open_more_than_meant_are_refused(given: Any) -> None:
    with pytest.raises(ValidationError):
        WitnessSettings(**given)


def test_an_app_refuses_other_kinds_of_connections() -> None:
    app = ListenerApp([], 10, lambda: 0.0)

    async def never(*_: Any) -> Any:
        pytest.fail("it spoke")

    asyncio.run(app({"type": "websocket"}, never, never))


async def test_the_head_of_an_empty_log_is_cosigned_like_others(agent: Agent) -> None:
    log = Log()
    assert (await asked(agent, log.step(0, 0).body)).status == 200
    own = sign_checkpoint(Checkpoint(ORIGIN, 0, MemoryTree().root()), agent.world.log_key)
    assert (await asked(agent, Submission(0, (), own).body)).status == 200
    agent.world.tree.append(b"one")
    assert (await asked(agent, Submission(0, (), agent.world.head()).body)).status == 200
