"""Discrete Gaussian noise from a CSPRNG, by inverse CDF with 128-bit precision.

P[X = k] ∝ exp(−k² / 2σ²) on the integers (Canonne, Kamath and Steinke 2020). |X| is looked up in
the table of its cumulative distribution, scaled to 2^128: the first 64 random bits decide by binary
search unless they equal the upper half of a threshold; only then (chance about K · 2^-64) are 64
more drawn. So the error is that of 128 bits at the cost of 64, and it is accounted: `truncation`.
The table has 13.5 σ entries and is made once per σ; choose the ring's resolution so that σ is a few
thousand steps at most, because beyond that the noise hides the resolution anyway.
Floating-point noise, whose low bits reveal the value (Mironov 2012), is not used anywhere.
"""

from __future__ import annotations

import hashlib
import math
from decimal import Context, Decimal
from functools import lru_cache

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

MIN_SIGMA = 0.1
MAX_SIGMA = float(1 << 17)

_TAIL = 13.5  # less than 2^-128 of the mass is beyond 13.5 σ
_ONE = 1 << 128
_FRACTION = 256
_CHUNK = 1 << 16


def support(sigma: float) -> int:
    """Return the largest magnitude that `sample` returns, for which a ring must have room."""
    _check(sigma)
    return math.ceil(_TAIL * sigma) + 1


def truncation(sigma: float, samples: int) -> float:
    """Return the δ to add for this many samples: their statistical distance from the ideal.

    Rounding moves each of K thresholds by less than 2^-128, the tail is cut below 2^-127.
    """
    return samples * (support(sigma) + 2) / float(_ONE >> 1)


def sample(sigma: float, size: int, seed: bytes) -> NDArray[np.int64]:
    """Return `size` discrete Gaussian integers.

    Args:
        sigma: in ring steps, 0.1 … 2^17.
        size: the number of samples.
        seed: 32 secret bytes, new for each release. The same seed gives the same noise, so a
            repeated round cannot be averaged.

    Raises:
        SecureFlowError: `noise_out_of_range`.
    """
    high, low = _table(sigma)
    words, bits, spare = (_Stream(seed, label) for label in (b"words", b"signs", b"spare"))
    result = np.empty(size, np.int64)
    for start in range(0, size, _CHUNK):
        count = min(_CHUNK, size - start)
        magnitude = _invert(high, low, words.words(count), spare)
        negative = np.unpackbits(bits.bytes(-(-count // 8)), count=count).astype(bool)
        # Zero has one sign, the others two; the table is that of |X|.
        np.negative(magnitude, out=magnitude, where=negative)
        result[start : start + count] = magnitude
    return result


class _Stream:
    """An AES-256-CTR stream under a separate key per purpose."""

    def __init__(self, seed: bytes, label: bytes) -> None:
        key = hashlib.sha256(b"secureflow discrete gaussian\n" + label + b"\n" + seed).digest()
        self._cipher = Cipher(algorithms.AES256(key), modes.CTR(bytes(16))).encryptor()

    def bytes(self, count: int) -> NDArray[np.uint8]:
        """The next `count` bytes."""
        return np.frombuffer(self._cipher.update(bytes(count)), np.uint8)

    def words(self, count: int) -> NDArray[np.uint64]:
        """The next `count` uniform 64-bit words."""
        return np.frombuffer(self._cipher.update(bytes(8 * count)), "<u8")


def _invert(
    high: NDArray[np.uint64], low: NDArray[np.uint64], words: NDArray[np.uint64], spare: _Stream
) -> NDArray[np.int64]:
    """Count the thresholds that are ≤ the uniform number whose upper half is `words`."""
    below = np.searchsorted(high, words, side="left").astype(np.int64)
    tied = np.flatnonzero(high[np.minimum(below, len(high) - 1)] == words)
    for at in tied:
        word = words[at]
        last = int(np.searchsorted(high, word, side="right"))
        first = int(below[at])
        below[at] = first + int(np.count_nonzero(low[first:last] <= spare.words(1)[0]))
    return below


@lru_cache(maxsize=4)
def _table(sigma: float) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Upper and lower halves of ⌊2^128 · P[|X| ≤ k]⌋ for k = 0 … K − 1."""
    _check(sigma)
    # Whole numbers over 2^256: the sums are right far beyond the 128 bits that are kept of them.
    context = Context(prec=100)
    rate = context.divide(Decimal(-1), context.multiply(Decimal(2), Decimal(sigma) ** 2))
    # exp(−k²/2σ²) by w_{k+1} = w_k r_k, r_{k+1} = r_k q²: two products, no exponential.
    ratio = int(context.multiply(context.exp(rate), Decimal(1 << _FRACTION)))
    square = ratio * ratio >> _FRACTION
    total = weight = 1 << _FRACTION
    sums = [total]
    for _ in range(math.ceil(_TAIL * sigma) + 1):
        weight = weight * ratio >> _FRACTION
        ratio = ratio * square >> _FRACTION
        total += 2 * weight
        sums.append(total)
    thresholds = [min(s * _ONE // total, _ONE - 1) for s in sums[:-1]]
    halves = np.frombuffer(b"".join(t.to_bytes(16, "little") for t in thresholds), "<u8")
    high, low = halves[1::2].copy(), halves[0::2].copy()
    return high, low


def _check(sigma: float) -> None:
    if not MIN_SIGMA <= sigma <= MAX_SIGMA:
        raise SecureFlowError(
            "noise_out_of_range",
            Text(
                "σ is {sigma} ring steps; it must lie between {min_sigma} and {max_sigma:.0f}.",
                sigma=sigma,
                min_sigma=MIN_SIGMA,
                max_sigma=MAX_SIGMA,
            ),
            "Change the resolution (bits) of the encoding.",
            {"field": "sigma"},
        )
