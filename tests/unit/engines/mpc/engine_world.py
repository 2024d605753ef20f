"""Honest parties that run an engine's program, without a network and without an engine."""

from __future__ import annotations

from typing import Any, ClassVar

from secureflow.domain.specs.base import parse, spec_digest
from secureflow.domain.specs.mpc import MpcSpec, check_mpc
from secureflow.engines.mpc.kind import MPC_ENGINE
from secureflow.engines.run.attempts import ATTEMPT, attempt_document
from secureflow.engines.run.kept import KEPT
from secureflow.engines.run.run import JobContext
from secureflow.engines.script import Script
from secureflow.kit.errors import SecureFlowError
from tests.unit.engines.training.world import JOB, World

ROWS = 12


def asked(roster: list[dict[str, str]], **changes: Any) -> dict[str, Any]:
    """Return the JSON of a spec: three parties rank a number, and the first learns the places."""
    sides = [
        {"party": one["party"], "columns": ["turnover"] if one["dataset"] else []} for one in roster
    ]
    return {
        "project": "prj_0123456789", "name": "who has more", "purpose": "testing",
        "submitter": "ann", "roster": roster, "sides": sides, "computation": {"name": "ranking"},
        "protocol": "aby3", "engine": {"name": "spu", "version": "0.9.5"}, "protection": "peers",
        "receivers": [roster[0]["party"]], "min_contributors": len(roster), **changes,
    }  # fmt: skip


def computed(roster: list[dict[str, str]], **changes: Any) -> MpcSpec:
    spec = parse(MpcSpec, asked(roster, **changes))
    check_mpc(spec)
    return spec


class EngineWorld(World):
    """The first of three parties learns; `changes` are those of the spec."""

    changes: ClassVar[dict[str, Any]] = {}

    def __post_init__(self) -> None:
        super().__post_init__()
        roster = [{"party": p, "key": k.public, "dataset": "d"} for p, k in self.keys.items()]
        self.spec: Any = computed(roster, **self.changes)
        self.digest = spec_digest(self.spec)
        members = self._public(self.everybody)
        stage = MPC_ENGINE.contributing
        self.context: Any = JobContext(JOB, self.spec, self.digest, members, 2_000_000_000, stage)
        self.runs: list[tuple[str, int]] = []
        """Who ran which attempt."""
        self.results: dict[str, dict[str, Any]] = {}
        """What each receiver told of the result that it keeps."""

    def script(self) -> Script[dict[str, Any]]:
        return MPC_ENGINE.script("mpc/1", self.context)

    def others(self, party: str) -> list[str]:
        return [one for one in self.spec.parties if one != party]

    def _shown(self, party: str) -> dict[str, Any]:
        """Return the newest leaf, and all of them: those of results without their documents."""
        made = [
            {"leaf": one["leaf"]} if one["leaf"]["leaf"]["kind"] == KEPT else one
            for one in self.made[party]
        ]
        return {**made[-1], "leaves": made}

    def party_peer_offer(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        assert (body["digest"], body["program"]) == (self.digest, self.spec.program)
        number = body["attempt"]
        statements: dict[str, Any] = {
            peer: {"body": {"from": party, "to": peer, "attempt": number}, "signature": "signed"}
            for peer in self.others(party)
        }
        document = attempt_document(number, body["program"], "ab" * 32, ROWS, statements)
        self._leaf(party, ATTEMPT, document)
        done = {"done": self.results[party]} if party in self.results else {}
        return {"statements": statements, **self._shown(party), **done}

    def party_peer_run(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        others = self.others(party)
        assert set(body["statements"]) == set(body["offers"]) == set(others)
        self.runs.append((party, body["attempt"]))
        if party in self.results:
            return self.results[party]
        for peer in others:
            if (peer, "peer_run") in self.refuse:
                raise SecureFlowError("peer_absent", f"{peer} did not open its channel")
        if party in self.spec.learners:
            self._leaf(party, KEPT, {"file": party, "rows": ROWS})
        told = {
            "attempt": body["attempt"], "figures": {"rows": ROWS}, "seconds": 1.5,
            "peak": 250_000_000,
            "channels": {peer: {"sent": 10, "received": 10} for peer in others},
            **self._shown(party),
        }  # fmt: skip
        if party in self.spec.learners:
            self.results[party] = told
        return told


class OnceLost(EngineWorld):
    """The second party's agent is restarted in the first attempt."""

    def party_peer_run(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        if body["attempt"] == 1:
            if party == "bank-b":
                raise SecureFlowError("attempt_lost", "bank-b was restarted")
            raise SecureFlowError("peer_broken", "bank-b went")
        return super().party_peer_run(party, body)
