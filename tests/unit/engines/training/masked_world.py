"""A world of masked rounds without a network: real clients, the real aggregator, toy updates.

Each party keeps a record that it writes before it answers, as an agent does; what it has in memory
is gone when it fails. A fault is one visit of a verb that ends *before* the party acted, or *after*
it (its answer is lost); it may stay away from then on. Whoever asks again, really asks again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
from doubles import MemoryArtifacts

from secureflow.application.jobs.kinds import JOB_KINDS
from secureflow.application.ports.courier import Request
from secureflow.application.running.aggregation import Aggregation
from secureflow.domain.specs.protections import traits_of
from secureflow.enclave.models import GlobalModel
from secureflow.enclave.trainingfolds import MaskedFold
from secureflow.engines.closing import Certificate
from secureflow.engines.kinds import ENGINE_KINDS
from secureflow.engines.ledger.notes import cosign
from secureflow.engines.run.masked import model_binding
from secureflow.engines.script import AGGREGATOR, Ask, Effect
from secureflow.engines.sealing import RoundRelease, tensor_digest
from secureflow.engines.secagg import Opened, SecAggClient, messages
from secureflow.engines.secagg.encoding import encode, mean_into
from secureflow.engines.training.encodings import (
    masked_parts,
    masked_plan,
    masked_round,
    masked_stages,
    opened_sums,
)
from secureflow.engines.training.initial import initial_parameters
from secureflow.engines.training.models import initial_model_digest, update_layout
from secureflow.kit.canonical import b64decode, b64encode
from secureflow.kit.errors import SecureFlowError

from .world import JOB, World, party_name

VERBS = ("setup", "advance", "mask", "answer")
Update = tuple[Any, int, dict[str, float]]


@dataclass(frozen=True)
class Fault:
    """What happens to a party at the nth time that it is asked a verb."""

    party: str
    verb: str
    nth: int = 0
    after: bool = False
    for_good: bool = False


@dataclass
class _Party:
    """`record` is on its disk, `clients` in its memory."""

    record: dict[str, bytes] = field(default_factory=dict)
    clients: dict[str, SecAggClient] = field(default_factory=dict)
    models: dict[str, Any] = field(default_factory=dict)


class Scratch:
    """The centre's store of vectors."""

    def __init__(self) -> None:
        self.store = MemoryArtifacts()

    def of(self, job: str) -> MemoryArtifacts:
        assert job == JOB
        return self.store

    async def discard(self, job: str) -> None:
        self.store.blobs.clear()


