"""Revoking bites: at the owner's own agent, at once, without any link, and for good.

Each test takes a grant back at another moment of a job. The centre is silent throughout: nothing
reaches it. What must hold afterwards: no vote, no answer, nothing sent; what ran is gone.
"""

from __future__ import annotations

import asyncio
import os
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peers import bundle_jobs
from peers.agent_world import JOB, ME, NOW, World
from peers.bundle_jobs import code_spec, gone, model_source
from peers.psi_world import PsiAgentWorld
from peers.sandboxes import demand_sandbox
from peers.statistics_world import StatisticsWorld

from secureflow.agent.verbs.stoppedjobs import StoppedJob
from secureflow.agent.verbs.stopping import Cause
from secureflow.domain.grants import GrantTerms
from secureflow.engines.run.masked import model_binding
from secureflow.engines.secagg import Conductor, SecAggClient, open_sum
from secureflow.engines.secagg.messages import Upload, pack
from secureflow.kit.canonical import b64decode, b64encode
from secureflow.kit.errors import SecureFlowError

WITHIN = 5.0
"""Seconds until everything has stopped."""
STATES = ("running", "kept as it was after a restart")


def granted(world: World, **changes: Any) -> str:
    """Make the grant under which the job runs."""
    (dataset,) = world.settings.datasets
    columns = tuple(one.name for one in dataset.columns)
    terms = GrantTerms("customers", "prj_0123456789", columns, NOW + 86_400, **changes)
    return world.assembly.grants.create(terms).id


async def revoke(world: World, grant: str) -> StoppedJob:
    """Revoke the grant; the job ends in time."""
    began = time.monotonic()
    (stopped,) = await world.assembly.stopping.stop(Cause("grant_revoked", grant, reason="no"))
    assert time.monotonic() - began < WITHIN
    assert stopped.job == JOB
    job = world.store.job(JOB)
    assert job is not None
    assert (job.outcome, job.secret) == ("grant_revoked", b"")
    return stopped


async def refused(world: World, verb: str, body: dict[str, Any]) -> None:
    with pytest.raises(SecureFlowError) as caught:
        await world.ask(verb, body)
    assert caught.value.code == "grant_revoked", verb


async def test_revoked_between_upload_and_vote_sealed(tmp_path: Path) -> None:
    world = World(tmp_path / "agent")
    grant = granted(world)
    await world.admitted()
    train = world.train_body()
    await world.ask("train", train)
    stopped = await revoke(world, grant)
    assert (stopped.sent, stopped.voted) == (((1, "train"),), ())
    assert not stopped.opens, "of three parties all have to vote"
    assert "never opens" in " ".join(stopped.told())
    for again in STATES:
        await refused(world, "close", world.close_body(train))
        await refused(world, "train", train)
        assert world.store.vote(JOB, 1, "train") is None, again
        world.reopen()
    assert len(world.uplink.sent) == 1


async def test_revoked_after_a_vote_says_what_cannot_be_taken_back(tmp_path: Path) -> None:
    world = World(tmp_path / "agent")
    grant = granted(world)
    await world.admitted()
    await world.round(1)
    body = world.train_body(2)
    await world.ask("train", body)
    stopped = await revoke(world, grant)
    assert (stopped.voted, stopped.sent) == (((1, "train"),), ((2, "train"),))
    first, second = stopped.told()
    assert "voted on round 1 (train)" in first
    assert "cannot be taken back" in first
    assert "round 2 (train) was sent without a vote, and never opens" in second
    # The vote that was given is not given again either.
    await refused(world, "close", world.close_body(world.train_body(1)))


async def test_of_four_parties_the_message_says_that_three_can_certify(tmp_path: Path) -> None:
    world = World(tmp_path / "agent", parties=(ME, "bank-b", "bank-c", "bank-d"))
    grant = granted(world)
    await world.admitted()
    await world.ask("train", world.train_body())
    stopped = await revoke(world, grant)
    assert stopped.opens
    assert "3 of the 4 parties" in " ".join(stopped.told())


async def test_of_four_parties_that_all_have_to_contribute_nothing_opens(tmp_path: Path) -> None:
    """What an owner gets that grants groups of four: see `test_certificate` and `test_plan`."""
    world = World(
        tmp_path / "agent",
        parties=(ME, "bank-b", "bank-c", "bank-d"),
        spec_changes={"min_contributors": 4},
    )
    grant = granted(world, min_group=4)
    await world.admitted()
    await world.ask("train", world.train_body())
    stopped = await revoke(world, grant)
    assert not stopped.opens
    assert "never opens" in " ".join(stopped.told())


