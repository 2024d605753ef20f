"""A malicious centre that asks without end: an agent's memory and disk stay bounded."""

from __future__ import annotations

import asyncio
import gc
import json
from pathlib import Path
from typing import Any, cast

import pytest
from peers.agent_world import JOB, ORIGIN, World

from secureflow.adapters.link.messages import LogProgress
from secureflow.adapters.link.tasks import MAX_OPEN, RequestTasks
from secureflow.agent.edge.commands import Commands
from secureflow.agent.edge.control import MAX_LINE
from secureflow.agent.owner.inbox import MAX_WAITING, Inbox
from secureflow.agent.verbs.accusations import MAX_ACCUSATIONS, accuse
from secureflow.agent.witness.evidence import MAX_EVIDENCE_FILES
from secureflow.domain.specs.base import dump
from secureflow.engines.ledger.merkle import MemoryTree
from secureflow.engines.ledger.notes import Checkpoint, sign_checkpoint
from secureflow.kit.canonical import digest
from secureflow.kit.errors import SecureFlowError
from secureflow.wire import Envelope


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "agent")


class Sent:
    """A stream that keeps what is sent."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []

    def send(self, envelope: Envelope) -> None:
        self.envelopes.append(envelope)


async def test_requests_beyond_a_number_are_refused_at_once() -> None:
    begun, release = 0, asyncio.Event()

    async def handle(verb: str, body: Any, log_proofs: Any) -> Any:
        nonlocal begun
        begun += 1
        await release.wait()
        return {}

    desk, sent = RequestTasks(handle, LogProgress, lambda error: error), Sent()
    desk.attach(sent)  # type: ignore[arg-type]
    for number in range(MAX_OPEN + 3):
        desk.take(Envelope(f"job_{number}/1/a", "request", {"verb": "consent", "body": {}}))
    await asyncio.sleep(0)
    assert begun == MAX_OPEN
    assert [e.body["error"]["code"] for e in sent.envelopes] == ["party_busy"] * 3
    release.set()
    await desk.stop()


async def test_the_inbox_is_finite(world: World) -> None:
    inbox = Inbox(world.store, lambda: world.now)
    spec = dump(world.spec)
    for number in range(MAX_WAITING):
        inbox.put(f"job_{number:010d}", world.digest, spec, {}, (), world.now + 60)
    with pytest.raises(SecureFlowError) as error:
        inbox.put("job_9999999999", world.digest, spec, {}, (), world.now + 60)
    assert error.value.code == "inbox_full"
    again = inbox.put("job_0000000000", world.digest, spec, {}, (), world.now + 60)
    assert inbox.get(again).spec == spec
    inbox.decide(again, "rejected")
    inbox.put("job_9999999999", world.digest, spec, {}, (), world.now + 60)


async def test_the_inbox_can_be_listed_however_long_its_requests_are(world: World) -> None:
    """Else a centre that fills it keeps the owner from seeing, and rejecting, what fills it."""
    inbox, listing = world.assembly.inbox, Commands(world.assembly, *4 * [cast("Any", None)])
    long = dict.fromkeys(("purpose", "submitter", "dataset"), "名" * 200)
    columns = {name: ["列" * 128] * 4096 for name in ("columns", "sensitive")}
    request = {**long, **columns, "kind": "training", "parties": ["p" * 63] * 256, "epsilon": 0.1}
    spec = {**dump(world.spec), "name": "名" * 200}
    inbox.put(JOB, digest(spec), spec, request, (), world.now + 60)
    (line,) = await listing.inbox_list()
    assert len(json.dumps(line)) * 500 < MAX_LINE // 16  # it is quick to read, too
    assert (line["columns"], line["sensitive"][-1], line["parties"]) == (4096, "… 4088", 256)


async def test_a_decided_item_leaves_nothing_in_memory(world: World) -> None:
    inbox = world.assembly.inbox
    for number in range(20):
        job = f"job_{number:010d}"
        item = inbox.put(job, world.digest, dump(world.spec), {}, (), world.now + 60)
        waiting = asyncio.create_task(inbox.decision(item, job, world.digest))
        await asyncio.sleep(0)
        inbox.decide(item, "rejected")
        inbox.wake(item)
        assert (await waiting).state == "rejected"
    gc.collect()
    assert len(inbox._decided) == 0


async def test_what_expired_in_the_inbox_keeps_no_spec(world: World) -> None:
    inbox = Inbox(world.store, lambda: world.now)
    item = inbox.put(JOB, world.digest, dump(world.spec), {"dataset": "d"}, (), world.now)
    expired = await inbox.decision(item, JOB, world.digest)
    assert (expired.state, inbox.get(item).spec) == ("expired", {})
    gone = inbox.put("job_9999999999", world.digest, dump(world.spec), {}, (), world.now + 60)
    inbox.withdraw("job_9999999999")
    assert (inbox.get(gone).state, inbox.get(gone).spec) == ("withdrawn", {})


async def test_requests_for_unknown_jobs_leave_nothing_behind(world: World) -> None:
    for number in range(100):
        body = {"job": f"job_{number:010d}", "digest": world.digest, "generation": 1}
        with pytest.raises(SecureFlowError):
            await world.assembly.agent.handle("challenge", body, None)
    gc.collect()
    assert len(world.assembly.context.locks) == 0


async def test_one_lock_a_job_as_long_as_somebody_holds_it(world: World) -> None:
    locks = world.assembly.context.locks
    async with locks[JOB]:
        gc.collect()
        assert locks[JOB].locked()
    assert not locks[JOB].locked()


async def test_evidence_against_the_log_does_not_fill_the_disk(world: World) -> None:
    await world.admitted()
    await world.round(1)
    size = world.assembly.context.witness.log_size
    world.settings.evidence.mkdir(exist_ok=True)
    for number in range(MAX_EVIDENCE_FILES):  # what else is kept there takes no place of it
        (world.settings.evidence / f"accusation-{number}.json").touch()
    for number in range(MAX_EVIDENCE_FILES + 5):
        fork = MemoryTree()
        fork.append(number.to_bytes(4, "big"))
        head = sign_checkpoint(Checkpoint(ORIGIN, 1, fork.root()), world.log_key)
        log_proofs = {"consistency": {"from": 1, "to": size, "proof": []}, "inclusion": []}
        with pytest.raises(SecureFlowError) as error:
            await world.assembly.agent.handle("cosign", {"head": head}, log_proofs)
        assert error.value.code == "ledger_rollback"
    kept = list(world.settings.evidence.glob("ledger_*.json"))
    assert len(kept) == MAX_EVIDENCE_FILES


@pytest.mark.parametrize("over", [False, True])
async def test_accusations_do_not_fill_the_disk(world: World, *, over: bool) -> None:
    """Each names another round, which the centre chooses: no two refusals are the same."""
    await world.admitted()
    body = world.train_body()
    if over:
        await world.ask("finish", world.body(outcome="failed", model=None, head=world.head()))
        job = world.store.job(JOB)
        assert job is not None
        for number in range(2 * MAX_ACCUSATIONS):
            error = SecureFlowError("stale_round", "No such round.")
            accuse(world.assembly.context, job, "train", {**body, "round": number}, error)
    else:
        for number in range(1000, 1000 + 2 * MAX_ACCUSATIONS):
            with pytest.raises(SecureFlowError) as caught:
                await world.ask("train", {**body, "round": number})
            assert caught.value.code == "stale_round"
    leaves = 0 if over else MAX_ACCUSATIONS
    assert len(world.store.leaves_of("accusation")) == leaves
    assert len(list(world.settings.evidence.iterdir())) == MAX_ACCUSATIONS
