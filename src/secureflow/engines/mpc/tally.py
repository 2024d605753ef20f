"""One party's numbers for `joint-sums`: exact ones, or scaled ones that noise can hide.

A row counts in a query if each of the query's columns has a value in it. Under privacy nothing that
a row holds makes this fail: values are clamped to their bounds, and unknown categories leave their
row out. Without, a row that the job's own words do not fit (a fraction where whole numbers are
asked for) is refused, and so is a sum beyond `MOST`: what was not exact would not be told.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.jointsums import MOST, TOGETHER, halves_of, pairs_of, scale_of
from secureflow.domain.specs.measuredcolumn import MeasuredColumn
from secureflow.domain.specs.mpc import MpcSpec
from secureflow.engines.mpc.exactsums import TooLargeError, products_of, sums_by
from secureflow.engines.mpc.places import SPLIT, Place, length_of, places
from secureflow.engines.preparation.columns import Columns, column
from secureflow.engines.secagg.wholenumbers import Integers, with_shares
from secureflow.kit.canonical import canonical_bytes, sha256
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

Floats = NDArray[np.float64]

_PRODUCTS: Final = frozenset({"variance", *TOGETHER})


def party_sums(spec: MpcSpec, columns: Columns) -> Integers:
    """Return a party's numbers, without noise: int64 (`length_of`,).

    Args:
        spec: checked.
        columns: every column that it names, of the rows that count.

    Raises:
        SecureFlowError: `missing_column`; without privacy also `malformed_cell` and
            `ring_overflow`.
    """
    rows = _Rows(spec, columns)
    found = np.zeros(length_of(spec), np.int64)
    for place in places(spec):
        found[place.slice] = rows.noisable(place) if place.private else rows.exact(place)
    return found


def noised(spec: MpcSpec, sums: Integers, seed: bytes) -> Integers:
    """Return a party's numbers with its share of the noise, the same for the same seed.

    Args:
        spec: checked.
        sums: of `party_sums`.
        seed: 32 secret bytes of this job.
    """
    shares = []
    for at, place in enumerate(places(spec)):
        use = {"v": 1, "use": "joint sums noise", "query": at}
        shares.append((place.slice, place.sigma, sha256(canonical_bytes(use) + seed)))
    return with_shares(sums, shares, len(spec.roster))


class _Rows:
    """The columns of one party, each read once."""

    def __init__(self, spec: MpcSpec, columns: Columns) -> None:
        self._spec = spec
        self._columns = {name: column(columns, name) for name in spec.column_names}
        self._declared = {one.column: one for one in spec.columns}
        self._codes: dict[str, Integers] = {}
        self._steps: dict[str, Integers] = {}
        self._rows = len(next(iter(self._columns.values())))

    def exact(self, place: Place) -> Integers:
        """Return a query's exact numbers, group after group, and how many rows are left out."""
        chosen, group = self._chosen(place)
        group = group[chosen]
        left_out = self._rows - len(group)
        found = self._exact(place, chosen, group)
        return np.concatenate([found.reshape(-1), [left_out]]).astype(np.int64)

    def _exact(self, place: Place, chosen: NDArray[np.bool_], group: Integers) -> Integers:
        query, count = place.query, place.count
        if query.measure == "histogram":
            cells = self._cells(place, chosen)
            return np.bincount(group * place.each + cells, minlength=count * place.each)
        rows = np.bincount(group, minlength=count)
        if query.measure == "count":
            return rows
        steps = [self._in_steps(name)[chosen] for name in query.columns]
        sums = list(map(partial(_sums, group, count), query.columns, steps))
        if query.keys is not None:
            return sums[0]
        told = [rows, *sums]
        if query.measure in _PRODUCTS:
            told += _products(np.stack(steps, axis=1), group, place)
        return np.stack(told, axis=1)

    def noisable(self, place: Place) -> Integers:
        """Return a query's numbers in steps of `unit`: a row adds at most that to each."""
        query, unit = place.query, place.unit
        chosen, group = self._chosen(place)
        group, count = group[chosen], place.count
        ones = np.full(len(group), unit, np.float64)
        if query.measure == "histogram":
            cells = self._cells(place, chosen)
            return _added(group * place.each + cells, ones, count * place.each)
        if query.measure == "count":
            return _added(group, ones, count)
        values = [self._clamped(name)[chosen] for name in query.columns]
        if query.measure == "sum":
            scaled = values[0] / scale_of(place.measured[0].bounds)
            return _added(group, _in_unit(scaled, unit), count)
        shares = []
        for one, each in zip(place.measured, values, strict=True):
            middle, half = halves_of(one.bounds)
            shares.append((each - middle) / half)
        told = [ones, *(_in_unit(one, unit) for one in shares)]
        if query.measure in _PRODUCTS:
            for i, j in pairs_of(query):
                product = shares[i] * shares[j]
                told.append(_in_unit(2 * product - 1 if i == j else product, unit))
        return np.stack([_added(group, one, count) for one in told], axis=1).reshape(-1)

    def _chosen(self, place: Place) -> tuple[NDArray[np.bool_], Integers]:
        """Return which rows count, and the group or key of each row."""
        query = place.query
        group = np.zeros(self._rows, np.int64)
        chosen = np.ones(self._rows, np.bool_)
        if query.keys is not None:
            keys = self._whole(query.keys.column)
            chosen &= ~np.isnan(keys)
            group = np.where(chosen, keys, 0.0).astype(np.int64) - query.keys.first
        elif query.by is not None:
            group = self._coded(query.by)
        chosen &= (group >= 0) & (group < place.count)
        for name in query.columns:
            if self._declared[name].type == "category":
                chosen &= self._coded(name) >= 0
            else:
                chosen &= ~np.isnan(self._numbers(name))
        return chosen, group

    def _cells(self, place: Place, chosen: NDArray[np.bool_]) -> Integers:
        (measured,) = place.measured
        if measured.type == "category":
            return self._coded(measured.column)[chosen]
        low, high = measured.bounds or (0.0, 0.0)
        values = np.clip(self._numbers(measured.column)[chosen], low, high)
        # With exactly the edges in the answer: arithmetic rounds some values into the cell below.
        edges = cell_edges(measured, place.each)
        found = np.searchsorted(edges, values, side="right") - 1
        return np.asarray(np.clip(found, 0, place.each - 1), np.int64)

    def _numbers(self, name: str) -> Floats:
        return np.asarray(self._columns[name], np.float64)

    def _clamped(self, name: str) -> Floats:
        return np.clip(self._numbers(name), *(self._declared[name].bounds or (0.0, 0.0)))

    def _coded(self, name: str) -> Integers:
        """Return each row's position among the categories, −1 for missing or unknown."""
        if name not in self._codes:
            known = {text: at for at, text in enumerate(self._declared[name].categories)}
            raw = self._columns[name].tolist()
            found = (known.get(one, -1) if isinstance(one, str) else -1 for one in raw)
            self._codes[name] = np.fromiter(found, np.int64, self._rows)
        return self._codes[name]

    def _whole(self, name: str) -> Floats:
        """Return a column of keys: under privacy fractions are missing, else they are refused."""
        values = self._numbers(name)
        broken = ~np.isnan(values) & (values != np.rint(values))
        if not bool(broken.any()):
            return np.where(np.abs(values) < 2.0**53, values, np.nan)
        if self._spec.privacy is None:
            raise SecureFlowError(
                "malformed_cell",
                Text("Column {column!r} holds fractions, and keys are whole numbers.",
                     column=name),
                "Name another column as keys.",
                {"column": name},
            )  # fmt: skip
        return np.where(broken | (np.abs(values) >= 2.0**53), np.nan, values)

    def _in_steps(self, name: str) -> Integers:
        """Return a column in steps of its last decimal; 0 where it is missing."""
        if name in self._steps:
            return self._steps[name]
        values, decimals = self._numbers(name), self._spec.sums.decimals_of(name)
        scaled = np.where(np.isnan(values), 0.0, values) * 10.0**decimals
        steps = np.rint(scaled)
        if decimals == 0 and bool((steps != scaled).any()):
            raise _fractions(name)
        if bool((np.abs(steps) > MOST).any()):
            raise _overflow(name)
        self._steps[name] = steps.astype(np.int64)
        return self._steps[name]


