"""The server's own aggregator: folds masked vectors and opens one certified sum per round.

No party trusts it: masks hide the vectors, and the parties' own refusals decide which sum opens. It
holds no state that a crash could lose: every request is self-contained, the vectors stay in their
store until the *next* request says that they are no longer needed, and the model is in the blobs.
It holds one vector and one model in memory, for any number of parties.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from secureflow.application.ports.artifacts import Artifacts
from secureflow.application.ports.courier import Request
from secureflow.engines.run.kind import EngineKinds
from secureflow.engines.run.messages import Empty, ForgetRequest, SumRequest, as_body, read
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.memory import return_free_memory
from secureflow.kit.text import Text

_log = get_logger(__name__)


class Scratch(Protocol):
    """Blobs that exist as long as a job runs."""

    def of(self, job: str) -> Artifacts:
        """Return the job's store."""

    async def discard(self, job: str) -> None:
        """Remove the job's store."""


class SumHandler(Protocol):
    """Handles a job's opened sums at the centre; one for each kind of job."""

    async def release(self, opened: OpenedSum) -> dict[str, JSON]:
        """Return what the round releases, including `sums_digest`.

        Raises:
            SecureFlowError: the sum is not valid for a job of this kind.
        """

    def forget(self, job: str) -> None:
        """Forget a job that is over."""


@dataclass(frozen=True)
class OpenedSum:
    """An unmasked sum.

    Args:
        request: for it.
        spec: the job's, of the handler's kind.
        plan: of the stage's masked sums (`engines.secagg.MaskingPlan`).
        total: ring elements, shape `(plan.encoding.slots,)`.
        weight: total of all contributions.
        survivors: the parties that contributed.
    """

    request: SumRequest
    spec: Any
    plan: Any
    total: Any
    weight: int
    survivors: tuple[str, ...]


class Aggregation:
    """The local party `aggregator`.

    Args:
        kinds: the engines' part of each kind of job.
        handlers: the handler of each kind's sums.
        vectors: where parties store their masked vectors.
    """

    def __init__(
        self, kinds: EngineKinds, handlers: Mapping[str, SumHandler], vectors: Scratch
    ) -> None:
        self._kinds = kinds
        self._handlers = handlers
        self._vectors = vectors

    async def handle(self, verb: str, body: Mapping[str, JSON]) -> JSON:
        """Answer `sum` and `finish`.

        Raises:
            SecureFlowError: `unknown_verb`, those of `engines.secagg.open_sum`, `vector_missing`
                (details: parties), `model_inconsistent`, `model_not_finite`.
        """
        if verb == ForgetRequest.verb:
            job = read(ForgetRequest, body).job
            for handler in self._handlers.values():
                handler.forget(job)
            await self._vectors.discard(job)
            await asyncio.to_thread(return_free_memory)
            return as_body(Empty())
        if verb != SumRequest.verb:
            raise SecureFlowError(
                "unknown_verb", Text("The aggregator does not know '{verb}'.", verb=verb)
            )
        return await self._sum(read(SumRequest, body))

    async def check_arrival(self, request: Request, reply: JSON) -> None:
        """Check a party's claim that its masked vector has arrived.

        Otherwise a party whose vector never came would be in a certificate that cannot be opened.

        Raises:
            SecureFlowError: `vector_missing`.
        """
        if request.body.get("uplink") is not None:
            return  # sealed: the enclave reports what it holds
        vector = reply.get("vector") if isinstance(reply, Mapping) else None
        size = request.body["vector"]["size"]
        if not await _holds(self._vectors.of(request.body["job"]), str(vector), size):
            raise _vector_missing([request.party])

    async def _sum(self, request: SumRequest) -> dict[str, JSON]:
        # NumPy and the protocol are loaded with the first masked round.
        from secureflow.engines.secagg import Opened, open_sum

        stage = request.stage
        spec = self._kinds.specs.parse(request.spec)
        kind = self._kinds.of(spec)
        plan = kind.masked_plan(spec, request.job, request.digest, stage)
        opened = Opened.from_json(request.opened)
        store = self._vectors.of(request.job)
        for spent in request.spent:
            await store.delete(spent)
        survivors = opened.certificate.survivors
        vectors = {party: request.vectors[party] for party in survivors}
        lost = [p for p, v in vectors.items() if not await _holds(store, v, plan.vector_bytes)]
        if lost:
            raise _vector_missing(lost)
        total = await self._fold(store, plan, list(vectors.values()))
        number = kind.session_round(stage, request.round)
        weight = await asyncio.to_thread(open_sum, plan, number, opened, total)
        event = {"round": request.round, "stage": stage, "survivors": list(survivors)}
        sum_ = OpenedSum(request, spec, plan, total, weight, survivors)
        return event | await self._handlers[spec.kind].release(sum_)

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


async def _holds(store: Artifacts, vector: str, size: int) -> bool:
    """Tell whether a vector has arrived.

    Raises:
        InfrastructureError: that cannot be seen now, which is no fault of its party.
    """
    try:
        if (await store.stat(vector)).size != size:
            return False
        await store.open(vector)
    except InfrastructureError:
        raise
    except SecureFlowError:
        return False  # no such blob, no digest at all, or damaged here: its party sends it again
    return True


def _vector_missing(parties: list[str]) -> SecureFlowError:
    names = ", ".join(parties)
    return SecureFlowError(
        "vector_missing",
        Text("The masked vector that {names} named is not at the centre.", names=names),
        "Its agent is faulty, or the centre's disk has lost it: it is asked for once more.",
        {"parties": parties},
    )
