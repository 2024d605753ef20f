"""Honest parties of a kind that adds up masked sums in one stage, and the centre's own aggregator.

A world of one kind says what its spec is, what a party adds up, and what comes of the totals.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.base import spec_digest
from secureflow.engines.ledger.notes import cosign
from secureflow.engines.run.kind import EngineKind
from secureflow.engines.run.masked import model_binding
from secureflow.engines.run.run import JobContext
from secureflow.engines.script import AGGREGATOR, Script
from secureflow.engines.secagg import Opened, SecAggClient, open_sum
from secureflow.kit.canonical import b64decode, b64encode
from tests.unit.engines.training.world import JOB, World


def all_needed(spec: Any) -> Any:
    """Return a spec that no party may be missing from.

    Scripts go on without a party as far as `min_contributors` says; that it may say less than all
    under noise alone is a rule of the spec, which these worlds leave aside.
    """
    return replace(spec, min_contributors=len(spec.roster))


class SummedWorld(World, ABC):
    """Parties that mask, and vectors as the centre keeps them."""

    engine: ClassVar[EngineKind]
    accounting: ClassVar[Mapping[str, Any] | None] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.rounds = 0
        roster = [{"party": p, "key": k.public, "dataset": "d"} for p, k in self.keys.items()]
        self.spec: Any = self.drafted(roster)
        self.digest = spec_digest(self.spec)
        self.stage = self.engine.contributing
        members = self._public(self.everybody)
        self.context: Any = JobContext(
            JOB, self.spec, self.digest, members, 2_000_000_000, self.stage, self.accounting
        )
        self.plan = self.engine.masked_plan(self.spec, JOB, self.digest, self.stage)
        self.clients = {p: SecAggClient(self.plan, p, key) for p, key in self.keys.items()}
        self.vectors: dict[str, NDArray[Any]] = {}
        self.folded_by: list[str] = []

    @abstractmethod
    def drafted(self, roster: list[dict[str, str]]) -> Any:
        """The job's spec."""

    @abstractmethod
    def added(self, party: str, body: dict[str, Any]) -> NDArray[np.float64]:
        """What a party adds up in the round that a request is of."""

    @abstractmethod
    def released(
        self, body: dict[str, Any], total: NDArray[Any], survivors: tuple[str, ...]
    ) -> dict[str, Any]:
        """What the aggregator answers besides the round, its stage and who is in the total."""

    def script(self) -> Script[dict[str, Any]]:
        (version,) = self.engine.scripts
        return self.engine.script(version, self.context)

    def _one(self, party: str, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        if party == AGGREGATOR:
            return getattr(self, f"aggregator_{verb}")(body)  # type: ignore[no-any-return]
        return super()._one(party, verb, body)

    def party_setup(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        assert body["digest"] == self.digest
        return {"setups": {self.stage: b64encode(self.clients[party].setup())}}

    def party_advance(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        client = self.clients[party]
        client.meet(b64decode(body["meet"][self.stage], 1 << 20))
        return {"advances": {self.stage: b64encode(client.advance(body["rounds"][self.stage]))}}

    def party_mask(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        assert body["stage"] == self.stage
        base = self.digest if body["model"] is None else body["model"]["digest"]
        client = self.clients[party]
        client.begin(b64decode(body["begin"], 1 << 20), model_binding(base, None))
        vector = np.empty(self.plan.encoding.slots, self.plan.ring)
        frame, shown = client.contribute(self.added(party, body), 1, {}, None, vector)
        self.vectors[shown] = vector
        line = cosign(body["head"], party, self.keys[party], 1_800_000_000)
        leaf = self._leaf(party, "update", {"round": body["round"], "stage": self.stage})
        return {"upload": b64encode(frame), "vector": shown, "cosignature": line, **leaf}

    def party_answer(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        frame = b64decode(body["frame"], 1 << 20)
        return {"answer": b64encode(self.clients[party].answer(frame))}

    def aggregator_sum(self, body: dict[str, Any]) -> dict[str, Any]:
        opened = Opened.from_json(body["opened"])
        survivors = opened.certificate.survivors
        total = np.zeros(self.plan.encoding.slots, self.plan.ring)
        for party in survivors:
            total += self.vectors[body["vectors"][party]]
        open_sum(self.plan, body["round"] - 1, opened, total)
        named = {"round": body["round"], "stage": self.stage, "survivors": list(survivors)}
        return named | self.released(body, total, survivors)

    def aggregator_finish(self, body: dict[str, Any]) -> dict[str, Any]:
        self.vectors.clear()
        return {}
