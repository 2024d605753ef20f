"""The masked sum of `joint-sums`: one round that opens only the totals over the contributors."""

from __future__ import annotations

from secureflow.domain.specs.base import dump
from secureflow.domain.specs.mpc import MpcSpec
from secureflow.engines.mpc.places import length_of
from secureflow.engines.mpc.stage import STAGE
from secureflow.engines.secagg import MaskingPlan
from secureflow.engines.secagg.wholenumbers import whole_encoding


def mpc_plan(spec: MpcSpec, job: str, spec_digest: str) -> MaskingPlan:
    """Return the plan of the job's only masked sum.

    Raises:
        SecureFlowError: `invalid_roster`.
    """
    dp = {} if spec.privacy is None else dump(spec.privacy)
    encoding = whole_encoding(length_of(spec))
    return MaskingPlan(
        f"{job}-{STAGE}", spec_digest, spec.roster, encoding, dp=dp, least=spec.min_contributors
    )
