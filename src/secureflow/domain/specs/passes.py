"""In which round a step is fitted, and how many numbers it adds up there: from the spec alone.

A step takes some *passes* over the rows, each a masked sum. Steps that read columns which other
steps write are fitted after them; all others share rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Protocol

from secureflow.domain.specs.steps import Impute, MinMax, OneHot, QuantileBins, Select
from secureflow.domain.specs.tables import Categories, Table, after, present

MAX_SLOTS: Final = 1 << 16
"""Maximum number of values that one round may add up."""
MAX_TOTALS: Final = 1 << 21
"""Most values of all rounds, each as long as the longest: every round's file holds those before it,
and the centre stores it, and every agent fetches it."""
CELLS: Final = 1024
"""Cells of a column's bounds in the first pass of a search for quantiles."""
FANOUT: Final = 16
"""Cells into which each later pass cuts every cell that holds a quantile."""
SEARCHES: Final = 4
"""Passes of such a search: the last cells are 2^-22 of the bounds wide."""
POWERS: Final = 41
"""λ that each pass of a search for a power tries."""
LEAST_POWER: Final = -4.0
MOST_POWER: Final = 6.0
POWER_PASSES: Final = 3
"""Passes of that search: steps of 1/4, 1/80 and 1/1600."""


class Planned(Protocol):
    """What of a spec decides its rounds."""

    @property
    def table(self) -> Table:
        """The table before the first step."""

    @property
    def steps(self) -> tuple[Any, ...]:
        """The steps, in order."""

    @property
    def privacy(self) -> object | None:
        """The privacy part, if there is one."""


@dataclass(frozen=True)
class Query:
    """The numbers of one column (or of several together) in one pass of a step: one release.

    Args:
        step: the step's position in the spec, from 0.
        number: the pass, from 0.
        column: whose; "" for a query over several columns.
        slots: how many numbers are added up.
        moved: to how many of them one row adds, at most 1 (one unit) to each.
    """

    step: int
    number: int
    column: str
    slots: int
    moved: int

    @property
    def adds_numbers(self) -> bool:
        """Whether a row adds a number to every slot; otherwise it counts 1 in some of them."""
        return self.moved == self.slots


COUNT: Final = Query(-1, 0, "", 1, 1)
"""The rows of all parties, where nothing else tells them."""


@dataclass(frozen=True)
class Schedule:
    """The queries of each round, and the round after which each step is fitted (0: at once).

    Args:
        rounds: the queries of each.
        ends: of each step.
        widest: the most columns that the table has, before, between or after the steps.
    """

    rounds: tuple[tuple[Query, ...], ...]
    ends: tuple[int, ...]
    widest: int

    @property
    def longest(self) -> int:
        """The most numbers that a round adds up."""
        return max(sum(query.slots for query in each) for each in self.rounds)


def searched(spec: Planned) -> tuple[str, ...]:
    """Return the columns in whose values searches go on: for quantiles, and for the ends."""
    found: dict[str, None] = {}
    for step in spec.steps:
        median = step.step == "impute" and step.by == "median"
        ends = step.step == "min_max" and step.of == "rows"
        if median or ends or step.step == "quantile_bins":
            found |= dict.fromkeys(step.columns)
    return tuple(found)


def searches(spec: Planned) -> int:
    """Return the passes of a search for quantiles; under privacy one: each costs as much."""
    return SEARCHES if spec.privacy is None else 1


@lru_cache(maxsize=64)
def schedule(spec: Planned) -> Schedule:
    """Return the rounds of a checked spec."""
    ready: dict[str, int] = {}
    found: dict[int, list[Query]] = {}
    ends: list[int] = []
    table: Table = spec.table
    widest = len(table)
    for at, step in enumerate(spec.steps):
        reads = present(step, table)
        last = start = max((ready.get(name, 0) for name in reads), default=0)
        for number, queries in enumerate(_passes(spec, at, step, table)):
            last = start + number + 1
            found.setdefault(last, []).extend(queries)
        following = after(step, table)
        ready |= {name: last for name in following if name in reads or name not in table}
        ends.append(last)
        table = following
        widest = max(widest, len(table))
    if not found or spec.privacy is None:
        found.setdefault(1, []).insert(0, COUNT)
    each = tuple(tuple(found.get(number, ())) for number in range(1, max(found) + 1))
    return Schedule(each, tuple(ends), widest)


