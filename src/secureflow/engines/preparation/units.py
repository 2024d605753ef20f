"""Which rows of a unit count, if it has more than its owner, or a job, allows.

A keyed hash of the unit and of the row's position *among the unit's own rows* decides: neither the
file's order alone nor another unit's rows do, so that removing a unit removes its rows and changes
nothing else.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray


def kept_rows(units: NDArray[Any], limit: int, key: bytes) -> NDArray[np.bool_]:
    """Tell which rows count if no unit may have more than `limit`.

    Args:
        units: the unit of each row: text or numbers; a row without one (None, NaN) never counts,
            because nothing would bound it.
        limit: maximum number of rows of one unit.
        key: secret, at most 64 bytes.
    """
    places: dict[Any, list[int]] = {}
    for at, unit in enumerate(units.tolist()):
        if unit is not None and unit == unit:  # noqa: PLR0124 - NaN alone differs from itself
            places.setdefault(unit, []).append(at)
    kept = np.zeros(len(units), np.bool_)
    for unit, rows in places.items():
        if len(rows) <= limit:
            kept[rows] = True
            continue
        ranks = [_rank(key, unit, place) for place in range(len(rows))]
        first = sorted(range(len(rows)), key=ranks.__getitem__)[:limit]
        kept[[rows[place] for place in first]] = True
    return kept


def _rank(key: bytes, unit: Any, place: int) -> bytes:
    text = f"{type(unit).__name__}\n{unit}\n{place}".encode()
    return hashlib.blake2b(text, digest_size=16, key=key, person=b"sf-stat-rows").digest()
