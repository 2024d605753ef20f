"""Contradictions between a spec's roster and how many of it must contribute."""

from __future__ import annotations

from secureflow.domain.quorum import floor_of
from secureflow.domain.specs.base import JobSpec, Problem
from secureflow.kit.text import Text


def roster_problem(spec: JobSpec, smallest: int) -> Problem | None:
    """Return a contradiction in a roster, or None.

    Args:
        spec: the spec.
        smallest: the fewest parties for which this kind of job makes sense.
    """
    if len(spec.roster) < smallest:
        reason: str = Text("it has fewer than {smallest} parties", smallest=smallest)
        return "roster", reason, "Invite another organisation."
    if len(set(spec.parties)) != len(spec.roster):
        return "roster", "a party is listed twice", "List each organisation once."
    if len({c.key for c in spec.roster}) != len(spec.roster):
        return "roster", "two parties have the same signing key", "Each party has its own key."
    if spec.min_contributors < floor_of(len(spec.roster)):
        reason = "a sum of fewer than three parties shows each party the others' data"
        return "min_contributors", reason, "Set it to at least 3."
    if spec.min_contributors > len(spec.roster):
        return "min_contributors", "it exceeds the roster", "Lower it or invite more parties."
    return None


def missing_problem(spec: JobSpec, reason: str) -> Problem | None:
    """Return that a party may be missing in some of a job's sums where none must be, or None.

    Args:
        spec: a job that opens several sums of the same rows: the difference of two, one of which
            lacks a party, is that party's own. Differential privacy hides its rows in each of them.
        reason: says so.
    """
    if spec.all_private or spec.min_contributors == len(spec.roster):
        return None
    return "min_contributors", reason, "Set it to all parties, or add a `privacy:` part."
