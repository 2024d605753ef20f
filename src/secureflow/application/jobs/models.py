"""What a training job's masked sums become: mean, next model, and the accompanying sums."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from secureflow.application.ports.artifacts import Artifacts, DamagedArtifactError
from secureflow.application.running.aggregation import OpenedSum
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.run.messages import SumRequest
from secureflow.kit.canonical import JSON

_CHUNK = 1 << 20


class ModelSums:
    """`application.running.aggregation.SumHandler`: caches the newest model, stores all.

    Args:
        artifacts: where models and published means go.
    """

    def __init__(self, artifacts: Artifacts) -> None:
        self._artifacts = artifacts
        self._models: dict[str, tuple[str, Any]] = {}

    async def release(self, opened: OpenedSum) -> dict[str, JSON]:
        """Return the sums, the model and, after a training round, the mean that leads to it.

        Raises:
            SecureFlowError: `model_inconsistent`, `model_not_finite`.
        """
        from secureflow.engines.training.encodings import opened_sums

        request = opened.request
        stage: Any = request.stage  # a stage that the job's kind masks
        sums = opened_sums(opened.spec, stage, opened.plan, opened.total, opened.weight)
        answer: dict[str, JSON] = {"model": request.base}
        if stage == "train":
            answer = await self._advance(opened)
        return _released(request, opened.survivors, answer, sums)

    def forget(self, job: str) -> None:
        """Forget a job's model."""
        self._models.pop(job, None)

    async def _advance(self, opened: OpenedSum) -> dict[str, JSON]:
        """Publish the mean, and the model that every agent also computes from it."""
        import numpy as np

        from secureflow.engines.training.encodings import (
            SummedUpdates,
            apply_mean,
            published_dtype,
        )

        request, spec = opened.request, opened.spec
        model = await self._model(request, spec)
        mean = np.empty(spec.update_parameters, published_dtype(spec))
        summed = SummedUpdates(opened.total, opened.weight, len(opened.survivors))
        digest, mean_digest = await asyncio.to_thread(
            apply_mean, spec, opened.plan, summed, model, mean
        )
        await self._store(mean, mean_digest)
        await self._store(model, digest)
        self._models[request.job] = (digest, model)
        return {
            "base": request.base,
            "model": digest,
            "artifact": digest,
            "size": model.nbytes,
            "mean": {"artifact": mean_digest, "size": mean.nbytes},
        }

    async def _model(self, request: SumRequest, spec: TrainingSpec) -> Any:
        """Return the model from which the round started: cached, initial, or from the blobs."""
        import numpy as np

        from secureflow.engines.sealing import tensor_digest
        from secureflow.engines.training.models import initial_state, with_kept

        digest, model = self._models.pop(request.job, ("", None))
        if digest == request.base:
            return model
        if request.model is None:
            return await asyncio.to_thread(initial_state, spec)
        start = request.base == spec.starts_from
        model = np.empty(spec.start_parameters if start else spec.parameters, np.float32)
        view, at = model.data.cast("B"), 0
        async for chunk in await self._artifacts.open(request.base):
            view[at : at + len(chunk)] = chunk
            at += len(chunk)
        if await asyncio.to_thread(tensor_digest, model) != request.base:
            raise DamagedArtifactError(request.base)  # the disk gave other bytes than were hashed
        return with_kept(spec, model)

    async def _store(self, array: Any, digest: str) -> None:
        view = memoryview(array).cast("B")

        async def chunks() -> AsyncIterator[bytes]:
            for start in range(0, len(view), _CHUNK):
                yield bytes(view[start : start + _CHUNK])

        await self._artifacts.put(chunks(), limit=len(view), expect=digest)


def _released(
    request: SumRequest,
    survivors: tuple[str, ...],
    answer: dict[str, JSON],
    sums: Sequence[float],
) -> dict[str, JSON]:
    """Return what a training round releases, with the digest that the ledger holds."""
    from secureflow.engines.sealing import RoundRelease

    release = RoundRelease(
        request.job, request.digest, request.round, request.stage, survivors,
        answer["model"], tuple(sums),
    )  # fmt: skip
    return {"sums": list(release.sums), "sums_digest": release.sums_digest, **answer}
