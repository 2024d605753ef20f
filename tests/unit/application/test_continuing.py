"""The centre's side of a continuation: who lets a held log go on, and who does not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from secureflow.application.access import Principal
from secureflow.application.audit import Audit
from secureflow.application.continuing import (
    HISTORY,
    Continuing,
    charter_naming,
    history_up_to,
    remember,
)
from secureflow.application.membership import CANDIDATE, CURRENT
from secureflow.application.restored import RESTORED, settle_restored
from secureflow.application.running.recording import server_leaf
from secureflow.application.running.windups import SET_BACK
from secureflow.application.setback import LogGuard
from secureflow.domain.charter import Charter, Member, SignedCharter
from secureflow.domain.jobs import JobState
from secureflow.domain.users import Role
from secureflow.engines.ledger.notes import Checkpoint, parse_note, sign_checkpoint
from secureflow.engines.ledger.setback import Hold, not_set_back, read_hold
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from tests.contract.database.test_stores import JOB
from tests.doubles import MemoryDatabase, MemoryLedger, NotingDriver

ORIGIN, NAME, NOW = "log.example", "log.example~2", 1_700_000_000
LOG = SigningKey.from_seed(b"\x07" * 32)
BANKS = {name: SigningKey.from_seed(name.encode() * 4 + bytes(8)) for name in
         ("bank-a", "bank-b", "bank-c")}  # fmt: skip
CHARTER = Charter(
    1, "example.org", ORIGIN, LOG.public,
    tuple(Member(name, name.title(), key.public) for name, key in BANKS.items()),
)  # fmt: skip
OPERATOR = Principal("usr_1", "op", "", frozenset({Role.PLATFORM_ADMIN}), "tok_1")
SIZE, OLD = 5, 9


def shown(size: int = OLD, origin: str = ORIGIN) -> str:
    return sign_checkpoint(Checkpoint(origin, size, b"\x05" * 32), LOG)


class Centre:
    """A centre whose log of five entries is held by a head of nine."""

    def __init__(self) -> None:
        self.database = MemoryDatabase()
        self.settings[CURRENT] = json.loads(json.dumps(SignedCharter(CHARTER).json()))
        self.ledger = MemoryLedger(self.database, LOG, ORIGIN)
        self.driver = NotingDriver()
        self.use = Continuing(self.database.begin, self.ledger, LOG, self.driver, lambda: NOW)

    @property
    def settings(self) -> dict[str, Any]:
        """What is committed now."""
        return self.database.tables.settings

    async def hold(self, note: str = "", start: int = SIZE) -> None:
        made = (server_leaf("noted", {"n": n}, ORIGIN, LOG, n) for n in range(SIZE))
        await self.ledger.append([replace(leaf, position=n) for n, leaf in enumerate(made)])
        by = "bank-a" if note else ""
        self.ledger.hold = Hold("shown" if note else "restored", NOW, start, note, by)

    async def running(self) -> None:
        """Let a job of before run."""
        async with self.database.begin() as work:
            await work.jobs.add(replace(JOB, state=JobState.RUNNING, progress={}))
            await work.commit()

    async def drafted(self, note: str = "") -> Charter:
        await self.hold(note or shown())
        told = await self.use.propose(OPERATOR)
        return SignedCharter.from_json(
            {part: told[part] for part in ("charter", "signatures")}
        ).charter

    async def sign(self, draft: Charter, name: str, by: str = "") -> SignedCharter | None:
        (signature,) = SignedCharter(draft).sign(name, BANKS[by or name]).signatures.values()
        return await self.use.add_signature(name, draft.digest, signature)

    def setting(self, name: str) -> Any:
        return self.settings.get(name)


@pytest.fixture
def centre() -> Centre:
    return Centre()


async def refused(call: Any) -> str:
    with pytest.raises(SecureFlowError) as caught:
        await call
    return caught.value.code


async def test_a_log_that_is_intact_is_not_continued(centre: Centre) -> None:
    assert await refused(centre.use.propose(OPERATOR)) == "log_not_set_back"
    await centre.use.finish()
    assert centre.ledger.gone_on == []


async def test_only_the_operator_drafts_and_only_under_a_charter(centre: Centre) -> None:
    await centre.hold(shown())
    member = replace(OPERATOR, organisation="bank-a", roles=frozenset({Role.DATA_OWNER}))
    assert await refused(centre.use.propose(member)) == "forbidden"
    centre.settings.pop(CURRENT)
    assert await refused(centre.use.propose(OPERATOR)) == "charter_missing"
    assert centre.setting(CANDIDATE) is None


async def test_a_database_older_than_a_continuation_is_not_continued(centre: Centre) -> None:
    await centre.hold(shown(origin=NAME))
    assert await refused(centre.use.propose(OPERATOR)) == "charter_mismatch"
    assert centre.setting(CANDIDATE) is None


async def test_what_is_drafted_names_the_greatest_head_and_what_is_kept(centre: Centre) -> None:
    draft = await centre.drafted()
    (told,) = draft.continuations
    assert (told.origin, told.size, told.start, told.lost) == (ORIGIN, OLD, SIZE, OLD - SIZE)
    assert told.start_root == (await centre.ledger.root(SIZE)).hex()
    assert (draft.origin, draft.version, draft.previous) == (NAME, 2, CHARTER.digest)
    assert (draft.members, draft.log_key) == (CHARTER.members, LOG.public)


async def test_a_restored_log_that_nobody_saw_more_of_is_continued_from_its_own_head(
    centre: Centre,
) -> None:
    await centre.hold()
    told = (await centre.use.propose(OPERATOR))["charter"]["continuations"][0]
    assert (told["size"], told["start"]) == (SIZE, SIZE)
    assert parse_note(told["note"]).verify_log(LOG.public)


async def test_more_than_two_thirds_let_it_go_on_and_fewer_do_not(centre: Centre) -> None:
    centre.settings[RESTORED] = {"restored_at": NOW - 9, "taken_at": NOW - 99}
    async with centre.database.begin() as work:
        await work.jobs.add(replace(JOB, state=JobState.RUNNING, progress={}))
        await work.jobs.add(replace(JOB, id="job_2", state=JobState.SUCCEEDED, progress={}))
        await work.commit()
    draft = await centre.drafted()
    for name in ("bank-a", "bank-b", "bank-b"):
        assert await centre.sign(draft, name) is not None
        assert centre.ledger.gone_on == []
        assert centre.setting(CURRENT)["charter"]["version"] == 1
        assert centre.driver.started == []
    assert await centre.sign(draft, "bank-c") is not None
    ((origin, start, leaf),) = centre.ledger.gone_on
    assert (origin, start, leaf.kind) == (NAME, SIZE, "log.continued")
    assert leaf.document["charter"] == draft.digest
    assert leaf.document["withdrawn"] == ""
    assert SignedCharter.from_json(centre.setting(CURRENT)).charter == draft
    assert centre.setting(CANDIDATE) is None
    assert [one["charter"]["version"] for one in centre.setting(HISTORY)] == [1, 2]
    assert centre.setting(RESTORED)["settled"] == {"at": NOW, "how": "continued"}
    assert centre.driver.started == [JOB.id]  # it ends by name: its end is part of its progress
    async with centre.database.begin() as work:
        ended, over = await work.jobs.find(JOB.id), await work.jobs.find("job_2")
    assert ended is not None
    assert over is not None
    assert ended.progress[SET_BACK] is True
    assert SET_BACK not in over.progress


async def test_what_was_signed_beyond_the_start_is_withdrawn_by_name(centre: Centre) -> None:
    await centre.hold(shown(), start=3)
    told = await centre.use.propose(OPERATOR)
    draft = Charter.from_json(told["charter"])
    for name in BANKS:
        await centre.sign(draft, name)
    ((_, start, leaf),) = centre.ledger.gone_on
    assert start == 3
    assert parse_note(leaf.document["withdrawn"]).checkpoint.size == SIZE


async def test_only_a_members_own_signature_of_this_very_draft_counts(centre: Centre) -> None:
    draft = await centre.drafted()
    assert await refused(centre.sign(draft, "bank-a", by="bank-b")) == "signature_refused"
    forged = centre.use.add_signature("bank-x", draft.digest, LOG.sign("charter", draft.json()))
    assert await refused(forged) == "signature_refused"
    other = replace(draft, trust_domain="other.example")
    assert await refused(centre.sign(other, "bank-a")) == "charter_mismatch"
    assert centre.setting(CANDIDATE)["signatures"] == {}


async def test_a_signature_of_another_kind_is_left_to_others(centre: Centre) -> None:
    """Of a candidate that continues nothing, and of the charter that is adopted already."""
    assert await centre.sign(CHARTER, "bank-a") is None
    await centre.drafted()
    assert await centre.sign(CHARTER, "bank-a") is None
    candidate = replace(CHARTER, version=2, previous=CHARTER.digest, members=CHARTER.members[:2])
    centre.settings[CANDIDATE] = json.loads(json.dumps(SignedCharter(candidate).json()))
    assert await centre.sign(candidate, "bank-a") is None
    centre.settings.pop(CURRENT)
    assert await centre.sign(candidate, "bank-a") is None
    for missing in (CANDIDATE, CURRENT):
        centre.settings.pop(missing, None)
        await centre.use.finish()
    assert centre.ledger.gone_on == []


async def test_a_newest_database_that_came_back_needs_no_continuation(centre: Centre) -> None:
    draft = await centre.drafted()
    for name in ("bank-a", "bank-b"):
        await centre.sign(draft, name)
    centre.ledger.hold = None
    await centre.sign(draft, "bank-c")
    assert centre.ledger.gone_on == []
    assert centre.setting(CURRENT)["charter"]["version"] == 1


async def test_a_crash_after_the_log_went_on_is_made_up_for_and_nothing_twice(
    centre: Centre,
) -> None:
    draft = await centre.drafted()
    signed = SignedCharter(draft)
    for name, key in BANKS.items():
        signed = signed.sign(name, key)
    centre.settings[CANDIDATE] = json.loads(json.dumps(signed.json()))
    centre.ledger.origin, centre.ledger.hold = NAME, None
    for _ in range(2):
        await centre.use.finish()
        assert SignedCharter.from_json(centre.setting(CURRENT)).charter == draft
        assert len(centre.setting(HISTORY)) == 2
    assert centre.ledger.gone_on == []


async def test_no_charter_is_adopted_for_a_log_that_did_not_go_on(centre: Centre) -> None:
    """Whatever is remembered of the log: only its head says under its lock whether it was done."""
    draft = await centre.drafted()
    *others, last = BANKS
    for name in others:
        await centre.sign(draft, name)

    async def refuse(*_: Any) -> None:
        raise not_set_back(ORIGIN)

    centre.ledger.continue_as = refuse  # type: ignore[method-assign]
    centre.ledger.origin, centre.ledger.hold = NAME, None
    assert await refused(centre.sign(draft, last)) == "log_not_set_back"
    assert centre.setting(CURRENT)["charter"]["version"] == 1


async def test_a_job_ends_though_the_answer_to_the_last_commit_was_lost(centre: Centre) -> None:
    """Whoever signs again finds no candidate any more, and nobody would let go of the job."""
    await centre.running()
    draft = await centre.drafted()
    adopt = centre.use._adopt

    async def adopted(*told: Any) -> None:
        await adopt(*told)
        raise OSError("no answer")

    centre.use._adopt = adopted  # type: ignore[method-assign]
    *others, last = BANKS
    for name in others:
        await centre.sign(draft, name)
    with pytest.raises(OSError, match="no answer"):
        await centre.sign(draft, last)
    assert (centre.setting(CANDIDATE), centre.driver.started) == (None, [JOB.id])


async def test_a_job_ends_though_the_answer_that_a_restored_log_goes_on_was_lost(
    centre: Centre,
) -> None:
    await centre.running()
    await centre.hold()
    watching = LogGuard(centre.database.begin, centre.ledger, centre.use, lambda: NOW)
    centre.settings[CURRENT] = None
    judge = centre.ledger.judge

    async def judged(decide: Any) -> None:
        await judge(decide)
        raise OSError("no answer")

    centre.ledger.judge = judged  # type: ignore[assignment]
    with pytest.raises(OSError, match="no answer"):
        await watching.settle()
    assert (centre.ledger.hold, centre.driver.started) == (None, [JOB.id])


async def test_versions_are_remembered_from_the_first_continuation_on(centre: Centre) -> None:
    draft = await centre.drafted()
    later = SignedCharter(replace(draft, version=3, previous=draft.digest))
    async with centre.database.begin() as work:
        await remember(work, later)  # nothing was continued yet
        assert await work.setting(HISTORY) is None
        assert await history_up_to(work, draft.digest) == []
    for name in BANKS:
        await centre.sign(draft, name)
    async with centre.database.begin() as work:
        await remember(work, later)
        await remember(work, later.sign("bank-a", BANKS["bank-a"]))
        told = [one.charter.version for one in await history_up_to(work, later.charter.digest)]
        assert told == [1, 2, 3]
        kept = await work.setting(HISTORY)
        assert list(kept[-1]["signatures"]) == ["bank-a"]
        assert len(await history_up_to(work, draft.digest)) == 2
        assert await history_up_to(work, CHARTER.digest) == []
        assert await history_up_to(work, "00" * 32) == []


async def test_how_a_restored_log_went_on_is_noted_once(centre: Centre) -> None:
    settled = {"restored_at": 1, "settled": {"at": 2, "how": "unchanged"}}
    async with centre.database.begin() as work:
        for told in (settled, None, [], "x"):
            await work.set_setting(RESTORED, told)
            await settle_restored(work, NOW, "continued")
            assert await work.setting(RESTORED) == told


async def test_how_a_job_stands_is_told_to_its_parties_only(centre: Centre) -> None:
    async with centre.database.begin() as work:
        await work.jobs.add(replace(JOB, spec={"roster": [{"party": "bank-a"}]}))
        await work.commit()
    told = await centre.use.states("bank-a", [JOB.id, "job_x"])
    assert told == {JOB.id: JOB.state.value, "job_x": ""}
    assert await centre.use.states("bank-b", [JOB.id]) == {JOB.id: ""}


# Who shows what of a held log.


def guard(centre: Centre) -> LogGuard:
    return LogGuard(centre.database.begin, centre.ledger, centre.use, lambda: NOW)


async def test_own_leaves_in_their_place_and_lost_ones_make_no_fork(centre: Centre) -> None:
    """They say how far a log is the old one; what stands beyond its end says nothing of it."""
    await centre.hold(shown())
    held = [(entry.hash.hex(), entry.index) for entry in centre.ledger.log]
    places = [*held, ("ab" * 32, SIZE), ("ab" * 32, 1 << 40)]
    hold = await guard(centre).shown("bank-b", [shown()], places)
    assert hold is not None
    assert (hold.forked, hold.start) == (0, SIZE)
    hold = await guard(centre).shown("bank-b", [shown()], [*held[:2], ("ab" * 32, 3)])
    assert hold is not None
    assert (hold.forked, hold.start) == (4, 0)


async def test_a_log_that_is_not_held_stays_so_whatever_is_claimed(centre: Centre) -> None:
    await centre.hold()
    centre.ledger.hold = None
    seen = guard(centre)
    assert await seen.settle() is None
    await seen.check()
    thief = sign_checkpoint(Checkpoint(ORIGIN, 500, b"\x05" * 32), SigningKey.generate())
    for notes in ([], ["nonsense"], [thief], [shown(origin="log.other")]):
        assert await seen.shown("bank-b", notes, [("ab" * 32, 1)]) is None
    assert centre.ledger.hold is None
    assert await seen.shown("bank-b", [shown()]) is not None
    assert await refused(seen.check()) == "log_set_back"


HOLD = Hold("shown", NOW, SIZE, shown(), "bank-a", ("bank-a",), 3, 4)


@pytest.mark.parametrize(
    "changes",
    [{"at": "1"}, {"at": -1}, {"own": True}, {"own": 1.5}, {"kept": -1}, {"forked": None},
     {"by": 7}, {"seen": [7]}, {"seen": 7}, {"cause": "other"}, {"cause": []}, {"head": "x"},
     {"head": 7}, {"more": 1}],
)  # fmt: skip
def test_a_stored_hold_that_is_none_is_not_read(changes: dict[str, Any]) -> None:
    """It must not pass for a log that is not held: whoever reads it refuses."""
    assert read_hold(json.loads(json.dumps(HOLD.json()))) == HOLD
    assert read_hold({**HOLD.json(), **changes}) is None


@pytest.mark.parametrize("told", [None, 7, [], "x", {}])
def test_nor_what_is_no_object(told: Any) -> None:
    assert read_hold(told) is None


def test_the_greatest_head_that_was_shown_is_kept() -> None:
    hold = Hold("shown", NOW, SIZE).with_shown_head("bank-a", shown(12))
    assert (hold.old_size, hold.by) == (12, "bank-a")
    assert hold.with_shown_head("bank-b", shown(9)).by == "bank-a"
    assert hold.with_shown_head("bank-b", shown(9)).seen == ("bank-a", "bank-b")
    assert hold.with_shown_head("bank-b", shown(20)).old_size == 20


async def test_a_job_that_ran_over_a_continuation_names_the_charter_that_knows_of_it(
    centre: Centre,
) -> None:
    """Under the one that it began under, its bundle would be of another log: a fraud, it seemed."""
    draft = await centre.drafted()
    for name in BANKS:
        await centre.sign(draft, name)
    later = replace(draft, version=3, previous=draft.digest)
    async with centre.database.begin() as work:
        await remember(work, SignedCharter(later))
        progress = {"charter": CHARTER.digest}
        roster = [{"party": name, "key": key.public} for name, key in BANKS.items()]
        spec = {**JOB.spec, "roster": roster}
        await work.jobs.add(replace(JOB, spec=spec, progress=progress, state=JobState.FAILED))
        await work.commit()
    told = await Audit(centre.database.begin, centre.ledger).bundle(OPERATOR, JOB.id)
    assert (told["origin"], told["charter"]) == (NAME, draft.digest)
    assert [one["charter"]["version"] for one in told["history"]] == [1, 2]
    async with centre.database.begin() as work:
        assert await charter_naming(work, NAME, later.digest) == later.digest
        assert await charter_naming(work, ORIGIN, CHARTER.digest) == CHARTER.digest
        assert await charter_naming(work, "log.elsewhere", CHARTER.digest) == CHARTER.digest
