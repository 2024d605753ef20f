"""The program `joint-sums`: exact or noised totals over the rows of several owners.

A query adds numbers up over the rows in which all of its columns have a value; the parties' sums
are added up under masks, so that only their total is opened (`engines.mpc`). Without a privacy part
totals are exact:

- a column without `decimals` holds whole numbers, and a row that does not is refused;
- one with `decimals` is rounded, row by row, to that many: a row is off by half of the last one.

What a party adds to one number has at most `MOST` steps of its last decimal: a greater sum is
refused at that party, before it is masked. Sums of products are kept in two numbers, so that they
never reach it.

Totals by `keys` have a number for each of up to a few million whole numbers, a public range: a
postcode, a merchant, a minute of the year. They are no part of the report but a file beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import Field

from secureflow.domain.specs.base import STRICT, UNLESS_NONE, Column, Problem, Slug
from secureflow.domain.specs.measuredcolumn import MeasuredColumn
from secureflow.domain.specs.summed import LIMIT
from secureflow.kit.text import Text

MOST: Final = LIMIT
"""The greatest magnitude of what a party adds to a number: 2^50 steps of the last decimal."""
MAX_DECIMALS: Final = 9
MAX_NUMBERS: Final = 1 << 22
"""Most numbers of a job: 32 MiB that each party sends."""
MAX_ANSWERS: Final = 1 << 16
"""Most lines of a report; totals by keys have none."""
MAX_TOGETHER: Final = 64
"""Most columns of one covariance or correlation."""
_WHOLE: Final = (1 << 53) - 1

Measure = Literal["count", "sum", "mean", "variance", "covariance", "correlation", "histogram"]
TOGETHER: Final = frozenset({"covariance", "correlation"})
"""Measures of several columns."""
KEYED: Final = frozenset({"count", "sum"})
"""Measures that can be told for each of millions of keys."""


@dataclass(frozen=True)
class NumberedKeys:
    """The groups first, first + 1, …: whole numbers of a column.

    Args:
        column: whose whole numbers they are.
        first: the first of them.
        count: how many there are; rows with other numbers are left out.
    """

    __pydantic_config__ = STRICT
    column: Column
    first: Annotated[int, Field(ge=-_WHOLE, le=_WHOLE)] = 0
    count: Annotated[int, Field(ge=1, le=MAX_NUMBERS)] = 1


@dataclass(frozen=True)
class SumsQuery:
    """One question.

    Args:
        name: the key of its answer.
        measure: what is asked. `variance` is that of the rows, not an estimate of others' (divided
            by n); so are `covariance` and `correlation`, of each two of their columns.
        columns: what is measured: none for a `count` of rows, one, or 2 to 64 of `covariance` and
            `correlation`.
        by: a category column; the measure is told for each of its categories.
        keys: whole numbers by which a `count` or `sum` is told.
        bins: cells of equal width of a `histogram` of numbers, over the column's bounds; of a
            category its cells are the categories.
    """

    __pydantic_config__ = STRICT
    name: Slug
    measure: Measure
    columns: Annotated[tuple[Column, ...], Field(max_length=MAX_TOGETHER)] = ()
    by: Annotated[Column | None, UNLESS_NONE] = None
    keys: Annotated[NumberedKeys | None, UNLESS_NONE] = None
    bins: Annotated[int, Field(ge=2, le=4096)] = 64

    @property
    def all_columns(self) -> tuple[str, ...]:
        """Every column that a row must have to count."""
        by = () if self.by is None else (self.by,)
        key = () if self.keys is None else (self.keys.column,)
        return (*self.columns, *by, *key)


@dataclass(frozen=True)
class Decimals:
    """How many decimals of a column count.

    Args:
        column: its name.
        decimals: digits behind the point.
    """

    __pydantic_config__ = STRICT
    column: Column
    decimals: Annotated[int, Field(ge=1, le=MAX_DECIMALS)]


@dataclass(frozen=True)
class JointSums:
    """The program, and what it is asked.

    Args:
        queries: the questions.
        decimals: of the columns that are no whole numbers; without noise.
    """

    __pydantic_config__ = STRICT
    name: Literal["joint-sums"]
    queries: Annotated[tuple[SumsQuery, ...], Field(min_length=1, max_length=256)]
    decimals: Annotated[tuple[Decimals, ...], Field(max_length=4096)] = ()
    version: Literal[1] = 1

    @property
    def column_names(self) -> tuple[str, ...]:
        """Every column that it reads, each once."""
        return tuple(dict.fromkeys(name for one in self.queries for name in one.all_columns))

    def decimals_of(self, column: str) -> int:
        """Return how many decimals of a column count."""
        return next((one.decimals for one in self.decimals if one.column == column), 0)


# --- how many numbers are added up -------------------------------------------------------------


def groups_of(query: SumsQuery, columns: Sequence[MeasuredColumn]) -> tuple[str, ...]:
    """Return the categories by which a query is told; one empty one without any."""
    return ("",) if query.by is None else _declared(query.by, columns).categories


def cells_of(query: SumsQuery, columns: Sequence[MeasuredColumn]) -> int:
    """Return the cells of a histogram: its bins, or the categories of its column."""
    measured = _declared(query.columns[0], columns)
    return len(measured.categories) if measured.type == "category" else query.bins


def pairs_of(query: SumsQuery) -> list[tuple[int, int]]:
    """Return which two columns are multiplied, (i, j) with i ≤ j, row by row of a triangle."""
    count = len(query.columns)
    return [(i, j) for i in range(count) for j in range(i, count)]


def each_of(query: SumsQuery, columns: Sequence[MeasuredColumn], *, private: bool) -> int:
    """Return how many numbers of a query one group, or one key, has.

    | measure                 | exact                      | private                           |
    |-------------------------|----------------------------|-----------------------------------|
    | count                   | n                          | n                                 |
    | sum                     | n, Σx (by keys: Σx)        | Σu                                |
    | mean                    | n, Σx                      | n, Σu                             |
    | variance                | n, Σx, Σx² (twice)         | n, Σu, Σ(2u² − 1)                 |
    | covariance, correlation | n, k Σx, k(k+1)/2 products | the same, of u; squares as above  |
    |                         | (each twice)               |                                   |
    | histogram               | one per cell               | one per cell                      |

    Of an exact product the second number is its multiple of 2^50, so that none is too great.
    """
    if query.measure == "histogram":
        return cells_of(query, columns)
    if query.measure == "count" or (query.measure == "sum" and (private or query.keys)):
        return 1
    if query.measure in {"sum", "mean"}:
        return 2
    products = len(pairs_of(query))
    return 1 + len(query.columns) + products * (1 if private else 2)


def numbers_of(query: SumsQuery, columns: Sequence[MeasuredColumn], *, private: bool) -> int:
    """Return how many numbers a query adds up; exact ones have one more: the rows left out."""
    groups = query.keys.count if query.keys else len(groups_of(query, columns))
    return groups * each_of(query, columns, private=private) + (0 if private else 1)


def moved_by(query: SumsQuery, columns: Sequence[MeasuredColumn]) -> int:
    """Return to how many numbers of a private query one row adds, at most 1 to each."""
    return 1 if query.measure == "histogram" else each_of(query, columns, private=True)


# --- contradictions ----------------------------------------------------------------------------


def sums_problem(
    sums: JointSums, columns: Sequence[MeasuredColumn], *, private: bool
) -> Problem | None:
    """Return a contradiction among queries, the columns that they name, and noise; or None."""
    return (
        _column_problem(sums, columns)
        or _decimals_problem(sums, columns, private=private)
        or _queries_problem(sums, columns)
        or _size_problem(sums, columns, private=private)
    )


def _declared(name: str, columns: Sequence[MeasuredColumn]) -> MeasuredColumn:
    return next(one for one in columns if one.column == name)


def _column_problem(sums: JointSums, columns: Sequence[MeasuredColumn]) -> Problem | None:
    names = [one.column for one in columns]
    for name in sums.column_names:
        if names.count(name) != 1:
            reason = "the spec does not declare it once"
            return f"columns.{name}", reason, "Each column that a query names is declared once."
    for one in columns:
        if one.column not in sums.column_names:
            return f"columns.{one.column}", "no query uses it", "Leave it out."
        if (one.bounds is None) == (one.type == "number"):
            reason = "numbers have bounds, and categories have none"
            return f"columns.{one.column}", reason, "Its owners declare them in agent.yaml."
        once = len(set(one.categories)) == len(one.categories)
        if bool(one.categories) != (one.type == "category") or not once:
            reason = "categories have their list, each once, and numbers have none"
            return f"columns.{one.column}", reason, "Its owners declare them in agent.yaml."
    if not names:
        reason = "no query names a column, so nothing is read"
        return "program.queries", reason, "Count the values of a column: they are its rows."
    return None


def _decimals_problem(
    sums: JointSums, columns: Sequence[MeasuredColumn], *, private: bool
) -> Problem | None:
    given = [one.column for one in sums.decimals]
    for name in given:
        place = f"program.decimals.{name}"
        if private:
            reason = "noised sums are of values scaled to their bounds, not of decimals"
            return place, reason, "Leave it out, or leave the privacy part out."
        if given.count(name) > 1:
            return place, "it is listed twice", "List each column once."
        if name not in sums.column_names or _declared(name, columns).type != "number":
            return place, "no query measures such a number", "Leave it out."
    return None


def _queries_problem(sums: JointSums, columns: Sequence[MeasuredColumn]) -> Problem | None:
    names = [one.name for one in sums.queries]
    for query in sums.queries:
        problem: Problem | None = None
        if names.count(query.name) > 1:
            problem = "name", "two queries have this name", "Rename one."
        problem = problem or _shape_problem(query) or _type_problem(query, columns)
        if problem is not None:
            field, reason, hint = problem
            return f"program.queries.{query.name}.{field}", reason, hint
    return None


def _shape_problem(query: SumsQuery) -> Problem | None:
    count = len(query.columns)
    if query.measure in TOGETHER:
        if count < 2:
            reason: str = Text("a {measure} is of two columns at least", measure=query.measure)
            return "columns", reason, "Name them: columns: [A, B]."
    elif count != 1 and not (query.measure == "count" and count == 0):
        return "columns", Text("a {measure} is of one column", measure=query.measure), "Name it."
    every = query.all_columns
    if len(set(every)) != len(every):
        return "columns", "a column is named twice", "Name each once."
    if query.keys is not None and query.by is not None:
        return "by", "a query is told by categories or by keys, not both", "Leave one of them out."
    if query.keys is not None and query.measure not in KEYED:
        reason = Text("a {measure} is not told by keys", measure=query.measure)
        return "keys", reason, "Ask for the count and the sum by the same keys: they give means."
    return None


def _type_problem(query: SumsQuery, columns: Sequence[MeasuredColumn]) -> Problem | None:
    if query.by is not None and _declared(query.by, columns).type != "category":
        return "by", "groups are formed by a category, not by a number", "Use keys."
    if query.keys is not None and _declared(query.keys.column, columns).type != "number":
        return "keys.column", "keys are whole numbers of a number column", "Use by."
    if query.measure in {"count", "histogram"}:
        return None
    for name in query.columns:
        if _declared(name, columns).type != "number":
            absent = Text("a category has no {measure}", measure=query.measure)
            return "columns", absent, 'Use "count" or "histogram".'
    return None


def _size_problem(
    sums: JointSums, columns: Sequence[MeasuredColumn], *, private: bool
) -> Problem | None:
    count = sum(numbers_of(query, columns, private=private) for query in sums.queries)
    if count > MAX_NUMBERS:
        reason = Text(
            "together they add up {slots} numbers, more than {most}", slots=count, most=MAX_NUMBERS
        )
        return "program.queries", reason, "Ask for fewer keys, groups, bins or queries."
    lines = sum(_lines(query, columns) for query in sums.queries if query.keys is None)
    if lines > MAX_ANSWERS:
        reason = Text("their answers have {lines} lines, more than {most}", lines=lines,
                      most=MAX_ANSWERS)  # fmt: skip
        return "program.queries", reason, "Use keys, or ask for fewer groups, bins or queries."
    return None


def _lines(query: SumsQuery, columns: Sequence[MeasuredColumn]) -> int:
    each = 1
    if query.measure == "histogram":
        each = cells_of(query, columns)
    if query.measure in TOGETHER:
        each = len(pairs_of(query))
    return each * len(groups_of(query, columns))


def scale_of(bounds: tuple[float, float] | None) -> float:
    """Return what 1 stands for in a noised sum: the greatest magnitude that a value may have."""
    low, high = bounds or (0.0, 0.0)
    return max(abs(low), abs(high))


def halves_of(bounds: tuple[float, float] | None) -> tuple[float, float]:
    """Return the middle of bounds and half of their range: u = (x − middle) / half."""
    low, high = bounds or (0.0, 0.0)
    return (low + high) / 2, (high - low) / 2


def deviation_of(multiplier: float, contributions: int, moved: int) -> float:
    """Return σ of the noise on a number of a query, in what a row can add to it.

    Args:
        multiplier: z.
        contributions: most rows of one unit.
        moved: `moved_by` of the query.
    """
    return multiplier * contributions * math.sqrt(moved)
