"""Two clocks that differ are noticed where the machines meet, and blamed where it hurts."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from peers.links import JSON, Centre, Party, now, party, until

from secureflow.adapters.link import party as party_module
from secureflow.adapters.link import requests, streams, tasks
from secureflow.adapters.link import server as server_module
from secureflow.adapters.link.streams import Stream
from secureflow.adapters.link.waits import waits_for_clock
from secureflow.kit.errors import SecureFlowError
from secureflow.wire import Envelope, decode

HOURS = 7200


@pytest.fixture(name="warned")
def _warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []

    def warning(event: str, **facts: Any) -> None:
        if event == "clock_differs":
            said.append(f"{facts.get('party', 'itself')}: {facts['message']}")

    log = SimpleNamespace(warning=warning, info=lambda *_, **__: None)
    monkeypatch.setattr(party_module, "_log", log)
    monkeypatch.setattr(server_module, "_log", log)
    return said


async def expired(verb: str, body: JSON, log_proofs: JSON) -> JSON:
    del body, log_proofs
    raise SecureFlowError(verb, "It has expired.")


async def refusal(centre: Centre, code: str, seq: int) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        await centre.ask("bank-a", code, seq=seq)
    return caught.value


async def test_a_clock_two_hours_ahead_is_told_at_both_ends(
    centre: Centre, warned: list[str]
) -> None:
    def clock() -> int:
        return now() + HOURS

    async with party(centre, clock=clock, handle=expired) as peer:
        assert peer.link.clock_ahead is not None
        assert abs(peer.link.clock_ahead - HOURS) < 120
        known = centre.server.status("bank-a").clock_ahead
        assert known is not None
        assert abs(known - HOURS) < 120
        assert len(warned) == 2
        assert {line.split(":")[0] for line in warned} == {"bank-a", "itself"}
        assert all("ahead of the centre's" in line for line in warned)
        error = await refusal(centre, "approval_expired", 1)
        assert "The clock of bank-a is " in error.message
        assert error.details["clock_ahead"] == peer.link.clock_ahead
        assert (await refusal(centre, "not_found", 2)).message == "It has expired."


async def test_clocks_that_agree_are_not_mentioned(centre: Centre, warned: list[str]) -> None:
    async with party(centre, handle=expired) as peer:
        known = centre.server.status("bank-a").clock_ahead
        assert known is not None
        assert peer.link.clock_ahead is not None
        assert max(abs(known), abs(peer.link.clock_ahead)) < 120
        assert warned == []
        assert (await refusal(centre, "approval_expired", 1)).message == "It has expired."


@pytest.mark.parametrize("junk", [None, "now", -1])
async def test_a_time_that_is_none_is_not_compared(
    centre: Centre, warned: list[str], monkeypatch: pytest.MonkeyPatch, junk: JSON
) -> None:
    """From a party of an older version, or one that lies: it is no reason to refuse the link."""
    hello = {"version": "1", "time": junk, "log_size": 0, "unproved": []}
    monkeypatch.setattr(Party, "_hello", lambda _: hello)
    async with party(centre):
        assert centre.server.status("bank-a").clock_ahead is None
        assert warned == []


async def test_a_clock_that_is_set_while_the_link_stands_is_noticed_and_again_when_right(
    centre: Centre, warned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "PING", 0.02)
    ahead = [0]
    async with party(centre, clock=lambda: now() + ahead[0]) as peer:

        def seen() -> list[int]:
            both = (peer.link.clock_ahead, centre.server.status("bank-a").clock_ahead)
            return [round((one or 0) / HOURS) for one in both]

        await asyncio.sleep(0.1)
        assert (seen(), warned) == ([0, 0], [])
        ahead[0] = -HOURS
        await until(lambda: seen() == [-1, -1])
        await asyncio.sleep(0.1)
        assert len(warned) == 2, "what has not changed is not said again"
        ahead[0] = 0
        await until(lambda: seen() == [0, 0])
        ahead[0] = HOURS
        await until(lambda: len(warned) == 4)


async def test_the_time_is_told_over_a_busy_link_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "PING", 0.02)
    pinged: asyncio.Future[tuple[JSON, int]] = asyncio.get_running_loop().create_future()

    class Pipe:
        async def read(self) -> Any:
            await asyncio.Event().wait()

        async def write(self, message: bytes) -> None:
            told, waiting = decode(message), stream._queue.qsize()
            if told.kind == "ping" and not pinged.done():
                pinged.set_result((told.body, waiting))
            stream.send(Envelope("job_1/1/bank-a", "progress", {}))  # there is always a next one
            await asyncio.sleep(0)

    stream = Stream(Pipe(), lambda _: None, clock=lambda: 7)
    stream.send(Envelope("job_1/1/bank-a", "progress", {}))
    running = asyncio.create_task(stream.run())
    body, waiting = await asyncio.wait_for(pinged, 60)
    assert body == {"time": 7}
    assert waiting, "nobody was idle"
    stream.close()
    await running


async def test_an_error_that_a_clock_may_have_caused_names_the_enclaves_too(
    centre: Centre,
) -> None:
    uri = f"spiffe://{centre.pki.authority.trust_domain}/enclave/main"
    enclave = Party(centre.address, centre.pki.enrol(uri), expired, lambda: now() - HOURS).start()
    try:
        await enclave.link.connected.wait()
        async with party(centre, handle=expired):
            error = await refusal(centre, "link_broken", 1)
            assert "enclave 7" in error.message
            assert "behind" in error.message
            assert (await refusal(centre, "not_found", 2)).message == "It has expired."
    finally:
        await enclave.stop()


async def test_who_waits_for_the_enclaves_clock_is_shown_with_it_and_ends_by_its_name(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait is known to watchers before it is known whose clock is wrong: then they are told."""
    monkeypatch.setattr(tasks, "PROGRESS", 0.02)
    monkeypatch.setattr(streams, "PING", 0.02)
    monkeypatch.setattr(requests, "REPORT_AGAIN", 0.0)
    told: list[str] = []
    centre.server._requests._on_wait = lambda _, error: told.append(error.message if error else "")
    ahead, right = [0], asyncio.Event()

    async def uploading(*_: JSON) -> JSON:
        waits_for_clock(SecureFlowError("certificate_not_valid_now", "It has expired."))
        await right.wait()
        return "done"

    peer = Party(centre.address, centre.pki.enclave(), expired, lambda: now() + ahead[0]).start()
    try:
        await peer.link.connected.wait()
        async with party(centre, handle=uploading):
            asking = asyncio.create_task(centre.ask("bank-a", "train"))
            await until(lambda: told)
            assert told[0].startswith("bank-a waits to upload to the enclave")
            ahead[0] = -HOURS
            await until(lambda: told[-1].endswith("s behind."))
            assert "enclave 7" in told[-1]
            with pytest.raises(SecureFlowError) as caught:
                await centre.ask("bank-a", "train", seq=2, patience=0.3)
            assert "enclave" in caught.value.details["clock_ahead"]
            assert "NTP" in caught.value.hint
            assert not asking.done()
            right.set()
            assert await asking == "done"
            assert told[-1] == ""
    finally:
        await peer.stop()