_Passes = Iterator[tuple[Query, ...]]


def _passes(spec: Planned, at: int, step: Any, table: Table) -> _Passes:
    """Yield the queries of each pass of a step."""
    sizes = _SIZES.get(step.step)
    if sizes is None:
        return
    for number, each in enumerate(sizes(spec, step, table)):
        yield tuple(Query(at, number, name, slots, moved) for name, slots, moved in each)


def sizes(spec: Planned, step: Any, number: int, table: Table) -> dict[str, int]:
    """Return how many numbers a pass really adds up for each column of a table that is known.

    They are at most those of its queries, which reckon with the widest table.
    """
    each = list(_SIZES[step.step](spec, step, table))
    return {name: slots for name, slots, _ in each[number]}


_Sized = Iterator[list[tuple[str, int, int]]]


def _moments(names: tuple[str, ...]) -> list[tuple[str, int, int]]:
    return [(name, 3, 3) for name in names]


def _impute(spec: Planned, step: Impute, table: Table) -> _Sized:
    names = present(step, table)
    if step.by == "mean":
        yield [(name, 2, 2) for name in names]
    elif step.by == "mode":
        yield [(name, _categories(table, name), 1) for name in names]
    elif step.by == "median":
        yield from _search(spec, names, 1)


def _search(spec: Planned, names: tuple[str, ...], quantiles: int) -> _Sized:
    """Yield the sizes of a search for quantiles: each lies between two rows, which are found."""
    yield [(name, CELLS, 1) for name in names]
    for _ in range(searches(spec) - 1):
        targets = 2 * quantiles
        yield [(name, targets * FANOUT, targets) for name in names]


def _standardise(spec: Planned, step: Any, table: Table) -> _Sized:
    del spec
    yield _moments(present(step, table))


def _min_max(spec: Planned, step: MinMax, table: Table) -> _Sized:
    if step.of == "rows":
        yield from _search(spec, present(step, table), 2)


def _quantile_bins(spec: Planned, step: QuantileBins, table: Table) -> _Sized:
    yield from _search(spec, present(step, table), step.bins - 1)


def _woe(spec: Planned, step: Any, table: Table) -> _Sized:
    del spec
    yield [(name, 2 * (_categories(table, name) + 1), 1) for name in present(step, table)]


def _one_hot(spec: Planned, step: OneHot, table: Table) -> _Sized:
    del spec
    if step.least:
        yield [(name, _categories(table, name), 1) for name in present(step, table)]


def _yeo_johnson(spec: Planned, step: Any, table: Table) -> _Sized:
    del spec
    for _ in range(POWER_PASSES):
        # ψ and ψ² of each λ, Σ sign(x)·ln(1 + |x|), and how many numbers there are.
        yield [(name, 2 * POWERS + 2, 2 * POWERS + 2) for name in present(step, table)]


def _select(spec: Planned, step: Select, table: Table) -> _Sized:
    del spec
    names = present(step, table)
    if step.by == "variance":
        yield _moments(names)
    elif step.by == "correlation":
        # Each column's sum, the products of each pair (and the squares), the rows.
        slots = len(names) + len(names) * (len(names) + 1) // 2 + 1
        yield [("", slots, slots)]


def _categories(table: Table, name: str) -> int:
    held = table[name]
    return len(held.names) if isinstance(held, Categories) else 0


_SIZES: Final[Mapping[str, Callable[[Planned, Any, Table], _Sized]]] = {
    "impute": _impute,
    "standardise": _standardise,
    "min_max": _min_max,
    "quantile_bins": _quantile_bins,
    "woe": _woe,
    "one_hot": _one_hot,
    "yeo_johnson": _yeo_johnson,
    "select": _select,
}
"""The steps that are fitted to rows."""
FITTED: Final = frozenset(_SIZES)
"""Their names."""
