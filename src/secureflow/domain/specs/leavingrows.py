"""Jobs of which more leaves an owner than sums hide, under a grant of its own: whatever their kind.

Rows that leave, sealed to an enclave; trees of one party alone, which a model shows to all; figures
of one party.
"""

from __future__ import annotations

from secureflow.domain.specs.base import JobSpec, Problem


def part_problem(spec: JobSpec) -> Problem | None:
    """Return why another job may not start this one, or None.

    Owners are asked once for all that a job starts, and these leave under a grant of their own.
    What an owner tells of itself it is asked about by itself.
    """
    facts = spec.facts()
    if facts.get("self_report"):
        reason = "a step of another job asks nobody for figures of its own"
        return "plan.self_report", reason, "Train it as a job of its own."
    if facts.get("parties_per_round"):
        reason = "a step of another job asks nobody about sums of rounds with other parties"
        return "plan.parties_per_round", reason, "Train it as a job of its own."
    if facts.get("own_trees"):
        reason = "a step of another job has no grant of its own for trees of one party"
        return "model.mode", reason, "Train it as a job of its own."
    if not facts.get("validation_rows"):
        return None
    reason = "a step of another job has no grant of its own for rows that leave"
    return "plan.contribution", reason, "Train it as a job of its own."
