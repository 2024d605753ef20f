"""What the programs of the engines compute, in clear: the shortest way to say it in NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def ranks(values: Sequence[Array]) -> Array:
    """Return each party's place in each measure: 1 and how many are larger."""
    table = np.stack(values)
    return np.array(
        [[1 + sum(other > one for other in column) for one in column] for column in table.T]
    ).T


def auction(bids: Sequence[Array], *, second: bool) -> tuple[Array, Array]:
    """Return winner and price of each lot: sorted by bid, then by place."""
    winners, prices = [], []
    for lot in np.stack(bids).T:
        ordered = sorted(range(len(lot)), key=lambda place: (-lot[place], place))
        winners.append(ordered[0])
        prices.append(lot[ordered[1 if second else 0]])
    return np.array(winners), np.array(prices)


def correlation(columns: Sequence[Array]) -> Array:
    """Return Pearson's coefficients of all columns."""
    return np.atleast_2d(np.corrcoef(np.concatenate(columns, axis=1), rowvar=False))


def probabilities(columns: Sequence[Array], weights: Array) -> Array:
    """Return a logistic regression's probabilities."""
    scores = np.concatenate(columns, axis=1) @ weights[:-1] + weights[-1]
    return 1.0 / (1.0 + np.exp(-scores))


def key(word: str) -> bytes:
    """Return the key of an identifier."""
    return sha256(word.encode()).digest()[:16]


def key_file(path: Path, words: Sequence[str]) -> Path:
    """Write the keys of identifiers."""
    path.write_bytes(b"".join(map(key, words)))
    return path


def matches(mine: Sequence[str], theirs: Sequence[str]) -> set[int]:
    """Return the places of what both have in one's own list."""
    return {place for place, word in enumerate(mine) if word in set(theirs)}
