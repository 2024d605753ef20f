"""Jobs of which rows leave their owner, or figures of it alone: whatever their kind."""

from __future__ import annotations

from secureflow.domain.specs.base import JobSpec, Problem


def part_problem(spec: JobSpec) -> Problem | None:
    """Return why another job may not start this one, or None.

    Owners are asked once for all that a job starts, and rows leave under a grant of their own. What
    an owner tells of itself it is asked about by itself.
    """
    if spec.facts().get("self_report"):
        reason = "a step of another job asks nobody for figures of its own"
        return "plan.self_report", reason, "Train it as a job of its own."
    if not spec.facts().get("validation_rows"):
        return None
    reason = "a step of another job has no grant of its own for rows that leave"
    return "plan.contribution", reason, "Train it as a job of its own."
