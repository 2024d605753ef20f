"""What owners read before they consent: who sees the histograms."""

from __future__ import annotations

from dataclasses import replace

import pytest
from unit.engines.trees.trees_world import job_of

from secureflow.cli.kinds import TrainingText
from secureflow.engines.training.disclosure import disclosure


@pytest.mark.parametrize("protection", ["sealed", "secagg", "sealed+secagg"])
def test_open_histograms_are_told_and_closed_ones_are_not(protection: str) -> None:
    job = replace(job_of(), protection=protection)  # type: ignore[arg-type]  # no job asks for it
    masked = protection != "sealed"
    rows = disclosure(job, "SGX")
    for who in ("operator", "other parties"):
        seen = " / ".join(row["sees"] for row in rows if row["who"] == who)
        assert ("a cell may be of one row" in seen) == masked
    model = " / ".join(row["sees"] for row in rows if row["who"] == "whoever has the model")
    assert "edges of bins, splits" in model
    leaves = TrainingText().leaves(job)
    assert f"{job.planned_rounds:,} times" in leaves
    assert f"{job.update_parameters:,} whole numbers" in leaves
    assert ("OPENED TO EVERY MEMBER" in leaves) == masked
    assert ("leave the enclave" in leaves) != masked
