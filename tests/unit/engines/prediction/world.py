"""Honest parties that apply a model and keep what it says, without a network."""

from __future__ import annotations

from typing import Any, ClassVar

from secureflow.domain.specs.base import parse, spec_digest
from secureflow.domain.specs.prediction import PredictionSpec, check_prediction
from secureflow.engines.prediction.kind import PREDICTION_ENGINE
from secureflow.engines.run.kept import KEPT, RECEIVED
from secureflow.engines.run.run import JobContext
from secureflow.engines.script import AGGREGATOR, Script
from tests.unit.engines.training.world import JOB, World

FEATURES: dict[str, Any] = {
    "label": {"column": "income", "positive": ">50K"},
    "numeric": [{"column": "age", "bounds": [0, 100], "scale": "bounds"}],
}
MODEL: dict[str, Any] = {
    "job": "job_aaaaaaaaaa", "digest": "ab" * 32, "features": FEATURES,
    "model": {"family": "logistic_regression"}, "contributors": ["bank-a", "bank-b"],
}  # fmt: skip


def specified(roster: list[dict[str, str]], **changes: Any) -> PredictionSpec:
    value: dict[str, Any] = {
        "project": "prj_0123456789", "name": "scores", "purpose": "testing",
        "submitter": "ann", "roster": roster, "model": MODEL, **changes,
    }  # fmt: skip
    spec = parse(PredictionSpec, value)
    check_prediction(spec)
    return spec


def sealed_by(party: str) -> dict[str, Any]:
    """What a party says of its sealed file."""
    return {
        "artifact": party.encode().hex().ljust(64, "0"), "size": 100 + len(party), "length": 84,
        "key": "sealed", "signature": "by " + party,
    }  # fmt: skip


class PredictionWorld(World):
    """Each party keeps a file of its own; `changes` are those of the spec."""

    changes: ClassVar[dict[str, Any]] = {}

    def __post_init__(self) -> None:
        super().__post_init__()
        roster = [{"party": p, "key": k.public, "dataset": "d"} for p, k in self.keys.items()]
        self.spec: Any = specified(roster, **self.changes)
        self.stored: set[str] = set()
        """Ciphertexts at the centre."""
        self.digest = spec_digest(self.spec)
        members = self._public(self.everybody)
        stage = PREDICTION_ENGINE.contributing
        self.context: Any = JobContext(
            JOB, self.spec, self.digest, members, 2_000_000_000, stage
        )  # fmt: skip

    def script(self) -> Script[dict[str, Any]]:
        return PREDICTION_ENGINE.script("prediction/1", self.context)

    def _one(self, party: str, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        if party == AGGREGATOR:
            assert verb == "finish"
            self.asked.append((party, verb))
            self.stored.clear()
            return {}
        return super()._one(party, verb, body)

    def party_receive(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        assert party == self.spec.deliver.to
        return {"recipient": "key of " + party, "signature": "signed"}

    def party_seal(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        assert (body["recipient"], body["signature"]) == (
            "key of " + self.spec.deliver.to,
            "signed",
        )
        return {"sealed": sealed_by(party)}

    def party_hand_over(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        made = sealed_by(party)
        assert body["vector"]["size"] == made["size"]
        self.stored.add(made["artifact"])
        return {"vector": made["artifact"]}

    def party_collect(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        """Sign a leaf whose document stays with the party."""
        assert {one["artifact"] for one in body["files"].values()} <= self.stored
        self._leaf(party, RECEIVED, {"files": sorted(body["files"])})
        made = [
            {"leaf": one["leaf"]} if one["leaf"]["leaf"]["kind"] in {KEPT, RECEIVED} else one
            for one in self.made[party]
        ]
        return {**made[-1], "leaves": made}

    def party_keep(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        """Sign a leaf whose document stays with the party."""
        assert body["digest"] == self.digest
        assert body["model"]["digest"] == self.spec.model.digest
        self._leaf(party, KEPT, {"file": party, "rows": 7})
        made = [
            {"leaf": one["leaf"]} if one["leaf"]["leaf"]["kind"] == KEPT else one
            for one in self.made[party]
        ]
        return {**made[-1], "leaves": made}


class DeliveredWorld(PredictionWorld):
    """Files go to bank-b."""

    changes: ClassVar = {"deliver": {"to": "bank-b"}}
