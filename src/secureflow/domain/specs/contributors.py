"""Which jobs parties contribute sums to, and who could compute another's from them."""

from __future__ import annotations

from secureflow.domain.specs.base import JobSpec
from secureflow.domain.specs.protections import contributes
from secureflow.domain.specs.robust import Krum
from secureflow.domain.specs.strategies import Scaffold
from secureflow.domain.specs.training import TrainingSpec


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


def hidden_among(spec: JobSpec) -> int:
    """Return among how many parties' contributions a release hides each of them, at the least.

    Those of a sum are `min_contributors`. Krum releases the mean of those that it selects; and
    SCAFFOLD two sums that weigh the parties differently, from which whoever knows all but two
    contributions can compute these two, so that they hide one less.
    """
    summed = [one for one in spec.parts("") or (spec,) if contributes(one)]
    return min(map(_hidden, summed), default=len(spec.roster))


def _hidden(spec: JobSpec) -> int:
    least = spec.min_contributors
    if not isinstance(spec, TrainingSpec) or spec.privacy is not None:
        return least  # with its party's noise even a single contribution is bounded
    if isinstance(spec.plan.strategy, Scaffold):
        least -= 1
    rule = spec.plan.aggregation
    return min(least, rule.select) if isinstance(rule, Krum) else least
