"""A malicious operator and a set-back: what an agent signs, pins, forgets and submits again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest
from peers.agent_world import JOB, ME, ORIGIN, World

from secureflow.agent.owner.budgets import LEAF as BUDGET
from secureflow.agent.record.records import JobRecord, OwnLeaf
from secureflow.agent.witness.continuations import ACCUSED, AGAIN, SIGNED, Continuations
from secureflow.agent.witness.headwatch import HeadWatch
from secureflow.application import continuing
from secureflow.application.continuing import AT_ONCE, MAX_WEIGHT, Continuing
from secureflow.domain.charter import Charter, SignedCharter
from secureflow.domain.continuation import Continuation
from secureflow.engines.ledger.leaves import Leaf, leaf_from_json, sign_leaf
from secureflow.engines.ledger.merkle import MemoryTree, leaf_hash
from secureflow.engines.ledger.notes import Checkpoint, parse_note, sign_checkpoint
from secureflow.engines.run.kept import KEPT, RECEIVED
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from tests.doubles import MemoryDatabase, MemoryLedger, NotingDriver

NAME = f"{ORIGIN}~2"
START = 7


class Operator(World):
    """A world whose log was set back; `kept` is the log that the operator shows of it."""

    withheld = False

    def keep(self, *entries: bytes) -> None:
        self.kept = MemoryTree()
        self.kept.append(*entries)
        self.taken: list[Any] = []
        self.states: dict[str, Any] = {}

    async def call(self, kind: str, body: dict[str, Any]) -> Any:
        if kind == "log.prove":
            old, new = body["from"], body["to"]
            proof = self.kept.consistency_proof(old, new) if 0 < old < new else []
            inclusion = [self.kept.inclusion_proof(place, new) for _, place in body["places"]]
            return {
                "consistency": [one.hex() for one in proof],
                "inclusion": [[one.hex() for one in path] for path in inclusion][self.withheld :],
            }
        if kind == "log.resubmit":
            self.taken += body.get("leaves", [])
            return {"jobs": self.states}
        return await super().call(kind, body)

    def draft(self, **changes: Any) -> SignedCharter:
        """The continuation that an honest operator would draft, or another one, fully signed."""
        head = changes.pop("head", self.head())
        old = parse_note(head).checkpoint
        told = Continuation(
            ORIGIN, old.size, old.root.hex(), head, self.kept.size, self.kept.root().hex()
        )
        told = replace(told, **changes.pop("told", {}))
        charter = replace(
            self.charter, version=2, previous=self.charter.digest, origin=NAME,
            continuations=(told,), **changes,
        )  # fmt: skip
        return self.signed_by_all(charter)

    def signed_by_all(self, charter: Charter) -> SignedCharter:
        signed = SignedCharter(charter)
        for name, key in self.all_keys.items():
            signed = signed.sign(name, key)
        return signed

    @property
    def continuations(self) -> Continuations:
        return self.assembly.continuations

    async def pinned(self, **changes: Any) -> None:
        draft = self.draft(**changes)
        await self.continuations.check(draft)
        self.assembly.context.charter.pin(draft)
        self.continuations.apply()


def own_leaf(world: World, job: str = "") -> OwnLeaf:
    with world.store.transaction():
        return world.assembly.context.witness.leaf("noted", job, "", {"n": world.tree.size})


@pytest.fixture
async def world(tmp_path: Path) -> Operator:
    """An agent that saw heads of 3, 7 and 12 entries; entries 4 and 9 are its own."""
    world = Operator(tmp_path)
    data: list[bytes] = []
    for size in range(12):
        entry = f"entry {size}".encode()
        if size in {4, 9}:
            leaf = own_leaf(world)
            entry = leaf_from_json(leaf.bundle["leaf"]).data()
            world.positions[leaf.hash] = size
        data.append(entry)
        world.tree.append(entry)
        if world.tree.size in {3, START, 12}:
            await world.ask("cosign", {"head": world.head(), "job": ""})
    world.data_of = data  # type: ignore[attr-defined]
    world.keep(*data[:START])
    return world


def entries(world: Operator) -> list[bytes]:
    return list(world.data_of)  # type: ignore[attr-defined]


async def refused(world: Operator, draft: SignedCharter) -> str:
    with pytest.raises(SecureFlowError) as caught:
        await world.continuations.check(draft)
    assert caught.value.code in {"continuation_refused", "charter_mismatch"}, caught.value
    return caught.value.message


async def test_an_honest_continuation_is_signed_and_followed(world: Operator) -> None:
    await world.pinned()
    view = world.assembly.context.witness.view
    assert (view.origin, view.size, view.root) == (NAME, START, world.kept.root())
    assert world.store.heads(ORIGIN, 1 << 40, 9)  # old heads stay as evidence
    lost = world.store.lost_leaves(9)
    assert [one.bundle["document"]["n"] for one in lost] == [9]
    # It goes on from there: a head that does not begin with the start is refused.
    world.kept.append(b"continued")
    honest = sign_checkpoint(Checkpoint(NAME, 8, world.kept.root()), world.log_key)
    proof = [one.hex() for one in world.kept.consistency_proof(START, 8)]
    log_proofs = {"consistency": {"from": START, "to": 8, "proof": proof}, "inclusion": []}
    other = sign_checkpoint(Checkpoint(NAME, 8, b"\x05" * 32), world.log_key)
    with pytest.raises(SecureFlowError, match="ledger_inconsistent"):
        await world.assembly.agent.handle("cosign", {"head": other, "job": ""}, log_proofs)
    with world.store.transaction():
        world.store.set_fact("alarm", None)
    await world.assembly.agent.handle("cosign", {"head": honest, "job": ""}, log_proofs)


@pytest.mark.parametrize("start", [4, START, 8, 10])
async def test_history_that_was_rewritten_is_not_continued(world: Operator, start: int) -> None:
    """One entry of what is kept differs: before a head that the agent holds, or its own leaf."""
    for place in range(min(start, 12)):
        told = entries(world)[:start]
        told[place] = b"rewritten"
        world.keep(*told)
        seen = max(size for size in (0, 3, START) if size <= start)
        if place < seen or place in {4, 9}:
            await refused(world, world.draft())
    world.keep(*entries(world)[:start])
    await world.continuations.check(world.draft())


async def test_a_proof_of_an_own_entry_that_is_kept_back_is_none(world: Operator) -> None:
    world.keep(*entries(world)[:10])
    world.withheld = True
    assert "has another one there" in await refused(world, world.draft())


async def test_a_loss_that_is_understated_is_refused_by_who_knows_better(world: Operator) -> None:
    told = await refused(world, world.draft(head=world.head(10)))
    assert "size 12" in told
    other = sign_checkpoint(Checkpoint(ORIGIN, 12, b"\x05" * 32), world.log_key)
    assert "two histories" in await refused(world, world.draft(head=other))


async def test_an_old_head_that_the_log_did_not_sign_is_refused(world: Operator) -> None:
    thief = SigningKey.from_seed(b"\x21" * 32)
    invented = sign_checkpoint(Checkpoint(ORIGIN, 500, b"\x05" * 32), thief)
    assert "not signed by the log" in await refused(world, world.draft(head=invented))
    assert await refused(world, world.draft(told={"size": 400}))


async def test_a_continuation_that_changes_more_is_refused(world: Operator) -> None:
    members = world.charter.members[:-1]
    await refused(world, world.draft(members=members))
    other = SigningKey.from_seed(b"\x22" * 32).public
    await refused(world, world.draft(log_key=other))


async def test_two_continuations_are_not_both_signed(world: Operator) -> None:
    first = world.draft()
    await world.continuations.check(first)
    world.continuations.record_signature(first)
    await world.continuations.check(first)  # the same one again
    world.keep(*entries(world)[:8])
    told = await refused(world, world.draft())
    assert "another continuation" in told
    world.keep(*entries(world)[:5])  # it keeps less than was signed: nothing is hidden by it
    await world.continuations.check(world.draft())
    bigger = sign_checkpoint(Checkpoint(ORIGIN, 20, b"\x05" * 32), world.log_key)
    await world.continuations.check(world.draft(head=bigger))


async def test_of_two_continuations_only_one_is_pinned(world: Operator) -> None:
    world.keep(*entries(world)[:8])
    other = world.draft()
    world.keep(*entries(world)[:START])
    await world.pinned()
    await refused(world, other)
    with pytest.raises(SecureFlowError, match="charter_mismatch"):
        world.assembly.context.charter.pin(other)
    with pytest.raises(SecureFlowError, match="charter_mismatch"):  # nor the one before again
        world.assembly.context.charter.pin(world.signed_charter)


@pytest.mark.parametrize("many", [0, 1, 2])
async def test_too_few_signatures_are_not_pinned(world: Operator, many: int) -> None:
    draft = world.draft()
    few = dict(list(draft.signatures.items())[:many])
    with pytest.raises(SecureFlowError, match="charter_not_signed"):
        world.assembly.context.charter.pin(SignedCharter(draft.charter, few))


def alarm_over(world: World, known: str, shown: str, code: str = "ledger_inconsistent") -> None:
    details = {"known": known, "shown": shown}
    with world.store.transaction():
        world.store.set_fact("alarm", SecureFlowError(code, "x", "", details).as_json())


async def test_an_alarm_ends_for_the_admitted_gap_and_the_accusation_stays(
    world: Operator,
) -> None:
    outgrown = sign_checkpoint(Checkpoint(ORIGIN, 15, b"\x05" * 32), world.log_key)
    alarm_over(world, world.head(), outgrown)
    await world.pinned()
    assert world.store.fact("alarm") is None
    (kept,) = world.store.fact(ACCUSED)
    assert kept["details"]["shown"] == outgrown


@pytest.mark.parametrize(
    "case", ["before the start", "beyond the old head", "another code", "another log", "no notes"]
)
async def test_an_alarm_over_anything_else_stays(world: Operator, case: str) -> None:
    def note(size: int, origin: str = ORIGIN) -> str:
        return sign_checkpoint(Checkpoint(origin, size, b"\x05" * 32), world.log_key)

    match case:
        case "before the start":
            alarm_over(world, world.head(5), note(5))
        case "beyond the old head":
            alarm_over(world, note(30), note(31))
        case "another code":
            alarm_over(world, world.head(), note(15), "leaf_missing")
        case "another log":
            alarm_over(world, note(9, "log.other"), note(10, "log.other"))
        case _:
            alarm_over(world, "x", "y")
    await world.pinned()
    assert world.store.fact("alarm") is not None
    assert world.store.fact(ACCUSED) is None


async def test_lost_leaves_are_submitted_again_accusations_too_and_once(world: Operator) -> None:
    with world.store.transaction():
        accusation = world.assembly.context.witness.leaf("accusation", "", "", {"code": "x"})
    await world.pinned()
    await world.continuations.resubmit()
    hashes = [leaf_from_json(one["leaf"]).hash() for one in world.taken]
    lost = next(leaf for leaf, place in world.positions.items() if place == 9)
    assert hashes == [lost, accusation.hash]
    assert world.taken[1]["document"] == {"code": "x"}
    assert world.store.fact(AGAIN) is None
    world.taken.clear()
    world.continuations.apply()
    await world.continuations.resubmit()
    assert world.taken == []
    assert accusation.hash in world.assembly.context.witness.unproved()


async def test_what_a_budget_entry_says_is_not_submitted(world: Operator) -> None:
    with world.store.transaction():
        world.assembly.context.witness.leaf(BUDGET, "", "", {"spent": 1})
    await world.pinned()
    await world.continuations.resubmit()
    assert set(world.taken[-1]) == {"leaf"}


@pytest.mark.parametrize("kind", [KEPT, RECEIVED])
async def test_what_a_party_keeps_is_not_submitted_nor_what_opens_it(
    world: Operator, kind: str
) -> None:
    """Its rows, its dataset and its files' digests stay here, as in every reply."""
    with world.store.transaction():
        context = world.assembly.context
        leaf = context.witness.leaf(kind, "", "", {"dataset": "customers", "rows": 1234567})
    await world.pinned()
    await world.continuations.resubmit()
    assert leaf_from_json(world.taken[-1]["leaf"]).hash() == leaf.hash
    assert [set(one) for one in world.taken] == [{"leaf", "document", "salt"}, {"leaf"}]
    told = json.dumps(world.taken)
    assert "customers" not in told
    assert "1234567" not in told
    assert leaf.bundle["salt"] not in told