async def test_a_refusal_right_after_a_clock_was_set_names_it(centre: Centre) -> None:
    """Before any ping has told it."""
    ahead = [0]
    async with party(centre, clock=lambda: now() + ahead[0], handle=expired):
        ahead[0] = HOURS
        error = await refusal(centre, "approval_expired", 1)
        assert "bank-a 7" in error.message


async def test_a_wrong_clock_renews_once_and_not_for_ever(centre: Centre) -> None:
    """A day ahead, every new certificate looks old at once."""
    asked: list[str] = []

    def answer(who: str, kind: str, body: JSON) -> JSON:
        asked.append(kind)
        uri = f"spiffe://{centre.pki.authority.trust_domain}/org/{who}/agent/a1"
        return {"certificate": centre.pki.authority.issue(body["csr"], uri, now())}

    centre.answer_call = answer
    async with party(centre, clock=lambda: now() + 25 * 3600) as peer:
        await until(lambda: len(centre.hellos) == 2)
        await peer.link.connected.wait()
        await asyncio.sleep(1.0)
        assert asked == ["certificate.renew"]
        assert len(centre.hellos) == 2


async def silence(centre: Centre, seq: int, patience: float) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        await centre.ask("bank-a", "x", seq=seq, patience=patience)
    assert caught.value.code == "party_silent"
    return caught.value


async def test_a_party_that_a_wrong_clock_kept_out_is_waited_for_once_it_has_a_certificate(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once until it is here: who renews and never comes holds no job for ever."""
    monkeypatch.setattr("secureflow.adapters.link.tasks.PROGRESS", 60.0)
    asking = asyncio.create_task(centre.ask("bank-a", "x"))
    await until(lambda: centre.server._requests._open)
    (entry,) = centre.server._requests._open.values()
    began = entry.progress
    await asyncio.sleep(0.01)
    centre.server.expect("bank-b")
    assert entry.progress == began
    centre.server.expect("bank-a")
    assert (anew := entry.progress) > began
    await asyncio.sleep(0.01)
    centre.server.expect("bank-a")
    assert entry.progress == anew, "it has had its time"
    go = asyncio.Event()

    async def working(*_: JSON) -> JSON:
        await go.wait()
        return "done"

    async with party(centre, handle=working):
        reached = entry.progress
        await asyncio.sleep(0.01)
        centre.server.expect("bank-a")
        assert entry.progress == reached, "who is here says itself what it does"
        go.set()
        assert await asking == "done"


async def test_a_party_that_was_given_up_is_waited_for_again_once(centre: Centre) -> None:
    await silence(centre, 1, 0.05)
    await silence(centre, 2, 3600.0)
    centre.server.expect("bank-a")
    asking = asyncio.create_task(centre.ask("bank-a", "x", seq=3))
    async with party(centre):
        assert (await asking)["verb"] == "x"
    await until(lambda: not centre.server.status("bank-a").connected)
    await silence(centre, 4, 0.05)
    centre.server.expect("bank-a")
    assert not centre.server._gone, "it was here, and may be kept out again"
    await silence(centre, 5, 0.05)
    centre.server.expect("bank-a")
    async with asyncio.timeout(120):  # it has not come since: far less than this patience
        await silence(centre, 6, 3600.0)


async def test_the_silence_of_a_party_whose_certificate_does_not_hold_names_the_clock(
    centre: Centre,
) -> None:
    said = "By the centre's clock the certificate is not valid."

    async def certificate_problem(who: str) -> str:
        return said if who == "bank-a" else ""

    centre.server._callbacks = replace(
        centre.server._callbacks, certificate_problem=certificate_problem
    )
    for seq, patience in ((1, 0.05), (2, 3600.0)):  # silent, and then known to be gone
        error = await silence(centre, seq, patience)
        assert error.message.endswith(said)
        assert "compare its clock" in error.hint
        assert error.details["party"] == "bank-a"
    with pytest.raises(SecureFlowError) as caught:
        await centre.ask("bank-b", "x", patience=0.05)
    assert "clock" not in caught.value.message + caught.value.hint
