"""Honest parties that intersect their keys, without a network and without an engine."""

from __future__ import annotations

from typing import Any, ClassVar

from secureflow.domain.specs.base import parse, spec_digest
from secureflow.domain.specs.psi import PsiSpec
from secureflow.domain.specs.psi_rules import check_psi
from secureflow.engines.psi.kind import PSI_ENGINE
from secureflow.engines.run.attempts import ATTEMPT, attempt_document
from secureflow.engines.run.kept import KEPT
from secureflow.engines.run.run import JobContext
from secureflow.engines.script import Script
from secureflow.kit.errors import SecureFlowError
from tests.unit.engines.training.world import JOB, World, party_name

PARTIES = {party_name(n): set(range(n, 12 + n)) for n in range(4)}
"""Each party's keys: neighbours share eleven."""


def asked(roster: list[dict[str, str]], **changes: Any) -> dict[str, Any]:
    """Return the JSON of a spec: the first party learns which keys match."""
    sides = [{"party": one["party"], "key": ["phone"], "most_rows": 100} for one in roster]
    return {
        "project": "prj_0123456789", "name": "shared customers", "purpose": "testing",
        "submitter": "ann", "roster": roster, "sides": sides, "key": {"parts": [{"rule": "phone"}]},
        "learns": "one", "receiver": roster[0]["party"],
        "engine": {"name": "spu", "version": "0.9.5"}, **changes,
    }  # fmt: skip


def specified(roster: list[dict[str, str]], **changes: Any) -> PsiSpec:
    spec = parse(PsiSpec, asked(roster, **changes))
    check_psi(spec)
    return spec


class PsiWorld(World):
    """The first party learns; `changes` are those of the spec.

    A party that refuses to run is missed by the others; bank-d is lost after they are done.
    """

    changes: ClassVar[dict[str, Any]] = {}

    def __post_init__(self) -> None:
        super().__post_init__()
        roster = [{"party": p, "key": k.public, "dataset": "d"} for p, k in self.keys.items()]
        self.spec: Any = specified(roster, **{"tells_size": True, **self.changes})
        self.digest = spec_digest(self.spec)
        members = self._public(self.everybody)
        stage = PSI_ENGINE.contributing
        self.context: Any = JobContext(
            JOB, self.spec, self.digest, members, 2_000_000_000, stage
        )  # fmt: skip
        self.runs: list[tuple[str, int]] = []
        """Who ran which attempt."""
        self.results: dict[str, dict[str, Any]] = {}
        """What each party told of the result that it keeps."""

    def script(self) -> Script[dict[str, Any]]:
        return PSI_ENGINE.script("psi/1", self.context)

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
            for peer in self.spec.others(party)
        }
        document = attempt_document(number, body["program"], "ab" * 32, 12, statements)
        self._leaf(party, ATTEMPT, document)
        done = {"done": self.results[party]} if party in self.results else {}
        return {"statements": statements, **self._shown(party), **done}

    def party_peer_run(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        others = self.spec.others(party)
        assert set(body["statements"]) == set(body["offers"]) == set(others)
        for peer, statement in body["statements"].items():
            assert statement["body"] == {"from": peer, "to": party, "attempt": body["attempt"]}
        self.runs.append((party, body["attempt"]))
        if party in self.results:
            return self.results[party]
        for peer in others:
            if peer != "bank-d" and (peer, "peer_run") in self.refuse:
                raise SecureFlowError("peer_absent", f"{peer} did not open its channel")
        figures = {"keys": len(PARTIES[party])}
        if party in self.spec.learners:
            shared = set.intersection(*(PARTIES[one] for one in self.spec.parties))
            figures["matched"] = len(shared)
            self._leaf(party, KEPT, {"file": party, "rows": len(shared)})
        told = {
            "attempt": body["attempt"], "figures": figures, "seconds": 1.5, "peak": 1000,
            "channels": {peer: {"sent": 10, "received": 10} for peer in others},
            **self._shown(party),
        }  # fmt: skip
        if party in self.spec.learners:
            self.results[party] = told
        return told


class AllWorld(PsiWorld):
    """Both of two parties learn."""

    changes: ClassVar = {"learns": "all"}


BROKEN = SecureFlowError("engine_failed", "The engine ended in its computation.", "See its log.")


class OnceLost(PsiWorld):
    """The second party's agent is restarted in the first attempt."""

    def party_peer_run(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        if body["attempt"] == 1:
            if party == "bank-b":
                raise SecureFlowError("attempt_lost", "bank-b was restarted")
            raise SecureFlowError("peer_broken", "bank-b went")
        return super().party_peer_run(party, body)


class Keeping(AllWorld):
    """The first party has its result of the first attempt, in which the second one is lost."""

    def party_peer_run(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        if (party, body["attempt"]) == ("bank-b", 1):
            raise SecureFlowError("attempt_lost", "bank-b was restarted")
        return super().party_peer_run(party, body)


class Unheard(PsiWorld):
    """The receiver has its result, but its answer never arrives; it tells so when asked again."""

    def party_peer_run(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        told = super().party_peer_run(party, body)
        if party == "bank-a":
            raise SecureFlowError("party_silent", "bank-a is silent")
        return told