async def test_revoked_between_upload_and_vote_masked(tmp_path: Path) -> None:
    """StatisticsWorld is `secagg`: the others hold shares, and need this party's answer."""
    world = StatisticsWorld(tmp_path / "agent")
    grant = granted(world)
    await world.consented()
    frames = await world.met()
    body = world.mask_body(frames)
    reply = await world.ask("mask", body)
    world.record(reply)
    world.conductor.receive(ME, b64decode(reply["upload"], 1 << 20))
    total = world.others_upload(frames)
    total += np.frombuffer(world.vectors.sent[0], world.plan.ring)
    world.conductor.close()
    answer = world.answer_body(world.head())
    await revoke(world, grant)
    for _ in STATES:
        await refused(world, "answer", answer)
        await refused(world, "mask", body)
        assert world.store.vote(JOB, 1, "statistics") is None
        assert world.store.session(JOB, "statistics") is None, "the shares are gone with it"
        world.reopen()
    asked = world.conductor.requests()
    for party, client in world.others.items():
        world.conductor.receive(party, client.answer(asked[party]))
    with pytest.raises(SecureFlowError):  # two of three answers open nothing
        open_sum(world.plan, 0, world.conductor.opened(), total)


class SealedAndMasked:
    """A round of `sealed+secagg` training of three parties, up to this party's vote."""

    def __init__(self, directory: Path) -> None:
        self.world = World(directory, spec_changes={"protection": "sealed+secagg"})
        world = self.world
        kind = world.assembly.context.kinds.of(world.spec)
        self.plan = kind.masked_plan(world.spec, JOB, world.digest, "train")
        self.stages = kind.masked_stages(world.spec)
        self.conductor = Conductor(self.plan)
        others = [party for party in world.parties if party != ME]
        self.others = {p: SecAggClient(self.plan, p, world.keys[p]) for p in others}
        self.sent: list[str] = []
        world.uplink.send = self._send  # type: ignore[method-assign]

    async def _send(self, address: str, update: Any, commitment: str) -> dict[str, Any]:
        self.sent.append(commitment)
        return {}

    async def masked(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Play up to the question; return the requests of the upload and of the answer."""
        world = self.world
        await world.admitted()
        setup = await world.ask("setup", world.body())
        self.conductor.receive(ME, b64decode(setup["setups"]["train"], 1 << 20))
        for party, client in self.others.items():
            self.conductor.receive(party, client.setup())
        meet = self.conductor.meet()
        body = world.body(meet={"train": b64encode(meet)}, rounds={"train": 0})
        advance = await world.ask("advance", body)
        self.conductor.receive(ME, b64decode(advance["advances"]["train"], 1 << 20))
        binding = model_binding(world.initial, None)
        for party, client in self.others.items():
            client.meet(meet)
            self.conductor.receive(party, client.advance(0))
        frames = self.conductor.begin(0, binding)
        mask = world.body(
            round=1, stage="train", model=None, moments=None, steps=[], head=world.head(),
            begin=b64encode(frames[ME]), vector={"size": self.plan.vector_bytes}, generation=1,
            uplink={"address": "enclave:1"},
        )  # fmt: skip
        reply = await world.ask("mask", mask)
        world.record(reply)
        self.conductor.receive(ME, b64decode(reply["upload"], 1 << 20))
        for party, client in self.others.items():
            client.begin(frames[party], binding)
            vector = np.empty(self.plan.encoding.slots, self.plan.ring)
            zeros = np.zeros(self.plan.encoding.length)
            metrics = {one.name: 0.0 for one in self.plan.encoding.metrics}
            client.contribute(zeros, 1, metrics, None, vector)
            self.conductor.receive(party, pack(Upload(0, self.conductor.context)))
        self.conductor.close()
        frame = b64encode(self.conductor.requests()[ME])
        answer = world.body(
            round=1, stage="train", frame=frame, cosigned=world.cosigned(world.head())
        )
        return mask, answer


async def test_revoked_between_upload_and_vote_sealed_and_masked(tmp_path: Path) -> None:
    played = SealedAndMasked(tmp_path / "agent")
    world = played.world
    grant = granted(world)
    mask, answer = await played.masked()
    assert len(played.sent) == 1
    await revoke(world, grant)
    for _ in STATES:
        await refused(world, "answer", answer)
        await refused(world, "mask", mask)
        assert world.store.vote(JOB, 1, "train") is None
        assert world.store.session(JOB, "train") is None
        world.reopen()
    assert len(played.sent) == 1


async def test_without_a_revocation_those_rounds_end_in_votes(tmp_path: Path) -> None:
    """The same plays, so that the refusals above are the revocation's."""
    played = SealedAndMasked(tmp_path / "agent")
    _, answer = await played.masked()
    assert (await played.world.ask("answer", answer))["answer"]
    assert played.world.store.vote(JOB, 1, "train") is not None


class Held:
    """A worker that computes for ever, in some step."""

    def __init__(self, inner: Any, step: str) -> None:
        self.inner, self.step = inner, step
        self.begun = asyncio.Event()
        self.ended = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def compute(self, job: str, step: str, arguments: Any = None) -> Any:
        if step != self.step:
            return await self.inner.compute(job, step, arguments)
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended = True


async def stopped_while(world: World, grant: str, asking: asyncio.Task[Any]) -> None:
    await revoke(world, grant)
    async with asyncio.timeout(WITHIN):
        with pytest.raises(SecureFlowError) as caught:
            await asking
    assert caught.value.code == "grant_revoked"


async def test_revoked_during_statistics(tmp_path: Path) -> None:
    world = StatisticsWorld(tmp_path / "agent")
    held: Any = Held(world.counting, "statistics")
    world.counting = held
    world.reopen()
    grant = granted(world)
    await world.consented()
    frames = await world.met()
    asking = asyncio.create_task(world.ask("mask", world.mask_body(frames)))
    async with asyncio.timeout(60):
        await held.begun.wait()
    await stopped_while(world, grant, asking)
    assert held.ended
    assert "close" in held.calls, "its worker ends"
    assert world.vectors.sent == []
    assert world.store.round(JOB, 1, "statistics") is None


async def test_revoked_during_psi(tmp_path: Path) -> None:
    world = PsiAgentWorld(tmp_path / "agent")
    grant = granted(world)
    await world.consented()
    await world.offer()
    world.engine.hold = asyncio.Event()
    asking = asyncio.create_task(world.run())
    while not world.engine.jobs:
        assert not asking.done(), asking.result()
        await asyncio.sleep(0.001)
    await stopped_while(world, grant, asking)
    assert not world.file.exists()
    assert None in world.links_to.forgotten, "its channels end, and their keys are gone"
    world.engine.hold.set()
    world.reopen()
    await refused(world, "peer_offer", world.body(
        attempt=2, program=world.spec.program, head=world.head()
    ))  # fmt: skip


class Brought:
    """The worker of a job whose code runs in a real process, under the id of `bundle_jobs`."""

    def __init__(self, inner: Any, place: Any) -> None:
        self.inner, self.place = inner, place

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def compute(self, job: str, step: str, arguments: Any = None) -> Any:
        assert step == "train"
        return await self.place.train()

    async def close(self, job: str) -> None:
        await self.place.workers.close(bundle_jobs.JOB)


async def test_revoked_during_a_bundles_training(tmp_path: Path) -> None:
    """The code runs in its sandbox, never answers, and is gone when the revocation returns."""
    demand_sandbox("root" if os.geteuid() == 0 else "ordinary")
    source = model_source(train="print('at it', flush=True)\nwhile True: time.sleep(0.01)")
    place_of = partial(bundle_jobs.place, tmp_path / "code")
    async with place_of({"model.py": source}, code_spec()) as place:
        world = World(tmp_path / "agent")
        world.worker = Brought(world.worker, place)  # type: ignore[assignment]
        world.reopen()
        grant = granted(world)
        await world.admitted()
        asking = asyncio.create_task(world.ask("train", world.train_body()))
        while not place.log.exists() or "at it" not in place.log.read_text():
            assert not asking.done(), asking
            await asyncio.sleep(0.01)
        pid = place.pid
        await stopped_while(world, grant, asking)
        assert gone(pid)
        assert world.store.round(JOB, 1, "train") is None
        assert world.uplink.sent == []


def revoked_meanwhile(world: World, grant: str) -> None:
    """Record the revocation after a request was let in, and cancel nothing: the record decides."""
    witness = world.assembly.context.witness
    observe, cause = witness.observe, Cause("grant_revoked", grant)

    async def observed(*given: Any) -> Any:
        found = await observe(*given)
        await asyncio.to_thread(world.assembly.stopping._record, cause)
        return found

    witness.observe = observed  # type: ignore[method-assign]


async def test_no_vote_is_stored_after_a_revocation_was(tmp_path: Path) -> None:
    world = World(tmp_path / "agent")
    grant = granted(world)
    await world.admitted()
    train = world.train_body()
    await world.ask("train", train)
    revoked_meanwhile(world, grant)
    await refused(world, "close", world.close_body(train))
    assert world.store.vote(JOB, 1, "train") is None


async def test_no_update_is_recorded_after_a_revocation_was(tmp_path: Path) -> None:
    world = World(tmp_path / "agent")
    grant = granted(world)
    await world.admitted()
    revoked_meanwhile(world, grant)
    await refused(world, "train", world.train_body())
    assert world.store.round(JOB, 1, "train") is None
    assert world.uplink.sent == []


async def test_no_answer_is_given_after_a_revocation_was(tmp_path: Path) -> None:
    played = SealedAndMasked(tmp_path / "agent")
    grant = granted(played.world)
    world = played.world
    _, answer = await played.masked()
    masking = world.assembly.agent._masking
    checked = masking._check_answered

    def revoked_first(*given: Any) -> None:
        checked(*given)  # the shares are made, and the vote is signed, in memory
        world.assembly.stopping._record(Cause("grant_revoked", grant))

    masking._check_answered = revoked_first  # type: ignore[method-assign]
    await refused(world, "answer", answer)
    assert world.store.vote(JOB, 1, "train") is None
    assert world.store.session(JOB, "train") is None


async def test_no_attempt_is_entered_after_a_revocation_was(tmp_path: Path) -> None:
    world = PsiAgentWorld(tmp_path / "agent")
    grant = granted(world)
    await world.consented()
    revoked_meanwhile(world, grant)
    body = world.body(attempt=1, program=world.spec.program, head=world.head())
    await refused(world, "peer_offer", body)
    assert [leaf.kind for leaf in world.store.leaves(JOB)] == ["approval", "revoked"]


async def test_freezing_a_project_and_blocking_a_requester_stop_alike(tmp_path: Path) -> None:
    causes = (
        Cause("project_stopped", "prj_0123456789"),
        Cause("requester_blocked", "usr_alice"),
    )
    for cause in causes:
        world = World(tmp_path / cause.code)
        await world.admitted()
        train = world.train_body()
        await world.ask("train", train)
        other = Cause(cause.code, "somebody else")
        assert await world.assembly.stopping.stop(other) == []
        (stopped,) = await world.assembly.stopping.stop(cause)
        assert stopped.job == JOB
        for _ in STATES:
            with pytest.raises(SecureFlowError) as caught:
                await world.ask("close", world.close_body(train))
            assert caught.value.code == cause.code
            with pytest.raises(SecureFlowError) as caught:
                await world.ask("consent", world.consent_body(job="job_another000"))
            assert caught.value.code == cause.code
            world.reopen()


async def test_the_end_of_a_stopped_job_carries_its_leaves(tmp_path: Path) -> None:
    """When the link is back: the centre asks for the end, and gets `revoked` and `finished`."""
    world = World(tmp_path / "agent")
    grant = granted(world)
    await world.admitted()
    await world.ask("train", world.train_body())
    await revoke(world, grant)
    world.record()
    with pytest.raises(SecureFlowError) as caught:
        await world.ask("finish", world.body(outcome="succeeded", model=None, head=world.head()))
    assert caught.value.code == "grant_revoked", "it did not succeed with this party"
    finish = world.body(outcome="failed", model=None, head=world.head())
    reply = await world.ask("finish", finish)
    kinds = [leaf["leaf"]["leaf"]["kind"] for leaf in reply["leaves"]]
    assert kinds[-2:] == ["revoked", "finished"]
    assert reply["document"]["outcome"] == "failed"
    assert (await world.ask("finish", finish))["leaf"] == reply["leaf"], "once"
    said = next(one for one in reply["leaves"] if one["leaf"]["leaf"]["kind"] == "revoked")
    assert said["document"]["code"] == "grant_revoked"
    assert said["document"]["sent"] == [[1, "train"]]
