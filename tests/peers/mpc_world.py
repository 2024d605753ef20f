"""An agent in an engine's program among three parties, with a toy engine and channels in memory."""

from __future__ import annotations

from collections.abc import Awaitable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from peers.agent_world import JOB, ME, NOW, ORIGIN
from peers.psi_world import InProcess, PsiAgentWorld, Shelf, ToyLinks
from unit.engines.mpc.engine_world import asked

from secureflow.agent.compute.mpc import MPC_WORKER
from secureflow.application.ports.mpcengine import (
    EngineInfo,
    EngineJob,
    EngineProgram,
    EngineResult,
    Estimate,
    SecurityLabel,
    Shapes,
)
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.mpc import MpcSpec, check_mpc
from secureflow.engines.ledger.leaves import Leaf, commitment, sign_leaf
from secureflow.engines.run.attempts import ATTEMPT, attempt_document
from secureflow.kit.errors import SecureFlowError
from secureflow.texts import chinese

COLUMNS = [
    {"name": "turnover", "type": "number"},
    {"name": "staff", "type": "number"},
    {"name": "town", "type": "text"},
]
TABLE = "turnover,staff,town\n40,4,Xi'an\n7,9,Wuhan\n"
ROWS = 2


POLICY = """permit(principal, action == Action::"mpc", resource) when {
    context.program == "ranking" && context.engine == "spu" && context.protocol == "aby3" &&
    ["bank-a", "bank-b"].containsAll(context.receivers)
};"""


class RankingEngine:
    """`MpcEngine`: ranks what this party brings against numbers that it is told."""

    name, version = "spu", "0.9.5"

    def __init__(self) -> None:
        self.others = {"bank-b": [50.0, 5.0], "bank-c": [30.0, 6.0]}
        self.fails: SecureFlowError | None = None
        self.jobs: list[EngineJob] = []
        self.read: list[Any] = []
        self.programs: tuple[str, ...] = ("ranking",)
        self.says: Any = None
        """What it says, whatever the numbers are."""

    def describe(self) -> EngineInfo:
        label = SecurityLabel("semi-honest", "", "")
        programs = {name: EngineProgram("", "ab" * 32, ("ABY3",), (3, 3)) for name in self.programs}
        return EngineInfo(self.name, self.version, {"ABY3": label}, programs, (3, 3))

    def available(self) -> SecureFlowError | None:
        return None

    def estimate(self, program: str, protocol: str, shapes: Shapes) -> Estimate:
        self.shapes = program, protocol, shapes
        return Estimate(100 << 20, 0, 0.0)

    async def run(self, job: EngineJob, progress: Any) -> EngineResult:
        self.jobs.append(job)
        if self.fails is not None:
            raise self.fails
        brought = {name: np.load(path) for name, path in job.inputs.items()}
        self.read.append({name: found.tolist() for name, found in brought.items()})
        outputs: dict[str, Path] = {}
        if job.party in job.receivers:
            numbers = np.array([*brought.values(), *self.others.values()])
            ranks = 1 + (numbers[:, None, :] < numbers[None, :, :]).sum(1)
            outputs["ranks"] = job.outputs / "ranks.npy"
            np.save(outputs["ranks"], ranks if self.says is None else self.says)
        return EngineResult({}, outputs, 0.1, 1 << 20)


class MpcAgentWorld(PsiAgentWorld):
    """bank-a, bank-b and bank-c rank their turnover; `changes` are those of the spec."""

    def __init__(self, directory: Path, *, policy: str = POLICY, **changes: Any) -> None:
        self.engine: Any = RankingEngine()
        self.links_to, self.worker_here = ToyLinks(), InProcess(MPC_WORKER, MpcSpec)
        self.spec_of, self.columns, self.limit = changes, COLUMNS, 1000
        super(PsiAgentWorld, self).__init__(directory, policy=policy, more_ports=self._ports())

    def _ports(self) -> dict[str, Any]:
        return {"peers": self.links_to, "engines": Shelf(self.engine)}

    @property
    def declared(self) -> dict[str, Any]:
        return {
            "name": "customers", "path": str(self.data), "format": "csv",
            "columns": self.columns, "privacy": self.privacy,
        }  # fmt: skip

    def publish(self, text: str = TABLE) -> None:
        super().publish(text)

    def make_spec(self, **_: Any) -> Any:
        roster = [
            {"party": p, "key": k.public, "dataset": "customers"} for p, k in self.keys.items()
        ]
        project = {"project": "prj_0123456789", "purpose": "credit scoring"}
        changes = dict(self.spec_of)
        for party in changes.pop("compute", ()):
            next(one for one in roster if one["party"] == party)["dataset"] = ""
        spec = parse(MpcSpec, {**asked(roster), **project, **changes})
        check_mpc(spec)
        return spec

    def entries_of_peers(
        self, attempt: int = 1, *, rows: int = ROWS, **changes: Any
    ) -> dict[str, Any]:
        """Return what the others offer to this agent, as the centre relays it."""
        statements, offers = {}, {}
        for peer in (one for one in self.parties if one != ME):
            statement = {"body": {"to": ME, "attempt": attempt}, "signature": f"of {peer}"}
            document = attempt_document(
                attempt, self.spec.program, "cd" * 32, rows, {ME: statement}
            )
            document |= changes
            salt = b"\x05" * 32
            leaf = Leaf(
                ATTEMPT, ORIGIN, peer, NOW, commitment(salt, document), job=JOB, spec=self.digest
            )
            signed = sign_leaf(leaf, self.keys[peer]).json()
            statements[peer] = statement
            offers[peer] = {"leaf": signed, "document": document, "salt": salt.hex()}
        return {"statements": statements, "offers": offers}

    async def run(self, attempt: int = 1, **entry: Any) -> dict[str, Any]:
        body = self.body(attempt=attempt, **self.entries_of_peers(attempt, **entry))
        reply = await self.ask("peer_run", body)
        self.record(reply)
        return reply


_World = TypeVar("_World", bound=MpcAgentWorld)


async def consenting(made: type[_World], directory: Path, **changes: Any) -> _World:
    """Return an agent that has approved the job."""
    world = made(directory / "agent", **changes)
    await world.consented()
    return world


async def refused(asked: Awaitable[Any], code: str) -> SecureFlowError:
    """Return the error of what is refused for this reason, in Chinese too."""
    with pytest.raises(SecureFlowError) as caught:
        await asked
    assert caught.value.code == code
    assert chinese(caught.value.message)
    return caught.value
