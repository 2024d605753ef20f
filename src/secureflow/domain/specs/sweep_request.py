"""A data scientist's request to sweep over settings of a training, and the points that it means.

Points are chosen when the request is drafted, random ones too: the spec that people sign lists
every one with its values.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from secureflow.domain.specs.base import STRICT, contradiction
from secureflow.domain.specs.parts import MOST_PARTS
from secureflow.domain.specs.request import REQUEST
from secureflow.domain.specs.sweep import FOLD, FieldName, Points, Value
from secureflow.domain.specs.training_request import TrainingParts
from secureflow.kit.text import Text

Choices = Annotated[tuple[Value, ...], Field(min_length=1, max_length=MOST_PARTS)]
_Interval = tuple[float, float]
_TRIES: Final = 100
"""Draws for each point, until there are as many different ones as asked for."""
_DIGITS: Final = 6
"""Significant digits of a number that is drawn: more would only be harder to read."""


@dataclass(frozen=True)
class Drawn:
    """How a value is drawn: exactly one of these.

    Args:
        between: uniformly within the interval.
        log: its logarithm uniformly; both ends above 0.
        whole: a whole number of the interval, its ends included.
        among: one of these values.
    """

    __pydantic_config__ = STRICT
    between: _Interval | None = None
    log: _Interval | None = None
    whole: tuple[int, int] | None = None
    among: Choices | None = None


@dataclass(frozen=True)
class RandomPoints:
    """Points that are drawn: as many different ones as `count`, the same for the same `seed`."""

    __pydantic_config__ = STRICT
    count: Annotated[int, Field(ge=1, le=MOST_PARTS)]
    over: Annotated[Mapping[FieldName, Drawn], Field(min_length=1, max_length=16)]
    seed: Annotated[int, Field(ge=0, lt=1 << 53)] = 7


@dataclass(frozen=True)
class SweepPart:
    """Which points, and by which figure one of them is the best.

    Args:
        grid: field → values; every combination is a point.
        list: the points themselves, each field → value.
        random: points that are drawn.
        folds: every point (or the training as it is) once for each fold of `plan.split`.
        metric: a figure of the final evaluation; by default the plan's, else the loss.
        better: whether higher or lower values are; known of SecureFlow's own figures.
        stop_on_failure: whether the first job that fails ends the sweep.
        epsilon: upper bound on the cost of the whole sweep, under differential privacy.
    """

    __pydantic_config__ = STRICT
    grid: Annotated[Mapping[FieldName, Choices], Field(min_length=1, max_length=16)] | None = None
    list: Points | None = None
    random: RandomPoints | None = None
    folds: Annotated[int, Field(ge=2, le=MOST_PARTS)] | None = None
    metric: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")] | None = None
    better: Literal["higher", "lower"] | None = None
    stop_on_failure: bool = False
    epsilon: Annotated[float, Field(ge=1e-3, le=1e4)] | None = None


@dataclass(frozen=True)
class SweepRequest(TrainingParts):
    """A training, and the points at which settings of it are others."""

    __pydantic_config__ = REQUEST
    sweep: Annotated[
        SweepPart, Field(examples=[{"grid": {"plan.learning_rate": [0.03, 0.1, 0.3]}}])
    ] = field(kw_only=True)
    kind: Literal["sweep"] = field(default="sweep", kw_only=True)


def points_of(part: SweepPart) -> tuple[dict[str, Any], ...]:
    """Return the points that a request means, in order: each field → value.

    Raises:
        SecureFlowError: `contradictory_spec` for none, for more than `MOST_PARTS`, and for an
            interval that holds nothing.
    """
    given = [one for one in (part.grid, part.list, part.random) if one is not None]
    if len(given) > 1 or not (given or part.folds):
        raise contradiction("sweep", "it names its points in no way, or in several",
                             "Give one of grid, list and random, or folds.")  # fmt: skip
    folds = range(part.folds or 0)
    count = _count(part) * max(1, len(folds))
    if count > MOST_PARTS:
        raise contradiction(
            "sweep",
            Text("it has {count} points, and may have {most}", count=count, most=MOST_PARTS),
            "Leave values out, or draw points: sweep.random.",
        )
    made = _chosen(part)
    if not folds:
        return tuple(made)
    return tuple({**point, FOLD: fold} for point in made for fold in folds)


def _count(part: SweepPart) -> int:
    if part.grid is not None:
        return math.prod(map(len, part.grid.values()))
    if part.list is not None:
        return len(part.list)
    return 1 if part.random is None else part.random.count


def _chosen(part: SweepPart) -> Iterator[dict[str, Any]]:
    if part.grid is not None:
        for values in itertools.product(*part.grid.values()):
            yield dict(zip(part.grid, values, strict=True))
    elif part.list is not None:
        yield from map(dict, part.list)
    elif part.random is not None:
        # Not for secrets: the points are in the spec that everybody signs.
        yield from _drawn(part.random, random.Random(part.random.seed))  # noqa: S311
    else:
        yield {}


def _drawn(asked: RandomPoints, source: random.Random) -> Iterator[dict[str, Any]]:
    """Yield as many different points as asked for; one that was drawn before is drawn anew.

    Raises:
        SecureFlowError: `contradictory_spec` if so many are not found.
    """
    found: list[dict[str, Any]] = []
    for _ in range(_TRIES * asked.count):
        point = {name: _draw(name, how, source) for name, how in asked.over.items()}
        if point in found:
            continue
        found.append(point)
        yield point
        if len(found) == asked.count:
            return
    raise contradiction(
        "sweep.random.over",
        Text("there are no {count} different points", count=asked.count),
        "Ask for fewer, or widen what is drawn.",
    )


def _draw(name: str, how: Drawn, source: random.Random) -> Any:
    place = Text("sweep.random.over.{name}", name=name)
    given = [one for one in (how.between, how.log, how.whole, how.among) if one is not None]
    if len(given) != 1:
        raise contradiction(
            place,
            "it says in no way how its value is drawn, or in several",
            "Give one of between, log, whole and among.",
        )
    if how.among is not None:
        return how.among[source.randrange(len(how.among))]
    low, high = how.between or how.log or how.whole or (0.0, 0.0)
    if high < low or (how.log is not None and low <= 0):
        raise contradiction(
            place,
            "the interval holds nothing, or not only numbers above 0",
            "Give [LOW, HIGH]; for log both are above 0.",
        )
    if how.whole is not None:
        return source.randint(*how.whole)
    if how.log is not None:
        return _rounded(math.exp(source.uniform(math.log(low), math.log(high))), low, high)
    return _rounded(source.uniform(low, high), low, high)


def _rounded(value: float, low: float, high: float) -> float:
    return min(high, max(low, float(f"{value:.{_DIGITS}g}")))
