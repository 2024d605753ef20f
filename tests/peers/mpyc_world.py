"""Agents whose parties run a program of others, with a toy engine or with MPyC itself."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from peers.agent_world import JOB, ME
from peers.engines import Channels, channels_of
from peers.mpc_world import MpcAgentWorld
from peers.psi_world import InProcess, PsiAgentWorld, Shelf, ToyLinks
from unit.engines.mpc.engine_world import asked

from secureflow.agent.compute.mpc import MPC_WORKER
from secureflow.agent.settings import AgentSettings, EngineSettings
from secureflow.application.ports.mpcengine import (
    EngineInfo,
    EngineJob,
    EngineResult,
    Estimate,
    SecurityLabel,
)
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.mpc import MpcSpec, check_mpc
from secureflow.engines.bundles import Bundle, pack
from secureflow.kit.errors import SecureFlowError

BANKS = (ME, "bank-b", "bank-c")
COLUMNS = [
    {"name": "bid", "type": "number"},
    {"name": "rate", "type": "number"},
    {"name": "town", "type": "text"},
]
TABLE = 'bid,rate,town\n40,0.5,"Xi\'an, old"\n7,,\n'
CODE = Bundle({"program.py": b"import helper\n", "helper.py": b"x = 1\n"})


def policy_of(code: Bundle) -> str:
    """Return a policy that was written about a program."""
    return f"""permit(principal, action == Action::"mpc", resource) when {{
        context.engine_program == "mpyc" && context.bundle_digest == "{code.digest}"
    }};"""


POLICY = policy_of(CODE)


def program(code: Bundle = CODE, **changes: Any) -> dict[str, Any]:
    """Return the JSON of a computation by a program of others."""
    return {
        "name": "mpyc", "bundle": {"digest": code.digest, "entry": "program.py"}, **changes
    }  # fmt: skip


def asked_of_mpyc(
    roster: list[dict[str, str]], columns: Sequence[str] = ("bid",), **changes: Any
) -> dict[str, Any]:
    """Return the JSON of a spec: all parties bring these columns, and the first receives files."""
    sides = [
        {"party": one["party"], "columns": list(columns) if one["dataset"] else []}
        for one in roster
    ]
    more = {
        "computation": program(), "protocol": "shamir", "sides": sides,
        "engine": {"name": "mpyc", "version": "0.11"},
    }  # fmt: skip
    return asked(roster, **{**more, **changes})


class FilesEngine:
    """`MpcEngine`: a toy that says it is MPyC, and writes files where its party receives."""

    name, version = "mpyc", "0.11"

    def __init__(self) -> None:
        self.jobs: list[EngineJob] = []
        self.read: list[dict[str, bytes]] = []
        self.code: list[dict[str, bytes]] = []
        self.fails: SecureFlowError | None = None
        self.writes: dict[str, bytes] = {"printed.txt": b"7\n", "sum.npy": b"\x80\x04no numbers"}

    def describe(self) -> EngineInfo:
        label = SecurityLabel("semi-honest", "", "")
        return EngineInfo(self.name, self.version, {"shamir": label}, {}, (3, 16))

    def available(self) -> SecureFlowError | None:
        return None

    def estimate(self, *_: Any) -> Estimate:
        return Estimate(1 << 20, 1 << 20, 1.0)

    async def run(self, job: EngineJob, progress: Any) -> EngineResult:
        self.jobs.append(job)
        self.read.append({name: path.read_bytes() for name, path in job.inputs.items()})
        assert job.code is not None
        found = sorted(one for one in job.code.folder.rglob("*") if one.is_file())
        self.code.append({str(p.relative_to(job.code.folder)): p.read_bytes() for p in found})
        if self.fails is not None:
            raise self.fails
        outputs: dict[str, Path] = {}
        if job.party in job.receivers:
            for name, content in self.writes.items():
                outputs[name] = job.outputs / name
                outputs[name].write_bytes(content)
        return EngineResult({}, outputs, 0.1, 1 << 20)


class MpycAgentWorld(MpcAgentWorld):
    """One of three banks; `changes` are those of the spec, `code` what the centre has."""

    def __init__(
        self,
        directory: Path,
        *,
        policy: str = POLICY,
        me: str = ME,
        engines: Any = None,
        links: Any = None,
        code: Bundle = CODE,
        columns: Sequence[str] = ("bid",),
        **changes: Any,
    ) -> None:
        self.engine = FilesEngine()
        self.shelf = engines or Shelf(self.engine)  # type: ignore[arg-type]
        self.links_to, self.worker_here = links or ToyLinks(), InProcess(MPC_WORKER, MpcSpec)
        self.spec_of, self.limit, self.code = changes, 1000, code
        self.columns, self.asked_columns = COLUMNS, columns
        super(PsiAgentWorld, self).__init__(
            directory, policy=policy, more_ports=self._ports(), me=me
        )
        self.blobs[code.digest] = pack(code)

    def _ports(self) -> dict[str, Any]:
        return {"peers": self.links_to, "engines": self.shelf}

    @property
    def settings(self) -> AgentSettings:
        more = {"engines": EngineSettings(memory_mb=512, scratch_mb=64)}
        return super().settings.model_copy(update=more)

    def publish(self, text: str = TABLE) -> None:
        super().publish(text)

    def make_spec(self, **_: Any) -> Any:
        roster = [
            {"party": p, "key": k.public, "dataset": "customers"} for p, k in self.keys.items()
        ]
        project = {"project": "prj_0123456789", "purpose": "credit scoring"}
        changes = {"computation": program(self.code), **self.spec_of}
        spec = parse(MpcSpec, {**asked_of_mpyc(roster, self.asked_columns, **changes), **project})
        check_mpc(spec)
        return spec


@dataclass
class Wires:
    """Channels in memory among the parties, made anew for each attempt."""

    parties: tuple[str, ...]
    made: dict[int, Channels] = field(default_factory=dict)

    def of(self, party: str, attempt: int) -> Any:
        return self.made.setdefault(attempt, channels_of(self.parties))[party]


class Ends(ToyLinks):
    """`PeerLinks` of one party over them."""

    def __init__(self, wires: Wires, party: str) -> None:
        super().__init__()
        self._wires, self._party = wires, party

    async def open(
        self, scope: Any, theirs: Mapping[str, Any], *, deadline: float, limits: Any
    ) -> Any:
        assert scope.attempt in self.offered
        ends = self._wires.of(self._party, scope.attempt)
        return {peer: ends[peer] for peer in theirs}


class Trio:
    """Three agents in one process; the test is the centre that carries what they say."""

    def __init__(
        self, directory: Path, engines: Mapping[str, Any], tables: Mapping[str, str], **more: Any
    ) -> None:
        wires = Wires(BANKS)
        self.agents = {
            one: MpycAgentWorld(
                directory / one, me=one, engines=engines[one], links=Ends(wires, one), **more
            )
            for one in BANKS
        }
        for one, table in tables.items():
            self.agents[one].publish(table)

    async def consent(self) -> None:
        for one in self.agents.values():
            await one.consented()

    async def offers(self, attempt: int = 1) -> dict[str, Any]:
        return {party: await one.offer(attempt) for party, one in self.agents.items()}

    async def run(self, attempt: int = 1) -> dict[str, Any]:
        """Return what each party answers to an attempt."""
        offered = await self.offers(attempt)

        async def of(party: str) -> Any:
            others = [one for one in BANKS if one != party]
            parts = ("leaf", "document", "salt")
            body = self.agents[party].body(
                attempt=attempt,
                statements={one: offered[one]["statements"][party] for one in others},
                offers={one: {part: offered[one][part] for part in parts} for one in others},
            )
            reply = await self.agents[party].ask("peer_run", body)
            self.agents[party].record(reply)
            return reply

        found = await asyncio.gather(*map(of, BANKS), return_exceptions=True)
        return dict(zip(BANKS, found, strict=True))


__all__ = ["BANKS", "CODE", "JOB", "FilesEngine", "MpycAgentWorld", "Trio", "asked_of_mpyc"]
