"""The rows that a party seals to the enclave: which, in what form, and what they are bound by.

One array of float32: of each row its prepared inputs, then its label. Beside it travels the salt of
the commitment that is in the party's leaf, so that the enclave takes only what was committed to:
SHA-256(salt ‖ BLAKE3(rows ‖ sums)).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from secureflow.kit.canonical import sha256
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

Rows = NDArray[np.float32]
_WORDS: Final = 8
_SLACK: Final = 1e-5
"""Of limits: inputs are rounded to float32."""


@dataclass(frozen=True)
class RowLimits:
    """What a row can be.

    Attributes:
        low, high: of each of its numbers, float64 (width + 1,); the label is the last.
        groups: of each category the first place of its indicators, the one after the last, and
            whether one of them is always 1.
        classes: how many classes labels may name; None for numbers.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    groups: tuple[tuple[int, int, bool], ...]
    classes: int | None


def chosen_rows(wanted: int, held: int, seed: bytes) -> NDArray[np.int64]:
    """Return the places of this many of the held-out rows, sorted; the seed alone decides.

    Raises:
        SecureFlowError: `validation_too_few`.
    """
    if held < wanted:
        raise SecureFlowError(
            "validation_too_few",
            Text("The job asks for {wanted} held-out rows, and there are fewer.", wanted=wanted),
            "Ask for fewer rows, or for a larger plan.validation.",
        )
    keys = np.random.PCG64(int.from_bytes(seed, "big")).random_raw(held)
    return np.sort(np.argsort(keys, kind="stable")[:wanted])


def as_matrix(inputs: Rows, labels: Rows) -> Rows:
    """Return rows with their labels at the end, (rows, width + 1)."""
    return np.column_stack([inputs, labels]).astype(np.float32)


def sums_with(salt: bytes) -> NDArray[np.float64]:
    """Return the sums that travel with rows: weight 1, and the salt in words of 32 bits."""
    return np.append(1.0, np.frombuffer(salt, "<u4").astype(np.float64))


def checked_rows(values: Rows, limits: RowLimits, party: str) -> Rows:
    """Return a party's rows, (count, width + 1), if preparation can make each of them.

    Args:
        values: as they came.
        limits: of a row.
        party: whose they are.

    Raises:
        SecureFlowError: `update_not_finite`, `value_out_of_bounds`, `validation_label_wrong`.
    """
    if not np.isfinite(values).all():
        raise SecureFlowError(
            "update_not_finite",
            Text("A validation row of {party} has a number that is NaN or infinite.", party=party),
        )
    rows = values.reshape(-1, len(limits.low))
    labels = rows[:, -1]
    if limits.classes is not None and not np.isin(labels, np.arange(limits.classes)).all():
        raise SecureFlowError(
            "validation_label_wrong",
            Text(
                "A validation row of {party} has a label that is none of the classes.", party=party
            ),
            "Its agent must be of the same version.",
        )
    if not (_within(rows, limits) and all(_is_category(rows, one) for one in limits.groups)):
        raise SecureFlowError(
            "value_out_of_bounds",
            Text(
                "A validation row of {party} is none that the job's features can give.",
                party=party,
            ),
            "Rows are held to the bounds and categories of the spec, as those are that train.",
        )
    return rows


def _within(rows: Rows, limits: RowLimits) -> bool:
    slack = _SLACK * np.maximum(1.0, np.maximum(np.abs(limits.low), np.abs(limits.high)))
    return bool(((rows >= limits.low - slack) & (rows <= limits.high + slack)).all())


def _is_category(rows: Rows, group: tuple[int, int, bool]) -> bool:
    """Tell whether each row has one indicator at most, exactly one if one is for missing cells."""
    start, end, marked = group
    ones = rows[:, start:end]
    counts = ones.sum(axis=1)
    whole = bool(np.isin(ones, (0.0, 1.0)).all())
    return whole and bool((counts <= 1).all()) and (not marked or bool((counts == 1).all()))


def check_commitment(values: Rows, sums: NDArray[np.float64], commitment: str, party: str) -> None:
    """Refuse rows that are not those of the party's commitment.

    Raises:
        SecureFlowError: `validation_swapped`.
    """
    words = sums[1:]
    whole = words.shape == (_WORDS,) and (words == np.floor(words)).all()
    if whole and (words >= 0).all() and (words < 2.0**32).all():
        content = blake3(values.astype("<f4").tobytes())
        content.update(sums.astype("<f8").tobytes())
        if sha256(words.astype("<u4").tobytes() + content.digest()).hex() == commitment:
            return
    raise SecureFlowError(
        "validation_swapped",
        Text("The validation rows of {party} are not those that it committed to.", party=party),
        "It committed to them in its leaf; others are not taken.",
    )
