from __future__ import annotations

import sqlite3
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from secureflow.agent.record.records import JobRecord, OwnLeaf, RoundRecord
from secureflow.agent.record.schema import MIGRATIONS
from secureflow.agent.record.store import RecordStore
from secureflow.kit.errors import SecureFlowError

JOB = JobRecord("job_1", "d" * 64, {"a": [1]}, b"s" * 32, 10, 20)


@pytest.fixture
def store(tmp_path: Path) -> RecordStore:
    return RecordStore(tmp_path / "agent.db")


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    RecordStore(tmp_path / "agent.db")
    assert stat.S_IMODE((tmp_path / "agent.db").stat().st_mode) == 0o600


def test_what_was_committed_is_there_after_a_crash(tmp_path: Path) -> None:
    store = RecordStore(tmp_path / "agent.db")
    with store.transaction():
        store.add_job(JOB)
        store.set_fact("head", {"size": 3})
    again = RecordStore(tmp_path / "agent.db")  # the first one was never closed
    assert again.job("job_1") == JOB
    assert again.fact("head") == {"size": 3}


def test_a_transaction_is_all_or_nothing(store: RecordStore) -> None:
    with pytest.raises(KeyboardInterrupt), store.transaction():  # noqa: PT012
        store.add_job(JOB)
        raise KeyboardInterrupt
    assert store.job("job_1") is None


def test_nobody_writes_outside_of_a_transaction(store: RecordStore) -> None:
    with pytest.raises(RuntimeError):
        store.add_job(JOB)


def test_one_record_per_round_and_one_vote_per_round(store: RecordStore) -> None:
    record = RoundRecord("job_1", 1, "train", "m", "c", 1, 0.5, 3, "h")
    with store.transaction():
        store.add_round(record)
        store.add_vote("job_1", 1, "train", {})
    with pytest.raises(sqlite3.IntegrityError), store.transaction():
        store.add_round(record)
    with pytest.raises(sqlite3.IntegrityError), store.transaction():
        store.add_vote("job_1", 1, "train", {"other": True})
    assert store.rounds("job_1") == [record]


def test_chains_go_on_within_a_job_and_begin_at_the_newest_leaf(store: RecordStore) -> None:
    assert store.last_leaf("job_1") == ""
    with store.transaction():
        for name, job in (("a1", "job_1"), ("b1", "job_2"), ("a2", "job_1")):
            store.add_leaf(OwnLeaf(name, job, "update", {}))
    assert store.last_leaf("job_1") == "a2"
    assert store.last_leaf("job_2") == "b1"
    assert store.last_leaf("job_3") == "a2"


def test_unproved_leaves(store: RecordStore) -> None:
    with store.transaction():
        for name in ("x", "y"):
            store.add_leaf(OwnLeaf(name, "job_1", "update", {}))
        store.prove_leaf("x", 3)
        store.miss_leaves({"y": 1})
    assert [(leaf.hash, leaf.missed) for leaf in store.unproved("job_1")] == [("y", 1)]
    assert store.unproved("job_2") == []


def test_jobs_whose_end_is_asked_for(store: RecordStore) -> None:
    """Those that are open, that wait for a person, and whose leaves may not have arrived."""
    with store.transaction():
        store.add_job(JOB)
        store.add_job(replace(JOB, job="job_2"))
        store.finish_job("job_2", "failed")
        assert store.unended() == ["job_1"]
        store.add_leaf(OwnLeaf("lost", "job_4", "update", {}))
        store.lose_leaves(9)
        for name, job in (("x", "job_2"), ("y", "job_3"), ("z", "")):
            store.add_leaf(OwnLeaf(name, job, "update", {}))
        store.prove_leaf("y", 3)
    assert store.unended() == ["job_2", "job_1"]
    plan = store._all("EXPLAIN QUERY PLAN SELECT job FROM jobs WHERE outcome = ''")
    assert "jobs_open" in str([tuple(row) for row in plan])  # specs of old jobs are not read


def test_a_finished_job_keeps_no_secret(store: RecordStore) -> None:
    with store.transaction():
        store.add_job(JOB)
        store.finish_job("job_1", "succeeded")
    job = store.job("job_1")
    assert job is not None
    assert (job.secret, job.outcome) == (b"", "succeeded")


def test_a_record_of_a_later_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    RecordStore(path).close()
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(SecureFlowError) as error:
        RecordStore(path)
    assert error.value.code == "store_too_new"


def test_a_file_that_is_no_record_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(SecureFlowError) as error:
        RecordStore(path)
    assert error.value.code == "record_damaged"


def test_a_vote_in_another_round_or_stage_is_one_before(tmp_path: Path) -> None:
    """The second flight of a party's first closing (the certificate) is still its first."""
    store = RecordStore(tmp_path / "agent.db")
    with store.transaction():
        store.add_vote("job-1", 1, "train", {})
    assert not store.voted_before("job-1", 1, "train")
    assert not store.voted_before("job-2", 2, "train")
    assert store.voted_before("job-1", 2, "train")
    assert store.voted_before("job-1", 1, "evaluate")
    store.close()


def test_the_record_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    path.touch(0o644)
    store = RecordStore(path)
    modes = {one.name: one.stat().st_mode & 0o777 for one in tmp_path.iterdir()}
    store.close()
    assert set(modes.values()) == {0o600}


def test_a_stopped_job_is_told_to_the_centre_also_where_others_have_ended(
    store: RecordStore,
) -> None:
    """An answer to another job's end says nothing of this one."""
    with store.transaction():
        for name, outcome in (("job_1", "succeeded"), ("job_2", "grant_revoked")):
            store.add_job(replace(JOB, job=name))
            store.finish_job(name, outcome)
        store.keep_answer("finish/job_1", "job_1", {})
        store.note(100, "job.stopped", "job_2")
    stopped = [("job_2", "grant_revoked")]
    assert store.untold_stops(["grant_revoked"], 99) == []
    assert store.untold_stops(["grant_revoked"], 100) == stopped
    with store.transaction():
        store.keep_answer("withdrawn/job_1", "job_1", True)
    assert store.untold_stops(["grant_revoked"], 100) == stopped
    with store.transaction():
        store.keep_answer("withdrawn/job_2", "job_2", True)
    assert store.untold_stops(["grant_revoked"], 100) == []
