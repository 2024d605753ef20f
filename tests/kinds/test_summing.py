"""A kind that contributes, with a stage of its own, needs the tables alone: the script's side.

Parties are real clients of the masks, the aggregator is the centre's own; only links are missing.
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from doubles import MemoryArtifacts

from secureflow.application.ports.artifacts import DamagedArtifactError
from secureflow.application.ports.courier import Request
from secureflow.application.running.aggregation import Aggregation
from secureflow.application.running.scripts import Scripts
from secureflow.domain.specs.base import dump, parse, spec_digest
from secureflow.engines.kinds import ENGINE_KINDS
from secureflow.engines.ledger.notes import cosign
from secureflow.engines.run.masked import model_binding
from secureflow.engines.run.messages import AdvanceRequest, AnswerRequest, MaskRequest, read
from secureflow.engines.script import AGGREGATOR
from secureflow.engines.secagg import SecAggClient
from secureflow.kit.canonical import b64decode, b64encode
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from tests.kinds.summing import ENGINE, JOBS, STAGE, SummingSpec, brought, values_of
from tests.unit.engines.training.masked_world import Scratch
from tests.unit.engines.training.world import JOB, World

SILENT = SecureFlowError("party_silent", "it is silent")
FRAME = 1 << 20


class SummingWorld(World):
    """Honest parties that read what they are asked as an agent does, and the real aggregator."""

    def __post_init__(self) -> None:
        super().__post_init__()
        roster = [{"party": p, "key": k.public} for p, k in self.keys.items()]
        named = {"project": "prj_00000001", "name": "sums", "purpose": "arithmetic"}
        least = {"min_contributors": 3}
        self.spec: Any = parse(
            SummingSpec, {**named, "submitter": "ada", "roster": roster, **least}
        )
        self.digest = spec_digest(self.spec)
        self.plan = ENGINE.masked_plan(self.spec, JOB, self.digest, STAGE)
        self.clients = {p: SecAggClient(self.plan, p, key) for p, key in self.keys.items()}
        self.scratch = Scratch()
        handlers = JOBS.sum_handlers(MemoryArtifacts())
        self.aggregation = Aggregation(JOBS.engines, handlers, self.scratch)

    def script(self) -> Any:
        """Return the job's script, by the table."""
        progress = {"members": self._public(self.everybody), "expires": 2_000_000_000}
        job: Any = SimpleNamespace(
            id=JOB, script="summing/1", spec=dump(self.spec), digest=self.digest, progress=progress
        )
        return Scripts(JOBS.engines).of(job)

    def _one(self, party: str, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        if party == AGGREGATOR:
            return asyncio.run(self.aggregation.handle(verb, body))  # type: ignore[no-any-return]
        reply = super()._one(party, verb, body)
        if verb == "mask":
            request = Request("", party, verb, body, None)
            asyncio.run(self.aggregation.check_arrival(request, reply))
        return reply

    def party_setup(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        return {"setups": {STAGE: b64encode(self.clients[party].setup())}}

    def party_advance(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        request, client = read(AdvanceRequest, body), self.clients[party]
        client.meet(b64decode(request.meet[STAGE], FRAME))
        return {"advances": {STAGE: b64encode(client.advance(request.rounds[STAGE]))}}

    def party_mask(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        request, client = read(MaskRequest, body), self.clients[party]
        assert request.round in ENGINE.rounds_of(self.spec, request.stage)
        assert (request.model, request.moments, request.steps) == (None, None, [])
        client.begin(b64decode(request.begin, FRAME), model_binding(self.digest, None))
        assert client.number == ENGINE.session_round(request.stage, request.round)
        vector = np.empty(self.plan.encoding.slots, self.plan.ring)
        values = values_of(party, request.round)
        frame, shown = client.contribute(values, 1, {}, None, vector)
        assert self.scratch.store.keep(vector.tobytes()) == shown
        line = cosign(request.head, party, self.keys[party], 1_800_000_000)
        leaf = self._leaf(party, "update", {"round": request.round, "stage": request.stage})
        return {"upload": b64encode(frame), "vector": shown, "cosignature": line, **leaf}

    def party_answer(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        frame = b64decode(read(AnswerRequest, body).frame, FRAME)
        return {"answer": b64encode(self.clients[party].answer(frame))}


def drive(world: SummingWorld) -> dict[str, Any]:
    script = world.script()
    effect, seq = next(script), 0
    try:
        while True:
            try:
                answer = world.perform(seq, effect)
            except SecureFlowError as error:
                effect = script.throw(error)
            else:
                effect = script.send(answer)
            seq += 1
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


def totals(parties: list[str]) -> list[list[int]]:
    each = ([brought(party, number) for party in parties] for number in (1, 2))
    return [np.sum(one, axis=0).tolist() for one in each]


def test_parties_open_nothing_but_totals() -> None:
    world = SummingWorld()
    report = drive(world)
    assert report["totals"] == totals(list(world.keys))
    assert report["contributions"]["bank-a"]["rounds"] == 2
    closed = [one["document"] for one in world.entries if one.get("kind") == "round.closed"]
    assert [(one["round"], one["stage"]) for one in closed] == [(1, STAGE), (2, STAGE)]
    assert [data["round"] for kind, data in world.told if kind == "round"] == [1, 2]


def test_a_party_that_stays_away_is_not_in_the_totals_and_contributed_to_nothing() -> None:
    world = SummingWorld(count=4)
    world.refuse["bank-d", "mask"] = SILENT
    report = drive(world)
    assert report["totals"] == totals(["bank-a", "bank-b", "bank-c"])
    assert report["contributions"]["bank-d"]["rounds"] == 0
    assert {drop["stage"] for drop in report["dropouts"]} == {STAGE}


def test_a_store_that_cannot_be_looked_into_makes_nobody_a_liar() -> None:
    """The request is asked again once the disk is back; its party has done what it said."""
    world = SummingWorld()

    async def stat(digest: str) -> Any:
        raise InfrastructureError("disk_failed", "The disk of the centre refuses writes.")

    world.scratch.store.stat = stat  # type: ignore[method-assign]
    body = {"job": JOB, "vector": {"size": 8}}
    request = Request("", "bank-a", "mask", body, None)
    with pytest.raises(InfrastructureError):
        asyncio.run(world.aggregation.check_arrival(request, {"vector": "ab" * 32}))


def test_a_vector_that_the_centres_disk_damaged_is_asked_for_once_more() -> None:
    world = SummingWorld()

    async def read(digest: str, offset: int = 0) -> Any:
        raise DamagedArtifactError(digest)

    digest = world.scratch.store.keep(b"12345678")
    world.scratch.store.open = read  # type: ignore[method-assign]
    body = {"job": JOB, "vector": {"size": 8}}
    request = Request("", "bank-a", "mask", body, None)
    with pytest.raises(SecureFlowError) as caught:
        asyncio.run(world.aggregation.check_arrival(request, {"vector": digest}))
    assert caught.value.code == "vector_missing"


def test_the_table_that_it_joins_knows_all_stages_apart() -> None:
    assert STAGE not in {stage for kind in ENGINE_KINDS.values() for stage in kind.stages}
    assert JOBS.engines.place(STAGE) == 0
    assert JOBS.engines.sent_vector(SummingWorld().spec, "") == 4 * (3 + 1 + 4)


def test_a_party_that_masks_garbage_opens_nothing() -> None:
    def lie(party: str, verb: str, reply: dict[str, Any]) -> dict[str, Any]:
        if verb == "mask" and party == "bank-b":
            vector = np.frombuffer(world.scratch.store.blobs[reply["vector"]], world.plan.ring)
            world.scratch.store.blobs[reply["vector"]] = (vector + 1).tobytes()
        return reply

    world = SummingWorld(liar=lie)
    with pytest.raises(SecureFlowError) as caught:
        drive(world)
    assert caught.value.code == "sum_inconsistent"
