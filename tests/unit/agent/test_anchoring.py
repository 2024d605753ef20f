"""An agent anchors with the deed itself, and judges what others anchored."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from peers.agent_world import JOB, ME, ORIGIN, World
from peers.anchor_place import MemoryPlace, PlaceView, member

from secureflow.agent.anchorsettings import FilePlace
from secureflow.agent.edge.anchorwatch import AnchorWatch
from secureflow.agent.record.anchoroutbox import RecordOutbox
from secureflow.agent.witness import anchored as judging
from secureflow.agent.witness.anchored import UNPROVED, AnchoredHeads
from secureflow.application.anchoring import Anchoring, Pace
from secureflow.engines.anchors.entries import (
    AnchorHead,
    ApproveJob,
    CommitDataset,
    CommitRound,
    RegisterJob,
    Spend,
    job_digest,
    log_digest,
    round_digest,
)
from secureflow.engines.anchors.reading import anchored_head
from secureflow.engines.ledger.leaves import commitment
from secureflow.engines.ledger.notes import Checkpoint, sign_checkpoint
from secureflow.kit.canonical import b64decode
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError

FAST = Pace(gather=0, look=0.001, poll=0.005, idle=0.01, again=0.01, fail=0.001, longest=0.01)
KEEPER = SigningKey.from_seed(b"k" * 32)


def kept_by(**changes: Any) -> FilePlace:
    """Return the settings of the one place."""
    value = {"name": "c", "make": "file", "url": "https://c.example", "keeper": KEEPER.public}
    return FilePlace.model_validate(value | changes)


class Anchored:
    """An agent with one place, and what runs for it."""

    def __init__(self, directory: Path, **changes: Any) -> None:
        self.settings = kept_by(**changes)
        self.world = World(directory, anchors=(self.settings,))
        keys = self.world.all_keys
        self.place = MemoryPlace(
            self.settings.place, [member(self.settings.place, one) for one in keys.values()]
        )
        self.view = PlaceView(self.place, b64decode(keys[ME].public))

    def account(self, party: str) -> bytes:
        return b64decode(self.world.all_keys[party].public)

    @property
    def heads(self) -> AnchoredHeads:
        context = self.world.assembly.context
        return AnchoredHeads(
            self.world.store, context.witness, context.charter.pinned, context.clock
        )

    @property
    def watch(self) -> AnchorWatch:
        context = self.world.assembly.context
        return AnchorWatch(context, {self.settings: self.view}, context.own_deeds, self.heads)

    @contextlib.asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Run the sender."""
        outbox = RecordOutbox(self.world.store, self.heads.hear)
        sender = Anchoring(
            outbox, [self.view], self.account(ME).hex(), lambda: self.world.now, FAST
        )
        task = asyncio.create_task(sender.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def carried(self) -> None:
        """Send until nothing waits any more, and everything was read."""
        async with self.sending(), asyncio.timeout(30):
            while self.queued or self.unread:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.005)

    @property
    def queued(self) -> list[Any]:
        return self.world.store.anchor_entries("", ended=False)

    @property
    def unread(self) -> bool:
        cursor = self.world.store.anchor_cursor(self.place.name)
        return (cursor.index if cursor else 0) < len(self.place.events)

    def entries(self, kind: type) -> list[Any]:
        """Return what the agent put into its outbox, oldest first."""
        found = self.world.store.anchor_entries("", limit=1000)
        return [one.entry for one in reversed(found) if isinstance(one.entry, kind)]

    async def look(self) -> None:
        await self.watch.look(self.settings, self.view)


async def test_a_jobs_deeds_are_in_the_outbox_with_the_deeds_themselves(tmp_path: Path) -> None:
    agent = Anchored(tmp_path)
    world = agent.world
    await world.admitted()
    spec = bytes.fromhex(world.digest)
    assert agent.entries(RegisterJob) == [RegisterJob(job_digest(JOB), spec)]
    assert agent.entries(ApproveJob) == [ApproveJob(job_digest(JOB), spec)]
    await world.round(1)
    assert not agent.entries(CommitRound)
    await world.round(2)
    (given,) = agent.entries(CommitRound)
    model = world.train_body(2)["model"]["digest"]
    assert (given.round, given.aggregate) == (1, round_digest(JOB, model))
    assert model not in str(given.json())  # totals of few whole numbers could be found by trying
    first = agent.entries(AnchorHead)[0]
    assert (first.log, first.size > 0) == (log_digest(ORIGIN), True)
    await agent.carried()
    assert {one.entry.kind for one in agent.place.events} == {
        "registerJob", "approveJob", "commitRound", "anchor",
    }  # fmt: skip
    assert not any(JOB in str(one.entry.json()) for one in agent.place.events)


