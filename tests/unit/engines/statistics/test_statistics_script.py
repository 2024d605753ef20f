"""The statistics script without a network: driven whole, crashed everywhere, parties gone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from peers.statistics import statistics_value

from secureflow.domain.specs.base import parse
from secureflow.domain.specs.statistics import StatisticsSpec
from secureflow.engines.secagg.wholenumbers import masked_values, opened_totals
from secureflow.engines.statistics.kind import STATISTICS_ENGINE
from secureflow.engines.statistics.layout import UNIT, slots
from secureflow.kit.canonical import digest
from secureflow.kit.errors import SecureFlowError
from tests.unit.engines.run.summed_world import SummedWorld
from tests.unit.engines.training.world import Crash, Journal, drive

QUERIES = [
    {"name": "rows", "measure": "count"},
    {"name": "mean-age", "measure": "mean", "column": "age"},
]
ACCOUNTING = {"noise": 1.0, "epsilon": {"pld": 0.5, "rdp-cks20": 0.6, "rdp-filter": 0.7}}
ROWS = 100
"""Of each party; all are in the middle of the bounds."""


class StatisticsWorld(SummedWorld):
    """Each party has masked sums of a hundred rows."""

    engine = STATISTICS_ENGINE
    accounting = ACCOUNTING

    def drafted(self, roster: list[dict[str, str]]) -> StatisticsSpec:
        return parse(StatisticsSpec, statistics_value(QUERIES, roster=roster))

    def added(self, party: str, body: dict[str, Any]) -> NDArray[np.float64]:
        assert body["round"] == 1
        assert (body["model"], body["moments"], body["steps"]) == (None, None, [])
        sums = np.zeros(slots(self.spec), np.int64)
        sums[[0, 2]] = ROWS * UNIT
        return masked_values(sums)

    def released(
        self, body: dict[str, Any], total: NDArray[Any], survivors: tuple[str, ...]
    ) -> dict[str, Any]:
        totals = opened_totals(self.plan, total, len(survivors)).tolist()
        return {"totals": totals, "sums_digest": digest(totals)}


def kinds(world: StatisticsWorld) -> list[str]:
    return [e.get("kind") or e["signed"]["leaf"]["kind"] for e in world.entries]


def told(report: dict[str, Any]) -> dict[str, Any]:
    """The report without the log's head, which holds the parties' fresh keys."""
    return {k: v for k, v in report.items() if k != "ledger"}


def values(report: dict[str, Any]) -> list[float]:
    return [answer["rows"][0]["value"] for answer in report["answers"]]


def test_it_answers_and_reports() -> None:
    world = StatisticsWorld()
    report = drive(world, [])
    assert world.states == ["proposed", "approved", "admitted", "running"]
    assert values(report) == [300.0, 50.0]
    assert report["survivors"] == ["bank-a", "bank-b", "bank-c"]
    assert report["contributions"]["bank-a"] == {"rounds": 1, "rows": None}
    assert (report["privacy"]["epsilon"], report["privacy"]["epsilon_pld"]) == (0.6, 0.5)
    assert [row["number"] for row in report["privacy"]["released"][:2]] == ["rows", "mean-age"]
    assert report["ledger"]["cosigners"] == ["bank-a", "bank-b", "bank-c"]
    assert kinds(world) == [
        *["approval"] * 3, "job.started", *["update"] * 3, "round.closed", "job.finished",
        *["finished"] * 3, "job.closed",
    ]  # fmt: skip
    (event,) = [data for kind, data in world.told if kind == "round"]
    assert (event["epsilon"], event["parties"]) == (0.6, report["survivors"])


def test_the_ledger_holds_what_was_answered() -> None:
    world = StatisticsWorld()
    report = drive(world, [])
    documents = {entry.get("kind"): entry["document"] for entry in world.entries}
    closed, finished = documents["round.closed"], documents["job.finished"]
    assert closed["release"]["sums_digest"] == report["totals"]
    assert finished["answers"] == digest(report["answers"])
    assert "totals" not in closed["release"]


def test_a_crash_at_every_effect_changes_nothing() -> None:
    base = StatisticsWorld()
    journal: Journal = []
    want = drive(base, journal)
    for die_at in range(len(journal)):
        world, kept = StatisticsWorld(), []
        with pytest.raises(Crash):
            drive(world, kept, die_at)
        assert told(drive(world, kept)) == told(want)
        assert kinds(world) == kinds(base), f"recorded twice or lost at {die_at}"
        assert world.performed == base.performed


@pytest.mark.parametrize("verb", ["setup", "advance", "mask"])
def test_one_of_four_gone_is_left_out(verb: str) -> None:
    world = StatisticsWorld(count=4)
    world.refuse["bank-d", verb] = SecureFlowError("party_silent", "bank-d is silent")
    report = drive(world, [])
    assert values(report) == [300.0, 50.0]
    assert report["contributions"]["bank-d"] == {"rounds": 0, "rows": None}
    assert {drop["party"] for drop in report["dropouts"]} == {"bank-d"}


def test_one_of_four_gone_after_its_sum_is_in_is_counted() -> None:
    world = StatisticsWorld(count=4)
    world.refuse["bank-d", "answer"] = SecureFlowError("party_silent", "bank-d is silent")
    assert values(drive(world, [])) == [400.0, 50.0]


def test_fewer_noise_shares_widen_nobodys_interval_falsely() -> None:
    """The error that is told counts the noise of those who are in the total."""
    errors = []
    for silent in ((), ("bank-d",)):
        world = StatisticsWorld(count=4)
        for party in silent:
            world.refuse[party, "mask"] = SecureFlowError("party_silent", "")
        errors.append(drive(world, [])["answers"][0]["rows"][0]["standard_error"])
    assert errors[0] / errors[1] == pytest.approx((4 / 3) ** 0.5)


@pytest.mark.parametrize(
    ("verb", "code"),
    [
        ("consent", "too_few_answers"),
        ("setup", "too_few_answers"),
        ("mask", "too_few_contributors"),
        ("answer", "round_lost"),
    ],
)
def test_one_of_three_gone_ends_it_with_its_name(verb: str, code: str) -> None:
    world = StatisticsWorld()
    world.refuse["bank-b", verb] = SecureFlowError("party_silent", "bank-b is silent")
    with pytest.raises(SecureFlowError, match="bank-b") as caught:
        drive(world, [])
    assert caught.value.code == code
    told = [e for e in world.entries if e.get("kind") in ("job.finished", "job.closed")]
    ends = [(e["kind"], e["document"]["outcome"]) for e in told]
    assert ends[-2:] == [("job.finished", "failed"), ("job.closed", "failed")]


def test_a_head_without_the_charters_quorum_stops_it_before_any_sum() -> None:
    def lie(party: str, verb: str, reply: dict[str, Any]) -> dict[str, Any]:
        return {**reply, "cosignature": ""} if verb == "cosign" and party == "bank-b" else reply

    world = StatisticsWorld(liar=lie)
    with pytest.raises(SecureFlowError) as caught:
        drive(world, [])
    assert caught.value.code == "head_not_cosigned"
    assert world.vectors == {}


def test_a_party_that_masks_garbage_opens_nothing() -> None:
    def lie(party: str, verb: str, reply: dict[str, Any]) -> dict[str, Any]:
        if verb == "mask" and party == "bank-b":
            world.vectors[reply["vector"]][:] += 1
        return reply

    world = StatisticsWorld(liar=lie)
    with pytest.raises(SecureFlowError) as caught:
        drive(world, [])
    assert caught.value.code == "sum_inconsistent"
