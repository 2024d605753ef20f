"""An agent in an intersection, with toys around it: channels in memory, and an engine that cheats.

The worker's own code reads the file and writes the result, in this process. The engine is told the
peer's keys by the test, so that no peer needs to run.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from peers.agent_world import JOB, ME, NOW, ORIGIN, World
from peers.engines import MemoryChannel

from secureflow.adapters.datasources import SourceLimits
from secureflow.agent.compute.psi import PSI_WORKER
from secureflow.agent.compute.worker_errors import Asked, worker_error
from secureflow.application.ports.mpcengine import (
    EngineInfo,
    EngineJob,
    EngineProgram,
    EngineResult,
    Estimate,
    SecurityLabel,
)
from secureflow.domain.specs.base import parse, spec_digest
from secureflow.domain.specs.keyrules import KeyPart, KeyRules
from secureflow.domain.specs.psi import PsiSpec
from secureflow.domain.specs.psi_rules import check_psi
from secureflow.engines.ledger.leaves import Leaf, commitment, sign_leaf
from secureflow.engines.psi.normalise import digest_rows
from secureflow.engines.run.attempts import ATTEMPT, attempt_document
from secureflow.kit.errors import SecureFlowError

PEER = "bank-b"
TABLE = (
    "phone,segment,age\n"
    "13800138000,gold,41\n"
    "138 0013 9000,silver,42\n"
    ",none,43\n"
    "+86 13700137000,gold,44\n"
    "13800138000,again,45\n"
)
COLUMNS = [
    {"name": "phone", "type": "text"},
    {"name": "segment", "type": "text"},
    {"name": "age", "type": "number"},
]
SHARED = ("13800138000", "13700137000")
"""Phones that the peer has as well: rows 1 and 4."""
RULES = KeyRules((KeyPart("phone"),))
POLICY = """
permit(principal, action == Action::"psi", resource)
  when { context.learns == "one" || context.learns == "size" };
