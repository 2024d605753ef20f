"""The masked sum of a statistics job: one round that opens only the total over the parties.

The noise is in each party's vector already.
"""

from __future__ import annotations

from secureflow.domain.quorum import honest_of
from secureflow.domain.specs.base import dump
from secureflow.domain.specs.statistics import StatisticsSpec
from secureflow.engines.secagg import MaskingPlan
from secureflow.engines.secagg.wholenumbers import whole_encoding
from secureflow.engines.statistics.layout import slots
from secureflow.engines.statistics.stage import STAGE


def statistics_plan(spec: StatisticsSpec, job: str, spec_digest: str) -> MaskingPlan:
    """Return the plan of the job's only masked sum.

    Raises:
        SecureFlowError: `invalid_roster`.
    """
    encoding = whole_encoding(slots(spec))
    return MaskingPlan(
        f"{job}-{STAGE}",
        spec_digest,
        spec.roster,
        encoding,
        dp=dump(spec.privacy),
        least=spec.min_contributors,
    )


def honest_shares(plan: MaskingPlan) -> int:
    """Return t − c, the noise shares in every opened sum that no colluder knows."""
    return honest_of(len(plan.roster))
