"""A damaged file of the centre's store is its own fault: the job waits for a person."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from blake3 import blake3
from doubles import MemoryArtifacts

from secureflow.adapters.artifacts import FileArtifacts
from secureflow.application.jobs.models import ModelSums
from secureflow.application.ports.artifacts import DamagedArtifactError
from secureflow.application.running.asking import Asking
from secureflow.domain.jobs import JobState
from secureflow.kit.errors import SecureFlowError
from tests.unit.application.test_driving import JOB, Courier, Faults, World, world
from tests.unit.application.test_resuming import ADMIN, SUBMITTED, Play, use_cases

MODEL = b"a model"
DIGEST = blake3(MODEL).hexdigest()


class Relaying(Courier):
    """A party that fetches the model, and passes on what the centre's store refuses it."""

    def __init__(self, store: FileArtifacts) -> None:
        super().__init__()
        self.store = store
        self.lies = False

    async def ask(self, request: Any) -> dict[str, Any]:
        try:
            await self.store.open(DIGEST)
        except SecureFlowError as error:
            self.refusal = SecureFlowError.from_json(error.as_json())
        else:
            self.refusal = None
        if self.lies:
            self.refusal = SecureFlowError.from_json(DamagedArtifactError(DIGEST).as_json())
        return await super().ask(request)


@asynccontextmanager
async def asking(tmp_path: Path, play: Play) -> AsyncIterator[tuple[World, Relaying, Path]]:
    """A job that is about to begin, whose party reads a model of the centre's store."""
    store = FileArtifacts(tmp_path / "blobs")

    async def whole(job: str, digest: str) -> None:
        assert job == JOB.id
        await store.open(digest)

    async def content() -> AsyncIterator[bytes]:
        yield MODEL

    async with world(tmp_path, Faults(), played=play) as one:
        await store.put(content(), limit=len(MODEL))
        path, courier = store.path(DIGEST), Relaying(store)
        assert path is not None
        one.courier = courier
        cosigned = one.runner._asking._cosigned
        one.runner._asking = Asking(courier, cosigned, damaged=whole)  # type: ignore[arg-type]
        await one.add(SUBMITTED)
        yield one, courier, path


async def test_a_job_is_paused_by_name_and_goes_on_once_the_file_is_put_back(
    tmp_path: Path,
) -> None:
    play = Play()
    play.broken = False
    async with asking(tmp_path, play) as (one, courier, path):
        path.write_bytes(b"a modem")
        one.runner.start(JOB.id)
        job = await one.ended()
        assert (job.state, (job.error or {})["code"]) == (JobState.PAUSED, "record_damaged")
        assert DIGEST in (job.error or {})["message"]
        assert str(tmp_path) not in str(job.error)
        one.changed.clear()
        path.write_bytes(MODEL)
        await use_cases(one).resume(ADMIN, JOB.id)
        job = await one.ended()
        assert (job.state, job.error) == (JobState.SUCCEEDED, None)
        assert courier.asked == ["job_1/4/bank-a"] * 2  # under one id: nothing was an answer


async def test_a_partys_word_of_a_file_that_is_whole_is_that_partys_failure(
    tmp_path: Path,
) -> None:
    play = Play()
    play.broken = False
    async with asking(tmp_path, play) as (one, courier, _):
        courier.lies = True
        one.runner.start(JOB.id)
        job = await one.ended()
        assert job.state is JobState.FAILED


async def test_a_base_that_is_read_otherwise_than_it_was_hashed_leads_to_no_model() -> None:
    store = MemoryArtifacts()
    base = store.keep(np.arange(4, dtype="<f4").tobytes())
    store.blobs[base] = np.arange(1, 5, dtype="<f4").tobytes()
    request: Any = SimpleNamespace(job=JOB.id, base=base, model={"digest": base})
    spec: Any = SimpleNamespace(parameters=4, starts_from="")
    with pytest.raises(DamagedArtifactError):
        await ModelSums(store)._model(request, spec)
