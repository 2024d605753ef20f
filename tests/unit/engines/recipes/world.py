"""Honest parties that fit a preparation, and the centre's own aggregator, without a network."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
from doubles import MemoryArtifacts

from secureflow.application.jobs.preparation import RecipeSums
from secureflow.domain.specs.base import parse, spec_digest
from secureflow.domain.specs.preparation import PreparationSpec, check_preparation
from secureflow.engines.ledger.notes import cosign
from secureflow.engines.preparation.fitting import tally
from secureflow.engines.preparation.steps.values import Values, read_values
from secureflow.engines.recipes.plan import (
    masked_values,
    noised,
    preparation_plan,
    progress_after,
)
from secureflow.engines.recipes.script import federated_preparation
from secureflow.engines.recipes.stage import STAGE
from secureflow.engines.run.masked import model_binding
from secureflow.engines.run.run import JobContext
from secureflow.engines.script import AGGREGATOR, effect_digest
from secureflow.engines.secagg import Opened, SecAggClient, open_sum
from secureflow.kit.canonical import b64decode, b64encode
from secureflow.kit.errors import SecureFlowError
from tests.unit.engines.training.world import JOB, World

STEPS: list[dict[str, Any]] = [
    {"step": "impute", "columns": ["age"], "by": "mean"},
    {"step": "standardise", "columns": ["age"]},
    {"step": "one_hot", "columns": ["job"], "least": 10},
]
COLUMNS = [
    {"column": "age", "type": "number", "bounds": [0, 100]},
    {"column": "job", "type": "category", "categories": ["a", "b", "c"]},
]
ROWS = 40
"""Of each party."""

Journal = list[tuple[str, Any, dict[str, Any] | None]]


class Crash(BaseException):
    """The process dies."""


class PreparationWorld(World):
    """Each party has its own rows; `noise` is the spec's privacy part."""

    noise: ClassVar[dict[str, Any] | None] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.rounds = 0
        roster = [{"party": p, "key": k.public, "dataset": "d"} for p, k in self.keys.items()]
        value: dict[str, Any] = {
            "project": "prj_0123456789", "name": "inputs", "purpose": "testing",
            "submitter": "ann", "roster": roster, "columns": COLUMNS, "steps": STEPS,
        }  # fmt: skip
        if self.noise is not None:
            value["privacy"] = self.noise
        self.spec: Any = parse(PreparationSpec, value)
        check_preparation(self.spec)
        self.digest = spec_digest(self.spec)
        members = self._public(self.everybody)
        self.context: Any = JobContext(JOB, self.spec, self.digest, members, 2_000_000_000, STAGE)
        self.plan = preparation_plan(self.spec, JOB, self.digest)
        self.clients = {p: SecAggClient(self.plan, p, key) for p, key in self.keys.items()}
        self.vectors: dict[str, np.ndarray] = {}
        self.folded_by: list[str] = []
        self.artifacts = MemoryArtifacts()
        self.handler = RecipeSums(self.artifacts)

    def values(self, party: str) -> Values:
        """The party's rows."""
        draw = np.random.default_rng(sorted(self.keys).index(party))
        ages: Any = draw.integers(18, 90, ROWS).astype(float)
        ages[::7] = np.nan
        jobs = draw.choice(np.array(["a", "b", "c"], object), ROWS, p=[0.7, 0.28, 0.02])
        return read_values(self.spec.columns, {"age": ages, "job": jobs}, strict=True)

    def _one(self, party: str, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        if party == AGGREGATOR:
            return getattr(self, f"aggregator_{verb}")(body)  # type: ignore[no-any-return]
        return super()._one(party, verb, body)

    def party_setup(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        assert body["digest"] == self.digest
        return {"setups": {STAGE: b64encode(self.clients[party].setup())}}

    def party_advance(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        client = self.clients[party]
        client.meet(b64decode(body["meet"][STAGE], 1 << 20))
        return {"advances": {STAGE: b64encode(client.advance(body["rounds"][STAGE]))}}

    def party_mask(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        number, model = body["round"], body["model"]
        assert body["stage"] == STAGE
        assert (model is None) == (number == 1)
        base = self.digest if model is None else model["digest"]
        totals = b"" if model is None else self.artifacts.blobs[model["artifact"]]
        client = self.clients[party]
        client.begin(b64decode(body["begin"], 1 << 20), model_binding(base, None))
        sums = tally(self.spec, progress_after(self.spec, totals), self.values(party), None)
        sums = noised(self.spec, number, sums, party.encode().ljust(32, b"."))
        vector = np.empty(self.plan.encoding.slots, self.plan.ring)
        frame, shown = client.contribute(masked_values(sums), 1, {}, None, vector)
        self.vectors[shown] = vector
        line = cosign(body["head"], party, self.keys[party], 1_800_000_000)
        leaf = self._leaf(party, "update", {"round": number, "stage": STAGE})
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
        weight = open_sum(self.plan, body["round"] - 1, opened, total)
        model = body["model"] and SimpleNamespace(digest=body["model"]["digest"])
        request = SimpleNamespace(
            model=model, base=body["base"], job=JOB, digest=self.digest, round=body["round"]
        )
        made: Any = SimpleNamespace(
            request=request, spec=self.spec, plan=self.plan, total=total, weight=weight,
            survivors=survivors,
        )  # fmt: skip
        named = {"round": body["round"], "stage": STAGE, "survivors": list(survivors)}
        return named | asyncio.run(self.handler.release(made))

    def aggregator_finish(self, body: dict[str, Any]) -> dict[str, Any]:
        self.vectors.clear()
        return {}


def drive(world: PreparationWorld, journal: Journal, die_at: int | None = None) -> dict[str, Any]:
    """Drive as the runner does; dying after an effect and before its journal line is hardest."""
    script = federated_preparation(world.context)
    effect, seq = next(script), 0
    try:
        while True:
            if seq < len(journal):
                kept, answer, failure = journal[seq]
                assert kept == effect_digest(effect), f"the script changed at {seq}: {effect}"
            else:
                answer = failure = None
                try:
                    answer = world.perform(seq, effect)
                except SecureFlowError as error:
                    failure = error.as_json()
                if seq == die_at:
                    raise Crash
                journal.append((effect_digest(effect), answer, failure))
            seq += 1
            if failure is None:
                effect = script.send(answer)
            else:
                effect = script.throw(SecureFlowError.from_json(failure))
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
