"""The Courier contract over real mTLS: pushed, delivered again, answered once, never confused."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from types import SimpleNamespace

import pytest
from peers.links import JSON, Centre, Cutter, Party, echo, party, until

from secureflow.adapters.link import party as party_module
from secureflow.adapters.link import streams
from secureflow.adapters.link.messages import LogProgress
from secureflow.adapters.link.replacements import Replacements
from secureflow.adapters.link.tasks import RequestTasks
from secureflow.application.ports.courier import Request
from secureflow.domain.replacedlinks import COUNTED_SECONDS
from secureflow.kit.clock import CHECK_INTERVAL, STALL_TOLERANCE
from secureflow.kit.errors import SecureFlowError
from secureflow.wire import Envelope, encode

NOTICED = CHECK_INTERVAL + STALL_TOLERANCE
"""Seconds: a stall of this machine that is as long is noticed, and all wait again."""


async def _failure(awaitable: JSON) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        await awaitable
    return caught.value


async def test_a_request_is_pushed_and_answered(centre: Centre) -> None:
    centre.log_proofs = lambda _, standing: {"proofs_from": standing.log_size}
    async with party(centre) as peer:
        peer.standing = {"log_size": 7, "unproved": ["ab" * 32]}
        assert await centre.ask("bank-a", "train", {"round": 1}) == {
            "verb": "train",
            "body": {"round": 1},
            "rider": {"proofs_from": 0},
        }
        assert centre.server.status("bank-a").log_size == 7
        answer = await centre.ask("bank-a", "train", {"round": 2}, seq=2)
        assert answer["rider"] == {"proofs_from": 7}


async def test_a_request_waits_for_a_party_that_is_not_there_yet(centre: Centre) -> None:
    asking = asyncio.create_task(centre.ask("bank-a", "train"))
    await asyncio.sleep(0)
    assert not centre.server.status("bank-a").connected
    async with party(centre):
        assert (await asking)["verb"] == "train"


async def test_a_refusal_comes_back_as_it_was(centre: Centre) -> None:
    async def refuse(*_: JSON) -> JSON:
        raise SecureFlowError("consent_refused", "bank-a says no.", "Ask them.", {"by": "policy"})

    async with party(centre, handle=refuse):
        error = await _failure(centre.ask("bank-a", "consent"))
    assert error.as_json() == {
        "code": "consent_refused",
        "message": "bank-a says no.",
        "hint": "Ask them.",
        "details": {"by": "policy"},
    }


async def test_a_defect_of_a_handler_is_an_answer_too(centre: Centre) -> None:
    async def defective(*_: JSON) -> JSON:
        raise ZeroDivisionError

    async with party(centre, handle=defective):
        assert (await _failure(centre.ask("bank-a", "train"))).code == "internal"
        assert (await _failure(centre.ask("bank-a", "train", seq=2))).code == "internal"


async def test_a_cut_in_mid_request_loses_and_repeats_nothing(
    centre: Centre, cutter: Cutter
) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def slow(verb: str, body: JSON, log_proofs: JSON) -> JSON:
        begun.set()
        await go.wait()
        return "done"

    async with party(centre, address=cutter.address, handle=slow) as peer:
        asking = asyncio.create_task(centre.ask("bank-a", "train"))
        await begun.wait()
        cutter.cut()
        await until(lambda: not peer.link.connected.is_set())
        go.set()  # finished while there is no link: the answer waits for the next one
        assert await asking == "done"
        assert len(peer.handled) == 1


async def test_a_request_that_comes_again_while_it_is_worked_on_is_not_begun_twice(
    centre: Centre, cutter: Cutter
) -> None:
    go = asyncio.Event()

    async def gated(verb: str, body: JSON, log_proofs: JSON) -> JSON:
        if verb == "slow":
            await go.wait()
        return verb

    async with party(centre, address=cutter.address, handle=gated) as peer:
        asking = asyncio.create_task(centre.ask("bank-a", "slow"))
        await until(lambda: peer.handled)
        cutter.cut()
        await until(lambda: len(centre.hellos) == 2)
        # Asked after the repetition and answered: so the repetition has arrived.
        assert await centre.ask("bank-a", "quick", seq=2) == "quick"
        go.set()
        assert await asking == "slow"
        assert [verb for verb, _, _ in peer.handled] == ["slow", "quick"]


async def test_an_answer_that_was_lost_is_given_again_without_working_again(
    centre: Centre, cutter: Cutter
) -> None:
    async def cut_then_answer(verb: str, body: JSON, log_proofs: JSON) -> JSON:
        cutter.cut()
        return "done"

    async with party(centre, address=cutter.address, handle=cut_then_answer) as peer:
        assert await centre.ask("bank-a", "train") == "done"
        assert len(peer.handled) == 1


@pytest.mark.parametrize("code", ["database_unavailable", "link_broken", "disk_full"])
async def test_a_failure_that_passes_is_not_kept_as_the_answer(centre: Centre, code: str) -> None:
    """The centre that asks again under the same id gets what the party can do by now."""
    failing = [True]

    async def handle(verb: str, *_: JSON) -> JSON:
        if failing and failing.pop():
            raise SecureFlowError(code, "Not now.")
        return {"verb": verb}

    async with party(centre, handle=handle):
        assert (await _failure(centre.ask("bank-a", "train"))).code == code
        assert await centre.ask("bank-a", "train") == {"verb": "train"}


async def test_a_restarted_centre_asks_again_and_gets_the_recorded_answer(centre: Centre) -> None:
    async with party(centre) as peer:
        first = await centre.ask("bank-a", "train", {"round": 1})
        await centre.restart()
        assert await centre.ask("bank-a", "train", {"round": 1}) == first
        assert len(peer.handled) == 1


async def test_the_same_id_asked_twice_is_one_request(centre: Centre) -> None:
    go = asyncio.Event()

    async def wait(*_: JSON) -> JSON:
        await go.wait()
        return 1

    async with party(centre, handle=wait) as peer:
        both = [asyncio.create_task(centre.ask("bank-a", "train")) for _ in range(2)]
        await until(lambda: peer.handled)
        both[0].cancel()
        go.set()
        assert await both[1] == 1
        assert len(peer.handled) == 1


async def test_answers_may_come_in_another_order(centre: Centre) -> None:
    gates = {1: asyncio.Event(), 2: asyncio.Event()}

    async def gated(verb: str, body: JSON, log_proofs: JSON) -> JSON:
        await gates[body["n"]].wait()
        return body["n"]

    async with party(centre, handle=gated):
        first = asyncio.create_task(centre.ask("bank-a", "x", {"n": 1}, seq=1))
        second = asyncio.create_task(centre.ask("bank-a", "x", {"n": 2}, seq=2))
        gates[2].set()
        assert await second == 2
        assert not first.done()
        gates[1].set()
        assert await first == 1


async def test_a_party_cannot_answer_for_another(centre: Centre) -> None:
    """bank-b answers the id of bank-a's request; only bank-a's answer counts."""
    go = asyncio.Event()

    async def honest(*_: JSON) -> JSON:
        await go.wait()
        return "honest"

    async with party(centre, handle=honest) as a, party(centre, "bank-b") as b:
        asking = asyncio.create_task(centre.ask("bank-a", "x"))
        await until(lambda: a.handled)
        b.link._tasks._send("job_1/1/bank-a", "forged")
        b.link._tasks._send("job_1/9/bank-b", "never asked")
        assert (await centre.ask("bank-b", "y"))["verb"] == "y"  # all of b's words were read
        assert not asking.done()
        go.set()
        assert await asking == "honest"


async def test_an_answer_after_the_answer_is_ignored(centre: Centre) -> None:
    async with party(centre) as peer:
        first = await centre.ask("bank-a", "x")
        peer.link._tasks._send("job_1/1/bank-a", "late")
        assert first["verb"] == "x"
        assert (await centre.ask("bank-a", "y", seq=2))["verb"] == "y"


async def test_patience_measures_progress(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secureflow.adapters.link.tasks.PROGRESS", 0.05)
    go = asyncio.Event()

    async def working(*_: JSON) -> JSON:
        await go.wait()
        return "done"

    async with party(centre, handle=working):
        asking = asyncio.create_task(centre.ask("bank-a", "x", patience=NOTICED))
        done, _ = await asyncio.wait({asking}, timeout=1.5 * NOTICED)
        assert not done, "a party that shows progress is not silent"
        go.set()
        assert await asking == "done"
    error = await _failure(centre.ask("bank-a", "x", seq=2, patience=0.05))
    assert error.code == "party_silent"
    assert error.details["party"] == "bank-a"


async def test_a_hung_party_counts_as_silent(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secureflow.adapters.link.tasks.PROGRESS", 60.0)

    async def hang(*_: JSON) -> JSON:
        await asyncio.Event().wait()

    async with party(centre, handle=hang) as peer:
        assert (await _failure(centre.ask("bank-a", "x", patience=0.2))).code == "party_silent"
        assert peer.link.connected.is_set()


async def test_a_party_that_is_gone_is_waited_for_once(centre: Centre) -> None:
    assert (await _failure(centre.ask("bank-a", "x", patience=0.05))).code == "party_silent"
    async with asyncio.timeout(120):  # far less than the patience that nobody waits for now
        assert (await _failure(centre.ask("bank-a", "y", patience=3600))).code == "party_silent"
    async with party(centre):
        assert await centre.ask("bank-a", "z", patience=30) is not None


async def test_a_person_is_waited_for_also_where_the_party_is_gone(centre: Centre) -> None:
    """Consent takes days: an agent that is away now is asked when it is back."""
    assert (await _failure(centre.ask("bank-a", "x", patience=0.05))).code == "party_silent"
    asking = asyncio.create_task(centre.ask("bank-a", "consent", patience=None))
    async with party(centre):
        async with asyncio.timeout(120):
            assert (await asking)["verb"] == "consent"


async def test_withdrawn_requests_end_on_both_sides(centre: Centre) -> None:
    cancelled = asyncio.Event()

    async def wait(*_: JSON) -> JSON:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with party(centre, handle=wait) as peer:
        asking = asyncio.create_task(centre.ask("bank-a", "x"))
        await until(lambda: peer.handled)
        await centre.server.withdraw("job_1")
        assert (await _failure(asking)).code == "cancelled"
        await cancelled.wait()
        assert peer.withdrawn == ["job_1"]


async def test_the_newest_stream_of_a_party_wins(centre: Centre) -> None:
    async with party(centre) as old, party(centre) as new:
        await until(lambda: old.link.trouble is not None)
        assert old.link.trouble.code == "link_replaced"
        assert (await centre.ask("bank-a", "x"))["verb"] == "x"
        assert len(new.handled) == 1
        assert not old.handled
    assert centre.server.status("bank-a").replaced >= 1  # whoever looks later is told too


async def test_a_party_that_dials_again_replaced_no_open_link(centre: Centre) -> None:
    for _ in range(2):
        async with party(centre):
            assert centre.server.status("bank-a").connected
        await until(lambda: not centre.server.status("bank-a").connected)
    assert centre.server.status("bank-a").replaced == 0


def test_replacements_are_counted_for_ten_minutes() -> None:
    time = 0.0
    counted = Replacements(lambda: time)
    assert [counted.note("bank-a"), counted.note("bank-a"), counted.note("bank-b")] == [1, 2, 1]
    time = 300.0
    assert counted.note("bank-a") == 3
    time = COUNTED_SECONDS
    assert (counted.count("bank-a"), counted.count("bank-b"), counted.count("x")) == (1, 0, 0)


async def test_a_silent_link_is_given_up_and_dialled_again(
    centre: Centre, cutter: Cutter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packets vanish without a reset: only the heartbeat can tell."""
    monkeypatch.setattr(streams, "SILENCE", 0.3)
    monkeypatch.setattr(streams, "PING", 60.0)
    async with party(centre, address=cutter.address) as peer:
        await until(lambda: len(centre.hellos) >= 2)
        await peer.link.connected.wait()
    monkeypatch.setattr(streams, "PING", 0.05)
    monkeypatch.setattr(streams, "SILENCE", NOTICED)
    greeted = len(centre.hellos)
    async with party(centre, address=cutter.address) as peer:
        assert (await centre.ask("bank-a", "x", seq=2))["verb"] == "x"
        await asyncio.wait({asyncio.create_task(peer.link.connected.wait())})
        done, _ = await asyncio.wait({asyncio.ensure_future(_lost(peer))}, timeout=1.5 * NOTICED)
        assert not done, "pings keep an idle link alive"
        assert len(centre.hellos) == greeted + 1