async def test_the_first_head_after_a_job_is_anchored_at_once(tmp_path: Path) -> None:
    agent = Anchored(tmp_path, every=0)
    world = agent.world
    await world.admitted()
    await world.round(1)
    assert not agent.entries(AnchorHead)
    end = {"outcome": "failed", "model": None, "head": world.head()}
    world.record(await world.ask("finish", world.body(**end)))
    assert not agent.entries(AnchorHead)  # the head it saw holds no end of the job yet
    await world.ask("cosign", {"head": world.head(), "job": JOB})
    assert [one.size for one in agent.entries(AnchorHead)] == [world.tree.size]
    world.record()
    await world.ask("cosign", {"head": world.head(), "job": ""})
    assert len(agent.entries(AnchorHead)) == 1


async def test_a_head_is_anchored_again_only_after_the_time(tmp_path: Path) -> None:
    agent = Anchored(tmp_path, every=100)
    world = agent.world
    for seconds, anchored in ((0, 1), (99, 1), (1, 2)):
        world.now += seconds
        world.record()
        await world.ask("cosign", {"head": world.head(), "job": ""})
        assert len(agent.entries(AnchorHead)) == anchored
    world.now += 100
    await agent.look()  # nothing new to anchor: it is the same head
    assert len(agent.entries(AnchorHead)) == 2


async def test_an_agent_that_is_killed_before_it_sends_sends_afterwards(tmp_path: Path) -> None:
    agent = Anchored(tmp_path)
    await agent.world.ask("consent", agent.world.consent_body())
    agent.world.reopen()
    assert [one.entry.kind for one in agent.queued] == ["approveJob", "registerJob"]
    await agent.carried()
    agent.world.reopen()
    await agent.carried()
    assert [one.entry.kind for one in agent.place.events] == ["registerJob", "approveJob"]


async def test_a_round_waits_for_no_place(tmp_path: Path) -> None:
    agent = Anchored(tmp_path)
    agent.place.away = True
    async with agent.sending():
        await agent.world.admitted()
        await agent.world.round(1)
        await agent.world.round(2)
    assert len(agent.queued) >= 3
    agent.place.away = False
    await agent.carried()
    assert agent.place.events


async def test_what_a_job_spent_is_what_its_domain_grew_by(tmp_path: Path) -> None:
    agent = Anchored(tmp_path)
    deeds = agent.world.assembly.context.own_deeds
    with agent.world.store.transaction():
        deeds.spent("job_a", "customers", 3.0, 1.0)
        deeds.spent("job_a", "customers", 3.0, 1.0)
        deeds.spent("job_b", "customers", 3.0, 2.5000001)
        deeds.spent("job_c", "customers", 3.0, 9.0)
    (dataset,) = agent.entries(CommitDataset)
    spent = agent.entries(Spend)
    assert dataset.cap == 3_000_000
    assert [one.micro for one in spent] == [1_000_000, 1_500_001, 499_999]
    assert {one.dataset for one in spent} == {dataset.dataset}
    await agent.carried()
    assert not [one for one in agent.world.store.anchor_entries("") if one.state == "refused"]


async def test_the_owner_alone_can_open_what_stands_for_a_dataset(tmp_path: Path) -> None:
    agent = Anchored(tmp_path)
    deeds, (dataset,) = agent.world.assembly.context.own_deeds, agent.world.settings.datasets
    with agent.world.store.transaction():
        deeds.published(dataset, {"name": "customers", "commitment": "ab" * 32, "rows": 100})
    (entry,) = agent.entries(CommitDataset)
    kept = agent.world.store.opening(entry.digest.hex())
    assert commitment(bytes.fromhex(kept["salt"]), kept["name"]) == entry.dataset.hex()
    described = commitment(bytes.fromhex(kept["description_salt"]), kept["description"])
    assert described == entry.commitment.hex()


async def test_heads_that_agree_are_believed(tmp_path: Path) -> None:
    agent = Anchored(tmp_path)
    world = agent.world
    world.record()
    await world.ask("cosign", {"head": world.head(), "job": ""})
    world.record()
    world.record()
    agent.place.say(agent.account("bank-b"), anchored_head(world.head(1), world.log_key.public),
                    anchored_head(world.head(2), world.log_key.public))  # fmt: skip
    await agent.carried()
    await agent.look()
    found = {one.head.size: one.verdict for one in world.store.anchored_heads()}
    assert found == {1: "agrees", 2: "agrees"}
    assert world.store.fact("alarm") is None
    assert world.assembly.context.witness.log_size == 3  # the proof brought the newest head


