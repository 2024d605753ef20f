"""Fitting a preparation: from each party's rows to integers, from their totals to the next state.

Every party and the centre keep the same *progress*: what each step has learned so far. A round's
sums are computed from rows to which all steps that are fitted by then were applied; its totals give
the next progress. Both are pure functions of the spec, the progress and the rows or totals.

Sums are whole numbers. A row that adds 1 adds `unit` steps. A party's sum of numbers is rounded
once, so that a total at P parties is off by at most P/2 steps, however many rows it is of. Under
privacy, where a step may be coarse, each row's number is rounded to 2^-24 before: those are added
up exactly, so that rows of a unit move the rounded sum by what they add and at most one step more,
and σ, in steps, hides that.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.passes import Query, schedule, sizes
from secureflow.domain.specs.preparation import PreparationSpec
from secureflow.domain.specs.summed import UNIT, noised_unit
from secureflow.domain.specs.tables import Fit, Table, after, present, tables
from secureflow.engines.preparation.steps import STEPS
from secureflow.engines.preparation.steps.combining import selected
from secureflow.engines.preparation.steps.step import Cells, Learning, Rows, State
from secureflow.engines.preparation.steps.values import Numbers64, Values

Integers = NDArray[np.int64]


class Stepped(Protocol):
    """Steps, and what they begin with: a preparation's or a recipe's."""

    @property
    def table(self) -> Table:
        """The table before the first step."""

    @property
    def steps(self) -> tuple[Any, ...]:
        """The steps, in order."""


@dataclass(frozen=True)
class Progress:
    """What all parties know after some rounds.

    Args:
        rounds: how many.
        fits: of each step, None while it is not fitted.
        states: of each step, by column, while it is being fitted.
        rows: of all parties, if they are counted.
    """

    rounds: int
    fits: tuple[Fit | None, ...]
    states: tuple[Mapping[str, State], ...]
    rows: float | None = None


def start(spec: PreparationSpec) -> Progress:
    """Return what is known before the first round: the fits of steps that need no rows."""
    count = len(spec.steps)
    return _settled(spec, Progress(0, (None,) * count, ({},) * count))


def tally(
    spec: PreparationSpec, progress: Progress, values: Values, label: Numbers64 | None
) -> Integers:
    """Return a party's sums of the next round, without noise: int64 (`schedule.longest`,).

    Args:
        spec: checked.
        progress: after the rounds before.
        values: the party's rows, before the first step.
        label: 1.0, 0.0 or NaN of each row, if the job has a label.

    Raises:
        SecureFlowError: `malformed_cell` of a step that is strict, which no private job's is.
    """
    planned = schedule(spec)
    found = np.zeros(planned.longest, np.int64)
    queries = planned.rounds[progress.rounds]
    places: dict[int, list[tuple[Query, int]]] = {}
    for query, offset in zip(queries, _offsets(queries), strict=True):
        places.setdefault(query.step, []).append((query, offset))
    every = Rows(spec.table, values, label)
    for query, offset in places.get(-1, ()):
        found[offset] = len(every) * unit_of(spec, query)
    whole = np.zeros(planned.longest)
    for some in every.blocks(planned.widest):
        for at, step, rows in applied(spec, progress.fits, some, strict=spec.privacy is None):
            if at not in places or not present(step, rows.table):
                continue  # selections dropped all that the step would read
            known = sizes(spec, step, places[at][0][0].number, rows.table)
            for query, offset in places[at]:
                if query.column in known:
                    part = slice(offset, offset + known[query.column])
                    _add(spec, query, step, progress, rows, found[part], whole[part])
    for query, offset in zip(queries, _offsets(queries), strict=True):
        whole[offset : offset + query.slots] *= unit_of(spec, query)
    return found + np.rint(whole).astype(np.int64)


def learn(spec: PreparationSpec, progress: Progress, totals: Integers) -> Progress:
    """Return the progress after the next round.

    Args:
        spec: checked.
        progress: before it.
        totals: over all parties, int64 (`schedule.longest`,), with noise under privacy.
    """
    planned = schedule(spec)
    queries = planned.rounds[progress.rounds]
    states = [dict(one) for one in progress.states]
    rows, before = progress.rows, tables(spec.table, spec.steps, progress.fits)
    known: dict[int, dict[str, int]] = {}
    for query, offset in zip(queries, _offsets(queries), strict=True):
        unit = unit_of(spec, query)
        if query.step < 0:
            rows = max(float(totals[offset]) / unit, 0.0)
            continue
        step, table = spec.steps[query.step], before[query.step]
        if query.step not in known:
            known[query.step] = sizes(spec, step, query.number, table)
        size = known[query.step].get(query.column)
        if size is None:
            continue  # a selection dropped it
        each = totals[offset : offset + size].astype(np.float64) / unit
        last = planned.ends[query.step] == progress.rounds + 1
        about = _about(spec, progress.fits[: query.step], table, last=last)
        state = states[query.step].get(query.column, {})
        states[query.step][query.column] = STEPS[step.step].learn(
            about, query.number, state, each, query.column
        )
    following = replace(progress, rounds=progress.rounds + 1, states=tuple(states), rows=rows)
    return _settled(spec, following)


def applied(
    stepped: Stepped, fits: Sequence[Fit | None], rows: Rows, *, strict: bool
) -> Iterator[tuple[int, Any, Rows]]:
    """Yield each step with the rows before it, and after the last one None with the outcome.

    Steps that are not fitted yet are left out: no step that is reads what they write.

    Args:
        stepped: what is applied.
        fits: of each step, None while it is not fitted.
        rows: before the first step.
        strict: whether a cell that fits nothing is an error; otherwise it counts as missing.

    Raises:
        SecureFlowError: if strict `malformed_cell`, `unknown_category`.
    """
    for at, (step, fit) in enumerate(zip(stepped.steps, fits, strict=True)):
        yield at, step, rows
        if fit is not None:
            written = STEPS[step.step].apply(step, rows, fit, strict)
            table = after(step, rows.table, fit)
            values = {name: written[name] if name in written else rows.values[name]
                      for name in table}  # fmt: skip
            rows = replace(rows, table=table, values=values)
    yield len(stepped.steps), None, rows


def unit_of(spec: PreparationSpec, query: Query) -> int:
    """Return the steps of a row that adds 1."""
    if spec.privacy is None:
        return UNIT
    return noised_unit(spec.privacy.multiplier * math.sqrt(query.moved) * spec.contributions)


def sigma_of(spec: PreparationSpec, query: Query) -> float:
    """Return σ of the noise on a query's totals, in steps: z times what a unit can move them by.

    That is √moved · (contributions · unit, and for sums of numbers 1 of their rounding).
    """
    if spec.privacy is None:
        return 0.0
    unit = unit_of(spec, query)
    most = spec.contributions * unit + (query.adds_numbers and unit < UNIT)
    return spec.privacy.multiplier * math.sqrt(query.moved) * most


def _offsets(queries: tuple[Query, ...]) -> list[int]:
    ends = np.cumsum([0, *(query.slots for query in queries)])
    return [int(one) for one in ends[:-1]]


def _add(
    spec: PreparationSpec,
    query: Query,
    step: Any,
    progress: Progress,
    rows: Rows,
    steps: Integers,
    whole: Numbers64,
) -> None:
    """Add a query's sums of some of a party's rows.

    Args:
        spec, query, step, progress, rows: what is added up.
        steps: sums of counts, in steps.
        whole: sums of numbers, which are rounded once, over all rows of the party.
    """
    state = progress.states[query.step].get(query.column, {})
    names = (query.column,) if query.column else present(step, rows.table)
    unit = unit_of(spec, query)
    read = replace(rows, values={name: rows.values[name] for name in names})
    private = spec.privacy is not None
    for some in read.blocks(len(steps) if private or query.column else len(names)):
        found = STEPS[step.step].tally(step, query.number, state, some, query.column)
        if isinstance(found, Cells):
            steps += _counted(found, len(steps)) * unit
        elif private:
            whole += _fine(found.each())
        else:
            whole += found.added()


def _counted(found: Cells, size: int) -> Integers:
    slots = found.slots.reshape(-1)
    return np.bincount(slots[slots >= 0], minlength=size).astype(np.int64)


def _fine(numbers: Numbers64) -> Numbers64:
    """Return sums of rows' numbers, each rounded to 2^-24: exact in float64 for `MOST_ROWS`."""
    return np.asarray(np.rint(np.clip(numbers, -1.0, 1.0) * UNIT).sum(axis=0) / UNIT)