async def _lost(peer: Party) -> None:
    await until(lambda: not peer.link.connected.is_set())


async def test_a_party_that_cannot_reach_the_centre_keeps_trying(
    centre: Centre, cutter: Cutter, ending: AsyncExitStack
) -> None:
    cutter.refuse(True)
    peer = Party(cutter.address, centre.pki.agent("bank-a"), echo).start()
    ending.push_async_callback(peer.stop)
    await until(lambda: peer.link.trouble is not None)
    assert peer.link.trouble.code == "link_broken"
    cutter.refuse(False)
    await peer.link.connected.wait()
    assert peer.link.trouble is None


async def test_a_party_far_away_gets_in_and_is_asked(centre: Centre, cutter: Cutter) -> None:
    """TCP, TLS and the settings take turns: over a satellite, more than a second of them."""
    cutter.delay = 0.25
    async with asyncio.timeout(60), party(centre, address=cutter.address):
        assert (await centre.ask("bank-a", "train"))["verb"] == "train"


async def test_an_answer_that_is_too_large_is_a_failure(centre: Centre) -> None:
    async def verbose(*_: JSON) -> JSON:
        return "x" * (1 << 20)

    async with party(centre, handle=verbose):
        assert (await _failure(centre.ask("bank-a", "x"))).code == "envelope_too_large"
        large = await _failure(centre.ask("bank-a", "x", {"a": "x" * (1 << 20)}, seq=2))
        assert large.code == "envelope_too_large"


