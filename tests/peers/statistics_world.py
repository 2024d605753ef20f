"""One real agent in a statistics job; the other parties are honest clients in memory.

The worker's sums are drawn anew at each call, as a library's are: that nobody sees two draws is the
agent's doing alone.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from peers.agent_world import JOB, ME, World

from secureflow.agent.settings import AgentSettings
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.base import parse, spec_digest
from secureflow.domain.specs.statistics import StatisticsSpec
from secureflow.engines.run.masked import model_binding
from secureflow.engines.secagg import Conductor, MaskingPlan, SecAggClient
from secureflow.engines.secagg.messages import Upload, pack
from secureflow.engines.secagg.wholenumbers import masked_values
from secureflow.engines.statistics.layout import slots
from secureflow.engines.statistics.plan import statistics_plan
from secureflow.kit.canonical import b64decode, b64encode

BUDGET = {"domain": "customers", "epsilon": 5.0, "delta": 1e-5}
QUERIES = [
    {"name": "rows", "measure": "count"},
    {"name": "mean-age", "measure": "mean", "column": "age", "by": "job"},
]
COLUMNS = [
    {"column": "age", "type": "number", "bounds": [0, 100]},
    {"column": "job", "type": "category", "categories": ["x", "y"]},
]
LIMIT = 1 << 20


class Counting:
    """Stands in for the warm worker: a fresh draw for every call."""

    def __init__(self, length: int) -> None:
        self.calls: list[str] = []
        self.drawn: list[list[int]] = []
        self.length = length
        self.asked: DatasetConfig | None = None

    async def check(self, job: str, spec: Any, dataset: DatasetConfig | None) -> None:
        self.calls.append("check")
        self.asked = dataset

    async def prepare(
        self,
        job: str,
        spec: Any,
        dataset: DatasetConfig | None,
        salt: bytes | None = None,
        commitment: str = "",
        keys: bytes = b"",
    ) -> dict[str, Any]:
        self.calls.append("prepare")
        self.asked = dataset
        return {"rows": 0, "validation": 0}

    async def compute(self, job: str, step: str, arguments: Any = None) -> dict[str, Any]:
        self.calls.append(step)
        self.drawn.append([secrets.randbelow(2 * LIMIT) - LIMIT for _ in range(self.length)])
        return {"sums": self.drawn[-1], "seconds": 0.25}

    async def close(self, job: str) -> None:
        self.calls.append("close")


class Vectors:
    """The way to the centre: masked vectors arrive here, and may be lost on it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.sent: list[bytes] = []
        self.lost = False

    async def fetch(self, digest: str, path: Path, size: int) -> None:
        await self._world.fetch(digest, path, size)

    async def store(self, source: memoryview, digest: str, place: object = None) -> None:
        if self.lost:
            raise KeyboardInterrupt  # the process dies before the first byte
        self.sent.append(bytes(source))

    async def call(self, kind: str, body: dict[str, Any]) -> Any:
        if kind == "log.mine":
            return {"leaves": []}
        return await self._world.call(kind, body)


class StatisticsWorld(World):
    """See the module; `spec_changes` are those of the statistics spec."""

    spec: Any
    stage: ClassVar = "statistics"

    def __post_init__(self) -> None:
        self.vectors = Vectors(self)
        self.privacy = self.privacy or BUDGET
        super().__post_init__()
        self.digest = spec_digest(self.spec)
        self.worker: Any = self.counting
        self.plan = self.planned()
        self.conductor = Conductor(self.plan)
        others = [party for party in self.parties if party != ME]
        self.others = {p: SecAggClient(self.plan, p, self.keys[p]) for p in others}

    def planned(self) -> MaskingPlan:
        return statistics_plan(self.spec, JOB, self.digest)

    @property
    def link(self) -> Any:
        return self.vectors

    @property
    def base(self) -> str:
        """The digest of what the first round starts from."""
        return self.digest

    @property
    def settings(self) -> AgentSettings:
        settings = super().settings
        consent = settings.consent.model_copy(update={"protections": ("secagg",)})
        return settings.model_copy(update={"consent": consent})

    def make_spec(self, **changes: Any) -> Any:
        value = {
            "project": "prj_0123456789",
            "name": "ages",
            "purpose": "credit scoring",
            "submitter": "usr_alice",
            "roster": [
                {"party": p, "key": k.public, "dataset": "customers"} for p, k in self.keys.items()
            ],
            "columns": COLUMNS,
            "queries": QUERIES,
            "privacy": {"delta": 1e-6, "noise_multiplier": 5.0},
        }
        return parse(StatisticsSpec, {**value, **changes})

    def open_agent(self) -> None:
        if not hasattr(self, "counting"):
            self.counting = Counting(slots(self.spec))
        self.worker = self.counting
        super().open_agent()

    async def consented(self) -> dict[str, Any]:
        approval = await self.ask("consent", self.consent_body())
        self.record(approval)
        return approval

    async def met(self) -> dict[str, bytes]:
        """Bring everybody's keys together; return the frames that open the round."""
        setup = await self.ask("setup", self.body())
        self.conductor.receive(ME, b64decode(setup["setups"][self.stage], 1 << 20))
        for party, client in self.others.items():
            self.conductor.receive(party, client.setup())
        meet = self.conductor.meet()
        body = self.body(meet={self.stage: b64encode(meet)}, rounds={self.stage: 0})
        advance = await self.ask("advance", body)
        self.conductor.receive(ME, b64decode(advance["advances"][self.stage], 1 << 20))
        for party, client in self.others.items():
            client.meet(meet)
            self.conductor.receive(party, client.advance(0))
        return self.conductor.begin(0, model_binding(self.base, None))

    def mask_body(self, frames: dict[str, bytes], **changes: Any) -> dict[str, Any]:
        body = self.body(
            round=1,
            stage=self.stage,
            model=None,
            moments=None,
            steps=[],
            head=self.head(),
            begin=b64encode(frames[ME]),
            vector={"size": self.plan.vector_bytes},
        )
        return {**body, **changes}

    def others_upload(self, frames: dict[str, bytes]) -> np.ndarray:
        """The others' masked zeros, added up."""
        total = np.zeros(self.plan.encoding.slots, self.plan.ring)
        for party, client in self.others.items():
            client.begin(frames[party], model_binding(self.base, None))
            vector = np.empty(self.plan.encoding.slots, self.plan.ring)
            zeros = masked_values(np.zeros(self.plan.encoding.length, np.int64))
            client.contribute(zeros, 1, {}, None, vector)
            self.conductor.receive(party, pack(Upload(0, self.conductor.context)))
            total += vector
        return total

    def answer_body(self, head: str) -> dict[str, Any]:
        frame = self.conductor.requests()[ME]
        return self.body(
            round=1, stage=self.stage, frame=b64encode(frame), cosigned=self.cosigned(head)
        )
