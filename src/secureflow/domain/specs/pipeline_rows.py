"""What contradicts itself where a step of a pipeline computes on rows that matched in another one.

Only a party that learns which of its rows match can compute on them alone; what it opens of them
must hide single ones, and a person is there at every owner at once (`domain.specs.matchedrows`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from secureflow.domain.specs.base import Problem
from secureflow.domain.specs.matchedrows import (
    LEAST_MATCHED,
    MATCHED,
    owners_of,
    provisional_rows,
)
from secureflow.domain.specs.pipeline import Edge, PipelineStep
from secureflow.kit.text import Text

_FROM: Final = "Take it of the step that gives it: {step: ID}."


def rows_problems(step: PipelineStep, known: Mapping[str, PipelineStep]) -> Iterator[Problem]:
    """Yield what is wrong with the rows that a step takes.

    Args:
        step: of a pipeline.
        known: the steps before it, by their ids.
    """
    job: Any = step.job
    field = _at(step, "rows")
    edge = next((one for one in step.takes if one.input == MATCHED), None)
    if edge is None:
        if job.rows is not None:
            yield field, "nothing gives it", _FROM
        return
    giver = known.get(edge.step)
    if giver is None or giver.job.kind != "psi":
        return  # its edge is refused
    if job.rows != provisional_rows(owners_of(job)):
        yield field, "it is not what the step before is to give", _FROM
    yield from _learners(field, job, edge, giver.job)
    if job.privacy is None:
        yield from _exact(job, giver)
    elif job.kind == "training":
        reason = (
            "the noise of a training hides one row of one owner, and whoever matches has one at "
            "each of them"
        )
        hint = "Train without `privacy:` where the owners allow it, or on all rows."
        yield _at(step, "privacy"), reason, hint


def _learners(field: str, job: Any, edge: Edge, giver: Any) -> Iterator[Problem]:
    """Yield the first party that would have to know which of its rows match, and does not."""
    learners = () if giver.learns == "size" else giver.learners
    party = next((one for one in owners_of(job) if one not in learners), None)
    if party is not None:
        reason = Text(
            "{party} does not learn which of its rows match in {step}", party=party, step=edge.step
        )
        yield field, reason, Text("Set learns to all in {step}.", step=edge.step)


def _exact(job: Any, giver: PipelineStep) -> Iterator[Problem]:
    """Yield that an intersection may be too small for what is opened of it exactly."""
    psi: Any = giver.job
    if psi.minimum < LEAST_MATCHED and job.reads_rows:
        reason = Text(
            "exact figures of fewer than {count} rows that match tell of single ones",
            count=LEAST_MATCHED,
        )
        hint = Text("Set it to {count} or more.", count=LEAST_MATCHED)
        yield _at(giver, "minimum"), reason, hint


def _at(step: PipelineStep, name: str) -> str:
    field = f"{step.id}.{name}"
    return Text("steps.{field}", field=field)
