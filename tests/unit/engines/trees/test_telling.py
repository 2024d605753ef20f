"""What owners read before they consent: who sees the histograms."""

from __future__ import annotations

import pytest
from unit.engines.training.family_world import private
from unit.engines.trees.trees_world import job_of

from secureflow.cli.kinds import TrainingText
from secureflow.engines.training.disclosure import disclosure
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
