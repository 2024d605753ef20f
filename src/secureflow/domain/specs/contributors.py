"""Which jobs parties contribute sums to, and who could compute another's from them."""

from __future__ import annotations

from secureflow.domain.specs.base import JobSpec
from secureflow.domain.specs.protections import contributes


def contributing(spec: JobSpec) -> JobSpec:
    """Return the spec of what parties contribute to: the job, or the first such one it starts."""
    return next((one for one in spec.parts("") if contributes(one)), spec)


def any_contributes(spec: JobSpec) -> bool:
    """Tell whether parties contribute anything to a job, or to those that it starts."""
    return any(map(contributes, spec.parts("") or (spec,)))


def two_sum(spec: JobSpec) -> bool:
    """Tell whether each of two parties can compute what the other one contributed to some sum."""
    summed = (one for one in spec.parts("") or (spec,) if contributes(one))
    return len(spec.roster) == 2 and any(not one.all_private for one in summed)


def counted_among(spec: JobSpec) -> int:
    """Return what owners' floors count: as `hidden_among`, but for trees of one party.

    No floor but 1 holds those. They take a term of an owner's grant, whatever floors are
    (`domain.grants.GrantTerms.own_trees`); the sums beside them hide among `min_contributors`.
    """
    summed = [one for one in spec.parts("") or (spec,) if contributes(one)]
    counted = (
        one.min_contributors
        if one.facts().get("own_trees")
        else one.hides_among or one.min_contributors
        for one in summed
    )
    return min(counted, default=len(spec.roster))


def hidden_among(spec: JobSpec) -> int:
    """Return among how many parties' contributions a release hides each of them, at the least.

    Those of a sum are `min_contributors`; a spec whose releases hide fewer says so. Sums of rounds
    that ask other parties each time are so many equations: where the model hardly moves between
    them, who solves them has single contributions (`roundparties`).
    """
    summed = [one for one in spec.parts("") or (spec,) if contributes(one)]
    hidden = (
        1 if one.facts().get("parties_per_round") else one.hides_among or one.min_contributors
        for one in summed
    )
    return min(hidden, default=len(spec.roster))
