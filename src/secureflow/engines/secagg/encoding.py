"""From floats to the ring and back: fixed point, with a width computed from the plan.

The vector is `[w·x_1 … w·x_d, w·metric_1 …, w, 0 0 0 0]`: the weight (sample count) and the metrics
are part of it, so a single party's are as hidden as its update. The four zeros at the end are a
check: masks that do not cancel make them random (undetected with probability 2^-128 or less).

Width: with q bits a value at the clip is 2^q, so every sum is below
`parties · (2^q · max_weight + noise_bound)`; the ring is Z_2^32 if that and the sign fit, otherwise
Z_2^64, otherwise the plan is refused. Nothing that passes `encode` can overflow.

With few bits a value (`counted_bits`) metrics and weight keep their own resolution: each is written
as digits of 8 bits, the highest one signed, in a slot each. Sums of digits fit where sums of values
do, in Z_2^16 as well, where eight zeros are the check.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureflow.engines.secagg.masks import Ring
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

CHECK_SLOTS = 4
DIGIT_BITS = 8
_DIGIT = (1 << DIGIT_BITS) - 1
MAX_LENGTH = 1 << 30

_BLOCK = 32 * 1024


@dataclass(frozen=True)
class Contribution:
    """A party's contribution, before a client masks it; see `SecAggClient.contribute`."""

    values: NDArray[np.floating[Any]] = field(repr=False)
    weight: int
    metrics: dict[str, float] = field(repr=False)
    noise: NDArray[np.int64] | None = field(repr=False)


@dataclass(frozen=True)
class Metric:
    """A number summed with the update, weighted like it; values are clamped to ±bound."""

    name: str
    bound: float


