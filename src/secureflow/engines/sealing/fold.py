"""The streaming weighted mean in fixed point: memory O(model), independent of arrival order.

Every update is rounded to integers, rint(weight · x · 2^s), and added to one int64 accumulator
in blocks. Integer addition is associative, so the mean and its digest depend on *who*
contributed, never on the order. The exponent s is the largest that cannot overflow:

    total_weight_cap · max_abs · 2^s ≤ 2^61,

which leaves half the range for the roundings: to a whole number (1/2 each), and before that of the
float64 product, which is exact for whole weights up to 2^29 and otherwise off by a relative 2^-53
(below 2^8 each). In taking the mean, the sum, the total weight, its inverse and their product are
rounded, by 2^-53 each. So with total weight W the mean's error per element, before it is added to
a float32, is below

    contributions · 2^(-s-1) / W + 6 · 2^-53 · (the largest magnitude folded),

and the second term is the cost of fractional weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.engines.sealing.codes import Coded
from secureflow.engines.sealing.wiretypes import WidenedBlocks
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

BLOCK: Final = 1 << 16
"""Elements per block: a block's float64 and int64 scratch stay in the second-level cache."""
NORM_TOLERANCE: Final = 1e-4
"""A norm may exceed its cap by this factor: clients clip in float32. Sensitivity includes it."""
MAX_SUM: Final = 1e290
_RANGE_BITS: Final = 61


Parameters = NDArray[np.float32] | WidenedBlocks | Coded
"""An update's values, or what is read as them."""


class Mean:
    """A mean stored as whole numbers; blocks of it are computed on request."""

    def __init__(self, fixed: NDArray[np.int64], factor: float) -> None:
        self._fixed, self._factor = fixed, factor

    def __getitem__(self, part: slice) -> NDArray[np.float64]:
        """Return a block, float64."""
        block: NDArray[np.float64] = np.multiply(self._fixed[part], self._factor)
        return block


