"""An agent that was set back notices it by its own leaves in the log, and stops."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest
from peers.agent_world import JOB, ME, ORIGIN, World

from secureflow.agent.owner.budgets import LEAF as BUDGET
from secureflow.agent.record.damage import require_head
from secureflow.agent.record.records import JobRecord
from secureflow.agent.record.restored import FACT, accept_rollback, check_unlocked, settle
from secureflow.agent.record.rollback import NEWEST
from secureflow.engines.ledger.leaves import Leaf, leaf_from_json, sign_leaf
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError


class Centre(World):
    """A world whose centre tells the agent its own newest leaves in the log."""

    told: Any = None

    async def call(self, kind: str, body: dict[str, Any]) -> Any:
        if kind == "log.mine":
            if isinstance(self.told, SecureFlowError):
                raise self.told
            return self.told if self.told is not None else {"leaves": self.mine[-64:][::-1]}
        return await super().call(kind, body)

    def listed(self) -> list[dict[str, Any]]:
        return self.mine

    @property
    def mine(self) -> list[dict[str, Any]]:
        """What an honest centre says: all that the agent ever had recorded."""
        return [{"index": at, "leaf": leaf} for at, leaf in enumerate(self.logged)]

    logged: list[dict[str, Any]]

    def sign(self, job: str = "", kind: str = "noted") -> str:
        with self.store.transaction():
            leaf = self.assembly.context.witness.leaf(kind, job, "", {"n": len(self.logged)})
        self.logged.append(leaf.bundle["leaf"])
        return leaf.hash


@pytest.fixture
def centre(tmp_path: Path) -> Centre:
    Centre.logged = []
    world = Centre(tmp_path / "agent")
    world.sign()
    return world


def copied(world: Centre) -> Path:
    """Copy the record as it is now."""
    world.store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    copy = world.directory / "copy.db"
    shutil.copy(world.settings.record, copy)
    return copy


def set_back(world: Centre, copy: Path) -> None:
    """Kill the agent and start it on the older copy."""
    world.store.close()
    for name in ("", "-wal", "-shm"):
        Path(f"{world.settings.record}{name}").unlink(missing_ok=True)
    shutil.copy(copy, world.settings.record)
    world.open_agent()


async def asked(world: Centre) -> str:
    """Deliver a request; return the code of the refusal."""
    with pytest.raises(SecureFlowError) as caught:
        await world.ask("challenge", {"job": JOB, "digest": world.digest, "generation": 1})
    return caught.value.code


async def clear_alarm(world: Centre) -> None:
    """What `agent clear-alarm` does (`Commands.clear_alarm`)."""
    await world.assembly.rollback.accept()
    with world.store.transaction():
        world.store.set_fact("alarm", None)


def outcomes(world: Centre) -> dict[str, str]:
    return {one.job: one.outcome for one in world.store.jobs()}


def approved(world: Centre, *jobs: str) -> None:
    with world.store.transaction():
        for job in jobs:
            world.store.add_job(JobRecord(job, "ab" * 32, {}, b"\x01" * 32, 1, 1 << 40))


async def test_a_record_that_is_intact_is_looked_at_once(centre: Centre) -> None:
    assert await asked(centre) == "not_approved"
    centre.told = SecureFlowError("internal", "asked again")
    assert await asked(centre) == "not_approved"


async def test_an_older_copy_is_named_before_anything_is_answered(centre: Centre) -> None:
    copy = copied(centre)
    lost = centre.sign("job_1")
    set_back(centre, copy)
    assert await asked(centre) == "record_set_back"
    alarm = centre.store.fact("alarm")
    assert (alarm["code"], alarm["details"]["jobs"]) == ("record_set_back", ["job_1"])
    assert alarm["details"]["leaves"] == [lost]
    assert "clear-alarm" in alarm["hint"]
    centre.reopen()
    assert await asked(centre) == "record_set_back"


@pytest.mark.parametrize("restored", [False, True])
async def test_entries_under_the_key_of_before_are_its_own(
    centre: Centre, *, restored: bool
) -> None:
    """The charter that it pinned names that key: it changed its own since."""
    copy = copied(centre)
    lost = centre.sign("job_1")
    centre.all_keys[ME] = SigningKey.generate()
    set_back(centre, copy)
    if restored:
        with centre.store.transaction():
            centre.store.set_fact(FACT, {"restored_at": 2, "taken_at": 1, "size": 0})
    assert await asked(centre) == ("not_approved" if restored else "record_set_back")
    assert centre.store.has_leaf(lost) == restored


async def test_a_set_back_between_two_rounds_is_noticed_and_the_newest_record_goes_on(
    centre: Centre,
) -> None:
    copy = copied(centre)
    centre.sign("job_1")
    newest = centre.directory / "newest.db"
    centre.store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(centre.settings.record, newest)
    set_back(centre, copy)
    assert await asked(centre) == "record_set_back"
    set_back(centre, newest)
    assert await asked(centre) == "not_approved"


async def test_on_the_owners_word_it_goes_on_without_its_jobs(centre: Centre) -> None:
    """Also without one of which the log shows nothing: the centre chooses what it shows."""
    approved(centre, "job_1", "job_0")
    copy = copied(centre)
    lost = centre.sign("job_1")
    spent = centre.sign("job_1", BUDGET)
    set_back(centre, copy)
    assert await asked(centre) == "record_set_back"
    await clear_alarm(centre)
    assert await asked(centre) == "not_approved"
    assert centre.store.has_leaf(lost)
    with pytest.raises(
        SecureFlowError, match="continues with a record that was rolled back"
    ) as kept:
        check_unlocked(centre.store, "people")
    assert "data settle people" in kept.value.hint  # the way on, as after a restore
    with centre.store.transaction():
        settle(centre.store, "people")
    check_unlocked(centre.store, "people")
    assert outcomes(centre) == {"job_0": "record_set_back", "job_1": "record_set_back"}
    assert not any(one.secret for one in centre.store.jobs())
    following = leaf_from_json(centre.store.leaf(centre.sign("job_2")).bundle["leaf"])
    assert following.leaf.prev == spent  # its chain goes on where the log's ends


async def test_what_the_owner_accepted_is_no_alarm_after_a_restart(centre: Centre) -> None:
    copy = copied(centre)
    centre.sign("job_1", BUDGET)
    set_back(centre, copy)
    assert await asked(centre) == "record_set_back"
    await clear_alarm(centre)
    centre.reopen()
    assert await asked(centre) == "not_approved"
    with pytest.raises(SecureFlowError, match="budget_locked"):
        check_unlocked(centre.store, "people")


@pytest.mark.parametrize("at", ["record", "files", "alarm"])
async def test_a_clear_alarm_that_was_cut_off_is_done_again(
    centre: Centre, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9, a full disk: wherever it was, the second one ends what the first had to."""
    approved(centre, "job_1", "job_3")
    copy = copied(centre)
    centre.sign("job_1")
    centre.sign("job_2")  # approved after the copy was made
    set_back(centre, copy)
    assert await asked(centre) == "record_set_back"
    forgotten: list[str] = []

    async def forget(job: str) -> None:
        forgotten.append(job)
        if at == "files":
            raise killed

    killed = RuntimeError("killed")
    with monkeypatch.context() as patched:
        patched.setattr(centre.assembly.rollback, "_forget", forget)
        if at == "record":
            note = centre.store.note

            def cut(now: int, action: str, job: str = "", **facts: Any) -> None:
                note(now, action, job, **facts)
                if job == "job_2":
                    raise killed

            patched.setattr(centre.store, "note", cut)
        if at == "alarm":
            await centre.assembly.rollback.accept()
        else:
            with pytest.raises(RuntimeError, match="killed"):
                await centre.assembly.rollback.accept()
    centre.reopen()
    assert await asked(centre) == "record_set_back"
    forgotten.clear()
    monkeypatch.setattr(centre.assembly.rollback, "_forget", forget)
    at = "alarm"
    await clear_alarm(centre)
    assert outcomes(centre) == dict.fromkeys(("job_1", "job_2", "job_3"), "record_set_back")
    assert sorted(forgotten) == ["job_1", "job_2", "job_3"]
    finished = [one["job"] for one in centre.store.actions() if one["action"] == "job.finished"]
    assert sorted(finished) == ["job_1", "job_2", "job_3"]
    centre.reopen()
    assert await asked(centre) == "not_approved"


