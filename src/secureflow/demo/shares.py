"""Splits one table into several owners' shares: of unequal size and, by a column, non-IID.

Rows are sorted by a column (ties in the seed's order, unknown values last) and cut into consecutive
shares: each owner then has its own kind of clients, like a bank for students and one for
pensioners. A column of words with at least as many values as owners is cut only between values.
Without a column rows are distributed at random and the shares are IID. Equal arguments give equal
shares, and the label is never used.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

GROWTH = 1.5
LARGEST = 12.0
"""Each share is half as large again as the previous; the last is at most this times the first."""


def cut(column: pa.ChunkedArray | None, rows: int, parties: int, seed: int) -> NDArray[np.int64]:
    """Return each row's owner, 0 to `parties` − 1, as int64 of shape (rows,).

    Args:
        column: what to sort by, of length `rows`; None distributes at random.
        rows: how many rows there are.
        parties: how many owners.
        seed: for the order among equal rows.
    """
    draws = np.random.Generator(np.random.PCG64(seed)).random(rows)
    ranks = np.zeros(rows, np.int64) if column is None else _ranks(column)
    order = np.lexsort((draws, ranks))
    ends = _ends(rows, parties)
    if column is not None and _cuts_between_values(column, parties):
        ends = _between(ranks[order], ends)
    owners = np.empty(rows, np.int64)
    owners[order] = np.searchsorted(ends, np.arange(rows), side="right")
    return owners


def _ends(rows: int, parties: int) -> NDArray[np.int64]:
    """Return the end of each share but the last."""
    sizes = np.geomspace(1, min(GROWTH ** (parties - 1), LARGEST), parties)
    ends: NDArray[np.int64] = np.rint(sizes.cumsum()[:-1] / sizes.sum() * rows).astype(np.int64)
    return ends


def _ranks(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return each row's rank by value, equal for ties, unknown last."""
    coded = column.combine_chunks().dictionary_encode()
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.unify_dictionaries().combine_chunks()
    order = pc.sort_indices(coded.dictionary).to_numpy()
    places = np.empty(len(order) + 1, np.int64)
    places[order] = np.arange(len(order))
    places[-1] = len(order)
    ranks: NDArray[np.int64] = places[coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)]
    return ranks


def _cuts_between_values(column: pa.ChunkedArray, parties: int) -> bool:
    return bool(
        pa.types.is_string(column.type) and pc.count_distinct(column, mode="all").as_py() >= parties
    )


def _between(ranks: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Move each end to the nearest change of value that leaves every share at least one value."""
    changes = np.flatnonzero(np.diff(ranks)) + 1
    moved: list[int] = []
    for left, end in enumerate(ends):
        begin = len(moved) and int(np.searchsorted(changes, moved[-1], side="right"))
        able = changes[begin : len(changes) - (len(ends) - 1 - left)]
        moved.append(int(able[np.abs(able - end).argmin()]))
    return np.array(moved, np.int64)
