"""An agent asks how the jobs ended that are still open in its record."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from peers.agent_world import JOB, World

from secureflow.adapters.link.missedends import AT_ONCE
from secureflow.agent.edge.missedends import MissedEnds
from secureflow.agent.record.records import JobRecord
from secureflow.kit.errors import SecureFlowError


class Centre:
    """A link to a centre that asks the agent to finish what it asks about."""

    def __init__(self, world: World, outcome: str = "failed") -> None:
        self.world, self.outcome = world, outcome
        self.connected = asyncio.Event()
        self.asked: list[list[str]] = []
        self.failures: list[SecureFlowError] = []
        self.replies: list[dict[str, Any]] = []
        self.called = asyncio.Event()

    async def call(self, kind: str, body: dict[str, Any]) -> Any:
        assert kind == "job.ends"
        self.asked.append(body["jobs"])
        self.called.set()
        if self.failures:
            raise self.failures.pop()
        world = self.world
        told = world.body(outcome=self.outcome, model=None, head=world.head())
        if JOB in body["jobs"]:
            self.replies.append(await world.ask("finish", told))
        return {}


async def test_a_party_that_missed_the_end_is_told_when_it_asks(tmp_path: Path) -> None:
    world = World(tmp_path / "agent")
    await world.admitted()
    await world.round(1)
    world.reopen()  # it was away
    centre = Centre(world)
    overdue = MissedEnds(centre, world.store)
    await overdue.ask()
    job = world.store.job(JOB)
    assert job is not None
    assert (job.outcome, job.secret) == ("failed", b"")
    await overdue.ask()  # the log lacks its end: the answer may be lost
    assert centre.replies[0]["leaf"] == centre.replies[1]["leaf"]
    world.record(centre.replies[1])
    await overdue.ask()
    await overdue.ask()
    assert centre.asked == [[JOB]] * 3  # proved: there is nothing to ask any more
    assert [action["action"] for action in world.store.actions()].count("job.finished") == 1


async def test_an_end_of_another_spec_is_refused_whoever_asked(tmp_path: Path) -> None:
    world = World(tmp_path / "agent")
    await world.admitted()
    centre = Centre(world)
    world.digest = "ab" * 32
    with pytest.raises(SecureFlowError, match="another spec"):
        await MissedEnds(centre, world.store).ask()
    assert world.store.unended() == [JOB]


async def test_thousands_of_old_jobs_are_asked_for_in_portions(tmp_path: Path) -> None:
    world = World(tmp_path / "agent")
    with world.store.transaction():
        for number in range(2 * AT_ONCE + 1):
            world.store.add_job(JobRecord(f"job_{number:04}", "", {}, b"", 0, 0))
    centre = Centre(world)
    await MissedEnds(centre, world.store).ask()
    assert [len(jobs) for jobs in centre.asked] == [AT_ONCE, AT_ONCE, 1]
    assert centre.asked[0][0] == "job_0200"  # the newest first


async def test_it_asks_once_the_link_stands_and_outlives_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secureflow.adapters.link.missedends.INTERVAL", 0.0)
    world = World(tmp_path / "agent")
    await world.admitted()
    centre = Centre(world)
    centre.failures = [SecureFlowError("unknown_kind", "An older centre.")]
    running = asyncio.create_task(MissedEnds(centre, world.store).run())
    await asyncio.sleep(0)
    assert not centre.asked
    centre.connected.set()
    while not centre.replies:
        await asyncio.wait_for(centre.called.wait(), 30)
        centre.called.clear()
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait({running})
    job = world.store.job(JOB)
    assert job is not None
    assert job.outcome == "failed"
