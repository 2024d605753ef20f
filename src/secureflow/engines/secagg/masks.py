"""Masks: AES-256-CTR key streams, added to or taken from a ring vector in place.

Each mask has its own 256-bit key, derived by HKDF-SHA256 with the round's context as `info`; so a
key never serves two contexts and the zero initial counter is safe. The ring is the dtype: uint32
is Z_2^32, uint64 is Z_2^64 (uint16 is Z_2^16), and overflow is the group operation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

Ring = NDArray[np.uint16] | NDArray[np.uint32] | NDArray[np.uint64]

KEY_BYTES = 32
# Vector block, stream block and zeros stay in the L2 cache together.
BLOCK_BYTES = 256 * 1024

_ZEROS = memoryview(bytes(BLOCK_BYTES))


def derive_key(secret: bytes, *info: str) -> bytes:
    """Return 32 bytes by HKDF-SHA256 (RFC 5869); `info` is the protocol's name and the parts.

    The parts contain no line feed (slugs, hex, numbers), so joining them is unambiguous.
    """
    joined = "\n".join(("sf-secagg-1", *info)).encode()
    return HKDF(hashes.SHA256(), KEY_BYTES, None, joined).derive(secret)


def pair_key(agreed: bytes, context: str, first: str, second: str) -> bytes:
    """Return the key of a pair's mask; `first` precedes `second` in the roster and adds it.

    The names are bound too: a colluder that copies an honest party's public key as its own would
    otherwise get the same stream with the other sign, and could remove that pair's mask.
    """
    return derive_key(agreed, "pair", context, first, second)


def self_key(seed: bytes, context: str) -> bytes:
    """Return the key of a party's self mask."""
    return derive_key(seed, "self", context)


def add_masks(vector: Ring, plus: Sequence[bytes], minus: Sequence[bytes] = ()) -> None:
    """Add the streams of `plus` to the vector and subtract those of `minus`, in place.

    The vector is processed once, block by block, with every stream in step: a block gets all
    masks while it is in the cache.
    """
    streams = [
        (Cipher(algorithms.AES256(key), modes.CTR(bytes(16))).encryptor(), operation)
        for keys, operation in ((plus, np.add), (minus, np.subtract))
        for key in keys
    ]
    buffer = np.empty(BLOCK_BYTES, np.uint8)
    words = buffer.view(vector.dtype)
    into = buffer.data
    step = len(words)
    for start in range(0, len(vector), step):
        block = vector[start : start + step]
        zeros = _ZEROS[: block.nbytes]
        for stream, operation in streams:
            stream.update_into(zeros, into)
            operation(block, words[: len(block)], out=block)