@dataclass(frozen=True)
class Encoding:
    """How one party's values become ring elements.

    Args:
        length: the number d of values.
        clip: the largest magnitude; larger values are clamped.
        bits: q, the resolution: `clip` is 2^q steps (1 … 50: float64 holds them exactly).
        max_weight: larger weights are capped to it.
        metrics: the numbers summed with the values.
        noise_bound: the largest magnitude of one party's noise, in steps (0: no noise).
        counted_bits: q of the metrics, which are written in digits, as the weight is; 0: they have
            the resolution of the values, and a slot each.
    """

    length: int
    clip: float
    bits: int = 16
    max_weight: int = 1
    metrics: tuple[Metric, ...] = ()
    noise_bound: int = 0
    counted_bits: int = 0

    def __post_init__(self) -> None:
        """Refuse values that no plan may have, naming the field and its range.

        Raises:
            SecureFlowError: `invalid_encoding`.
        """
        _require("length", self.length, 1, MAX_LENGTH)
        _require("bits", self.bits, 1, 50)
        _require("counted_bits", self.counted_bits, 0, 0 if self.noise_bound else 20)
        _require("max_weight", self.max_weight, 1, 1 << 40)
        _require("noise_bound", self.noise_bound, 0, (1 << 53) - 1)
        _require("number of metrics", len(self.metrics), 0, 1 << 14)
        for name, value in (("clip", self.clip), *((m.name, m.bound) for m in self.metrics)):
            _require(name, value, 1e-30, 1e30)

    @property
    def slots(self) -> int:
        """The number of ring elements: values, metrics, weight, check."""
        return self.length + self.digits * (len(self.metrics) + 1) + self.check_slots

    @property
    def digits(self) -> int:
        """The number of slots of a metric, and of the weight."""
        if not self.counted_bits:
            return 1
        # The largest magnitude and its sign.
        return -(-((self.max_weight << self.counted_bits).bit_length() + 1) // DIGIT_BITS)

    @property
    def check_slots(self) -> int:
        """The number of zeros at the end."""
        return 2 * CHECK_SLOTS if self.counted_bits else CHECK_SLOTS

    @property
    def step(self) -> float:
        """The value of one ring unit: the rounding error of a value is at most half of it."""
        return float(self.clip) / 2.0**self.bits

    def bound(self, parties: int) -> int:
        """Return the largest magnitude of any slot's sum over this many parties."""
        largest = (self.max_weight << self.bits) + self.noise_bound
        return parties * (max(largest, _DIGIT) if self.counted_bits else largest)

    def ring(self, parties: int) -> np.dtype[Any]:
        """Return the narrowest ring that holds every sum and its sign: uint32, uint64.

        With `counted_bits` that may be uint16.

        Raises:
            SecureFlowError: `ring_overflow`.
        """
        bound = self.bound(parties)
        if self.counted_bits and bound < 1 << 15:
            return np.dtype("<u2")
        if bound < 1 << 31:
            return np.dtype("<u4")
        if bound < 1 << 63:
            return np.dtype("<u8")
        raise SecureFlowError(
            "ring_overflow",
            Text(
                "A sum over {parties} parties may reach {bound}, more than a signed "
                "64-bit integer.",
                parties=parties,
                bound=bound,
            ),
            "Lower bits, max_weight or the noise.",
        )

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form that the round's context binds."""
        made = {**vars(self), "metrics": [dict(vars(m)) for m in self.metrics]}
        if not self.counted_bits:
            del made["counted_bits"]  # contexts of jobs without it are what they were
        return made


@dataclass(frozen=True)
class Sum:
    """An opened sum: weighted means in float64, the total weight, and whose data is in it."""

    mean: NDArray[np.float64]
    weight: int
    metrics: dict[str, float]
    survivors: tuple[str, ...]


def encode(
    encoding: Encoding,
    values: NDArray[np.floating[Any]],
    weight: int,
    metrics: Mapping[str, float],
    noise: NDArray[np.int64] | None,
    out: Ring,
) -> None:
    """Write one party's slots into `out` (shape `(slots,)`).

    Args:
        encoding: the plan's encoding.
        values: shape `(length,)`, finite.
        weight: capped to `max_weight`; 0 contributes nothing.
        metrics: exactly the encoding's names.
        noise: int64 steps, shape `(length + metrics + 1,)`, or None for no noise.
        out: ring elements, overwritten.

    Raises:
        SecureFlowError: `invalid_update` naming what is wrong.
    """
    if values.shape != (encoding.length,):
        raise _invalid(
            Text(
                "its shape is {shape}, not ({length},)", shape=values.shape, length=encoding.length
            )
        )
    if weight < 0:
        raise _invalid(Text("its weight {weight} is negative", weight=weight))
    if set(metrics) != {m.name for m in encoding.metrics}:
        raise _invalid(
            Text("its metrics are {metrics}, not those of the plan", metrics=sorted(metrics))
        )
    capped = min(weight, encoding.max_weight)
    signed = out.view(np.dtype(f"<i{out.itemsize}"))
    limit = capped << encoding.bits
    _fixed_point(values, capped / encoding.step, limit, signed[: encoding.length])
    signed[encoding.length :] = 0
    counted = _counted(encoding, metrics, capped)
    at = encoding.length + len(counted) * encoding.digits
    signed[encoding.length : at] = _digits(encoding, counted)
    if noise is not None:
        _add_noise(encoding, noise, signed[:at])


def decode(encoding: Encoding, total: Ring, survivors: tuple[str, ...]) -> Sum:
    """Turn the unmasked sum of the survivors' slots into means.

    Raises:
        SecureFlowError: `sum_inconsistent`, see `total_weight`.
    """
    weight = total_weight(encoding, total, len(survivors))
    signed = _signed(total)
    mean = np.multiply(signed[: encoding.length], encoding.step / weight, dtype=np.float64)
    sums = zip(encoding.metrics, metric_sums(encoding, total), strict=True)
    return Sum(mean, weight, {m.name: value / weight for m, value in sums}, survivors)


def total_weight(encoding: Encoding, total: Ring, parties: int) -> int:
    """Check the unmasked sum of this many parties' slots and return its weight.

    Raises:
        SecureFlowError: `sum_inconsistent` if the check slots are not zero, a slot, metric or
            weight is beyond what the survivors can have sent, or the weight is not positive.
    """
    signed, bound = _signed(total), encoding.bound(parties)
    if (
        signed[-encoding.check_slots :].any()
        or int(signed.max()) > bound
        or int(signed.min()) < -bound
    ):
        raise SecureFlowError(
            "sum_inconsistent",
            "The masks did not cancel: some party masked under other parameters.",
            "Nothing was released. Compare the round's context on every party.",
        )
    *counted, weight = _whole(encoding, signed)
    most = parties * encoding.max_weight
    if encoding.counted_bits and (
        weight > most or any(abs(one) > most << encoding.counted_bits for one in counted)
    ):
        raise SecureFlowError("sum_inconsistent", "A party sent a number that is no sum of rows.")
    if weight <= 0:
        raise SecureFlowError("sum_inconsistent", "The survivors' total weight is not positive.")
    return weight


def metric_sums(encoding: Encoding, total: Ring) -> list[float]:
    """Return Σ weight · metric over the parties, in the encoding's order."""
    bits = encoding.counted_bits or encoding.bits
    pairs = zip(encoding.metrics, _whole(encoding, _signed(total))[:-1], strict=True)
    return [value * m.bound / 2.0**bits for m, value in pairs]


def mean_into(encoding: Encoding, total: Ring, weight: int, out: NDArray[np.float32]) -> None:
    """Write the weighted mean of the values into `out` (shape `(length,)`), block by block."""
    signed, scale = _signed(total), encoding.step / weight
    buffer = np.empty(min(_BLOCK, encoding.length), np.float64)
    for start in range(0, encoding.length, _BLOCK):
        part = signed[start : min(start + _BLOCK, encoding.length)]
        np.multiply(part, scale, out=buffer[: len(part)], dtype=np.float64)
        out[start : start + len(part)] = buffer[: len(part)]


def _counted(encoding: Encoding, metrics: Mapping[str, float], weight: int) -> NDArray[np.int64]:
    """Return one party's metrics times its weight as whole numbers, then the weight."""
    bits, count = encoding.counted_bits or encoding.bits, len(encoding.metrics)
    counted = np.full(count + 1, weight, np.int64)
    if count:
        told = np.array([metrics[one.name] for one in encoding.metrics], np.float64)
        bounds = np.array([one.bound for one in encoding.metrics], np.float64)
        scales = weight * 2.0**bits / bounds
        _fixed_point(told * scales, 1.0, weight << bits, counted[:count])
    return counted


def _digits(encoding: Encoding, counted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the slots of whole numbers, the lowest digit of each first."""
    if not encoding.counted_bits:
        return counted
    shifts = DIGIT_BITS * np.arange(encoding.digits)
    shifted = counted[:, None] >> shifts  # with its sign
    shifted[:, :-1] &= _DIGIT
    return np.asarray(shifted.reshape(-1), np.int64)


def _whole(encoding: Encoding, signed: NDArray[np.signedinteger[Any]]) -> list[int]:
    """Return the sums of what `_counted` returned for each party."""
    size = encoding.digits * (len(encoding.metrics) + 1)
    digits = signed[encoding.length : encoding.length + size].reshape(-1, encoding.digits)
    places = range(encoding.digits)
    return [sum(int(row[at]) << DIGIT_BITS * at for at in places) for row in digits]


def _signed(total: Ring) -> NDArray[np.signedinteger[Any]]:
    return total.view(np.dtype(f"<i{total.itemsize}"))


def _fixed_point(
    values: NDArray[np.floating[Any]], scale: float, limit: int, out: NDArray[np.signedinteger[Any]]
) -> None:
    # In blocks, so that the float64 intermediate stays in the cache.
    buffer = np.empty(min(_BLOCK, len(values)), np.float64)
    for start in range(0, len(values), _BLOCK):
        part = values[start : start + _BLOCK]
        scaled = buffer[: len(part)]
        np.multiply(part, scale, out=scaled, dtype=np.float64)
        low, high = float(scaled.min()), float(scaled.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise _invalid("it holds a value that is not finite")
        if low < -limit or high > limit:
            np.clip(scaled, -limit, limit, out=scaled)
        np.rint(scaled, out=scaled)
        np.copyto(out[start : start + _BLOCK], scaled, casting="unsafe")


def _add_noise(
    encoding: Encoding, noise: NDArray[np.int64], slots: NDArray[np.signedinteger[Any]]
) -> None:
    if noise.shape != slots.shape:
        raise _invalid(
            Text(
                "its noise has shape {shape}, not {slots_shape}",
                shape=noise.shape,
                slots_shape=slots.shape,
            )
        )
    if int(np.abs(noise).max()) > encoding.noise_bound:
        raise _invalid("its noise exceeds the plan's bound")
    slots += noise.astype(slots.dtype)


def _invalid(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "invalid_update", Text("The update cannot be masked: {reason}.", reason=reason)
    )


def _require(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise SecureFlowError(
            "invalid_encoding",
            Text(
                "{name} is {value}; it must lie between {low} and {high}.",
                name=name,
                value=value,
                low=low,
                high=high,
            ),
            "Correct the job's quantisation.",
            {"field": name},
        )
