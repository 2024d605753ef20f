"""How one table is divided among simulated parties.

| partition         | each party gets                                                              |
|-------------------|------------------------------------------------------------------------------|
| `iid`             | an equal share of the rows, drawn at random                                  |
| `dirichlet:ALPHA` | of each class of the label a share drawn from Dir(α) over the parties (Hsu,  |
|                   | Qi and Brown 2019); small α: each party has few classes                      |
| `by:COLUMN`       | of a column of numbers: an equal slice of the sorted rows; of any other      |
|                   | column: whole values, dealt out so that sizes differ as little as possible   |

Equal arguments give equal shares, whichever version draws them: everything is made of a generator's
raw words, whose stream NumPy promises (NEP 19), as the order of rows is (`engines.training.order`).
Those of `dirichlet` are rounded logarithms, whose last bit another processor may round otherwise:
a row at the very border of two shares may go to the other party there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

Owners = NDArray[np.int64]
"""Each row's party, 0 to parties − 1, shape (rows,)."""

MOST_PARTIES: Final = 256
LEAST_ROWS: Final = 2
"""Every party needs a row to train on; with one more, it can also validate."""
_DRAWS: Final = 200
_FORMS: Final = re.compile(r"(iid)|dirichlet:([0-9.eE+-]{1,24})|by:(.{1,128})", re.DOTALL)


@dataclass(frozen=True)
class Partition:
    """A parsed partition.

    Args:
        alpha: of `dirichlet`, else None.
        column: of `by`, else empty.
    """

    alpha: float | None = None
    column: str = ""

    @classmethod
    def parse(cls, text: str) -> Partition:
        """Parse `iid`, `dirichlet:ALPHA` or `by:COLUMN`.

        Raises:
            SecureFlowError: `invalid_partition`.
        """
        found = _FORMS.fullmatch(text)
        if found is None:
            raise _invalid(text)
        _, alpha, column = found.groups()
        if alpha is None:
            return cls(column=column or "")
        try:
            value = float(alpha)
        except ValueError:
            raise _invalid(text) from None
        if not 1e-3 <= value <= 1e6:
            raise _invalid(text)
        return cls(alpha=value)

    def __str__(self) -> str:
        """Return the text that `parse` reads."""
        if self.alpha is not None:
            return f"dirichlet:{self.alpha:g}"
        return f"by:{self.column}" if self.column else "iid"


def divide(
    partition: Partition,
    rows: int,
    parties: int,
    seed: int,
    *,
    classes: NDArray[np.int64] | None = None,
    cells: NDArray[Any] | None = None,
) -> Owners:
    """Return each row's party.

    Args:
        partition: how to divide.
        rows: how many rows there are.
        parties: how many parties.
        seed: of everything that is drawn.
        classes: of `dirichlet`: each row's class, 0, 1, …, shape (rows,).
        cells: of `by`: the column, float64 (NaN missing) or objects (None missing).

    Raises:
        SecureFlowError: `partition_impossible`: a party would have fewer than `LEAST_ROWS` rows.
    """
    if rows < LEAST_ROWS * parties:
        raise _impossible(
            Text("{rows} rows are too few for {parties} parties", rows=rows, parties=parties)
        )
    words = np.random.PCG64(seed)
    if partition.alpha is not None:
        if classes is None:
            raise _impossible("the label has no classes")
        return _dirichlet(partition.alpha, classes, parties, words)
    if not partition.column:
        return _slices(_shuffled(rows, words), parties)
    if cells is None:
        raise AssertionError  # the caller reads the column
    if cells.dtype.kind in "fiu":
        return _slices(np.lexsort((words.random_raw(rows), cells)), parties)
    return _whole_values(cells, parties)


def count_of_values(cells: NDArray[Any]) -> int:
    """Return how many values a column has, missing ones counted as one."""
    return len(set(cells.tolist()))


def _slices(order: NDArray[np.int64], parties: int) -> Owners:
    owners = np.empty(len(order), np.int64)
    owners[order] = np.arange(len(order)) * parties // len(order)
    return owners