async def test_the_newest_head_is_kept_by_a_record_that_kept_no_earlier_ones(
    world: Operator,
) -> None:
    """As a version wrote it that kept one head only."""
    with world.store.transaction():
        world.store._db.execute("DELETE FROM heads")
    newest = world.assembly.context.witness.newest
    world.assembly.context.charter.pin(world.draft())
    world.continuations.apply()
    assert world.store.heads(ORIGIN, 1 << 40, 9) == [newest]


async def test_a_crash_between_pinning_and_following_is_made_up_for(world: Operator) -> None:
    draft = world.draft()
    world.assembly.context.charter.pin(draft)
    world.reopen()
    world.continuations.apply()
    assert world.store.fact(AGAIN) is True
    await world.continuations.resubmit()
    assert len(world.taken) == 1


async def test_jobs_that_the_centre_lost_end_here_and_others_go_on(world: Operator) -> None:
    states = {"job_lost": "", "job_failed": "failed", "job_runs": "running"}
    hostile = {"job_list": [], "job_dict": {}, "job_none": None, "job_text": "Failed\x1b[0m"}
    world.states = {**states, **hostile, "job_done": "failed", "job_strange": ""}
    with world.store.transaction():
        for job in (*states, *hostile):
            world.store.add_job(JobRecord(job, "ab" * 32, {}, b"\x01" * 32, 1, 1 << 40))
        done = JobRecord("job_done", "ab" * 32, {}, b"\x01" * 32, 1, 1 << 40, "succeeded")
        world.store.add_job(done)
    await world.pinned()
    await world.continuations.resubmit()
    outcomes = {one.job: one.outcome for one in world.store.jobs()}
    expected = {"job_lost": "lost", "job_failed": "failed", "job_runs": "", "job_done": "succeeded"}
    assert outcomes == expected | dict.fromkeys(hostile, "")
    assert JOB not in outcomes


