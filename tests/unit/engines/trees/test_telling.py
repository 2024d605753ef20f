"""What owners read before they consent: who sees the histograms."""

from __future__ import annotations

from typing import Any

import pytest
from unit.engines.training.family_world import private
from unit.engines.trees.trees_world import job_of

from secureflow.cli.kinds import TrainingText
from secureflow.engines.training.disclosure import attacks, disclosure
from secureflow.engines.training.private import released


@pytest.mark.parametrize("protection", ["sealed", "secagg", "sealed+secagg", "noised"])
def test_open_histograms_are_told_and_closed_ones_are_not(protection: str) -> None:
    masked = "secagg" in protection
    noised = private("shared" if masked else "enclave") if protection != "sealed" else {}
    job = job_of(**({**noised, "protection": protection} if masked else noised))
    rows = disclosure(job, "SGX")
    for who in ("operator", "other parties"):
        seen = " / ".join(row["sees"] for row in rows if row["who"] == who)
        assert ("all with noise, which hides a row" in seen) == masked
    model = " / ".join(row["sees"] for row in rows if row["who"] == "whoever has the model")
    assert "edges of bins, splits" in model
    leaves = TrainingText().leaves(job)
    assert f"{job.planned_rounds:,} times" in leaves
    assert f"{job.update_parameters:,} whole numbers" in leaves
    assert ("their noised total is opened to every member" in leaves) == masked
    assert ("only edges of bins, splits and leaves leave the enclave" in leaves) == (
        protection == "sealed"
    )
    assert ("it added noise" in leaves) == (protection == "noised")
    told = [row["mechanism"] for row in released(job) if row["number"] == "model of each round"]
    assert all("a level's derivatives" in one for one in told)
    assert bool(told) == bool(noised)


@pytest.mark.parametrize("mode", ["bagging", "cyclic"])
@pytest.mark.parametrize("parties", [2, 3])
def test_that_trees_are_of_one_party_is_told(mode: str, parties: int) -> None:
    more: dict[str, Any] = {"min_contributors": parties}
    job = job_of(parties=parties, model={"mode": mode, "min_node_rows": 1}, **more)
    rows = disclosure(job, "SGX")
    seen = {row["sees"]: row["why"] for row in rows if row["who"] == "whoever has the model"}
    (why,) = [why for sees, why in seen.items() if "labels of 20 or more rows" in str(sees)]
    assert ("whose turn it is" in str(why)) == (mode == "cyclic")
    assert ("each party knows its own" in str(why)) == (mode == "bagging" and parties > 2)
    assert ("each of the two" in str(why)) == (mode == "bagging" and parties == 2)
    assert any("single parties' trees" in str(row["sees"]) for row in rows
               if row["who"] == "operator")  # fmt: skip
    assert not any("never an update" in str(row["sees"]) for row in rows)
    (reading, *_) = attacks(job, "SGX")
    assert reading["stopped"] == "no"
    assert "single parties' trees" in str(reading["why"])
    leaves = TrainingText().leaves(job)
    assert f"{job.plan.rounds} times a tree" in leaves
    assert "AS IT IS" in leaves or "AS THEY ARE" in leaves
    plain = " / ".join(str(row["sees"]) for row in disclosure(job_of(), "SGX"))
    assert "single parties' trees" not in plain
