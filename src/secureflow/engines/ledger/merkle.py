"""The Merkle tree of RFC 9162 section 2.1 over SHA-256, and its two proofs.

Only perfect subtrees are stored: node `(level, i)` is the hash of the leaves
`[i·2^level, (i+1)·2^level)` and never changes once it is written. Roots and proofs of every
earlier size are computed from those. Proofs work over any store through a `NodeReader`; the
verifiers are *total*: whatever a foreign party sends, they return True or False.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

HASH_BYTES = 32
MAX_SIZE = 1 << 62
"""No log grows to this size; a foreign size beyond it is refused before any arithmetic."""

NodeReader = Callable[[int, int], bytes]
"""`read(level, index)` returns the 32-byte hash of a stored perfect subtree."""

EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of one leaf's data: SHA-256(0x00 ‖ data)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node: SHA-256(0x01 ‖ left ‖ right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def frontier(size: int) -> list[tuple[int, int]]:
    """Return the `(level, index)` of the maximal perfect subtrees of a tree, smallest first.

    An append reads exactly these nodes.
    """
    return [(level, (size >> level) - 1) for level in range(size.bit_length()) if size >> level & 1]


def new_nodes(
    size: int, read: NodeReader, leaf_hashes: Iterable[bytes]
) -> list[tuple[int, int, bytes]]:
    """Return every `(level, index, hash)` that appending these leaves to `size` leaves creates."""
    fresh: dict[tuple[int, int], bytes] = {}
    for index, leaf in enumerate(leaf_hashes, start=size):
        level, node = 0, leaf
        fresh[0, index] = node
        while index >> level & 1:
            left = (level, (index >> level) - 1)
            node = node_hash(fresh[left] if left in fresh else read(*left), node)
            level += 1
            fresh[level, index >> level] = node
    return [(level, index, node) for (level, index), node in fresh.items()]


def root(size: int, read: NodeReader) -> bytes:
    """Return the root of the first `size` leaves; `EMPTY_ROOT` for none."""
    return _fold(0, size, read) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, read: NodeReader) -> list[bytes]:
    """Return PATH(index, D[size]) of RFC 9162 section 2.1.3.1, leaf side first.

    Raises:
        ValueError: a tree of `size` leaves has no leaf `index`.
    """
    if not 0 <= index < size:
        message = f"leaf {index} is not in a tree of {size} leaves"
        raise ValueError(message)
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_fold(middle, end, read))
            end = middle
        else:
            path.append(_fold(start, middle, read))
            start = middle
    return path[::-1]


def consistency_proof(old: int, new: int, read: NodeReader) -> list[bytes]:
    """Return PROOF(old, D[new]) of RFC 9162 section 2.1.4.1; empty for `old` = 0 or `new`.

    Raises:
        ValueError: not `0 <= old <= new`.
    """
    if not 0 <= old <= new:
        message = f"a tree of {new} leaves has no prefix of {old} leaves"
        raise ValueError(message)
    if old in (0, new):
        return []
    path: list[bytes] = []
    start, end = 0, new
    while end != old:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(_fold(middle, end, read))
            end = middle
        else:
            path.append(_fold(start, middle, read))
            start = middle
    if start:  # the old tree is not a single node: its last perfect part begins the proof
        path.append(_fold(start, end, read))
    return path[::-1]


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> bool:
    """Tell whether `leaf` (a leaf hash) is leaf `index` of the `size`-leaf tree under `root`.

    RFC 9162 section 2.1.3.2. Total: any other input is False.
    """
    if not (_is_size(index) and _is_size(size) and index < size):
        return False
    if not (_are_hashes([leaf, root]) and _are_hashes(proof)):
        return False
    position, last, node = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            node = node_hash(sibling, node)
            position, last = _skip_lone_levels(position, last)
        else:
            node = node_hash(node, sibling)
        position >>= 1
        last >>= 1
    return last == 0 and node == root


def verify_consistency(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Tell whether the tree under `new_root` extends the tree under `old_root`.

    RFC 9162 section 2.1.4.2. Total: any other input is False, including size 0, because an empty
    tree commits to nothing that a proof could keep.
    """
    if not (_is_size(old_size) and _is_size(new_size) and 0 < old_size <= new_size):
        return False
    if not (_are_hashes([old_root, new_root]) and _are_hashes(proof)):
        return False
    if old_size == new_size:
        return not proof and old_root == new_root
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    return bool(path) and _roots_match(old_size, new_size, old_root, new_root, path)