def _dirichlet(
    alpha: float, classes: NDArray[np.int64], parties: int, words: np.random.PCG64
) -> Owners:
    owners = np.empty(len(classes), np.int64)
    for _ in range(_DRAWS):
        for value in np.unique(classes):
            (members,) = np.nonzero(classes == value)
            shares = drawn_shares(alpha, parties, words)
            ends = np.rint(shares.cumsum()[:-1] * len(members)).astype(np.int64)
            places = np.searchsorted(ends, np.arange(len(members)), side="right")
            owners[members[_shuffled(len(members), words)]] = places
        if int(np.bincount(owners, minlength=parties).min()) >= LEAST_ROWS:
            return owners
    raise _impossible(
        Text(
            "at α = {alpha:g} some of {parties} parties kept fewer than {least} rows",
            alpha=alpha,
            parties=parties,
            least=LEAST_ROWS,
        )
    )


def drawn_shares(alpha: float, parties: int, words: np.random.PCG64) -> NDArray[np.float64]:
    """Return a draw from Dir(α) over the parties: Gamma(α) values, divided by their sum.

    Gamma values are Marsaglia and Tsang's (2000), below α = 1 by Γ(α) = Γ(α + 1) · U^(1/α). They
    are drawn as logarithms: at small α all of them are too small for a float.
    """
    shape = alpha if alpha >= 1 else alpha + 1
    d = shape - 1 / 3
    c = 1 / np.sqrt(9 * d)
    logs = np.empty(parties)
    left = np.arange(parties)
    while len(left):
        radius, angle, limit = (_uniform(len(left), words) for _ in range(3))
        normal = np.sqrt(-2 * np.log(radius)) * np.cos(2 * np.pi * angle)
        v = np.maximum(1 + c * normal, 1e-300) ** 3  # what is not above 0 is never taken
        taken = np.log(limit) < normal**2 / 2 + d - d * v + d * np.log(np.maximum(v, 1e-300))
        logs[left[taken]] = np.log(d * v[taken])
        left = left[~taken]
    if alpha < 1:
        logs += np.log(_uniform(parties, words)) / alpha
    shares = np.exp(logs - logs.max())
    return np.asarray(shares / shares.sum())


def _uniform(count: int, words: np.random.PCG64) -> NDArray[np.float64]:
    """Return numbers between 0 and 1, never one of the two."""
    return np.asarray(((words.random_raw(count) >> np.uint64(12)) + 0.5) * 2.0**-52)


def _shuffled(count: int, words: np.random.PCG64) -> NDArray[np.int64]:
    return np.argsort(words.random_raw(count), kind="stable")


def _whole_values(cells: NDArray[Any], parties: int) -> Owners:
    """Deal values out, the most frequent first, each to the party with the fewest rows so far."""
    names, codes, counts = _coded(cells)
    if len(names) < parties:
        raise _impossible(
            Text(
                "the column has {values} values for {parties} parties",
                values=len(names),
                parties=parties,
            )
        )
    load, owner = np.zeros(parties, np.int64), np.empty(len(names), np.int64)
    for at in sorted(range(len(names)), key=lambda one: (-counts[one], names[one])):
        owner[at] = int(load.argmin())
        load[owner[at]] += counts[at]
    if int(load.min()) < LEAST_ROWS:
        raise _impossible(Text("a value stands in fewer than {least} rows", least=LEAST_ROWS))
    return np.asarray(owner[codes])


def _coded(cells: NDArray[Any]) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
    texts = ["" if cell is None else str(cell) for cell in cells.tolist()]
    names = sorted(set(texts))
    places = {name: at for at, name in enumerate(names)}
    codes = np.fromiter((places[text] for text in texts), np.int64, len(texts))
    return names, codes, np.bincount(codes, minlength=len(names))


def _invalid(text: str) -> SecureFlowError:
    return SecureFlowError(
        "invalid_partition",
        Text("{text!r} is no way to divide rows.", text=text[:80]),
        "Use iid, dirichlet:ALPHA with ALPHA above 0 (0.5, say), or by:COLUMN.",
    )


def _impossible(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "partition_impossible",
        Text("The rows cannot be divided so: {reason}.", reason=reason),
        "Simulate fewer parties, or divide in another way.",
    )
