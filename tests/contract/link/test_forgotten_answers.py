"""What a job's requests were answered is forgotten with the job: nobody gets an old vote again."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from secureflow.adapters.link.messages import LogProgress
from secureflow.adapters.link.tasks import RequestTasks
from secureflow.kit.errors import SecureFlowError
from secureflow.wire import Envelope


async def test_a_stopped_jobs_answers_are_not_sent_again() -> None:
    sent: list[Any] = []
    arrived = asyncio.Event()
    count = 0

    async def handle(verb: str, body: Any, log_proofs: Any) -> Any:
        nonlocal count
        count += 1
        return {"vote": count}

    def send(envelope: Envelope) -> None:
        sent.append(envelope.body["body"])
        arrived.set()

    tasks = RequestTasks(handle, LogProgress, lambda error: error)
    tasks.attach(SimpleNamespace(send=send))  # type: ignore[arg-type]

    async def asked(job: str) -> Any:
        arrived.clear()
        tasks.take(Envelope(f"{job}/1/a", "request", {"verb": "close", "body": {}}))
        await arrived.wait()
        for _ in range(5):  # its task has ended
            await asyncio.sleep(0)
        return sent[-1]

    assert [await asked("job_1") for _ in range(2)] == [{"vote": 1}] * 2
    assert await asked("job_10") == {"vote": 2}
    tasks.forget_answers("job_1")
    assert await asked("job_10") == {"vote": 2}, "another job's answer stays"
    assert await asked("job_1") == {"vote": 3}
    await tasks.stop()


@pytest.mark.parametrize("refused", ["forbidden", "not_found", "record_damaged"])
async def test_a_blob_that_was_refused_while_the_job_was_paused_is_sent_after_it(
    refused: str,
) -> None:
    """The centre takes blobs of jobs that it drives, and gives those that are whole; the resumed
    job asks under the same id."""
    sent: list[Envelope] = []
    arrived = asyncio.Event()
    paused = [True]

    async def handle(verb: str, body: Any, log_proofs: Any) -> Any:
        if paused:
            raise SecureFlowError(refused, "The centre takes no such blob.")
        return {"sent": True}

    def send(envelope: Envelope) -> None:
        sent.append(envelope)
        arrived.set()

    tasks = RequestTasks(handle, LogProgress, lambda error: error)
    tasks.attach(SimpleNamespace(send=send))  # type: ignore[arg-type]
    for _ in range(2):
        arrived.clear()
        tasks.take(Envelope("job_1/1/a", "request", {"verb": "train", "body": {}}))
        await arrived.wait()
        for _ in range(5):  # its task has ended
            await asyncio.sleep(0)
        paused.clear()  # it is resumed
    assert [one.kind for one in sent] == ["failure", "reply"]
    await tasks.stop()
