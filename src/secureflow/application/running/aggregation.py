"""The server's own aggregator: folds masked vectors and opens one certified sum a round.

It is not trusted by anybody: a party's mask hides its vector, and the party's own refusals decide
which sum opens. It keeps nothing that a crash could lose: every request says all that it needs, the
vectors wait in their store until the *next* request says that they are spent, and the model is in
the blobs. Memory is one vector and one model, whatever the number of parties.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

from secureflow.application.ports.artifacts import Artifacts
from secureflow.application.ports.courier import Request
from secureflow.domain.specs.kinds import parse_spec
from secureflow.domain.specs.statistics import StatisticsSpec
from secureflow.kit.canonical import digest
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.memory import give_back

JSON = Any
_CHUNK = 1 << 20

_log = get_logger(__name__)


class Scratch(Protocol):
    """Blobs that live as long as a job runs."""

    def of(self, job: str) -> Artifacts:
        """Return the job's store."""

    async def discard(self, job: str) -> None:
        """Remove the job's store."""


class Aggregation:
    """The local party `aggregator`.

    Args:
        artifacts: where models and published means go.
        vectors: where parties put their masked vectors.
    """

    def __init__(self, artifacts: Artifacts, vectors: Scratch) -> None:
        self._artifacts = artifacts
        self._vectors = vectors
        self._models: dict[str, tuple[str, Any]] = {}

    async def handle(self, verb: str, body: Mapping[str, JSON]) -> JSON:
        """Answer `sum` and `finish`.

        Raises:
            SecureFlowError: `unknown_verb`, those of `engines.secagg.open_sum`, `vector_missing`
                (details: parties), `model_inconsistent`, `model_not_finite`.
        """
        if verb == "finish":
            self._models.pop(str(body["job"]), None)
            await self._vectors.discard(str(body["job"]))
            await asyncio.to_thread(give_back)
            return {}
        if verb != "sum":
            raise SecureFlowError("unknown_verb", f"The aggregator does not know '{verb}'.")
        return await self._sum(body)

    async def check_arrival(self, request: Request, reply: JSON) -> None:
        """Take a party's word that its masked vector is here only if it is.

        A party that says so of a vector that never came would else stand in a certificate that
        nothing can open.

        Raises:
            SecureFlowError: `vector_missing`.
        """
        if request.body.get("uplink") is not None:
            return  # sealed: the enclave says what it holds
        vector = reply.get("vector") if isinstance(reply, Mapping) else None
        size = request.body["vector"]["size"]
        if not await _holds(self._vectors.of(request.body["job"]), str(vector), size):
            raise _vector_missing([request.party])

    async def _sum(self, body: Mapping[str, JSON]) -> dict[str, JSON]:
        # NumPy and the protocol load with the first masked round.
        from secureflow.engines.kinds.masked_sums import masked_plan
        from secureflow.engines.secagg import Opened, open_sum
        from secureflow.engines.training.encodings import masked_round, opened_sums

        job, stage = body["job"], body["stage"]
        spec = parse_spec(body["spec"])
        plan = masked_plan(spec, job, body["digest"], stage)
        opened = Opened.from_json(body["opened"])
        store = self._vectors.of(job)
        for spent in body["spent"]:
            await store.delete(spent)
        survivors = opened.certificate.survivors
        vectors = {party: body["vectors"][party] for party in survivors}
        lost = [p for p, v in vectors.items() if not await _holds(store, v, plan.vector_bytes)]
        if lost:
            raise _vector_missing(lost)
        total = await self._fold(store, plan, list(vectors.values()))
        weight = await asyncio.to_thread(
            open_sum, plan, masked_round(stage, body["round"]), opened, total
        )
        told: dict[str, JSON] = {
            "round": body["round"], "stage": stage, "survivors": list(survivors),
        }  # fmt: skip
        if isinstance(spec, StatisticsSpec):
            return told | _totals(plan, total, len(survivors))
        sums = opened_sums(spec, stage, plan, total, weight)
        answer: dict[str, JSON] = {"model": body["base"]}
        if stage == "train":
            answer = await self._advance(body, spec, plan, total, weight)
        return told | _released(body, survivors, answer, sums)

    async def _fold(self, store: Artifacts, plan: Any, digests: Sequence[str]) -> Any:
        import numpy as np

        total = np.zeros(plan.encoding.slots, plan.ring)
        for vector in digests:
            at, rest = 0, b""
            async for chunk in await store.open(vector):
                data = rest + chunk if rest else chunk
                part = np.frombuffer(data, plan.ring, len(data) // plan.ring.itemsize)
                total[at : at + part.size] += part
                at, rest = at + part.size, data[part.nbytes :]
        return total

    async def _advance(
        self, body: Mapping[str, JSON], spec: Any, plan: Any, total: Any, weight: int
    ) -> dict[str, JSON]:
        """Publish the mean, and the model that every agent computes from it too."""
        import numpy as np

        from secureflow.engines.training.encodings import apply_mean

        model = await self._model(body, spec)
        mean = np.empty(spec.parameters, np.float32)
        digest, mean_digest = await asyncio.to_thread(
            apply_mean, spec, plan, total, weight, model, mean
        )
        await self._store(mean, mean_digest)
        await self._store(model, digest)
        self._models[body["job"]] = (digest, model)
        return {
            "base": body["base"],
            "model": digest,
            "artifact": digest,
            "size": model.nbytes,
            "mean": {"artifact": mean_digest, "size": mean.nbytes},
        }

    async def _model(self, body: Mapping[str, JSON], spec: Any) -> Any:
        """Return the model that the round started from: kept, initial, or from the blobs."""
        import numpy as np

        from secureflow.engines.training.models import initial_state

        digest, model = self._models.pop(body["job"], ("", None))
        if digest == body["base"]:
            return model
        if body["model"] is None:
            return await asyncio.to_thread(initial_state, spec)
        model = np.empty(spec.parameters, np.float32)
        view, at = model.data.cast("B"), 0
        async for chunk in await self._artifacts.open(body["base"]):
            view[at : at + len(chunk)] = chunk
            at += len(chunk)
        return model

    async def _store(self, array: Any, digest: str) -> None:
        view = memoryview(array).cast("B")

        async def chunks() -> AsyncIterator[bytes]:
            for start in range(0, len(view), _CHUNK):
                yield bytes(view[start : start + _CHUNK])

        await self._artifacts.put(chunks(), limit=len(view), expect=digest)


def _released(
    body: Mapping[str, JSON],
    survivors: tuple[str, ...],
    answer: dict[str, JSON],
    sums: Sequence[float],
) -> dict[str, JSON]:
    """Return what a training round releases, with the digest that the ledger holds."""
    from secureflow.engines.sealing import Release

    release = Release(
        body["job"], body["digest"], body["round"], body["stage"], survivors,
        answer["model"], tuple(sums),
    )  # fmt: skip
    return {"sums": list(release.sums), "sums_digest": release.sums_digest, **answer}


def _totals(plan: Any, total: Any, survivors: int) -> dict[str, JSON]:
    """Return the whole numbers of a statistics job's total, and their digest for the ledger."""
    from secureflow.engines.statistics import opened_total

    totals = opened_total(plan, total, survivors).tolist()
    return {"totals": totals, "sums_digest": digest(totals)}


async def _holds(store: Artifacts, vector: str, size: int) -> bool:
    try:
        return (await store.stat(vector)).size == size
    except SecureFlowError:
        return False  # no such blob, or no digest at all


def _vector_missing(parties: list[str]) -> SecureFlowError:
    names = ", ".join(parties)
    return SecureFlowError(
        "vector_missing",
        f"The masked vector that {names} named is not at the centre.",
        "Its agent is faulty, or the centre's disk has lost it: it is asked for once more.",
        {"parties": parties},
    )