def prefix_root(
    old_size: int,
    new_size: int,
    new_root: bytes,
    proof: Sequence[bytes],
    candidates: Iterable[bytes] = (),
) -> bytes | None:
    """Return the root over the first leaves of a tree that a consistency proof commits it to.

    The proof's hashes are nodes of the tree under `new_root` at places that both sizes fix, and
    the older root is made of them: nobody finds another one for the same tree. It is None if the
    proof does not belong to the tree. Where the older size is a power of two its root is a node
    that the proof leaves out: then it is looked for among the candidates.
    """
    if not (_is_size(old_size) and _is_size(new_size) and 0 < old_size < new_size):
        return None
    if not (_are_hashes([new_root]) and _are_hashes(proof)):
        return None
    perfect = old_size & (old_size - 1) == 0
    for path in [[one, *proof] for one in candidates] if perfect else [list(proof)]:
        found = _roots(old_size, new_size, path) if path and _are_hashes(path) else None
        if found is not None and found[1] == new_root:
            return found[0]
    return None


def _roots_match(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, path: list[bytes]
) -> bool:
    return _roots(old_size, new_size, path) == (old_root, new_root)


def _roots(old_size: int, new_size: int, path: list[bytes]) -> tuple[bytes, bytes] | None:
    """Return the older and the newer root that a path leads to; None if it has another length."""
    position, last = old_size - 1, new_size - 1
    while position & 1:
        position >>= 1
        last >>= 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return None
        if position & 1 or position == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            position, last = _skip_lone_levels(position, last)
        else:
            new = node_hash(new, sibling)
        position >>= 1
        last >>= 1
    return (old, new) if last == 0 else None


def _skip_lone_levels(position: int, last: int) -> tuple[int, int]:
    """Climb past the levels at which the right-most node has no sibling and is carried up."""
    while position and not position & 1:
        position >>= 1
        last >>= 1
    return position, last


def _split(count: int) -> int:
    """Return the largest power of two below `count`."""
    return 1 << ((count - 1).bit_length() - 1)


def _fold(start: int, end: int, read: NodeReader) -> bytes:
    """Return MTH(D[start:end]); `start` is a multiple of the largest power of two in the range."""
    node: bytes | None = None
    for level, index in frontier(end - start):
        part = read(level, index + (start >> level))
        node = part if node is None else node_hash(part, node)
    if node is None:
        message = f"the range [{start}, {end}) has no leaves"
        raise ValueError(message)
    return node


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < MAX_SIZE


def _are_hashes(values: Any) -> bool:
    return isinstance(values, list | tuple) and all(
        isinstance(value, bytes) and len(value) == HASH_BYTES for value in values
    )


class GrowingTree:
    """A tree built leaf by leaf, of any length: it keeps only its largest perfect subtrees."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    def append(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Add a leaf hash; return every `(level, index, hash)` that this creates."""
        index, level, node = self.size, 0, leaf
        made = [(0, index, node)]
        while index >> level & 1:
            node = node_hash(self._peaks.pop(), node)
            level += 1
            made.append((level, index >> level, node))
        self._peaks.append(node)
        self.size += 1
        return made

    def root(self) -> bytes:
        """Return the root of the leaves added so far."""
        if not self._peaks:
            return EMPTY_ROOT
        node = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            node = node_hash(peak, node)
        return node


class MemoryTree:
    """A growing tree in memory: a `NodeReader` for engines and tests."""

    def __init__(self) -> None:
        self.size = 0
        self._nodes: dict[tuple[int, int], bytes] = {}

    def append(self, *leaves: bytes) -> int:
        """Append leaf data in order and return the new size."""
        hashes = [leaf_hash(data) for data in leaves]
        for level, index, node in new_nodes(self.size, self.read, hashes):
            self._nodes[level, index] = node
        self.size += len(leaves)
        return self.size

    def read(self, level: int, index: int) -> bytes:
        """Return a stored node; `KeyError` when the tree has not grown to it."""
        return self._nodes[level, index]

    def root(self, size: int | None = None) -> bytes:
        """Return the root of the first `size` leaves, by default of all."""
        return root(self.size if size is None else size, self.read)

    def inclusion_proof(self, index: int, size: int | None = None) -> list[bytes]:
        """Return the proof that leaf `index` is in the tree of `size` leaves."""
        return inclusion_proof(index, self.size if size is None else size, self.read)

    def consistency_proof(self, old: int, new: int | None = None) -> list[bytes]:
        """Return the proof that the tree of `new` leaves extends the one of `old` leaves."""
        return consistency_proof(old, self.size if new is None else new, self.read)