async def test_what_was_worked_on_while_its_job_ended_leaves_no_secrets(centre: Centre) -> None:
    """`data settle` ends jobs under requests that go on; what these stored stayed for ever."""
    approved(centre, "job_1")
    tidied = asyncio.Event()

    async def masking() -> None:
        async with centre.assembly.context.locks["job_1"]:
            await tidied.wait()
            with centre.store.transaction():
                centre.store.keep_session("job_1", "train", b"secret")
                centre.store.keep_noised_sums("job_1", b"secret")

    async def tidying() -> None:
        tidied.set()
        await centre.assembly.rollback.forget_ended_jobs()

    working = asyncio.create_task(masking())
    await asyncio.sleep(0)  # it has the lock
    with centre.store.transaction():
        accept_rollback(centre.store, 1, ())
    await asyncio.gather(working, tidying())
    assert centre.store.session("job_1", "train") is None
    assert centre.store.noised_sums("job_1") is None


async def test_a_job_that_was_approved_before_the_newest_leaves_is_over_too(
    centre: Centre,
) -> None:
    copy = copied(centre)
    lost = centre.sign("job_waiting", "approval")
    for _ in range(NEWEST):
        centre.sign("job_long")
    set_back(centre, copy)
    assert await asked(centre) == "record_set_back"
    assert centre.store.fact("alarm")["details"]["jobs"] == ["job_long"]
    await clear_alarm(centre)
    assert centre.store.has_leaf(lost)
    assert outcomes(centre) == dict.fromkeys(("job_long", "job_waiting"), "record_set_back")


