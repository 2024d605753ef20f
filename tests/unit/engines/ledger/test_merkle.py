"""The tree against RFC 9162: known vectors, every proof up to 70 leaves, and no forgery."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureflow.engines.ledger import merkle
from secureflow.engines.ledger.merkle import (
    EMPTY_ROOT,
    GrowingTree,
    MemoryTree,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)

LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
# The roots of Certificate Transparency's reference test data (RFC 6962).
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
BOUND = 70


def grown(count: int) -> MemoryTree:
    tree = MemoryTree()
    tree.append(*(str(i).encode() for i in range(count)))
    return tree


def textbook_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 9162 section 2.1.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    left, right = textbook_root(leaves[:k]), textbook_root(leaves[k:])
    return hashlib.sha256(b"\x01" + left + right).digest()


def test_the_reference_roots() -> None:
    tree = MemoryTree()
    assert tree.root() == EMPTY_ROOT
    for leaf, expected in zip(LEAVES, ROOTS, strict=True):
        tree.append(leaf)
        assert tree.root().hex() == expected


def test_a_tree_that_keeps_its_edge_alone_makes_the_same_nodes() -> None:
    whole, tree = grown(BOUND), GrowingTree()
    for size in range(BOUND):
        assert tree.root() == whole.root(size)
        for level, index, node in tree.append(whole.read(0, size)):
            assert node == whole.read(level, index)
    assert (tree.size, tree.root()) == (BOUND, whole.root())


def test_reference_proofs() -> None:
    tree = MemoryTree()
    tree.append(*LEAVES)
    # Inclusion of leaf 0 and consistency 1→8, from the same reference data.
    assert [node.hex() for node in tree.inclusion_proof(0)] == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]
    assert tree.consistency_proof(1) == tree.inclusion_proof(0)


def test_every_root_equals_the_textbook_definition() -> None:
    tree = grown(BOUND)
    leaves = [str(i).encode() for i in range(BOUND)]
    for size in range(BOUND + 1):
        assert tree.root(size) == textbook_root(leaves[:size])


def test_batches_and_single_appends_make_the_same_nodes() -> None:
    single, batched = MemoryTree(), MemoryTree()
    for i in range(BOUND):
        single.append(str(i).encode())
    for start, end in ((0, 1), (1, 1), (1, 6), (6, 37), (37, BOUND)):
        batched.append(*(str(i).encode() for i in range(start, end)))
    assert single._nodes == batched._nodes


def test_an_append_reads_only_the_frontier() -> None:
    tree = grown(BOUND)
    read: set[tuple[int, int]] = set()

    def spy(level: int, index: int) -> bytes:
        read.add((level, index))
        return tree.read(level, index)

    merkle.new_nodes(BOUND, spy, [leaf_hash(b"x")] * 64)
    assert read <= set(merkle.frontier(BOUND))


def test_every_inclusion_proof_holds_and_only_at_its_place() -> None:
    tree = grown(BOUND)
    for size in range(1, BOUND + 1):
        root = tree.root(size)
        for index in range(size):
            leaf, proof = leaf_hash(str(index).encode()), tree.inclusion_proof(index, size)
            assert len(proof) <= (size - 1).bit_length()
            claims = (at for at in range(size + 2))
            assert [at for at in claims if verify_inclusion(leaf, at, size, proof, root)] == [index]
            assert not verify_inclusion(leaf, index, size, [*proof, root], root)
            assert not proof or not verify_inclusion(leaf, index, size, proof[:-1], root)


def test_every_consistency_proof_holds_and_only_for_its_roots() -> None:
    tree = grown(BOUND)
    roots = [tree.root(size) for size in range(BOUND + 1)]
    for new in range(1, BOUND + 1):
        for old in range(1, new + 1):
            proof = tree.consistency_proof(old, new)
            good = (old, new, roots[old], roots[new])
            assert verify_consistency(*good, proof)
            assert not verify_consistency(old, new, roots[old - 1], roots[new], proof)
            assert not verify_consistency(old, new, roots[old], roots[new - 1], proof)
            assert not verify_consistency(*good, [*proof, roots[new]])
            assert not proof or not verify_consistency(*good, proof[:-1])
            assert old == new or not verify_consistency(new, old, roots[new], roots[old], proof)


@given(size=st.integers(1, 300), data=st.data())
def test_a_flipped_bit_anywhere_breaks_a_proof(size: int, data: st.DataObject) -> None:
    tree = grown(size)
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size))
    leaf = leaf_hash(str(index).encode())
    for proof, holds in (
        (
            tree.inclusion_proof(index),
            lambda p: verify_inclusion(leaf, index, size, p, tree.root()),
        ),
        (
            tree.consistency_proof(old),
            lambda p: verify_consistency(old, size, tree.root(old), tree.root(), p),
        ),
    ):
        assert holds(proof)
        if proof:
            at, bit = data.draw(st.integers(0, len(proof) - 1)), data.draw(st.integers(0, 255))
            value = int.from_bytes(proof[at], "big") ^ 1 << bit
            proof[at] = value.to_bytes(32, "big")
            assert not holds(proof)


H = bytes(32)


@pytest.mark.parametrize(
    ("leaf", "index", "size", "proof", "root"),
    [
        (H, 0, 0, [], EMPTY_ROOT),  # nothing is in an empty tree
        (H, 1, 1, [], H),  # index = size
        (H, 5, 1, [], H),
        (H, -1, 1, [], H),
        (H, 0, -1, [], H),
        (H, 0, 1 << 70, [H] * 70, H),
        (H, True, 2, [H], H),
        (H, 0, 1, [H] * 100_000, H),
        (H[:31], 0, 1, [], H[:31]),  # a shorter "hash" must not pass for itself
        (H, 0, 2, [b""], H),
        (H, 0, 2, [None], H),
        (H, 0, 1, None, H),
        (H, 0.0, 1, [], H),
        (H, "0", 1, [], H),
    ],
)
def test_inclusion_is_total(
    leaf: object, index: object, size: object, proof: object, root: object
) -> None:
    assert verify_inclusion(leaf, index, size, proof, root) is False  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("old", "new", "old_root", "new_root", "proof"),
    [
        (0, 0, EMPTY_ROOT, EMPTY_ROOT, []),
        (0, 5, EMPTY_ROOT, H, []),
        (0, 5, H, H, [H]),
        (-1, 5, H, H, [H]),
        (2, 1, H, H, [H]),
        (1, 1 << 70, H, H, [H] * 70),
        (1, 2, H, H, []),
        (3, 5, H, H, []),
        (1, 2, H, H, [H] * 100_000),
        (1, 1, H, H, [H]),
        (1, 1, H[:4], H[:4], []),
        (1, 2, H, H, [H[:31]]),
        (1, 2, H, H, "proof"),
        (True, 1, H, H, []),
    ],
)
def test_consistency_is_total(
    old: object, new: object, old_root: object, new_root: object, proof: object
) -> None:
    verdict = verify_consistency(old, new, old_root, new_root, proof)  # type: ignore[arg-type]
    assert verdict is False


def test_provers_refuse_what_does_not_exist() -> None:
    tree = grown(3)
    for index, size in ((3, 3), (-1, 3), (0, 0)):
        with pytest.raises(ValueError, match="is not in a tree"):
            merkle.inclusion_proof(index, size, tree.read)
    for old, new in ((4, 3), (-1, 3)):
        with pytest.raises(ValueError, match="no prefix"):
            merkle.consistency_proof(old, new, tree.read)


def test_a_proof_in_a_log_of_100k_has_at_most_17_hashes() -> None:
    def read(level: int, index: int) -> bytes:
        return hashlib.sha256(f"{level} {index}".encode()).digest()

    for index in (0, 1, 65_535, 65_536, 99_999):
        assert len(merkle.inclusion_proof(index, 100_000, read)) <= 17
    assert len(merkle.consistency_proof(77_777, 100_000, read)) <= 18