@dataclass
class MaskedWorld(World):
    protection: str = "secagg"
    faults: Iterable[Fault] = ()

    def __post_init__(self) -> None:
        self._disk = {p: _Party() for p in self.names(self.count)}
        self.artifacts, self.scratch = MemoryArtifacts(), Scratch()
        self.aggregation = Aggregation(
            ENGINE_KINDS, JOB_KINDS.sum_handlers(self.artifacts), self.scratch
        )
        self._planned = {(f.party, f.verb, f.nth): f for f in self.faults}
        self.visits: Counter[tuple[str, str]] = Counter()
        self.flights: list[tuple[str, tuple[str, ...]]] = []
        self.made: dict[str, list[dict[str, Any]]] = {}
        self.updates: dict[tuple[int, str], dict[str, Update]] = {}
        self.certified: dict[tuple[str, int], set[tuple[str, ...]]] = {}
        super().__post_init__()
        self.plans = {
            s: masked_plan(self.spec, JOB, self.digest, s) for s in masked_stages(self.spec)
        }
        self.initial = initial_model_digest(self.spec)
        start = initial_parameters(self.spec)
        self.artifacts.keep(start.tobytes())
        for party in self._disk.values():
            party.models[self.initial] = start

    @staticmethod
    def names(count: int) -> list[str]:
        return [party_name(n) for n in range(count)]

    # --- the centre's side ---------------------------------------------------------------------

    def perform(self, seq: int, effect: Effect) -> Any:
        """What is asked twice (the server died before it noted the answer) happens twice."""
        if isinstance(effect, Ask):
            self.performed += 1
            self.flights.append((effect.verb, effect.to))
            return self._perform(effect)
        return super().perform(seq, effect)

    def _one(self, party: str, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        if party == AGGREGATOR:
            return asyncio.run(self.aggregation.handle(verb, body))  # type: ignore[no-any-return]
        fault = self._fault(party, verb)
        if fault is not None and not fault.after:
            self._fail(fault)
        reply = super()._one(party, verb, body)
        if fault is not None:
            self._fail(fault)
        if verb == "mask":
            request = Request("", party, verb, body, None)
            asyncio.run(self.aggregation.check_arrival(request, reply))
        return reply

    def _fault(self, party: str, verb: str) -> Fault | None:
        nth = self.visits[party, verb]
        self.visits[party, verb] += 1
        return self._planned.get((party, verb, nth))

    def _fail(self, fault: Fault) -> None:
        self._disk[fault.party].clients.clear()
        if fault.for_good:
            self.silent.add(fault.party)
        raise SecureFlowError("party_silent", f"{fault.party} is silent")

    # --- a party's side ------------------------------------------------------------------------

    def _client(self, party: str, stage: str) -> SecAggClient:
        own = self._disk[party]
        if stage not in own.clients:
            if stage not in own.record:
                raise SecureFlowError("not_set_up", f"{party} has no keys")
            key, state = self.keys[party], own.record[stage]
            own.clients[stage] = SecAggClient.restore(self.plans[stage], party, key, state)
        return own.clients[stage]

    def _keep(self, party: str, stages: Iterable[str]) -> None:
        for stage in stages:
            self._disk[party].record[stage] = self._disk[party].clients[stage].export_state()

    def party_setup(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        own = self._disk[party]
        for stage, plan in self.plans.items():
            if stage not in own.record:
                own.clients[stage] = SecAggClient(plan, party, self.keys[party])
        setups = {s: b64encode(self._client(party, s).setup()) for s in self.plans}
        self._keep(party, self.plans)
        return {"setups": setups}

    def party_advance(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        frames = {}
        for stage, number in body["rounds"].items():
            client = self._client(party, stage)
            client.meet(b64decode(body["meet"][stage]))
            frames[stage] = b64encode(client.advance(number))
        self._keep(party, body["rounds"])
        return {"advances": frames}

    def party_mask(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        stage, number = body["stage"], body["round"]
        model = body["model"]["digest"] if body["model"] else self.initial
        self._reach(party, model, body["steps"])
        client = self._client(party, stage)
        client.begin(b64decode(body["begin"], 1 << 22), model_binding(model, body["moments"]))
        assert client.number == masked_round(stage, number)
        plan = self.plans[stage]
        update = self._update(party, number, stage)
        vector = np.empty(plan.encoding.slots, plan.ring)
        frame, digest = client.contribute(*update, None, vector)
        self._keep(party, [stage])
        if traits_of(self.spec).enclave:
            self._upload(party, number, stage, vector)
        else:
            assert self.scratch.store.keep(vector.tobytes()) == digest
        line = cosign(body["head"], party, self.keys[party], 1_800_000_000)
        document = {"round": number, "stage": stage}
        return {
            "upload": b64encode(frame),
            "vector": digest,
            "cosignature": line,
            **self._leaf(party, "update", document),
        }

    def party_answer(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        client, frame = self._client(party, body["stage"]), b64decode(body["frame"], 1 << 22)
        message, _ = messages.unpack(client.plan, frame)
        if isinstance(message, Certificate):
            self._certified(message)
        slot: Any = SimpleNamespace(round=body["round"], stage=body["stage"])
        self._check_witnessed(party, slot, body["cosigned"])
        answer = client.answer(frame)
        question = message.question if isinstance(message, Certificate) else message
        first = self.votes.setdefault((party, slot.round, slot.stage), question)
        assert first == question, f"{party} voted for two sets"
        self._keep(party, [body["stage"]])
        return {"answer": b64encode(answer)}

    def _certified(self, certificate: Certificate) -> None:
        question = certificate.question
        sets = self.certified.setdefault((question.job, question.round), set())
        sets.add(certificate.survivors)
        assert len(sets) == 1, f"two certificates: {sets}"

    def _reach(self, party: str, model: str, steps: list[dict[str, Any]]) -> None:
        """Compute the global model from the published means, as an agent does."""
        models = self._disk[party].models
        for step in steps:
            if step["model"] not in models:
                mean = np.frombuffer(self.artifacts.blobs[step["mean"]["artifact"]], np.float32)
                result = models[step["base"]] + mean
                assert tensor_digest(result) == step["model"]
                models[step["model"]] = result
        assert model in models, f"{party} was not shown every mean"

    def _update(self, party: str, number: int, stage: str) -> Update:
        layout = update_layout(self.spec, stage)  # type: ignore[arg-type]
        dice = np.random.default_rng([*party.encode(), number, *stage.encode()])
        parameters = dice.uniform(-1, 1, layout.parameters).astype(np.float32)
        sums = np.concatenate([[float(dice.integers(1, 500))], dice.uniform(0, 9, layout.sums - 1)])
        made = masked_parts(self.spec, stage, self.plans[stage], parameters, sums)  # type: ignore[arg-type]
        update = made.values, made.weight, made.metrics
        self.updates.setdefault((number, stage), {})[party] = update
        return update

    # --- the enclave ---------------------------------------------------------------------------

    def _fresh_enclave(self) -> None:
        self.open, self.only, self.model = False, None, None
        self.sums: dict[tuple[int, str], MaskedFold] = {}
        self.folded: dict[tuple[int, str], set[str]] = {}
        self.frozen: set[tuple[int, str]] = set()
        self.released: dict[tuple[int, str], dict[str, Any]] = {}

    def enclave_open(self, body: dict[str, Any]) -> dict[str, Any]:
        digest = body["model"]["digest"] if body["model"] else self.initial
        self.model = GlobalModel.of(np.frombuffer(self.artifacts.blobs[digest], np.float32).copy())
        return super().enclave_open(body)

    def _upload(self, party: str, number: int, stage: str, vector: Any) -> None:
        if not self.open or (self.only is not None and party not in self.only):
            raise SecureFlowError("enclave_lost", "the job is not open")
        key = (number, stage)
        if party in self.folded.get(key, ()):
            return
        if key in self.frozen:
            raise SecureFlowError("round_frozen", f"{party} comes too late")
        if key not in self.sums:
            plan = masked_plan(self.spec, JOB, self.digest, stage)  # type: ignore[arg-type]
            self.sums[key] = MaskedFold(self.spec, stage, plan)  # type: ignore[arg-type]
        self.sums[key].add(vector)
        self.folded.setdefault(key, set()).add(party)

    def enclave_roll(self, body: dict[str, Any]) -> dict[str, Any]:
        self._opened()
        self.frozen.add((body["round"], body["stage"]))
        return super().enclave_roll(body)

    def enclave_release(self, body: dict[str, Any]) -> dict[str, Any]:
        self._opened()
        number, stage = key = body["round"], body["stage"]
        if key in self.released:
            return self.released[key]
        opened = Opened.from_json(body["opened"])
        survivors, folded = opened.certificate.survivors, sorted(self.folded.get(key, ()))
        if folded != list(survivors):
            raise SecureFlowError("survivors_mismatch", "other parties", "", {"folded": folded})
        total, answer = self.sums[key], {"base": self.model.digest}
        total.open(masked_round(stage, number), opened)
        if stage == "train":
            mean = total.advance(self.model, bytes)
            assert mean is not None
            artifact = self.artifacts.keep(mean._mean.tobytes())
            answer["mean"] = {"artifact": artifact, "size": mean._mean.nbytes}
        digest = self.artifacts.keep(self.model.parameters.tobytes())
        release = RoundRelease(
            JOB, self.digest, number, stage, survivors, digest, tuple(total.sums(bytes))
        )  # fmt: skip
        answer |= {"artifact": digest, "size": self.model.size}
        self.released[key] = {**release.sign(self.log_key), **answer}
        self.only = None
        return self.released[key]

    # --- what must hold ------------------------------------------------------------------------

    def check(self) -> None:
        """Every closed round holds the exact sum of the set that its certificate names."""
        model = initial_parameters(self.spec).copy()
        for entry in self.entries:
            if entry.get("kind") != "round.closed":
                continue
            document = entry["document"]
            certificate = Certificate.from_json(document["certificate"])
            self._certified(certificate)
            release, survivors = document["release"], certificate.survivors
            assert tuple(release["survivors"]) == survivors
            assert len(survivors) >= self.plans["train"].threshold
            plan, total, weight = self._expected(document["round"], document["stage"], survivors)
            if document["stage"] == "train":
                mean = np.empty(self.spec.parameters, np.float32)
                mean_into(plan.encoding, total, weight, mean)
                assert release["mean"]["artifact"] == tensor_digest(mean)
                model += mean
            sums = tuple(opened_sums(self.spec, document["stage"], plan, total, weight))
            assert release["model"] == tensor_digest(model)
            told = RoundRelease(
                JOB, self.digest, document["round"], document["stage"], survivors,
                release["model"], sums,
            )  # fmt: skip
            assert release["sums_digest"] == told.sums_digest

    def _expected(self, number: int, stage: str, parties: Iterable[str]) -> tuple[Any, Any, int]:
        plan, weight = self.plans[stage], 0
        total = np.zeros(plan.encoding.slots, plan.ring)
        for party in parties:
            vector = np.empty_like(total)
            update = self.updates[number, stage][party]
            encode(plan.encoding, *update, None, vector)
            total += vector
            weight += update[1]
        return plan, total, weight