def cell_edges(measured: MeasuredColumn, cells: int) -> Floats:
    """Return the edges of equal cells of a number's bounds, (cells + 1,), as answers name them."""
    low, high = measured.bounds or (0.0, 0.0)
    return np.linspace(low, high, cells + 1)


def _sums(group: Integers, count: int, name: str, steps: Integers) -> Integers:
    """Return the sums of a column, by group."""
    try:
        return sums_by(steps, group, count, MOST)
    except TooLargeError:
        raise _overflow(name) from None


def _products(steps: Integers, group: Integers, place: Place) -> list[Integers]:
    """Return the sums of products of each pair, each as low and high part, by group."""
    pairs = pairs_of(place.query)
    low = np.zeros((len(pairs), place.count), np.int64)
    high = np.zeros((len(pairs), place.count), np.int64)
    order = np.argsort(group, kind="stable")
    ends = np.searchsorted(group[order], np.arange(place.count + 1))
    for at in range(place.count):
        own = products_of(steps[order[ends[at] : ends[at + 1]]])
        for pair, (i, j) in enumerate(pairs):
            high_part, low_part = divmod(own[i][j], 1 << SPLIT)
            if abs(high_part) > MOST:
                raise _products_overflow(place.query.columns[i], place.query.columns[j])
            low[pair, at], high[pair, at] = low_part, high_part
    return [part for pair in range(len(pairs)) for part in (low[pair], high[pair])]


def _added(group: Integers, steps: Floats, count: int) -> Integers:
    """Add up steps of at most 2^24 of at most 2^26 rows, which float64 does exactly."""
    return np.bincount(group, steps, minlength=count).astype(np.int64)


def _in_unit(shares: Floats, unit: int) -> Floats:
    """Round values in [−1, 1] to steps: none exceeds `unit`, so rounding moves nothing further."""
    return np.asarray(np.rint(np.clip(shares, -1.0, 1.0) * unit), np.float64)


def _fractions(name: str) -> SecureFlowError:
    """Return the error of a column; no row is told."""
    return SecureFlowError(
        "malformed_cell",
        Text("Column {column!r} holds fractions, and the job asks for whole numbers.", column=name),
        "Name it in the program's `decimals`, with as many as are to count.",
        {"column": name},
    )


def _overflow(name: str) -> SecureFlowError:
    return SecureFlowError(
        "ring_overflow",
        Text(
            "A sum over column {column!r} is greater than 2^50 steps of its last decimal.",
            column=name,
        ),
        "Ask for fewer decimals of it: nothing was masked or sent.",
        {"column": name},
    )


def _products_overflow(first: str, second: str) -> SecureFlowError:
    told = Text(
        "The products of columns {first!r} and {second!r} add up to more than 2^100 steps.",
        first=first,
        second=second,
    )
    if first == second:
        told = Text(
            "The squares of column {column!r} add up to more than 2^100 steps.", column=first
        )
    hint = "Ask for fewer decimals of it: nothing was masked or sent."
    return SecureFlowError("ring_overflow", told, hint, {"column": first})