def other_history(agent: Anchored, size: int) -> AnchorHead:
    """Return a head that the log signed over other leaves."""
    note = sign_checkpoint(Checkpoint(ORIGIN, size, b"\x05" * 32), agent.world.log_key)
    return anchored_head(note, agent.world.log_key.public)


@pytest.mark.parametrize("size", [2, 3, 4])
async def test_a_head_of_another_history_raises_the_alarm(tmp_path: Path, size: int) -> None:
    """At a size that was seen, at one between, and at one that is greater than what was seen."""
    agent = Anchored(tmp_path)
    world = agent.world
    for _ in range(2):
        world.record()
    await world.ask("cosign", {"head": world.head(), "job": ""})
    for _ in range(3):
        world.record()
    if size == 3:
        await world.ask("cosign", {"head": world.head(), "job": ""})
    agent.place.say(agent.account("bank-c"), other_history(agent, size))
    await agent.carried()
    with pytest.raises(SecureFlowError) as caught:
        await agent.look()
    assert caught.value.code == "ledger_inconsistent"
    alarm = world.store.fact("alarm")
    assert alarm["code"] == "ledger_inconsistent"
    evidence = await asyncio.to_thread(Path(alarm["details"]["evidence"]).read_text)
    assert f"{ORIGIN}\\n{size}\\n" in evidence
    assert [one.verdict for one in world.store.anchored_heads(verdict="contradiction")]
    with pytest.raises(SecureFlowError, match=r"does not extend|do not belong"):
        await world.ask("consent", world.consent_body())


async def test_an_invented_head_is_its_senders_lie(tmp_path: Path) -> None:
    agent = Anchored(tmp_path)
    world = agent.world
    world.record()
    await world.ask("cosign", {"head": world.head(), "job": ""})
    forged = AnchorHead(log_digest(ORIGIN), 1, b"\x06" * 32, (b"\x01" * 32, b"\x02" * 32))
    agent.place.say(agent.account("bank-b"), forged)
    await agent.carried()
    await agent.look()
    (head,) = world.store.anchored_heads(verdict="forged")
    assert head.head == forged
    assert world.store.fact("alarm") is None
    (told,) = [one for one in world.store.actions() if one["action"] == "anchor.forged"]
    assert told["facts"]["sender"] == "bank-b"


async def test_a_head_ahead_of_the_centre_waits(tmp_path: Path) -> None:
    agent = Anchored(tmp_path)
    world = agent.world
    world.record()
    await world.ask("cosign", {"head": world.head(), "job": ""})
    agent.place.say(agent.account("bank-b"), other_history(agent, 9))

    async def away(kind: str, body: dict[str, Any]) -> Any:
        raise SecureFlowError("not_found", "The log has 1 leaves, not 9.")

    world.call = away  # type: ignore[method-assign]
    await agent.carried()
    with pytest.raises(SecureFlowError) as caught:
        await agent.look()
    assert caught.value.code == "not_found"
    found = {one.head.size: one.verdict for one in world.store.anchored_heads()}
    assert found == {1: "agrees", 9: "waiting"}
    assert world.store.fact("alarm") is None


async def test_a_place_with_a_stranger_is_not_believed(tmp_path: Path) -> None:
    agent = Anchored(tmp_path)
    world = agent.world
    world.record()
    await world.ask("cosign", {"head": world.head(), "job": ""})
    agent.place.admitted.append(member(agent.place.name, SigningKey.generate()))
    agent.place.say(agent.account("bank-c"), other_history(agent, 1))
    await agent.carried()
    watch = agent.watch
    task = asyncio.create_task(watch.run())
    async with asyncio.timeout(30):
        while not watch.problems:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert watch.problems["c"].code == "anchor_untrusted"
    assert world.store.fact("alarm") is None
    assert {one.verdict for one in world.store.anchored_heads()} == {"waiting"}
    assert [one["action"] for one in world.store.actions()].count("anchor.untrusted") == 1


