"""Honest parties that consent to a sweep, and a centre that runs its jobs, without a network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from secureflow.domain.specs.base import parse, spec_digest
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.domain.specs.sweep import SweepSpec, check_sweep
from secureflow.engines.privacy.accounting import Mechanism, curve
from secureflow.engines.run.run import JobContext
from secureflow.engines.script import Effect, RunJob, Script
from secureflow.engines.sweep.kind import SWEEP_ENGINE
from tests.unit.engines.training.world import JOB, World

RATES = (0.05, 0.1, 0.2, 0.4)
FAILED = {"code": "party_silent", "message": "bank-b is silent", "hint": "Start its agent."}


class SweepWorld(World):
    """Each job's loss follows from its settings; `fail` are the numbers of those that fail.

    `points` and `more` (fields of the spec) may be replaced before the world is made.
    """

    points: tuple[dict[str, Any], ...] = tuple({"plan.learning_rate": rate} for rate in RATES)
    more: Mapping[str, Any] = {"metric": {"name": "loss", "better": "lower"}}
    training: Mapping[str, Any] = {}
    accounting: Mapping[str, Any] | None = None
    fail: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        super().__post_init__()
        self.rounds = 0
        roster = [{"party": p, "key": k.public, "dataset": "d"} for p, k in self.keys.items()]
        head = {
            "project": "prj_0123456789", "name": "rates", "purpose": "testing",
            "submitter": "ann", "roster": roster,
        }  # fmt: skip
        features = {
            "label": {"column": "income", "positive": "high"},
            "numeric": [{"column": "age", "bounds": [0, 100], "scale": "bounds"}],
        }
        plan = {"rounds": 3, "draws": "words", "validation": 0.2}
        every = {} if "privacy" in self.training else {"min_contributors": self.count}
        training = {**head, "features": features, "plan": plan, **every, **self.training}
        value = {**head, "training": training, "points": self.points, **self.more}
        self.spec: Any = parse(SweepSpec, value)
        check_sweep(self.spec)
        self.digest = spec_digest(self.spec)
        members = self._public(self.everybody)
        self.context: Any = JobContext(
            JOB, self.spec, self.digest, members, 2_000_000_000, "", self.accounting, facts=True
        )
        self.ran: list[str] = []

    def script(self) -> Script[dict[str, Any]]:
        return SWEEP_ENGINE.script("sweep/1", self.context)

    def _perform(self, effect: Effect) -> Any:
        return self.run(effect) if isinstance(effect, RunJob) else super()._perform(effect)

    def run(self, effect: RunJob) -> dict[str, Any]:
        """End a job as its settings say: once; a journal that lost the answer asks again."""
        if effect.job not in self.ran:
            self.ran.append(effect.job)
        assert spec_digest(SPEC_KINDS.parse(effect.spec)) == effect.digest
        number, rate = effect.spec["part_of"]["number"], effect.spec["plan"]["learning_rate"]
        if number in self.fail:
            return {"job": effect.job, "state": "failed", "error": FAILED}
        rounds = effect.spec["plan"]["rounds"]
        seed = effect.spec["plan"]["seed"]
        metrics = {"rows": 80.0, "loss": abs(math.log(rate / 0.18)) + seed / 100, "auc": 1 - rate}
        model = {"digest": f"{number:064x}", "artifact": "", "id": f"mdl_{number}", "version": 1}
        report = {"rounds": rounds, "metrics": metrics, "model": model, "tee": "SIMULATED SGX"}
        if effect.accounting is not None:
            report["privacy"] = {"epsilon": 0.5 * rounds}
        return {"job": effect.job, "state": "succeeded", "report": report}


QUOTES = [
    {"noise": 4.0, "epsilon": {"pld": 1.0}, "curve": list(curve(Mechanism("gaussian", 4.0)))},
    {"noise": 8.0, "epsilon": {"pld": 0.5}, "curve": list(curve(Mechanism("gaussian", 8.0)))},
]


class PrivateSweep(SweepWorld):
    points = ({"plan.learning_rate": 0.1}, {"privacy.noise_multiplier": 8.0, "plan.rounds": 5})
    privacy_part: ClassVar[dict[str, Any]] = {"delta": 1e-6, "noise_multiplier": 4.0, "rows": 400}
    training: ClassVar[dict[str, Any]] = {
        "plan": {"rounds": 3, "draws": "words", "validation": 0.0},
        "privacy": privacy_part,
    }
    more: ClassVar[dict[str, Any]] = {
        "privacy": {"delta": 1e-6, "unit": "record", "noise": "enclave"}
    }
    accounting: ClassVar[dict[str, Any]] = {
        "epsilon": {"pld": 1.2, "rdp-cks20": 1.5},
        "quotes": QUOTES,
        "points": [0, 1],
    }
