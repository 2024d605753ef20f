"""Scoring what each party's updates were worth to the model (`plan.contribution`).

Every party seals the same number of held-out rows to the enclave, once, before the first round. The
enclave scores each round's updates on them by GTG-Shapley (`engines.contribution.gtg`), a party by
the others' rows alone, and only the scores of the whole job leave it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import Field

from secureflow.domain.specs.base import STRICT

VALIDATION: Final = "validation"
"""The stage in which rows are sealed to the enclave; it is of round 0."""
LEAST_PARTIES: Final = 3
"""With two, each would be judged by nobody but the other."""
MAX_VALUES: Final = 1 << 24
"""Numbers of all parties' rows together, which the enclave holds for the whole job."""


@dataclass(frozen=True)
class ContributionPlan:
    """How contributions are scored.

    Args:
        rows: held-out rows that each party seals to the enclave.
        method: the only one.
        permutations: sampled orders of a round; with few parties every coalition is measured.
        within: a party that joins when the loss is as near as this to everybody's scores nothing.
        between: a round that changes the loss by less than this scores nothing.
    """

    __pydantic_config__ = STRICT
    rows: Annotated[int, Field(ge=10, le=10_000)]
    method: Literal["gtg_shapley"] = "gtg_shapley"
    permutations: Annotated[int, Field(ge=2, le=64)] = 4
    within: Annotated[float, Field(ge=0.0, le=10.0)] = 0.001
    between: Annotated[float, Field(ge=0.0, le=10.0)] = 0.001