async def test_an_error_that_nobody_foresaw_does_not_end_the_watch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Anchored(tmp_path)
    asked = asyncio.Queue[None]()

    async def members(view: PlaceView) -> Any:
        asked.put_nowait(None)
        raise KeyError("a bug")

    monkeypatch.setattr(PlaceView, "members", members)
    watch = agent.watch
    monkeypatch.setattr("secureflow.agent.edge.anchorwatch.Backoff", lambda *_: _Hasty())
    task = asyncio.create_task(watch.run())
    async with asyncio.timeout(30):
        for _ in range(3):
            await asked.get()
    assert watch.problems["c"].code == "internal"
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class _Hasty:
    def next(self) -> float:
        return 0.001


async def test_an_account_that_its_member_did_not_sign_is_not_believed(tmp_path: Path) -> None:
    agent = Anchored(tmp_path)
    other = member("file:elsewhere", agent.world.all_keys["bank-b"], b"\x07" * 32)
    agent.place.admitted[1] = other
    with pytest.raises(SecureFlowError, match="bank-b"):
        await agent.look()


async def test_two_specs_under_one_id_are_told_to_the_owner(tmp_path: Path) -> None:
    agent = Anchored(tmp_path)
    await agent.world.ask("consent", agent.world.consent_body())
    await agent.carried()
    agent.place.say(agent.account("bank-b"), RegisterJob(job_digest(JOB), b"\x09" * 32))
    await agent.carried()
    await agent.look()
    (told,) = [one for one in agent.world.store.actions() if one["action"] == "anchor.forked"]
    assert told["facts"] == {
        "place": agent.place.name, "sender": "bank-b", "entry": "registerJob",
    }  # fmt: skip


async def with_two_leaves(agent: Anchored) -> None:
    for _ in range(2):
        agent.world.record()
    await agent.world.ask("cosign", {"head": agent.world.head(), "job": ""})


def denying(agent: Anchored, *sizes: int, grown: int = 0) -> None:
    """Have the centre prove nothing about heads of these sizes; all others are of its log."""
    call = agent.world.call

    async def asked(kind: str, body: dict[str, Any]) -> Any:
        if body.get("from") in sizes:
            raise SecureFlowError("busy", "Later.")
        return await call(kind, body)

    agent.world.call = asked  # type: ignore[method-assign]


