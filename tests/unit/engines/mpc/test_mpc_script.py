"""The script of a computation without a network: driven whole, crashed everywhere, parties gone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from secureflow.engines.mpc.kind import MPC_ENGINE
from secureflow.kit.canonical import digest
from secureflow.kit.errors import SecureFlowError
from secureflow.texts import chinese
from tests.unit.engines.mpc.world import MpcWorld, PrivateMpc, pooled, specified
from tests.unit.engines.training.world import Crash, Journal, drive

SILENT = SecureFlowError("party_silent", "bank-d is silent")


def kinds(world: MpcWorld) -> list[str]:
    return [e.get("kind") or e["signed"]["leaf"]["kind"] for e in world.entries]


def told(report: dict[str, Any]) -> dict[str, Any]:
    """The report without what a second run measures anew."""
    return {k: v for k, v in report.items() if k not in {"ledger", "history"}}


def answer(report: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in report["answers"] if one["name"] == name)


def test_it_answers_what_everybodys_rows_say_and_keeps_the_totals_by_keys() -> None:
    world = MpcWorld()
    report = drive(world, [])
    rows = pooled(3)
    assert answer(report, "rows")["rows"][0]["value"] == len(rows["age"])
    women = np.nansum(rows["spent"][rows["sex"] == "f"])
    assert answer(report, "spent")["rows"][0]["value"] == pytest.approx(women, abs=1e-9)
    keyed = answer(report, "by-age")
    assert keyed["keys"]["count"] == 60
    (stored,) = world.kept.blobs.values()
    totals = np.frombuffer(stored, "<i8")
    assert report["totals"]["numbers"] == len(totals)
    offset = keyed["keys"]["offset"]
    found = totals[offset : offset + 60] * keyed["keys"]["step"]
    for at, age in enumerate(range(18, 78)):
        truth = np.nansum(rows["spent"][rows["age"] == age])
        assert found[at] == pytest.approx(truth, abs=1e-9)
    assert report["program"]["name"] == "joint-sums"
    assert report["program"]["label"]["adversary"] == "semi-honest"
    assert report["contributions"]["bank-a"] == {"rounds": 1, "rows": None}
    assert kinds(world) == [
        *["approval"] * 3, "job.started", *["update"] * 3, "round.closed", "job.finished",
        *["finished"] * 3, "job.closed",
    ]  # fmt: skip


def test_the_ledger_holds_what_was_answered() -> None:
    world = MpcWorld()
    report = drive(world, [])
    documents = {entry.get("kind"): entry["document"] for entry in world.entries}
    closed, finished = documents["round.closed"], documents["job.finished"]
    assert closed["release"]["sums_digest"] == report["totals"]["sha256"] == finished["totals"]
    assert finished["answers"] == digest(report["answers"])
    assert finished["program"] == world.spec.program
    assert "answers" not in closed["release"]


def test_noise_is_told_with_its_width_and_its_cost() -> None:
    report = drive(PrivateMpc(), [])
    assert (report["privacy"]["epsilon_planned"]["pld"], report["privacy"]["rounds"]) == (0.5, 1)
    (row,) = answer(report, "rows")["rows"]
    assert row["low"] < row["value"] < row["high"]
    assert abs(row["value"] - 150) < 6 * row["standard_error"]
    assert "left_out" not in answer(report, "rows")
    assert [one["number"] for one in report["privacy"]["released"][:2]] == ["rows", "spent"]


def test_a_crash_at_every_effect_changes_nothing() -> None:
    base = MpcWorld()
    journal: Journal = []
    want = drive(base, journal)
    for die_at in range(len(journal)):
        world, kept = MpcWorld(), list[Any]()
        with pytest.raises(Crash):
            drive(world, kept, die_at)
        assert told(drive(world, kept)) == told(want)
        assert kinds(world) == kinds(base), f"recorded twice or lost at {die_at}"
        assert world.performed == base.performed


def test_one_of_four_gone_is_left_out() -> None:
    world = MpcWorld(count=4)
    world.refuse["bank-d", "mask"] = SILENT
    report = drive(world, [])
    assert answer(report, "rows")["rows"][0]["value"] == 150
    assert report["survivors"] == ["bank-a", "bank-b", "bank-c"]


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
    world = MpcWorld()
    world.refuse["bank-b", verb] = SecureFlowError("party_silent", "bank-b is silent")
    with pytest.raises(SecureFlowError, match="bank-b") as caught:
        drive(world, [])
    assert caught.value.code == code


def test_a_sum_that_is_refused_at_a_party_ends_it_with_party_and_next_step() -> None:
    world = MpcWorld()
    world.refuse["bank-b", "mask"] = SecureFlowError(
        "ring_overflow", "A sum over column 'spent' is greater than 2^50 steps.", "Ask for fewer."
    )
    with pytest.raises(SecureFlowError, match=r"bank-b: A sum over column 'spent'"):
        drive(world, [])


def test_a_party_that_masks_garbage_opens_nothing() -> None:
    def lie(party: str, verb: str, reply: dict[str, Any]) -> dict[str, Any]:
        if verb == "mask" and party == "bank-b":
            world.vectors[reply["vector"]][:] += 1
        return reply

    world = MpcWorld(liar=lie)
    with pytest.raises(SecureFlowError) as caught:
        drive(world, [])
    assert caught.value.code == "sum_inconsistent"


@pytest.mark.parametrize("privacy", [None, {"delta": 1e-6, "noise_multiplier": 2.0}])
@pytest.mark.parametrize("parties", ["abc", "ab"])
def test_every_row_of_the_explanation_has_its_chinese(
    privacy: dict[str, Any] | None, parties: str
) -> None:
    roster = [{"party": f"bank-{one}", "key": one * 44, "dataset": "d"} for one in parties]
    changes: dict[str, Any] = {"privacy": privacy, "decimals": []} if privacy else {}
    spec = specified(roster, min_contributors=len(parties), **changes)
    explained = MPC_ENGINE.explanation(spec, tee="", accounting=None, rounds=[], dropouts=[])
    for row in (*explained["disclosure"], *explained["attacks"]):
        for name in ("who", "sees", "why", "attack"):
            text = row.get(name)
            assert not text or " " not in text or chinese(text), text
    label = explained["program"]["label"]
    for text in (label["threshold"], label["collusion"], label["repeats"], *label["leakage"]):
        assert chinese(text), text
