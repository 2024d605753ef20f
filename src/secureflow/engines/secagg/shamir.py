"""Shamir's secret sharing over the Mersenne prime 2^521 − 1, on plain integers.

A 32-byte secret is the constant term of a polynomial of degree t − 1; party number x (from 1)
holds its value at x. Any t values give the secret, t − 1 reveal nothing about it (Shamir 1979). The
coefficients come from a keyed stream, so that a restarted party makes the same shares again
instead of sealing two different ones under the same key.
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

PRIME = (1 << 521) - 1
SHARE_BYTES = 66
SECRET_BYTES = 32

# 16 bytes more than the field: the bias of the reduction is below 2^-120.
_COEFFICIENT_BYTES = SHARE_BYTES + 16


def split(secret: bytes, threshold: int, holders: int, stream_key: bytes) -> list[int]:
    """Return the shares of parties 1 … holders.

    Args:
        secret: 32 bytes.
        threshold: the number of shares that reconstruct the secret.
        holders: the number of shares to make.
        stream_key: 32 secret bytes, used only for this sharing.
    """
    cipher = Cipher(algorithms.AES(stream_key), modes.CTR(bytes(16)))
    stream = cipher.encryptor().update(bytes(_COEFFICIENT_BYTES * (threshold - 1)))
    descending = [
        int.from_bytes(stream[at : at + _COEFFICIENT_BYTES], "big") % PRIME
        for at in range(0, len(stream), _COEFFICIENT_BYTES)
    ]
    descending.append(int.from_bytes(secret, "big"))
    return [_evaluate(descending, x) for x in range(1, holders + 1)]


def lagrange(points: Sequence[int]) -> list[int]:
    """Return the coefficients that turn values at these distinct points into the value at 0."""
    result = []
    for x in points:
        numerator = denominator = 1
        for z in points:
            if z != x:
                numerator = numerator * z % PRIME
                denominator = denominator * (z - x) % PRIME
        result.append(numerator * pow(denominator, -1, PRIME) % PRIME)
    return result


def combine(coefficients: Sequence[int], shares: Sequence[int]) -> bytes | None:
    """Return the 32-byte secret, or None if the shares do not belong to one."""
    value = sum(c * s for c, s in zip(coefficients, shares, strict=True)) % PRIME
    return value.to_bytes(SECRET_BYTES, "big") if value < 1 << (8 * SECRET_BYTES) else None


def _evaluate(descending: Sequence[int], x: int) -> int:
    value = 0
    for coefficient in descending:
        value = (value * x + coefficient) % PRIME
    return value