async def test_calls_are_answered_or_refused(centre: Centre) -> None:
    def answer(name: str, kind: str, body: JSON) -> JSON:
        if kind == "dataset.publish":
            raise SecureFlowError("forbidden", f"{name} may not.", "", {"kind": kind})
        if kind == "status":
            raise ZeroDivisionError
        return {"for": name, **body}

    centre.answer_call = answer
    async with party(centre) as peer:
        assert await peer.link.call("charter.get", {"a": 1}) == {"for": "bank-a", "a": 1}
        refused = await _failure(peer.link.call("dataset.publish", {}))
        assert (refused.code, refused.details) == ("forbidden", {"kind": "dataset.publish"})
        assert (await _failure(peer.link.call("status", {}))).code == "internal"


@pytest.mark.parametrize(
    ("message", "details"),
    [("no", {"a": "x" * (1 << 20)}), ("no" + "x" * (1 << 20), {}), ("no\ud800", {"a": 1.5})],
)
async def test_a_refusal_that_cannot_be_sent_whole_keeps_its_name(
    centre: Centre, message: str, details: JSON
) -> None:
    """Else the call ended without an answer, and the party tried again."""

    def refuse(*_: JSON) -> JSON:
        raise SecureFlowError("forbidden", message, "Ask.", details)

    centre.answer_call = refuse
    async with party(centre) as peer:
        refused = await _failure(peer.link.call("dataset.publish", {}))
    assert (refused.code, refused.hint, refused.details) == ("forbidden", "Ask.", {})
    assert refused.message.startswith("no")