permit(principal, action == Action::"psi", resource)
  when { context.learns == "all" && context.granted.contains("bank-a/segment") };"""


def engine_keys(phones: tuple[str, ...]) -> set[bytes]:
    """Return keys as an engine takes them."""
    found = digest_rows(RULES, [list(phones)]).keys
    return {found[at : at + 16] for at in range(0, len(found), 24)}


class InProcess:
    """`Computing`: the worker's own steps, in this process."""

    def __init__(self, worker: Any = PSI_WORKER, spec: type[Any] = PsiSpec) -> None:
        self.worker, self.spec = worker, spec
        self.calls: list[str] = []
        self.prepared: dict[str, Any] = {}
        self.asked: dict[str, Asked] = {}
        self.fails: SecureFlowError | None = None

    async def check(self, *_: Any) -> None:
        raise AssertionError

    async def prepare(
        self, job: str, spec: Any, dataset: Any, *_: Any, **__: Any
    ) -> dict[str, Any]:
        self.calls.append("prepare")
        if self.fails is not None:
            raise self.fails
        read = parse(self.spec, spec, stored=True)
        self.asked[job] = Asked(job, spec, dataset)
        self.prepared[job] = self.worker.prepare(job, read, dataset, SourceLimits()).state
        return {"rows": 0, "validation": 0}

    async def compute(
        self, job: str, step: str, arguments: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        self.calls.append(step)
        try:
            sums = self.worker.steps[step](self.prepared[job], **(arguments or {}))
        except SecureFlowError as error:  # as a process tells it, and its agent says it again
            raise worker_error(error.as_json(), self.asked[job]) from error
        return {"sums": sums.tolist(), "seconds": 0.1}

    async def close(self, job: str) -> None:
        self.calls.append("close")
        self.prepared.pop(job, None)


class ToyLinks:
    """`PeerLinks`: keys in memory, channels whose other ends the test holds."""

    def __init__(self) -> None:
        self.offered: dict[int, dict[str, Any]] = {}
        self.far: dict[str, MemoryChannel] = {}
        self.near: dict[str, MemoryChannel] = {}
        self.forgotten: list[int | None] = []
        self.bytes: list[int] = []
        """Limits of the channels that were opened."""
        self.absent = False

    def offer(self, scope: Any, peers: tuple[str, ...]) -> dict[str, Any]:
        made = {
            peer: {"body": {"to": peer, "attempt": scope.attempt}, "signature": f"{id(self)}"}
            for peer in peers
        }
        return self.offered.setdefault(scope.attempt, made)

    async def open(
        self, scope: Any, theirs: Mapping[str, Any], *, deadline: float, limits: Any
    ) -> dict[str, MemoryChannel]:
        assert deadline > 0
        assert limits.seconds > 0
        self.bytes.append(limits.bytes)
        if scope.attempt not in self.offered:
            raise SecureFlowError("attempt_lost", "it has no keys")
        if self.absent:
            raise SecureFlowError("peer_absent", f"{PEER} did not open its channel")
        for peer in theirs:
            self.near[peer], self.far[peer] = MemoryChannel(peer), MemoryChannel(ME)
            self.near[peer].join(self.far[peer])
        return dict(self.near)

    async def forget_attempt(self, job: str, attempt: int) -> None:
        self.forgotten.append(attempt)
        self.offered.pop(attempt, None)

    async def forget_attempts(self, job: str) -> None:
        self.offered.clear()

    async def forget(self, job: str) -> None:
        self.forgotten.append(None)
        self.offered.clear()


@dataclass
class ToyEngine:
    """`MpcEngine`, which is told the peer's keys."""

    name: str = "spu"
    version: str = "0.9.5"
    theirs: tuple[str, ...] = (*SHARED, "13600136000")
    of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Peer → its keys, where they are others than `theirs`."""
    fails: SecureFlowError | None = None
    jobs: list[EngineJob] = field(default_factory=list)
    hold: asyncio.Event | None = None
    places: list[int] | None = None
    """What it says matches, whatever the keys are."""
    told: int | None = None
    """How many keys it says the peer's engine brought; as committed to, else."""

    def describe(self) -> EngineInfo:
        label = SecurityLabel("semi-honest", "", "")
        program = EngineProgram("", "ab" * 32, ("RR22", "ECDH"), (2, 2))
        return EngineInfo(self.name, self.version, {"RR22": label}, {"psi": program}, (2, 2))

    def available(self) -> SecureFlowError | None:
        return None

    def estimate(self, *_: Any) -> Estimate:
        raise AssertionError

    async def run(self, job: EngineJob, progress: Any) -> EngineResult:
        self.jobs.append(job)
        if self.hold is not None:
            await self.hold.wait()
        if self.fails is not None:
            raise self.fails
        data = job.inputs["keys"].read_bytes()
        keys = [data[at : at + 16] for at in range(0, len(data), 16)]
        assert keys == sorted(set(keys))
        theirs = engine_keys(self.of.get(job.peers[0], self.theirs))
        places = [at for at, key in enumerate(keys) if key in theirs]
        outputs: dict[str, Path] = {}
        if job.party in job.receivers and job.protocol == "ECDH-SIZE":
            outputs["size"] = job.outputs / "size.json"
            outputs["size"].write_text(json.dumps({"size": len(places)}))
        elif job.party in job.receivers:
            outputs["matches"] = job.outputs / "matches.npy"
            said = places if self.places is None else self.places
            np.save(outputs["matches"], np.array(said[::-1], np.int64))
        counts: Any = job.parameters["counts"]
        assert counts[job.number] == len(keys)
        brought = counts[1 - job.number] if self.told is None else self.told
        return EngineResult({"keys": len(keys), "theirs": brought}, outputs, 0.1, 1 << 20)


class Shelf:
    """`Engines`."""

    def __init__(self, *engines: ToyEngine) -> None:
        self.engines = {one.name: one for one in engines}

    def get(self, name: str) -> ToyEngine:
        return self.ready(name)

    def here(self) -> dict[str, str]:
        return {name: one.version for name, one in self.engines.items()}

    def ready(self, name: str) -> ToyEngine:
        if name not in self.engines:
            raise SecureFlowError("engine_absent", f"no {name} here", "install it")
        return self.engines[name]


class PsiAgentWorld(World):
    """This agent learns which of its keys bank-b has; `changes` are those of the spec."""

    changes: ClassVar[dict[str, Any]] = {}
    job = JOB
    """The intersection's."""

    def __init__(
        self,
        directory: Path,
        *,
        policy: str = POLICY,
        peers: tuple[str, ...] = (PEER,),
        me: str = ME,
        **changes: Any,
    ) -> None:
        self.peers = peers
        self.engine, self.links_to, self.worker_here = ToyEngine(), ToyLinks(), InProcess()
        self.spec_of = changes
        self.limit = 1000
        parties = tuple(sorted((me, *peers)))
        super().__init__(directory, policy=policy, parties=parties, more_ports=self._ports(), me=me)

    def _ports(self) -> dict[str, Any]:
        small = ToyEngine("openmined", "2.0.6")
        return {"peers": self.links_to, "engines": Shelf(self.engine, small)}

    @property
    def declared(self) -> dict[str, Any]:
        return {
            "name": "customers", "path": str(self.data), "format": "csv", "columns": COLUMNS,
            "privacy": self.privacy, "probing": {"limit": self.limit},
        }  # fmt: skip

    def publish(self, text: str = TABLE) -> None:
        super().publish(text)

    def make_spec(self, **_: Any) -> Any:
        roster = [
            {"party": p, "key": k.public, "dataset": "customers"} for p, k in self.keys.items()
        ]
        sides = [{"party": p, "key": ["phone"], "most_rows": 100} for p in self.keys]
        value = {
            "project": "prj_0123456789", "name": "shared", "purpose": "credit scoring",
            "submitter": "usr_alice", "roster": roster, "sides": sides, "learns": "one",
            "key": {"parts": [{"rule": "phone"}]}, "receiver": ME,
            "engine": {"name": "spu", "version": "0.9.5"}, "tells_size": True, **self.spec_of,
        }  # fmt: skip
        spec = parse(PsiSpec, value)
        check_psi(spec)
        return spec

    def open_agent(self) -> None:
        self.worker: Any = self.worker_here
        super().open_agent()

    def reopen(self) -> None:
        """Kill the agent and start it again: keys of channels were in memory only."""
        self.links_to = ToyLinks()
        self.more_ports = self._ports()
        super().reopen()

    @property
    def file(self) -> Path:
        return self.directory / "results" / f"{self.job}.parquet"

    async def consented(self) -> None:
        self.record(await self.ask("consent", self.consent_body()))

    async def offer(self, attempt: int = 1, **changes: Any) -> dict[str, Any]:
        body = self.body(attempt=attempt, program=self.spec.program, head=self.head())
        reply = await self.ask("peer_offer", {**body, **changes})
        self.record(reply)
        return reply

    def peers_entry(
        self, attempt: int = 1, *, inputs: str = "cd" * 32, count: int = 3, **changes: Any
    ) -> dict[str, Any]:
        """Return what the peers offer to this agent: each its statement, and its leaf."""
        entries: dict[str, Any] = {"statements": {}, "offers": {}}
        for peer in self.peers:
            statement = {"body": {"to": ME, "attempt": attempt}, "signature": f"of {peer}"}
            document = attempt_document(attempt, self.spec.program, inputs, count, {ME: statement})
            document |= changes
            salt = b"\x05" * 32
            said = commitment(salt, document)
            leaf = Leaf(ATTEMPT, ORIGIN, peer, NOW, said, job=self.job, spec=self.digest)
            signed = sign_leaf(leaf, self.keys[peer]).json()
            entries["statements"][peer] = statement
            entries["offers"][peer] = {"leaf": signed, "document": document, "salt": salt.hex()}
        return entries

    async def run(self, attempt: int = 1, **entry: Any) -> dict[str, Any]:
        body = self.body(attempt=attempt, **self.peers_entry(attempt, **entry))
        reply = await self.ask("peer_run", body)
        self.record(reply)
        return reply

    async def finished(self, outcome: str = "succeeded") -> None:
        await self.ask("finish", self.body(outcome=outcome, model=None, head=self.head()))


def digest_of(spec: Any) -> str:
    return spec_digest(spec)
