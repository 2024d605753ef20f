"""An agent that was set back notices it by its own leaves in the log, and stops."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from peers.agent_world import JOB, ME, ORIGIN, World

from secureflow.agent.budgets import LEAF as BUDGET
from secureflow.agent.damage import refuse_headless
from secureflow.agent.records import JobRecord
from secureflow.agent.restored import FACT, check_unlocked, settle
from secureflow.engines.ledger.leaves import Leaf, leaf_from_json, sign_leaf
from secureflow.kit.errors import SecureFlowError


class Centre(World):
    """A world whose centre tells the agent its own newest leaves in the log."""

    told: Any = None

    async def call(self, kind: str, body: dict[str, Any]) -> Any:
        if kind == "log.mine":
            if isinstance(self.told, SecureFlowError):
                raise self.told
            return self.told if self.told is not None else {"leaves": self.mine}
        return await super().call(kind, body)

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


async def test_a_record_that_is_whole_is_looked_at_once(centre: Centre) -> None:
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


async def test_on_the_owners_word_it_goes_on_without_those_jobs(centre: Centre) -> None:
    with centre.store.transaction():
        centre.store.add_job(JobRecord("job_1", "ab" * 32, {}, b"\x01" * 32, 1, 1 << 40))
    copy = copied(centre)
    lost = centre.sign("job_1")
    spent = centre.sign("job_1", BUDGET)
    set_back(centre, copy)
    assert await asked(centre) == "record_set_back"
    await centre.assembly.recall.accept()
    with centre.store.transaction():
        centre.store.set_fact("alarm", None)
    assert await asked(centre) == "not_approved"
    assert centre.store.has_leaf(lost)
    assert not centre.store.has_leaf(spent)  # what was spent stays unknown: the budget refuses
    with pytest.raises(SecureFlowError, match="goes on with a record that was set back") as kept:
        check_unlocked(centre.store, "people")
    assert "data settle people" in kept.value.hint  # the way on, as after a restore
    with centre.store.transaction():
        settle(centre.store, "people")
    check_unlocked(centre.store, "people")
    (job,) = centre.store.jobs()
    assert job.outcome == "record_set_back"
    following = leaf_from_json(centre.store.leaf(centre.sign("job_2")).bundle["leaf"])
    assert following.leaf.prev == lost  # its chain goes on where the log's ends


async def test_an_owner_who_waits_for_a_centre_that_is_away_is_told(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent itself waits for ten minutes; a person does not, and nothing happens afterwards."""
    monkeypatch.setattr("secureflow.agent.recall.ANSWERS_WITHIN", 0.05)
    centre.told = SecureFlowError("link_broken", "The link is broken.")
    with pytest.raises(SecureFlowError) as refused:
        await centre.assembly.recall.accept()
    assert refused.value.code == "server_unreachable"
    centre.told = None
    await centre.assembly.recall.accept()


async def test_a_job_that_the_copy_never_knew_is_not_begun_anew(centre: Centre) -> None:
    copy = copied(centre)
    centre.sign("job_1")
    set_back(centre, copy)
    assert await asked(centre) == "record_set_back"
    await centre.assembly.recall.accept()
    (job,) = centre.store.jobs()
    assert (job.job, job.outcome) == ("job_1", "record_set_back")


async def test_what_a_restore_knows_to_lack_is_taken_in(centre: Centre) -> None:
    copy = copied(centre)
    lost = centre.sign("job_1")
    set_back(centre, copy)
    with centre.store.transaction():
        centre.store.set_fact(FACT, {"restored_at": 2, "taken_at": 1, "size": 0})
    assert await asked(centre) == "not_approved"
    assert centre.store.has_leaf(lost)
    assert centre.store.fact("alarm") is None


async def test_a_leaf_that_is_told_twice_is_taken_in_once(centre: Centre) -> None:
    copy = copied(centre)
    lost = centre.sign("job_1")
    set_back(centre, copy)
    centre.told = {"leaves": [centre.mine[-1]] * 2}
    assert await asked(centre) == "record_set_back"
    assert centre.store.fact("alarm")["details"]["leaves"] == [lost]
    await centre.assembly.recall.accept()
    assert centre.store.has_leaf(lost)


async def test_of_what_the_centre_tells_so_much_is_looked_at(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secureflow.agent.recall.NEWEST", 1)
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
    await centre.assembly.recall.accept()
    assert centre.store.lost_leaves(9) == []


async def test_what_was_taken_in_before_any_head_lets_the_agent_start(centre: Centre) -> None:
    """`refuse_headless` is about proofs that were seen; the centre's word is none."""
    copy = copied(centre)
    lost = centre.sign("job_1")
    set_back(centre, copy)
    assert await asked(centre) == "record_set_back"
    await centre.assembly.recall.accept()
    refuse_headless(centre.store.fact("head"), proved=centre.store.proved_any())
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
