"""Where the platform's rules change the numbers of a job, a simulation says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from secureflow import simulate
from secureflow.simulation import Outcome
from secureflow.simulation.training.page import render
from secureflow.texts import chinese
from tests.unit.simulation.test_bundles import GOOD, folder
from tests.unit.simulation.test_simulation import JOB, PRIVATE, table

__all__ = ["table"]

SUMS = 'return {"rows": len(y), "loss": loss, "correct": ((p > 0.5) == y).sum()}'


def told(outcome: Outcome, part: str) -> str:
    """Return the one note with these words, which is on the page and in Chinese, too."""
    (note,) = [one for one in outcome.notes if part in one]
    assert chinese(note) is not None
    assert note in outcome.as_json()["notes"]  # type: ignore[operator]
    assert f"{part}" in render([outcome])
    return note


def own(place: Path, sums: str) -> dict[str, Any]:
    assert SUMS in GOOD
    return folder(place, GOOD.replace(SUMS, f"return {sums}"))


def test_updates_that_were_scaled_are_counted(table: pa.Table, tmp_path: Path) -> None:
    for job in (JOB, folder(tmp_path)):
        short = {**job, "limits": {"clip_norm": 0.01}}
        outcome = simulate(short, table, parties=3)
        note = told(outcome, "longer than limits.clip_norm")
        many = 3 * job["plan"]["rounds"]
        assert note.startswith(
            f"{many} of {many} updates were longer than limits.clip_norm (0.01; the "
        )
        assert not simulate(job, table, parties=3).notes
    attacked = simulate({**JOB, "limits": {"clip_norm": 3.0}}, table, parties=3,
                        attack="sign-flip:1x100")  # fmt: skip
    assert not attacked.notes  # what an attacker scales is no update of the code


def test_a_rehearsals_steps_are_counted_as_well() -> None:
    job = {"model": {"family": "rehearsal", "parameters": 100, "step": 1.0},
           "plan": {"rounds": 2}, "limits": {"clip_norm": 2.0}}  # fmt: skip
    assert told(simulate(job, parties=3), "6 of 6 updates were longer")


@pytest.mark.parametrize(
    ("sums", "part"),
    [
        ('{"rows": len(y), "loss": loss, "correct": 1e6}',
         "12 of 12 times evaluate returned correct beyond 32 for each validation row"),
        ('{"rows": len(y), "loss": -1e9, "correct": 3}',
         "12 of 12 times evaluate returned loss beyond 32 for each"),
        ('{"rows": 2 * len(y), "loss": loss, "correct": 3}',
         "12 of 12 times evaluate returned more rows than there are to validate on"),
        ('{"rows": len(y), "loss": loss, "correct": ((p > 0.5) == y).mean()}',
         "correct is never more than 1, over all validation rows"),
    ],
)  # fmt: skip
def test_sums_that_do_not_count_as_they_were_returned_are_told(
    table: pa.Table, tmp_path: Path, sums: str, part: str
) -> None:
    outcome = simulate(own(tmp_path, sums), table, parties=3)
    assert told(outcome, part)
    assert len(outcome.notes) == 1


def test_who_validates_on_nothing_returns_what_it_likes(table: pa.Table, tmp_path: Path) -> None:
    job = own(tmp_path, '{"rows": 1, "loss": 1.0, "correct": 1}')
    outcome = simulate({**job, "plan": {"rounds": 2, "validation": 0.0}}, table, parties=3)
    assert outcome.notes == ()


def test_rows_beyond_the_largest_weight_are_told(table: pa.Table) -> None:
    outcome = simulate({**JOB, "limits": {"max_weight": 100}}, table, parties=3)
    assert told(outcome, "3 of 3 parties have more training rows than limits.max_weight (100)")


@pytest.mark.parametrize("job", [JOB, PRIVATE])
def test_cells_outside_of_the_jobs_bounds_are_counted(table: pa.Table, job: dict[str, Any]) -> None:
    features = dict(job["features"])
    first, second = features["numeric"]
    features["numeric"] = [{**first, "bounds": [-1, 1]}, second]
    outcome = simulate({**job, "features": features}, table, parties=3)
    cells = table["x"].to_numpy()
    note = told(outcome, "outside of the job")
    assert note.startswith(f"x: {int((abs(cells) > 1).sum())} cells are outside of the job's ")
    assert "bounds [-1, 1] and count as the bound. The column goes from -" in note
    everything = [{**one, "bounds": [100, 101]} for one in features["numeric"]]
    both = simulate({**job, "features": {**features, "numeric": everything}}, table, parties=3)
    assert len([one for one in both.notes if "900 cells are outside" in one]) == 2