async def test_what_the_centre_showed_once_it_does_not_unsay(centre: Centre) -> None:
    """Else it raised the alarm and let the job of it go on, with the budgets as they stood."""
    approved(centre, "job_1")
    copy = copied(centre)
    centre.sign("job_1")
    centre.sign("job_2")
    set_back(centre, copy)
    assert await asked(centre) == "record_set_back"
    Centre.logged = []
    await clear_alarm(centre)
    assert outcomes(centre) == {"job_1": "record_set_back", "job_2": "record_set_back"}
    with pytest.raises(SecureFlowError, match="budget_locked"):
        check_unlocked(centre.store, "people")


async def test_a_log_that_is_long_is_read_on_at_the_next_try(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secureflow.agent.record.ownleaves._PAGE", 1)
    copy = copied(centre)
    lost = centre.sign("job_1")
    centre.sign("job_2")
    set_back(centre, copy)
    answered = type(centre).call
    starts: list[int] = []

    async def call(of: Centre, kind: str, body: dict[str, Any]) -> Any:
        if kind == "audit.entries":
            starts.append(body["start"])
            if len(starts) == 3:
                raise TimeoutError
        return await answered(of, kind, body)

    monkeypatch.setattr(Centre, "call", call)
    assert await asked(centre) == "record_set_back"
    with pytest.raises(SecureFlowError, match="server_unreachable"):
        await centre.assembly.rollback.accept()
    await centre.assembly.rollback.accept()
    assert starts == [0, 1, 2, 2]
    assert centre.store.has_leaf(lost)


async def test_an_owner_who_waits_for_a_centre_that_is_away_is_told(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent itself waits for ten minutes; a person does not, and nothing happens afterwards."""
    centre.told = SecureFlowError("link_broken", "The link is broken.")
    with monkeypatch.context() as patch:
        patch.setattr("secureflow.agent.record.rollback.ANSWERS_WITHIN", 0.05)
        with pytest.raises(SecureFlowError) as refused:
            await centre.assembly.rollback.accept()
    assert refused.value.code == "server_unreachable"
    centre.told = None
    await centre.assembly.rollback.accept()


async def test_a_job_that_the_copy_never_knew_is_not_begun_anew(centre: Centre) -> None:
    copy = copied(centre)
    centre.sign("job_1")
    set_back(centre, copy)
    assert await asked(centre) == "record_set_back"
    await centre.assembly.rollback.accept()
    (job,) = centre.store.jobs()
    assert (job.job, job.outcome) == ("job_1", "record_set_back")


async def test_whoever_goes_on_with_a_job_that_the_copy_never_knew_is_no_cheat(
    centre: Centre,
) -> None:
    """An honest centre does: it was accused of another spec, and got no cosignature."""
    copy = copied(centre)
    await centre.admitted()
    reply = await centre.ask("train", centre.train_body(1))
    Centre.logged = [leaf.bundle["leaf"] for leaf in centre.store.every_leaf()]
    centre.record(reply)
    set_back(centre, copy)
    assert await asked(centre) == "record_set_back"
    await clear_alarm(centre)
    bodies = {
        "challenge": centre.body(generation=2),
        "train": centre.train_body(2),
        "consent": centre.consent_body(),
    }
    for verb, body in bodies.items():
        with pytest.raises(SecureFlowError) as refused:
            await centre.ask(verb, body)
        assert refused.value.code == "job_finished"
        assert "record_set_back" in refused.value.message
    ending = centre.body(outcome="failed", model=None, head=centre.head())
    assert "cosignature" in await centre.ask("finish", ending)
    assert "accused" not in {one["action"] for one in centre.store.actions()}
    assert not (centre.directory / "evidence").exists()
    assert outcomes(centre) == {JOB: "record_set_back"}


async def test_what_a_restore_knows_to_lack_is_taken_in(centre: Centre) -> None:
    copy = copied(centre)
    lost = centre.sign("job_1")
    set_back(centre, copy)
    with centre.store.transaction():
        centre.store.set_fact(FACT, {"restored_at": 2, "taken_at": 1, "size": 0})
    assert await asked(centre) == "not_approved"
    assert centre.store.has_leaf(lost)
    assert centre.store.fact("alarm") is None


async def test_a_restore_looks_back_over_the_whole_log(centre: Centre) -> None:
    """Else what is older than the newest leaves would later look like another set-back."""
    copy = copied(centre)
    lost = centre.sign("job_1")
    for _ in range(NEWEST):
        centre.sign("job_2")
    set_back(centre, copy)
    with centre.store.transaction():
        centre.store.set_fact(FACT, {"restored_at": 2, "taken_at": 1, "size": 0})
    assert await asked(centre) == "not_approved"
    assert centre.store.has_leaf(lost)


async def test_a_restored_record_that_is_set_back_later_says_so(centre: Centre) -> None:
    """What was lost with the machine was taken in at its first look; what it lacks now is news."""
    with centre.store.transaction():
        centre.store.set_fact(FACT, {"restored_at": 2, "taken_at": 1, "size": 0})
    assert await asked(centre) == "not_approved"
    copy = copied(centre)
    centre.sign("job_1")
    set_back(centre, copy)
    assert await asked(centre) == "record_set_back"


async def test_a_leaf_that_is_told_twice_is_taken_in_once(centre: Centre) -> None:
    copy = copied(centre)
    lost = centre.sign("job_1")
    set_back(centre, copy)
    centre.told = {"leaves": [centre.mine[-1]] * 2}
    assert await asked(centre) == "record_set_back"
    assert centre.store.fact("alarm")["details"]["leaves"] == [lost]
    await centre.assembly.rollback.accept()
    assert centre.store.has_leaf(lost)


async def test_of_what_the_centre_tells_so_much_is_looked_at(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secureflow.agent.record.rollback.NEWEST", 1)
    copy = copied(centre)
    lost = centre.sign("job_1")
    centre.sign("job_2")
    set_back(centre, copy)
    centre.told = {"leaves": centre.mine[1:]}
    assert await asked(centre) == "record_set_back"
    assert centre.store.fact("alarm")["details"]["leaves"] == [lost]


async def test_a_place_that_is_none_makes_no_leaf_a_lost_one(centre: Centre) -> None:
    copy = copied(centre)
    centre.sign("job_1")
    set_back(centre, copy)
    with centre.store.transaction():
        centre.store.set_fact("head", {"origin": ORIGIN, "note": centre.head()})
    centre.told = {"leaves": [{"index": -1, "leaf": centre.logged[-1]}]}
    await centre.assembly.rollback.accept()
    assert centre.store.lost_leaves(9) == []


async def test_what_was_taken_in_before_any_head_lets_the_agent_start(centre: Centre) -> None:
    """`require_head` is about proofs that were seen; the centre's word is none."""
    copy = copied(centre)
    lost = centre.sign("job_1")
    set_back(centre, copy)
    assert await asked(centre) == "record_set_back"
    await centre.assembly.rollback.accept()
    require_head(centre.store.fact("head"), proved=centre.store.proved_any())
    assert lost in centre.assembly.context.witness.unproved()  # the first head proves it


async def test_a_centre_cannot_invent_such_a_leaf(centre: Centre) -> None:
    facts = {"kind": "noted", "origin": "log.example", "at": 1, "commitment": "ab" * 32}
    forged = [
        sign_leaf(Leaf(author=ME, **facts), centre.log_key),  # type: ignore[arg-type]
        sign_leaf(Leaf(author="bank-b", **facts), centre.all_keys["bank-b"]),  # type: ignore[arg-type]
        sign_leaf(Leaf(author="bank-b", **facts), centre.all_keys[ME]),  # type: ignore[arg-type]
    ]
    centre.told = {"leaves": [{"index": 1, "leaf": one.json()} for one in forged]}
    assert await asked(centre) == "not_approved"


@pytest.mark.parametrize(
    "told", [{}, [], {"leaves": 7}, SecureFlowError("unknown_kind", "an older centre")]
)
async def test_a_centre_that_tells_nothing_is_asked_no_further(centre: Centre, told: Any) -> None:
    centre.told = told
    assert await asked(centre) == "not_approved"


async def test_until_it_was_looked_nothing_is_answered(centre: Centre) -> None:
    centre.told = SecureFlowError("forbidden", "not now")
    assert await asked(centre) == "forbidden"
    centre.told = None
    assert await asked(centre) == "not_approved"