async def test_a_member_that_sends_heads_without_end_hides_nobody_elses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The centre signs as many heads as an accomplice likes, and proves none of them."""
    monkeypatch.setattr(judging, "MOST_JUDGED", 4)
    agent = Anchored(tmp_path)
    await with_two_leaves(agent)
    many = [other_history(agent, 100 + at) for at in range(9)]
    agent.place.say(agent.account("bank-c"), *many[:4])
    agent.place.say(agent.account("bank-b"), other_history(agent, 2))
    agent.place.say(agent.account("bank-c"), *many[4:])
    denying(agent, *range(100, 109))
    await agent.carried()
    with pytest.raises(SecureFlowError) as caught:
        await agent.look()
    assert caught.value.code == "ledger_inconsistent"
    assert agent.world.store.fact("alarm") is not None


async def test_every_head_of_a_member_has_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "MOST_JUDGED", 4)
    agent = Anchored(tmp_path)
    await with_two_leaves(agent)
    agent.place.say(agent.account("bank-c"), *(other_history(agent, 100 + at) for at in range(9)))
    denying(agent, *range(100, 109))
    await agent.carried()
    heads, asked = agent.heads, list[int]()
    compare = heads.compare

    async def counted(head: str) -> Any:
        asked.append(int(head.split("\n")[1]))
        return await compare(head)

    monkeypatch.setattr(heads, "compare", counted)
    for _ in range(3):
        with pytest.raises(SecureFlowError, match="busy"):
            await heads.judge(agent.place.name)
    assert [one for one in asked if one >= 100] == [*range(100, 109), 100]


async def test_what_one_member_has_a_place_keep_is_bounded_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MOST_WAITING", "MOST_FORGED", "MOST_FORKS"):
        monkeypatch.setattr(judging, name, 3)
    agent = Anchored(tmp_path)
    world = agent.world
    await with_two_leaves(agent)
    spam = agent.account("bank-c")
    agent.place.say(spam, *(other_history(agent, 100 + at) for at in range(5)))
    denying(agent, *range(100, 105))
    await agent.carried()
    with pytest.raises(SecureFlowError, match="busy"):
        await agent.look()
    assert len(world.store.anchored_heads(verdict="waiting")) == 3
    for at in range(5):
        lie = AnchorHead(log_digest(ORIGIN), 200 + at, b"\x06" * 32, (b"\x01" * 32, b"\x02" * 32))
        agent.place.say(agent.account("bank-b"), lie)
        await agent.carried()
        with pytest.raises(SecureFlowError, match="busy"):
            await agent.look()
    assert len(world.store.anchored_heads(verdict="forged")) == 3
    for at in range(5):
        job = job_digest(f"job_{at}")
        agent.place.say(spam, RegisterJob(job, b"\x01" * 32), RegisterJob(job, b"\x02" * 32))
    await agent.carried()
    for _ in range(2):
        with pytest.raises(SecureFlowError, match="busy"):
            await agent.look()
    told = [one["action"] for one in world.store.actions()]
    assert (told.count("anchor.forged"), told.count("anchor.forked")) == (3, 3)


async def test_after_an_alarm_nobodys_head_is_called_a_contradiction(tmp_path: Path) -> None:
    agent = Anchored(tmp_path)
    world = agent.world
    await with_two_leaves(agent)
    agent.place.say(agent.account("bank-c"), other_history(agent, 2))
    agent.place.say(agent.account("bank-b"), anchored_head(world.head(1), world.log_key.public))
    await agent.carried()
    for _ in range(3):
        with pytest.raises(SecureFlowError, match="ledger_inconsistent"):
            await agent.look()
    found = {one.head.size: one.verdict for one in world.store.anchored_heads()}
    assert found[2] == "contradiction"
    assert found[1] == "waiting"


async def test_the_owner_is_told_of_a_head_that_the_centre_does_not_prove(tmp_path: Path) -> None:
    """It need not deny it: a centre with two logs is busy whenever one of them is asked for."""
    agent = Anchored(tmp_path)
    world = agent.world
    await with_two_leaves(agent)
    agent.place.say(agent.account("bank-b"), other_history(agent, 7))
    denying(agent, 7)
    await agent.carried()
    watch = agent.watch

    async def look() -> list[Any]:
        with pytest.raises(SecureFlowError, match="busy"):
            await watch.look(agent.settings, agent.view)
        return [one for one in world.store.actions() if one["action"] == "anchor.unproved"]

    assert not await look()
    world.now += UNPROVED
    assert not await look()  # nothing came since: the centre may be away
    world.record()
    await world.ask("cosign", {"head": world.head(), "job": ""})
    (told,) = await look()
    assert told["facts"]["sender"] == "bank-b"
    world.now += UNPROVED
    assert len(await look()) == 1


async def test_a_clock_that_was_ahead_holds_up_no_head(tmp_path: Path) -> None:
    agent = Anchored(tmp_path, every=100)
    world = agent.world
    for seconds, count in ((10**7, 1), (50 - 10**7, 2)):
        world.now += seconds
        world.record()
        await world.ask("cosign", {"head": world.head(), "job": ""})
        assert len(agent.entries(AnchorHead)) == count


async def test_a_full_disk_does_not_end_the_watch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner is told once there is room again."""
    agent = Anchored(tmp_path)
    world = agent.world
    agent.place.admitted.append(member(agent.place.name, SigningKey.generate()))
    note, tries = world.store.note, 0

    def full(*arguments: Any, **facts: Any) -> None:
        nonlocal tries
        tries += 1
        raise SecureFlowError("disk_full", "The disk is full.")

    monkeypatch.setattr(world.store, "note", full)
    watch = agent.watch
    refusal = SecureFlowError("anchor_untrusted", "A stranger is a member.")
    watch._troubled(agent.settings, refusal)
    assert watch.problems["c"].code == "anchor_untrusted"
    watch._troubled(agent.settings, refusal)
    assert tries == 2
    monkeypatch.setattr(world.store, "note", note)
    for _ in range(2):
        watch._troubled(agent.settings, refusal)
    assert [one["action"] for one in world.store.actions()].count("anchor.untrusted") == 1


async def test_nobody_is_accused_by_a_place_that_is_not_believed(tmp_path: Path) -> None:
    """Whoever makes a place can name its accounts after others' charter keys."""
    agent = Anchored(tmp_path)
    await agent.world.ask("consent", agent.world.consent_body())
    agent.place.say(agent.account("bank-b"), RegisterJob(job_digest(JOB), b"\x09" * 32))
    await agent.carried()
    sound, agent.place.admitted[1] = (
        agent.place.admitted[1],
        member("file:elsewhere", agent.world.all_keys["bank-b"], b"\x07" * 32),
    )
    with pytest.raises(SecureFlowError, match="anchor_untrusted"):
        await agent.look()
    assert "anchor.forked" not in [one["action"] for one in agent.world.store.actions()]
    agent.place.admitted[1] = sound
    await agent.look()
    assert "anchor.forked" in [one["action"] for one in agent.world.store.actions()]
