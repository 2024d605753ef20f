"""A salted commitment to a party's list of keys, made before the run and opened in a dispute.

`SHA-256(label ‖ salt ‖ count ‖ SHA-256(keys))`: 32 secret random bytes, the number of keys in 8
bytes (big-endian), and the keys as `engines.psi.normalise` makes them, each once, in ascending
order. So a list of keys has one commitment under a salt, and without the salt nobody can try ids
against it: ids are few enough to try them all.

What it is worth stands in `MEANING`: evidence in a dispute, not prevention. Nothing ties the keys
that a party's engine used to the list that it committed to; and a list of ids that were made up is
committed to as easily as one of customers. Whoever opens it shows the whole list, to somebody whom
both sides trust with it.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from hashlib import sha256
from typing import Final

from secureflow.engines.psi.normalise import KEY_BYTES

SALT_BYTES: Final = 32
MOST_KEYS: Final = 1 << 40
MEANING: Final = (
    "Each party has committed to its list of keys before the run. That is evidence in a dispute, "
    "not prevention: it shows later whether a list that a party presents is the one that it named. "
    "It does not show that its engine used that list, and keeps nobody from naming made-up keys."
)
_LABEL: Final = b"secureflow/psi-keys/v1\x00"


def commit_keys(salt: bytes, count: int, keys: Iterable[bytes]) -> str:
    """Return the hex commitment to a list of keys.

    Args:
        salt: `SALT_BYTES` random bytes, which stay with the party.
        count: how many keys there are.
        keys: the keys in blocks, `KEY_BYTES` each, strictly ascending over all blocks.

    Raises:
        ValueError: another salt, other keys than `count`, or not in their order.
    """
    if len(salt) != SALT_BYTES or not 0 <= count < MOST_KEYS:
        raise ValueError(f"a salt of {len(salt)} bytes, and {count} keys")
    listed, hasher, last = 0, sha256(), b""
    for block in keys:
        if len(block) % KEY_BYTES:
            raise ValueError(f"a block of {len(block)} bytes")
        if block and (last >= block[:KEY_BYTES] or not _ascends(block)):
            raise ValueError(f"the keys from {listed} on do not follow each other")
        last = block[-KEY_BYTES:] or last
        listed += len(block) // KEY_BYTES
        hasher.update(block)
    if listed != count:
        raise ValueError(f"{listed} keys, not {count}")
    return sha256(_LABEL + salt + count.to_bytes(8, "big") + hasher.digest()).hexdigest()


def _ascends(block: bytes) -> bool:
    """Tell whether each key is greater than the one before."""
    import numpy as np  # loaded with the first list: the centre reads the texts here

    words = np.frombuffer(block, ">u8").reshape(-1, KEY_BYTES // 8).astype(np.uint64)
    before, after = words[:-1], words[1:]
    greater = np.zeros(len(before), np.bool_)
    for place in reversed(range(KEY_BYTES // 8)):
        left, right = before[:, place], after[:, place]
        greater = (right > left) | ((right == left) & greater)
    return bool(greater.all())


def opens(commitment: str, salt: bytes, count: int, keys: Iterable[bytes]) -> bool:
    """Tell whether a salt and a list of keys are what a commitment was made from.

    Whatever somebody presents: keys that are not in order, or not as many, open nothing.
    """
    try:
        found = commit_keys(salt, count, keys)
    except ValueError:
        return False
    return hmac.compare_digest(found.encode(), commitment.encode("utf-8", "replace"))
