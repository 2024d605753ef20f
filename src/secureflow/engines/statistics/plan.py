"""The masked sum of a statistics job: one round that opens only the total over the parties.

One ring step is one step of the vector, so that whole numbers up to `LIMIT` pass unchanged; the
weight of each party is 1, and the noise is in the vector already.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.quorum import honest_of
from secureflow.domain.specs.base import dump
from secureflow.domain.specs.statistics import StatisticsSpec
from secureflow.engines.secagg import Encoding, MaskingPlan
from secureflow.engines.secagg.encoding import total_weight
from secureflow.engines.secagg.masks import Ring
from secureflow.engines.statistics.layout import LIMIT, slots
from secureflow.engines.statistics.stage import STAGE


def statistics_plan(spec: StatisticsSpec, job: str, spec_digest: str) -> MaskingPlan:
    """Return the plan of the job's only masked sum.

    Raises:
        SecureFlowError: `invalid_roster`.
    """
    bits = LIMIT.bit_length() - 1
    encoding = Encoding(length=slots(spec), clip=float(LIMIT), bits=bits, max_weight=1)
    return MaskingPlan(f"{job}-{STAGE}", spec_digest, spec.roster, encoding, dp=dump(spec.privacy))


def honest_shares(plan: MaskingPlan) -> int:
    """Return t − c, the noise shares in every opened sum that no colluder knows."""
    return honest_of(len(plan.roster))


def masked_values(vector: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return a party's noised sums as the values of its upload (weight 1, no metrics)."""
    return np.clip(vector, -LIMIT, LIMIT).astype(np.float64)


def opened_total(plan: MaskingPlan, total: Ring, survivors: int) -> NDArray[np.int64]:
    """Check an unmasked sum of this many parties' slots and return the vector in it.

    Raises:
        SecureFlowError: `sum_inconsistent`.
    """
    total_weight(plan.encoding, total, survivors)
    signed = total.view(np.dtype(f"<i{total.itemsize}"))
    return signed[: plan.encoding.length].astype(np.int64)
