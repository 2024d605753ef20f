"""What goes wrong around a peer: nothing is lost, doubled, signed unseen or waited for for ever."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from secureflow.adapters.anchors.fabric import process
from secureflow.adapters.anchors.fabric.driver import FabricAnchor, FabricKeys
from secureflow.application.ports.anchor import Ticket
from secureflow.engines.anchors.entries import RegisterJob
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.keyfiles import plain_keys
from tests.peers.fabric_world import Authority, Member, Network, head, pem, python, sizes


def job(number: int) -> RegisterJob:
    return RegisterJob(bytes([8, number]) * 16, b"s" * 32)


async def refused(work: Any, code: str, words: str = "") -> None:
    with pytest.raises(SecureFlowError) as found:
        await work
    assert found.value.code == code
    assert isinstance(found.value, InfrastructureError) is (code == "anchor_unavailable")
    assert words in found.value.message


async def done(anchor: FabricAnchor, ticket: Ticket) -> tuple[str, ...]:
    outcome = await anchor.outcome(ticket)
    assert outcome.state == "final"
    return outcome.results


async def test_a_peer_that_is_away_is_unavailable_until_it_is_back(network: Network) -> None:
    async with network.anchor(network.members[0]) as anchor:
        ticket = await anchor.prepare([job(1)], [])
        with network.fault("unavailable"):
            for work in (
                anchor.prepare([job(1)], []),
                anchor.send(ticket),
                anchor.outcome(ticket),
                anchor.happened(None),
                anchor.heads(b"l" * 32),
            ):
                await refused(work, "anchor_unavailable", "no peers available")
            assert "no peers available" in (await anchor.probe()).problem
        with network.fault("orderer"):
            await refused(anchor.send(ticket), "anchor_unavailable", "connection refused")
        with network.fault("chaincode crashed"):
            await refused(anchor.prepare([job(1)], []), "anchor_unavailable", "terminated")
        await anchor.send(ticket)
        assert await done(anchor, ticket) == ("kept",)


async def test_what_was_sent_and_not_answered_is_sent_again_and_kept_once(
    network: Network,
) -> None:
    async with network.anchor(network.members[0]) as anchor:
        ticket = await anchor.prepare([job(2)], [])
        with network.fault("no answer"):
            await refused(anchor.send(ticket), "anchor_unavailable")
        await anchor.send(ticket)
        assert await done(anchor, ticket) == ("kept",)
        events = (await anchor.happened(None)).events
        assert sum(one.entry == job(2) for one in events) == 1


async def test_what_the_orderer_lost_waits_until_it_is_sent_again(network: Network) -> None:
    async with network.anchor(network.members[0], wait=0.2) as anchor:
        ticket = await anchor.prepare([job(3)], [])
        with network.fault("lose"):
            await anchor.send(ticket)
            assert (await anchor.outcome(ticket)).state == "waiting"
        await anchor.send(ticket)
    async with network.anchor(network.members[0]) as other:  # a driver that knows the ticket only
        assert await done(other, ticket) == ("kept",)


async def test_too_few_endorsements_are_lost_and_change_nothing(network: Network) -> None:
    async with network.anchor(network.members[0]) as anchor:
        with network.fault("one endorsement"):
            ticket = await anchor.prepare([job(4)], [])
        await anchor.send(ticket)
        assert (await anchor.outcome(ticket)).state == "lost"
        assert network.codes()[-1] == "ENDORSEMENT_POLICY_FAILURE"
        assert job(4) not in [one.entry for one in (await anchor.happened(None)).events]


async def test_a_stream_of_events_that_is_cut_loses_and_doubles_nothing(network: Network) -> None:
    async with network.anchor(network.members[1], near=0) as anchor:
        for number in range(4):
            ticket = await anchor.prepare([head(number + 1, log=9)], [])
            await anchor.send(ticket)
            assert await done(anchor, ticket) == ("kept",)
        cursor, seen = None, list[int]()
        with network.fault("cut events"):
            while len(seen) < 4:
                page = await anchor.happened(cursor)
                cursor = page.cursor
                seen += sizes(page.events, 9)
        assert seen == [1, 2, 3, 4]
        reading = asyncio.create_task(anchor.happened(cursor))
        await asyncio.sleep(0)
        network.do("cut")
        assert (await reading).events == ()


async def test_a_stream_without_end_and_without_events_ends_a_page(network: Network) -> None:
    """Its next message is there already whenever the time for the page is over."""
    async with network.anchor(network.members[1], near=0, patience=2.0) as anchor:
        ticket = await anchor.prepare([head(1, log=8)], [])
        await anchor.send(ticket)
        assert await done(anchor, ticket) == ("kept",)
        with network.fault("dripping"):
            assert (await anchor.happened(None)).events == ()
        assert (await anchor.happened(None)).events


async def test_another_transaction_than_the_proposed_one_is_not_signed(network: Network) -> None:
    async with network.anchor(network.members[0]) as anchor:
        with network.fault("swap"):
            await refused(anchor.prepare([job(5)], []), "anchor_refused", "another transaction")


@pytest.mark.parametrize(
    ("fault", "words"), [("oversized", "more than is read"), ("malformed", "not of our chaincode")]
)
async def test_answers_that_are_none_are_refused(network: Network, fault: str, words: str) -> None:
    async with network.anchor(network.members[0]) as anchor:
        with network.fault(fault):
            await refused(anchor.heads(b"l" * 32), "anchor_refused", words)
        assert await anchor.heads(b"l" * 32) == []


async def test_a_block_whose_content_is_another_is_refused(network: Network) -> None:
    async with network.anchor(network.members[0]) as anchor:
        with network.fault("forged"):
            await refused(anchor.happened(None), "anchor_refused", "no block of this channel")


async def test_certificates_that_the_channel_does_not_admit_are_refused(network: Network) -> None:
    expired = Member(network.orgs[0], "late", days=-1)
    foreign = Member(Authority("Org1MSP"), "foreign")
    unknown = Member(Authority("Org9MSP"), "unknown")
    for member in (expired, foreign, unknown):
        async with network.anchor(member) as anchor:
            await refused(anchor.prepare([job(6)], []), "anchor_refused", "does not admit")
            ticket = Ticket("00" * 32, {})
            await refused(anchor.outcome(ticket), "anchor_refused", "does not admit")


async def test_a_key_that_is_not_the_certificates_is_refused(network: Network) -> None:
    member = Member(network.orgs[0], "mixed")
    member.key = network.members[0].key
    async with network.anchor(member) as anchor:
        await refused(anchor.prepare([job(6)], []), "anchor_refused", "do not fit together")


async def test_a_peer_of_another_ca_is_refused(network: Network) -> None:
    other = pem(Authority("other").certificate)
    async with network.anchor(network.members[0], ca=other, patience=2.0) as anchor:
        await refused(anchor.heads(b"l" * 32), "anchor_refused", "pinned")


async def test_signatures_with_high_s_are_refused_by_the_network(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "PROGRAM", Path(__file__).with_name("high_s.py"))
    async with network.anchor(network.members[0]) as anchor:
        await refused(anchor.prepare([job(6)], []), "anchor_refused", "does not admit")


@pytest.mark.parametrize(
    "says",
    [
        "print('no JSON', flush=True)",
        "print('{}', flush=True)",
        """print('{"id": 1}', flush=True)""",
        "sys.stdout.write('x' * (17 << 20)); sys.stdout.flush()",
        "sys.exit('gone')",
    ],
)
async def test_a_process_that_says_what_is_no_answer_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str
) -> None:
    program = tmp_path / "program.py"
    program.write_text(f"import sys\nsys.stdin.readline()\n{says}\nsys.stdin.readline()\n")
    monkeypatch.setattr(process, "PROGRAM", program)
    made = process.GatewayProcess(lambda: Path(sys.executable), dict)
    with pytest.raises(process.GatewayFailure) as failure:
        async with asyncio.timeout(60):  # long before it would be given up for its silence
            await made.ask("info", 300)
    assert failure.value.status == "gone"
    assert made.pid is None
    await made.close()


async def test_a_killed_gateway_process_is_unavailable_and_then_another_one(
    network: Network,
) -> None:
    async with network.anchor(network.members[0], wait=10.0) as anchor:
        ticket = await anchor.prepare([job(7)], [])
        network.do("hold")
        await anchor.send(ticket)
        waiting = asyncio.create_task(anchor.outcome(ticket))
        await asyncio.sleep(0.1)
        assert anchor.gateway.pid is not None
        os.kill(anchor.gateway.pid, signal.SIGKILL)
        await refused(waiting, "anchor_unavailable")
        network.do("release")
        assert await done(anchor, ticket) == ("kept",)


def test_a_killed_sender_leaves_its_ticket_and_no_process(network: Network) -> None:
    member = network.members[0]
    where = vars(network.where(member))
    told = {
        "where": {name: one for name, one in where.items() if not isinstance(one, bytes)},
        "ca": where["ca"].decode(),
        "certificate": where["certificate"].decode(),
        "key": pem(member.key).decode(),
        "python": str(python()),
    }
    with subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("sender.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as sender:
        assert sender.stdin is not None
        assert sender.stdout is not None
        sender.stdin.write(json.dumps(told).encode() + b"\n")
        sender.stdin.flush()
        pid, name, body = json.loads(sender.stdout.readline())
        assert sender.stdout.readline() == b"sent\n"
        handle = os.pidfd_open(pid)
        sender.kill()
    with os.fdopen(handle):  # readable once the process has ended
        assert ended(handle)

    async def finish() -> tuple[str, ...]:
        async with network.anchor(member) as anchor:
            ticket = Ticket(name, body)
            await anchor.send(ticket)
            return await done(anchor, ticket)

    assert asyncio.run(finish()) == ("kept",)


def ended(handle: int) -> bool:
    return bool(select.select([handle], [], [], 30)[0])


async def test_a_network_that_is_killed_goes_on_where_it_was(own_network: Network) -> None:
    network = own_network
    async with network.anchor(network.members[0], wait=0.2) as anchor:
        await refused(anchor.prepare([job(1)], []), "anchor_unavailable", "not initialized")
        await network.begin()
        kept = await anchor.prepare([job(1)], [])
        await anchor.send(kept)
        assert (await anchor.outcome(kept)).state in ("final", "waiting")
        held = await anchor.prepare([job(2)], [])
        network.do("hold")
        await anchor.send(held)  # ordered, and in no block yet
        cursor = (await anchor.happened(None)).cursor
        network.kill_gateway()
        await refused(anchor.outcome(held), "anchor_unavailable")
        await refused(anchor.send(held), "anchor_unavailable")
        network.start_gateway()
        await anchor.send(held)
        while (outcome := await anchor.outcome(held)).state == "waiting":
            pass
        assert (outcome.state, outcome.results) == ("final", ("kept",))
        assert [one.entry for one in (await anchor.happened(cursor)).events] == [job(2)]
        assert (await anchor.happened(None)).events[0].entry == job(1)


async def test_the_key_is_on_no_command_line_and_in_no_environment(network: Network) -> None:
    async with network.anchor(network.members[0]) as anchor:
        await anchor.members()
        found = Path("/proc") / str(anchor.gateway.pid)
        secret = pem(network.members[0].key).splitlines()[1]
        for name in ("cmdline", "environ"):
            assert secret not in (found / name).read_bytes()


async def test_a_place_that_was_begun_under_another_name_gets_nothing(network: Network) -> None:
    async with network.anchor(network.members[0]) as anchor:

        async def ask(do: str, patience: float, **more: Any) -> Any:
            assert do == "evaluate"
            return {"payload": '{"place":"fabric:audit:other","window":1}'}

        anchor.gateway.ask = ask  # type: ignore[method-assign]
        with pytest.raises(SecureFlowError, match="another name"):
            await anchor.prepare([head(1)], [])


async def test_keys_that_others_can_read_are_refused(network: Network, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(pem(network.members[0].key))
    path.chmod(0o644)
    files = plain_keys()
    anchor = FabricAnchor(
        network.where(network.members[0]), python, lambda: FabricKeys(files.read(path, "fabric"))
    )
    await refused(anchor.members(), "key_exposed")
    path.chmod(0o600)
    assert len(await anchor.members()) == 3
    await anchor.close()
    path.unlink()
    await refused(anchor.members(), "anchor_refused", "cannot be read")
