"""Centres that say something else of a pipeline's steps than its parties signed."""

from __future__ import annotations

import json
from functools import cache
from typing import Any
from unittest.mock import patch

from secureflow.domain.charter import Charter
from secureflow.domain.specs.conditions import signed_metrics
from secureflow.engines.run import run
from tests.unit.engines.pipeline.test_pipeline_script import GatedWorld
from tests.unit.engines.training.world import drive

MEASURED = {
    "name": "a", "model": "aa" * 32, "job": "job_a", "form": "binary", "noise": {},
    "figures": {"rows": 60.0, "auc": 0.85}, "intervals": {"auc": [0.7, 0.9]},
    "contributors": ["bank-a", "bank-b", "bank-c"],
}  # fmt: skip


class Contradicting(GatedWorld):
    """One party signs another figure than it was asked to, or does so unasked with a later leaf."""

    auc = 0.75
    unasked = False

    def party_step(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        if party != "bank-a" or "metrics" not in body["outputs"] or self.paused:
            return super().party_step(party, body)
        false = {"metrics": signed_metrics([{"rows": 60.0, "auc": 0.9}])}
        if not self.unasked:
            return self._leaf(party, "step", {"number": body["number"], "outputs": false})
        extra = self._leaf(party, "step", {"number": 12, "outputs": false})
        return {**super().party_step(party, body), "leaves": [extra]}


class LeavingOut(GatedWorld):
    """Its parties sign that the model is good enough; it leaves out what is due then."""

    auc = 0.75
    shown_auc = 0.9

    def party_step(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        if "metrics" in body["outputs"]:
            figures = {"rows": 60.0, "auc": self.shown_auc}
            body = {**body, "outputs": {"metrics": signed_metrics([figures])}}
        return super().party_step(party, body)


class GoingOn(LeavingOut):
    """Its parties sign that the model is not good enough; it runs what is to be skipped then."""

    auc = 0.9
    shown_auc = 0.75


class Comparing(GatedWorld):
    """It measures the model twice, and compares."""

    auc = 0.85

    def __post_init__(self) -> None:
        super().__post_init__()
        self.measured = [MEASURED]


class Praising(Comparing):
    """Its table shows a better figure than the parties signed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.measured = [{**MEASURED, "figures": {"rows": 60.0, "auc": 0.8502}}]


def played(made: type[GatedWorld]) -> tuple[dict[str, Any], dict[str, Any], Charter]:
    """Return the record, the report and the charter of a pipeline that ran."""
    text, charter = _played(made)
    bundle, report = json.loads(text)
    return bundle, report, charter


@cache
def _played(made: type[GatedWorld]) -> tuple[str, Charter]:
    world = made(names_models=True)
    with patch.object(run, "signs_what_was_asked", lambda *_: True):  # no honest centre takes it
        report = drive(world, [])
    return json.dumps([world.bundle(), report]), world.charter