def _about(
    spec: PreparationSpec, before: Sequence[Fit | None], table: Table, *, last: bool
) -> Learning:
    """Return what the step after those that `before` are the fits of is fitted with."""
    private = spec.privacy is not None
    off = 0.0 if private else len(spec.roster) / 2 / UNIT
    return Learning(spec.steps[len(before)], table, private, last, off, tuple(before))


def _settled(spec: PreparationSpec, progress: Progress) -> Progress:
    """Return the progress with the fits of all steps whose passes are over."""
    fits, states = list(progress.fits), list(progress.states)
    table: Table = spec.table
    for at, (step, end) in enumerate(zip(spec.steps, schedule(spec).ends, strict=True)):
        fit = fits[at]
        if fit is None and end <= progress.rounds:
            fit = fits[at] = _fit(spec, fits[:at], table, states[at])
            states[at] = {}
        table = table if fit is None else after(step, table, fit)
    return replace(progress, fits=tuple(fits), states=tuple(states))


def _fit(
    spec: PreparationSpec,
    before: Sequence[Fit | None],
    table: Table,
    learned: Mapping[str, State],
) -> Fit:
    step = spec.steps[len(before)]
    if not learned:
        return STEPS[step.step].fit(_about(spec, before, table, last=True))
    if step.step == "select":
        return selected(step, present(step, table), learned)
    return {"columns": {name: dict(state) for name, state in learned.items()}}


__all__ = [
    "Progress",
    "applied",
    "learn",
    "sigma_of",
    "start",
    "tally",
    "unit_of",
]