class FixedPointAccumulator:
    """Folds verified updates f32[d], f64[k] into their weighted mean and their sums.

    Args:
        d: parameters of the model.
        k: sums, at least 1; `sums[0]` is the weight.
        max_weight: largest weight of one update.
        total_weight_cap: largest total weight of a round (parties · max_weight).
        clip_norm: largest L2 norm of an update's parameters, or None.
        parts: in place of it lengths that add up to d, and the largest norm of each.
        max_abs: largest absolute value of a parameter.
        summed: whether parameters are added up; if not, they are checked and only sums are.

    Raises:
        SecureFlowError: `fold_impossible` for caps that are not positive and finite.
    """

    def __init__(
        self,
        d: int,
        k: int,
        *,
        max_weight: float,
        total_weight_cap: float,
        clip_norm: float | None,
        max_abs: float,
        parts: Sequence[tuple[int, float]] = (),
        summed: bool = True,
    ) -> None:
        caps = (max_weight, total_weight_cap, max_abs, 1.0 if clip_norm is None else clip_norm)
        if d < 0 or k < 1 or not all(math.isfinite(cap) and cap > 0 for cap in caps):
            raise SecureFlowError(
                "fold_impossible",
                ("An accumulator needs room for a weight, and positive, finite caps."),
            )
        self._d, self._k = d, k
        self._max_weight, self._total_weight_cap = max_weight, total_weight_cap
        whole = ((d, math.inf if clip_norm is None else clip_norm),)
        self._parts = [(size, norm * (1 + NORM_TOLERANCE)) for size, norm in parts or whole]
        self._max_abs = max_abs * (1 + NORM_TOLERANCE)
        self.exponent = fold_exponent(total_weight_cap, self._max_abs)
        """s: the accumulator holds the weighted sum times 2^s."""
        self.fixed: NDArray[np.int64] = np.zeros(d if summed else 0, np.int64)
        """The accumulator, int64[d]."""
        self._rows: list[NDArray[np.float64]] = []
        self._scratch = np.empty(min(BLOCK, max(d, 1)), np.float64)
        self._integers = np.empty(min(BLOCK, max(d, 1)), np.int64)

    @property
    def count(self) -> int:
        """Updates folded so far."""
        return len(self._rows)

    @property
    def weight(self) -> float:
        """Total weight folded so far, exactly rounded."""
        return math.fsum(float(row[0]) for row in self._rows)

    def check(self, parameters: Parameters, sums: NDArray[np.float64]) -> None:
        """Refuse an update that must not be folded: shape, finiteness, weight, size, norm.

        Raises:
            SecureFlowError: `update_shape_wrong`, `update_not_finite`, `weight_out_of_bounds`,
                `norm_exceeded`, `value_out_of_bounds`.
        """
        if parameters.shape != (self._d,) or sums.shape != (self._k,):
            raise SecureFlowError(
                "update_shape_wrong",
                Text(
                    "The update has shapes {shape} and {sums_shape}, expected are ({d},) "
                    "and ({k},).",
                    shape=parameters.shape,
                    sums_shape=sums.shape,
                    d=self._d,
                    k=self._k,
                ),
            )
        if parameters.dtype != np.float32 or sums.dtype != np.float64:
            raise SecureFlowError(
                "update_shape_wrong",
                Text(
                    "The update has dtypes {dtype} and {sums_dtype}, expected are float32"
                    " and float64.",
                    dtype=parameters.dtype,
                    sums_dtype=sums.dtype,
                ),
            )
        self._check_sums(sums)
        self._check_parameters(parameters)

    def fold(self, parameters: Parameters, sums: NDArray[np.float64]) -> None:
        """Check an update and add it; a refused update changes nothing.

        Raises:
            SecureFlowError: those of `check`.
        """
        self.check(parameters, sums)
        self.add(parameters, sums)

    def add(self, parameters: Parameters, sums: NDArray[np.float64]) -> None:
        """Add an update that `check` let through, with nothing folded in between."""
        factor = math.ldexp(float(sums[0]), self.exponent)
        for start in range(0, len(self.fixed), BLOCK):
            part = parameters[start : start + BLOCK]
            scratch, integers = self._scratch[: part.size], self._integers[: part.size]
            total = self.fixed[start : start + BLOCK]
            np.multiply(part, factor, out=scratch, dtype=np.float64)
            np.rint(scratch, out=scratch)
            np.copyto(integers, scratch, casting="unsafe")
            np.add(total, integers, out=total)
        self._rows.append(np.array(sums, np.float64))

    def mean(self) -> Mean:
        """Return the weighted mean of the folded updates, float64, block by block.

        Raises:
            SecureFlowError: `nothing_folded`.
        """
        if not self._rows:
            raise SecureFlowError("nothing_folded", "No update was folded into this round.")
        return Mean(self.fixed, math.ldexp(1.0 / self.weight, -self.exponent))

    def sums(self) -> NDArray[np.float64]:
        """Return the sums f64[k] over all folded updates, each exactly rounded (fsum)."""
        columns = zip(*(row.tolist() for row in self._rows), strict=True)
        return np.array([math.fsum(column) for column in columns] or [0.0] * self._k)

    def reset(self) -> None:
        """Clear the sum; its memory stays allocated."""
        self.fixed.fill(0)
        self._rows.clear()

    def _check_sums(self, sums: NDArray[np.float64]) -> None:
        if not np.isfinite(sums).all() or float(np.abs(sums).max()) > MAX_SUM:
            raise SecureFlowError(
                "update_not_finite", "A sum of the update is NaN, infinite or out of any range."
            )
        weight = float(sums[0])
        if not 0 < weight <= self._max_weight or self.weight + weight > self._total_weight_cap:
            raise SecureFlowError(
                "weight_out_of_bounds",
                Text(
                    "The update weighs {weight}; the spec allows more than 0 and at most "
                    "{max_weight}.",
                    weight=weight,
                    max_weight=self._max_weight,
                ),
                "Raise limits.max_weight in the spec, or use fewer rows.",
            )

    def _check_parameters(self, parameters: Parameters) -> None:
        start = 0
        for size, most in self._parts:
            self._check_part(parameters, start, start + size, most)
            start += size

    def _check_part(self, parameters: Parameters, first: int, end: int, most: float) -> None:
        squares = 0.0
        bounded = most <= self._max_abs  # then the norm bounds each value as well
        for start in range(first, end, BLOCK):
            part = parameters[start : min(start + BLOCK, end)]
            scratch = self._scratch[: part.size]
            with np.errstate(invalid="ignore"):  # a NaN is refused by name below
                np.copyto(scratch, part)
                # Not np.dot: a BLAS wakes its threads for every block and uses both cores.
                np.multiply(scratch, scratch, out=scratch)
                squares += float(np.add.reduce(scratch))
            if not math.isfinite(squares):  # squares of finite float32 never overflow a float64
                raise SecureFlowError(
                    "update_not_finite",
                    Text("A parameter from {start} on is NaN or infinite.", start=start),
                    "Lower the learning rate: the local training diverged.",
                )
            if not bounded and float(max(part.max(), -part.min())) > self._max_abs:
                raise SecureFlowError(
                    "value_out_of_bounds",
                    Text(
                        "A parameter from {start} on exceeds {max_abs:g}.",
                        start=start,
                        max_abs=self._max_abs,
                    ),
                )
        if math.sqrt(squares) > most:
            raise SecureFlowError(
                "norm_exceeded",
                Text(
                    "The update's L2 norm is {norm:.6g}; the spec allows {max_norm:.6g}.",
                    norm=math.sqrt(squares),
                    max_norm=most,
                ),
                "Clip the update to limits.clip_norm before sending it.",
            )


def fold_exponent(total_weight_cap: float, max_abs: float) -> int:
    """Return the largest s with total_weight_cap · max_abs · 2^s ≤ 2^61.

    Raises:
        SecureFlowError: `fold_impossible` when no usable s exists.
    """
    _, bits = math.frexp(total_weight_cap * max_abs)  # the product is below 2^bits
    exponent = _RANGE_BITS - bits
    if not -_RANGE_BITS <= exponent <= 16 * _RANGE_BITS or not math.isfinite(
        total_weight_cap * max_abs
    ):
        raise SecureFlowError(
            "fold_impossible",
            Text(
                "Caps of {total_weight_cap:g} (weight) and {max_abs:g} (value) leave "
                "no bits for a fixed-point sum.",
                total_weight_cap=total_weight_cap,
                max_abs=max_abs,
            ),
            "Lower limits.max_weight or limits.clip_norm.",
        )
    return exponent


def sums_as_json(sums: NDArray[np.float64]) -> list[Any]:
    """Return the sums as JSON numbers; -0.0 becomes 0.0, which JSON cannot distinguish."""
    return [float(value) + 0.0 for value in sums]