async def test_nothing_is_asked_or_submitted_where_nothing_was_continued(
    world: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unasked(kind: str, body: dict[str, Any]) -> Any:
        raise AssertionError(kind)

    monkeypatch.setattr(world.continuations, "_call", unasked)
    with world.store.transaction():
        world.store.add_job(JobRecord("job_runs", "ab" * 32, {}, b"\x01" * 32, 1, 1 << 40))
    await world.continuations.resubmit()
    await world.continuations.check(world.signed_charter)  # the pinned one
    later = replace(world.charter, version=2, previous=world.charter.digest)
    await world.continuations.check(world.signed_by_all(later))
    world.continuations.record_signature(world.signed_by_all(later))
    assert world.store.fact(SIGNED) is None
    world.continuations.apply()
    assert world.store.lost_leaves(9) == []
    with world.store.transaction():  # a newcomer has pinned nothing, and seen no head
        world.store.set_fact("charter", None)
    await world.continuations.check(world.draft())
    world.continuations.apply()
    assert world.store.fact(AGAIN) is None


async def test_a_log_that_lost_everything_needs_no_proof(world: Operator) -> None:
    world.keep()
    await world.pinned()
    assert world.assembly.context.witness.view.size == 0


async def test_whoever_saw_nothing_of_what_is_kept_holds_its_own_entries_against_it(
    world: Operator,
) -> None:
    with world.store.transaction():
        world.store._db.execute("DELETE FROM heads")
    await world.continuations.check(world.draft())
    world.keep(*entries(world)[:4], b"rewritten", *entries(world)[5:START])
    assert "has another one there" in await refused(world, world.draft())


async def test_a_signature_of_an_earlier_version_binds_no_later_one(world: Operator) -> None:
    with world.store.transaction():
        world.store.set_fact(SIGNED, {"version": 1, "digest": "00" * 32, "size": 99, "start": 0})
    draft = world.draft()
    assert not world.continuations.has_signed(draft)
    await world.continuations.check(draft)


async def test_only_jobs_that_were_asked_about_end(
    world: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[tuple[str, str]] = []

    async def end(job: str, outcome: str) -> None:
        ended.append((job, outcome))

    monkeypatch.setattr(world.continuations, "_end", end)
    with world.store.transaction():
        for job, outcome in (("job_lost", ""), ("job_done", "succeeded")):
            world.store.add_job(JobRecord(job, "ab" * 32, {}, b"", 1, 1 << 40, outcome))
    world.states = {"job_lost": "", "job_done": "failed", "job_strange": ""}
    await world.pinned()
    await world.continuations.resubmit()
    assert ended == [("job_lost", "lost")]


# A centre that goes by another name: what the agent follows by itself.


class Renamed:
    """A link to a centre whose log goes by this name, with that charter."""

    def __init__(self, world: Operator, name: str, charter: Any) -> None:
        self.connected = asyncio.Event()
        self.welcomes = 1
        note = sign_checkpoint(Checkpoint(name, START, world.kept.root()), world.log_key)
        self._told = {"note": note, "held": None}
        self._charter = charter
        self._world = world

    async def call(self, kind: str, body: dict[str, Any]) -> Any:
        if kind in {"log.show", "charter.get"}:
            return self._told if kind == "log.show" else {"current": self._charter}
        return await self._world.call(kind, body)


async def followed(world: Operator, name: str, charter: Any) -> str:
    """Let the agent look; return what it says is wrong, or nothing."""
    context = world.assembly.context
    watch = HeadWatch(
        Renamed(world, name, charter), context.witness, world.store, context.charter,
        world.continuations, context.clock,
    )  # fmt: skip
    try:
        problem = await watch.check()
    except SecureFlowError as error:
        problem = error
    return problem.code if problem else ""


async def test_a_continuation_that_its_owner_signed_is_followed(world: Operator) -> None:
    draft = world.draft()
    world.continuations.record_signature(draft)
    assert await followed(world, NAME, draft.json()) == ""
    assert world.assembly.context.charter.pinned() == draft.charter


@pytest.mark.parametrize("case", ["not signed here", "another name", "a lie", "none", "nonsense"])
async def test_nothing_else_is_followed(world: Operator, case: str) -> None:
    draft = world.draft(**({"head": world.head(10)} if case == "a lie" else {}))
    if case != "not signed here":
        world.continuations.record_signature(draft)
    name = f"{ORIGIN}~3" if case == "another name" else NAME
    told = {"none": None, "nonsense": {"charter": {"continuations": [{}]}}}.get(case, draft.json())
    code = "continuation_refused" if case == "a lie" else "charter_mismatch"
    expected = "malformed_charter" if case == "nonsense" else code
    assert await followed(world, name, told) == expected
    assert world.assembly.context.charter.pinned() == world.charter


# The centre's side: a member submits its own leaves of an earlier origin, and nothing else.


class Ticks:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
def centre(world: Operator, ticks: Ticks) -> Continuing:
    database = MemoryDatabase()
    ledger = MemoryLedger(database, world.log_key, NAME)
    charter = world.draft().json()
    database.tables.settings["charter"] = json.loads(json.dumps(charter))
    return Continuing(
        database.begin, ledger, world.log_key, NotingDriver(), lambda: world.now, ticks
    )


async def test_what_a_member_signed_under_its_key_of_before_holds_nothing_up(
    world: Operator, centre: Continuing
) -> None:
    """The centre goes by the charter's key, and refuses whatever is submitted with it."""
    bundle = leaf_of(world, by="bank-b")  # any other key than the present one
    with world.store.transaction():
        leaf = leaf_from_json(bundle["leaf"])
        world.store.add_leaf(OwnLeaf(leaf.hash(), "", "noted", bundle))
    await world.pinned()
    await world.continuations.resubmit()
    lost = next(leaf for leaf, place in world.positions.items() if place == 9)
    assert [leaf_from_json(one["leaf"]).hash() for one in world.taken] == [lost]
    assert await centre.take_resubmitted(ME, world.taken) == 1
    assert world.store.lost_leaves(9) == []
    assert world.store.fact(AGAIN) is None


def leaf_of(world: World, **changes: Any) -> dict[str, Any]:
    key = world.all_keys[changes.pop("by", ME)]
    facts: dict[str, Any] = {"kind": "noted", "origin": ORIGIN, "author": ME, "at": 1}
    leaf = Leaf(**(facts | {"commitment": "ab" * 32} | changes))
    return {"leaf": sign_leaf(leaf, key).json()}


async def test_a_members_own_lost_leaf_is_taken(world: Operator, centre: Continuing) -> None:
    assert await centre.take_resubmitted(ME, [leaf_of(world)]) == 1


async def test_a_member_submits_again_at_a_pace(
    world: Operator, centre: Continuing, ticks: Ticks
) -> None:
    for _ in range(AT_ONCE):
        assert await centre.take_resubmitted(ME, [leaf_of(world)]) == 1
    with pytest.raises(SecureFlowError, match="rate_limited"):
        await centre.take_resubmitted(ME, [leaf_of(world)])
    other = leaf_of(world, author="bank-b", by="bank-b")
    assert await centre.take_resubmitted("bank-b", [other]) == 1
    ticks.now += 1.0
    assert await centre.take_resubmitted(ME, [leaf_of(world)]) == 1


@pytest.mark.parametrize("shape", ["a text", "many", "deep"])
async def test_what_is_too_heavy_is_refused_before_anything_is_made_of_it(
    world: Operator, centre: Continuing, shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    heavy: Any = "x" * MAX_WEIGHT if shape == "a text" else [0] * (MAX_WEIGHT // 8)
    for _ in range(1000 if shape == "deep" else 0):
        heavy = [heavy]
    monkeypatch.setattr("secureflow.application.continuing.leaf_from_json", None)
    with pytest.raises(SecureFlowError, match="invalid_request"):
        await centre.take_resubmitted(ME, [{**leaf_of(world), "document": heavy}])


async def test_heavy_entries_go_one_by_one_and_the_heaviest_as_its_commitment(
    world: Operator,
) -> None:
    with world.store.transaction():
        for size in (10, 100_000, 100_000, 100_000, 400_000):
            world.assembly.context.witness.leaf("noted", "", "", {"text": "x" * size})
    await world.pinned()
    sent: list[list[Any]] = []
    kept = world.call

    async def call(kind: str, body: dict[str, Any]) -> Any:
        if body.get("leaves"):
            assert len(json.dumps(body)) < MAX_WEIGHT
            sent.append(body["leaves"])
        return await kept(kind, body)

    world.continuations._call = call  # type: ignore[assignment]
    await world.continuations.resubmit()
    assert len(sent) > 1
    assert ["document" in one for batch in sent for one in batch] == [True] * 5 + [False]


@pytest.mark.parametrize(
    "changes",
    [
        {"origin": NAME},  # of the present origin: it comes with its reply
        {"origin": "log.other"},
        {"author": "bank-b"},
        {"by": "bank-b"},
        {"author": "server"},
    ],
)
async def test_nothing_else_is_taken(
    world: Operator, centre: Continuing, changes: Mapping[str, Any]
) -> None:
    with pytest.raises(SecureFlowError, match="leaf_forged"):
        await centre.take_resubmitted(ME, [leaf_of(world, **changes)])


@pytest.mark.parametrize(
    "told",
    [{}, None, {"leaf": 7}, {"document": {}, "salt": "ab" * 32}, {"salt": "zz"}, {"salt": 7}],
)
async def test_what_does_not_open_is_not_taken(
    world: Operator, centre: Continuing, told: Any
) -> None:
    value = {**leaf_of(world), **told} if isinstance(told, dict) and "leaf" not in told else told
    if told == {}:
        value = {}
    with pytest.raises(SecureFlowError):
        await centre.take_resubmitted(ME, [value])


def test_the_start_is_what_the_tree_says(world: Operator) -> None:
    assert leaf_hash(entries(world)[4]).hex() in world.positions


async def test_a_retry_of_what_could_not_be_written_costs_no_quota(
    world: Operator, centre: Continuing, ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(continuing, "UNNUMBERED", 2)
    most = 5 + 2  # five entries were lost
    with monkeypatch.context() as patched:
        full = InfrastructureError("disk_full", "The disk of the centre is full.")
        patched.setattr(centre._ledger, "append", AsyncMock(side_effect=full))
        for _ in range(most + 1):
            ticks.now += 5.0
            with pytest.raises(InfrastructureError):
                await centre.take_resubmitted(ME, [leaf_of(world)])
    assert await centre.take_resubmitted(ME, [leaf_of(world)]) == 1
    for number in range(2, most + 1):  # and nobody gets more than the log lost
        await centre.take_resubmitted(ME, [leaf_of(world, at=number)])
    with pytest.raises(SecureFlowError, match="quota_exceeded"):
        await centre.take_resubmitted(ME, [leaf_of(world, at=99)])


async def test_what_an_earlier_version_counted_still_counts(
    world: Operator, centre: Continuing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(continuing, "UNNUMBERED", 0)
    async with centre._begin() as work:
        await work.set_setting(f"submitted_again/{ME}", 4)
        await work.commit()
    await centre.take_resubmitted(ME, [leaf_of(world)])
    with pytest.raises(SecureFlowError, match="quota_exceeded"):
        await centre.take_resubmitted(ME, [leaf_of(world, at=99)])
