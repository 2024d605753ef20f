"""An enclave that was away when a job ended asks which of its jobs are over, and forgets them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from peers.enclaves import JOB, enclave_world
from peers.links import until

from secureflow.enclave import missedends
from secureflow.enclave.plans import RoundId
from secureflow.enclave.rounds import ReleaseRecord
from secureflow.kit.errors import SecureFlowError


class Centre:
    """Answers `job.ends`, or refuses as an older one does."""

    def __init__(self, *answers: Any) -> None:
        self.connected = asyncio.Event()
        self.answers = list(answers)
        self.asked: list[Any] = []
        self.heard = asyncio.Event()

    async def call(self, kind: str, body: dict[str, Any]) -> Any:
        assert kind == "job.ends"
        self.asked.append(body["jobs"])
        answer = self.answers.pop(0)
        if not self.answers:
            self.heard.set()
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_a_job_that_ended_while_it_was_away_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secureflow.adapters.link.missedends.INTERVAL", 0.001)
    refusal = SecureFlowError("forbidden", "An enclave signs no end of a job.")
    async with enclave_world(tmp_path) as world:
        centre = Centre(refusal, {}, {"over": 1}, {"over": []}, {"over": [JOB, "another"]})
        asking = asyncio.create_task(missedends.forget_ended(centre, world.verbs))
        try:
            await asyncio.sleep(0)
            assert not centre.asked  # it is not connected
            centre.connected.set()
            await asyncio.wait_for(centre.heard.wait(), 60)
            await until(lambda: not world.verbs.open_jobs)
            assert centre.asked == [[JOB]] * 5
        finally:
            asking.cancel()


async def test_one_that_ends_while_a_release_is_computed_waits_for_no_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computing, go = asyncio.Event(), asyncio.Event()

    async def compute(*_: Any) -> ReleaseRecord:
        computing.set()
        await go.wait()
        return ReleaseRecord("", {})

    async def store(*_: Any) -> None:
        raise AssertionError("nobody waits for the model")

    async with enclave_world(tmp_path) as world:
        job = world.verbs.job(JOB)
        monkeypatch.setattr(job, "_compute", compute)
        monkeypatch.setattr(job, "_store", store)
        certificate: Any = None
        releasing = asyncio.create_task(job.release(RoundId(1, 1), certificate))
        await computing.wait()
        closing = asyncio.create_task(world.ask("finish"))
        await until(lambda: not world.verbs.open_jobs)
        go.set()
        await closing
        with pytest.raises(SecureFlowError, match="has ended"):
            await releasing
