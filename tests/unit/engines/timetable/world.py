"""Honest parties that consent to a timetable, and a centre that runs its runs, without a network.

`fail` are the numbers of runs that fail, `out` those that are left out, and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from secureflow.domain.specs.base import parse, spec_digest
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.domain.specs.timetable import TimetableSpec
from secureflow.engines.kinds import TIMETABLE_ENGINE
from secureflow.engines.run.run import JobContext
from secureflow.engines.script import AwaitTime, Effect, RunJob, Script
from tests.unit.engines.training.world import JOB, World

FIRST = 1_800_000_000
DAY = 86_400
FAILED = {"code": "party_silent", "message": "bank-b is silent", "hint": "Start its agent."}


class TimetableWorld(World):
    """Statistics, three times."""

    fail: frozenset[int] = frozenset()
    out: Mapping[int, str] = {}
    more: ClassVar[Mapping[str, Any]] = {}
    accounting: Mapping[str, Any] | None = {
        "epsilon": {"pld": 1.2, "rdp-cks20": 1.5},
        "run": {"epsilon": {"pld": 0.6, "rdp-cks20": 0.7}},
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        self.rounds = 0
        roster = [{"party": p, "key": k.public, "dataset": "d"} for p, k in self.keys.items()]
        head = {
            "project": "prj_0123456789", "name": "nightly", "purpose": "testing",
            "submitter": "ann", "roster": roster,
        }  # fmt: skip
        run = {
            **head, "kind": "statistics", "queries": [{"name": "rows", "measure": "count"}],
            "columns": [], "contributions": 1, "min_contributors": 3,
            "privacy": {"delta": 1e-6, "noise_multiplier": 4.0},
        }  # fmt: skip
        times = {"first": FIRST, "every": DAY, "runs": 3, "window": 3600}
        common = {"delta": 1e-6, "unit": "record", "noise": "shared"}
        value = {**head, "kind": "timetable", "job": run, "timetable": times, "privacy": common}
        self.spec: Any = parse(TimetableSpec, {**value, **self.more})
        SPEC_KINDS.check(self.spec)
        self.digest = spec_digest(self.spec)
        members = self._public(self.everybody)
        self.context: Any = JobContext(
            JOB, self.spec, self.digest, members, 2_000_000_000, "", self.accounting, facts=True
        )
        self.ran: list[str] = []
        self.awaited: list[tuple[int, int]] = []

    def script(self) -> Script[dict[str, Any]]:
        return TIMETABLE_ENGINE.script("timetable/1", self.context)

    def _perform(self, effect: Effect) -> Any:
        if isinstance(effect, AwaitTime):
            if (effect.at, effect.until) not in self.awaited:
                self.awaited.append((effect.at, effect.until))
            return {"state": self.out.get((effect.at - FIRST) // DAY + 1, "due")}
        return self.run(effect) if isinstance(effect, RunJob) else super()._perform(effect)

    def run(self, effect: RunJob) -> dict[str, Any]:
        """End a run as its number says: once; a journal that lost the answer asks again."""
        if effect.job not in self.ran:
            self.ran.append(effect.job)
        assert spec_digest(SPEC_KINDS.parse(effect.spec)) == effect.digest
        assert effect.accounting == (self.accounting or {}).get("run")
        if effect.spec["part_of"]["number"] in self.fail:
            return {"job": effect.job, "state": "failed", "error": FAILED}
        return {"job": effect.job, "state": "succeeded", "report": {"rounds": 1}}
