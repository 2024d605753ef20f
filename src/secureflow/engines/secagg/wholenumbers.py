"""Masked totals of whole numbers, with shares of noise, for kinds of job that only add up.

One ring step is one step of the numbers' lattice, so that whole numbers up to `LIMIT` pass
unchanged; the weight of each party is 1, and there are no metrics beside them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.quorum import honest_of
from secureflow.domain.specs.summed import LIMIT
from secureflow.engines.privacy.gaussian import sample
from secureflow.engines.secagg.encoding import Encoding, total_weight
from secureflow.engines.secagg.masks import Ring
from secureflow.engines.secagg.plan import MaskingPlan

Integers = NDArray[np.int64]

BYTES: Final = 8


def whole_encoding(length: int) -> Encoding:
    """Return the encoding of so many whole numbers up to `LIMIT`."""
    return Encoding(length, clip=float(LIMIT), bits=LIMIT.bit_length() - 1, max_weight=1)


def masked_values(vector: Integers) -> NDArray[np.float64]:
    """Return a party's sums as the values of its upload (weight 1, no metrics)."""
    return np.clip(vector, -LIMIT, LIMIT).astype(np.float64)


def opened_totals(plan: MaskingPlan, total: Ring, survivors: int) -> Integers:
    """Check an unmasked sum of this many parties and return the totals in it.

    Raises:
        SecureFlowError: `sum_inconsistent`.
    """
    total_weight(plan.encoding, total, survivors)
    signed = total.view(np.dtype(f"<i{total.itemsize}"))
    return signed[: plan.encoding.length].astype(np.int64)


def with_shares(
    sums: Integers, parts: Iterable[tuple[slice, float, bytes]], parties: int
) -> Integers:
    """Return a party's sums with its share of the noise, the same for the same seeds.

    Each party adds σ/√h, h the fewest honest ones in a sum, so that these add up to σ at least.

    Args:
        sums: without noise.
        parts: which of them, σ in steps of the lattice (0 for none), and 32 secret bytes.
        parties: of the roster.
    """
    found, honest = sums.copy(), honest_of(parties)
    for part, sigma, seed in parts:
        if sigma:
            found[part] += sample(sigma / honest**0.5, len(found[part]), seed)
    return np.clip(found, -LIMIT, LIMIT)
