"""Which cosignatures the centre keeps beside its log: those that hold, and no others."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from secureflow.application.witnessing import Witnessing
from secureflow.engines.ledger.merkle import MemoryTree
from secureflow.engines.ledger.notes import Checkpoint, cosign, sign_checkpoint
from secureflow.kit.crypto import SigningKey

LOG = SigningKey.from_seed(b"\xff" * 32)
MINE = SigningKey.from_seed(b"a" * 32)
OTHER = SigningKey.from_seed(b"c" * 32)
STRANGER = SigningKey.from_seed(b"b" * 32)


class Kept:
    """A log that remembers which cosignatures it was given."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, list[str]]] = []

    async def cosign(self, size: int, lines: list[str]) -> None:
        self.lines.append((size, lines))


async def keys() -> Mapping[str, str]:
    return {"bank-a": MINE.public, "bank-c": OTHER.public}


def head(leaves: int) -> str:
    tree = MemoryTree()
    tree.append(*(bytes([n]) for n in range(leaves)))
    return sign_checkpoint(Checkpoint("log.example", leaves, tree.root()), LOG)


async def test_a_cosignature_that_holds_is_kept() -> None:
    log = Kept()
    line = cosign(head(3), "bank-a", MINE, 7)
    await Witnessing(log, keys).cosigned(head(3), {"bank-a": line})  # type: ignore[arg-type]
    assert log.lines == [(3, [line])]


async def test_those_of_one_request_are_kept_together_without_the_forged_one() -> None:
    log = Kept()
    mine, other = cosign(head(3), "bank-a", MINE, 7), cosign(head(3), "bank-c", OTHER, 7)
    forged = cosign(head(3), "bank-b", STRANGER, 7)
    lines = {"bank-a": mine, "bank-b": forged, "bank-c": other}
    await Witnessing(log, keys).cosigned(head(3), lines)  # type: ignore[arg-type]
    assert log.lines == [(3, [mine, other])]


@pytest.mark.parametrize(
    ("party", "line"),
    [
        ("bank-a", cosign(head(3), "bank-a", STRANGER, 7)),  # another key
        ("bank-a", cosign(head(2), "bank-a", MINE, 7)),  # another head
        ("bank-a", cosign(head(3), "bank-b", STRANGER, 7)),  # another's, passed on
        ("bank-b", cosign(head(3), "bank-b", STRANGER, 7)),  # no member of the charter
        ("bank-a", "junk\n"),
    ],
)
async def test_one_that_does_not_hold_is_not(party: str, line: str) -> None:
    log = Kept()
    await Witnessing(log, keys).cosigned(head(3), {party: line})  # type: ignore[arg-type]
    assert log.lines == []