async def test_a_hello_that_the_centre_refuses_is_told(
    centre: Centre, ending: AsyncExitStack
) -> None:
    centre.refuse_hello = SecureFlowError("version_too_old", "Update the agent.", "To 2.0.")
    peer = Party(centre.address, centre.pki.agent("bank-a"), echo).start()
    ending.push_async_callback(peer.stop)
    await until(lambda: peer.link.trouble is not None)
    assert peer.link.trouble.code == "version_too_old"
    assert peer.link.trouble.hint == "To 2.0."
    assert not centre.server.status("bank-a").connected


async def test_a_party_announces_its_engines(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    hello = {"version": "1", "log_size": 0, "unproved": [], "engines": {"mpyc": "0.11", "/": "1"}}
    assert centre.server.status("bank-a").engines is None
    async with party(centre):
        assert centre.server.status("bank-a").engines is None  # an older one says nothing of them
    monkeypatch.setattr(Party, "_hello", lambda _: hello)
    async with party(centre):
        assert centre.server.status("bank-a").engines == {"mpyc": "0.11"}
        centre.server.note_engines("bank-a", {"mpyc": "0.11", "spu": "0.9.5"})
        assert set(centre.server.status("bank-a").engines or ()) == {"mpyc", "spu"}
        centre.server.note_engines("nobody", {"spu": "0.9.5"})
        assert centre.server.status("nobody").engines is None


async def test_status_follows_the_link(centre: Centre) -> None:
    assert not centre.server.status("bank-a").connected
    async with party(centre) as peer:
        status = centre.server.status("bank-a")
        assert status.connected
        assert status.version == "1"
        assert status.last_progress > 0
        assert status.gone == 0
        await peer.stop()
        await until(lambda: not centre.server.status("bank-a").connected)
    assert centre.server.status("bank-a").version == "1"
    assert centre.server.status("bank-a").gone >= status.since > 0
    async with party(centre):
        assert centre.server.status("bank-a").gone == 0


async def test_failing_log_proofs_fail_the_request_and_not_the_link(centre: Centre) -> None:
    def broken(*_: JSON) -> JSON:
        raise SecureFlowError("not_found", "There is no such head.")

    centre.log_proofs = broken
    async with party(centre):
        assert (await _failure(centre.ask("bank-a", "x"))).code == "not_found"
        centre.log_proofs = lambda *_: {}["defect"]
        assert (await _failure(centre.ask("bank-a", "x", seq=2))).code == "internal"
        centre.log_proofs = lambda *_: None
        assert (await centre.ask("bank-a", "x", seq=3))["rider"] is None


async def test_every_message_of_a_party_takes_a_turn(centre: Centre) -> None:
    taken: list[tuple[str, float]] = []

    class Turns:
        def pace(self, key: str, amount: float) -> float:
            taken.append((key, amount))
            return 0.0

    centre.server._pace = Turns()  # type: ignore[assignment]
    async with party(centre):
        assert (await centre.ask("bank-a", "train", {"text": "x" * 128 * 1024}))["verb"] == "train"
    assert [key for key, _ in taken] == ["bank-a"] * len(taken)
    hello, answer = taken[0][1], taken[-1][1]
    assert 1 < hello < 1.1
    assert 3 < answer < 3.1


async def test_a_peer_that_floods_is_read_no_faster() -> None:
    read, paused = 0, asyncio.Event()

    class Flood:
        async def read(self) -> bytes:
            nonlocal read
            read += 1
            return encode(Envelope("", "ping", {}))

        async def write(self, message: bytes) -> None:
            raise AssertionError

    def pace(_: int) -> float:
        if read < 10:
            return 0.0
        paused.set()
        return 3600.0

    running = asyncio.create_task(streams.Stream(Flood(), lambda _: None, pace).run())
    await paused.wait()
    for _ in range(10):
        await asyncio.sleep(0)
    assert read == 10
    running.cancel()


async def test_many_parties_at_once(centre: Centre, ending: AsyncExitStack) -> None:
    names = [f"bank-{index}" for index in range(6)]
    async with asyncio.TaskGroup() as group:
        for name in names:
            peer = Party(centre.address, centre.pki.agent(name), echo).start()
            ending.push_async_callback(peer.stop)
            group.create_task(peer.link.connected.wait())
    requests = [
        Request(f"job_1/{seq}/{name}", name, "x", {"n": f"{seq} {name}"}, 20.0)
        for name in names
        for seq in range(20)
    ]
    answers = await asyncio.gather(*map(centre.server.ask, requests))
    assert [answer["body"] for answer in answers] == [request.body for request in requests]


def test_back_off_grows_and_starts_over() -> None:
    backoff = party_module.JitteredBackoff()
    waits = [backoff.next() for _ in range(20)]
    assert waits[0] <= 0.1
    assert max(waits) <= 15.0
    assert waits[-1] >= 7.5
    backoff.reset()
    assert backoff.next() <= 0.1


async def test_what_is_asked_again_while_it_is_being_withdrawn_is_begun_anew(
    centre: Centre,
) -> None:
    begun, cancelled, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def handle(verb: str, body: JSON, log_proofs: JSON) -> JSON:
        if begun.is_set():
            assert ended.is_set()  # never two at once
            return {"again": True}
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
            await asyncio.sleep(0.2)  # what it holds is put away
            ended.set()

    async with party(centre, handle=handle):
        asking = asyncio.create_task(centre.ask("bank-a", "train"))
        await begun.wait()
        await centre.server.withdraw("job_1")
        await cancelled.wait()
        await asyncio.gather(asking, return_exceptions=True)
        assert await asyncio.wait_for(centre.ask("bank-a", "train"), 60) == {"again": True}


async def test_a_request_that_is_withdrawn_twice_is_never_worked_on_twice_at_once() -> None:
    """The first work takes its time to end: a worker is reaped. The second never began."""
    sent: list[Envelope] = []
    begun, reaped, answered = asyncio.Event(), asyncio.Event(), asyncio.Event()
    asked = 0

    async def handle(verb: str, body: JSON, log_proofs: JSON) -> JSON:
        nonlocal asked
        asked += 1
        if asked > 1:
            return {"by": asked, "alone": reaped.is_set()}
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            await reaped.wait()

    def send(envelope: Envelope) -> None:
        sent.append(envelope)
        answered.set()

    tasks = RequestTasks(handle, LogProgress, lambda error: error)
    tasks.attach(SimpleNamespace(send=send))  # type: ignore[arg-type]
    request = Envelope("job_1/1/a", "request", {"verb": "train", "body": {}})
    tasks.take(request)
    await begun.wait()
    for _ in range(3):
        tasks.withdraw("job_1")
        tasks.take(request)
        for _ in range(20):  # whatever could begin now has begun
            await asyncio.sleep(0)
    assert (asked, sent) == (1, [])
    stopping = asyncio.create_task(tasks.stop())
    await asyncio.sleep(0)
    assert not stopping.done(), "what was withdrawn is waited for, too"
    tasks.take(request)
    reaped.set()
    await asyncio.wait_for(answered.wait(), 60)
    assert [one.body["body"] for one in sent] == [{"by": 2, "alone": True}]
    await stopping
    await tasks.stop()


async def test_what_was_withdrawn_before_it_was_delivered_is_not_delivered(centre: Centre) -> None:
    reached, go = asyncio.Event(), asyncio.Event()

    async def log_proofs(*_: JSON) -> JSON:  # proofs out of a database that is slow just now
        reached.set()
        await go.wait()

    centre.server._callbacks = replace(centre.server._callbacks, log_proofs=log_proofs)
    async with party(centre) as peer:
        asking = asyncio.create_task(centre.ask("bank-a", "train"))
        await reached.wait()
        await centre.server.withdraw("job_1")
        with pytest.raises(SecureFlowError, match="withdrawn"):
            await asking
        go.set()
        await centre.ask("bank-a", "finish", seq=2)
        assert [verb for verb, _, _ in peer.handled] == ["finish"]
