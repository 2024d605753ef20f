"""What decides whether the steps of a foreign pipeline's spec run, read without its other parts.

Agents parse the whole spec strictly before they sign it. An audit needs the conditions alone, and
two programs read them (`web/src/verify/gates.ts`): so this reader is small, and the same in both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from secureflow.domain.fieldfaults import SLUG_PATTERN
from secureflow.domain.specs.conditions import DECIMALS, Condition, Gate

MOST: Final = 64
"""Steps, attempts at one, and names that one lists, that are read: more than any spec has."""
PIPELINE: Final = "pipeline"
_SLUG: Final = re.compile(SLUG_PATTERN.removesuffix("$"), re.ASCII)
_METRIC: Final = re.compile(r"[a-z][a-z0-9_]{0,40}", re.ASCII)
_GREATEST: Final = 1e12
_LIMITS: Final = ("at_least", "at_most")


class UnreadableStepsError(Exception):
    """The spec is no pipeline's as this version knows them."""


def gates_of(spec: Mapping[str, Any]) -> Sequence[Gate]:
    """Return of each step of a pipeline what decides whether it runs; nothing for another kind.

    Raises:
        UnreadableStepsError: for steps that have not their form.
    """
    if spec.get("kind") != PIPELINE:
        return ()
    steps, attempts = spec.get("steps"), spec.get("attempts", 1)
    if not isinstance(steps, list) or not 1 <= len(steps) <= MOST:
        raise UnreadableStepsError
    if type(attempts) is not int or not 1 <= attempts <= MOST:
        raise UnreadableStepsError
    listed = [_object(one) for one in steps]
    ids = [_slug(one.get("id")) for one in listed]
    if len(set(ids)) != len(ids):
        raise UnreadableStepsError
    numbers = {
        step: range(place * attempts + 1, (place + 1) * attempts + 1)
        for place, step in enumerate(ids)
    }
    by_id = dict(zip(ids, listed, strict=True))
    return [_gate(step, by_id, numbers) for step in ids]


def _gate(step: str, by_id: Mapping[str, Mapping[str, Any]], numbers: Mapping[str, range]) -> Gate:
    read = by_id[step]
    before = [edge[1] for edge in _edges(read)]
    before += [_slug(one) for one in _listed(read.get("needs"))]
    value = read.get("when")
    if value is None:
        return Gate(step, numbers[step], frozenset(before))
    when = _condition(_object(value))
    if when.step not in by_id:
        raise UnreadableStepsError
    model = _model(by_id[when.step], when.of)
    named = frozenset([*before, when.step])
    return Gate(step, numbers[step], named, when, numbers[when.step], model)


def _condition(value: Mapping[str, Any]) -> Condition:
    """Read a condition: it has one limit, which is one that the figures can be compared with."""
    metric, of = value.get("metric"), value.get("of")
    if not isinstance(metric, str) or not _METRIC.fullmatch(metric):
        raise UnreadableStepsError
    limits = {name: value[name] for name in _LIMITS if value.get(name) is not None}
    if len(limits) != 1 or not all(map(_is_limit, limits.values())):
        raise UnreadableStepsError
    whose = None if of is None else _slug(of)
    return Condition(_slug(value.get("step")), metric, whose, **limits)


def _is_limit(value: Any) -> bool:
    if type(value) not in {int, float} or not -_GREATEST <= value <= _GREATEST:
        return False
    exponent = Decimal(repr(value)).as_tuple().exponent
    return isinstance(exponent, int) and -exponent <= DECIMALS


def _model(step: Mapping[str, Any], of: str | None) -> int | None:
    """Return which of an evaluation's models another step gives; None if none does."""
    if of is None:
        return 0 if len(_listed(_object(step.get("job")).get("models"))) == 1 else None
    at = 0
    for name, giver in _edges(step):
        if name == "models":
            if giver == of:
                return at
            at += 1
    return None


def _edges(step: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield of each edge that leads to a step the input, and the step that gives it."""
    for one in _listed(step.get("takes")):
        edge = _object(one)
        yield _slug(edge.get("input")), _slug(edge.get("step"))


def _listed(value: Any) -> Sequence[Any]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > MOST:
        raise UnreadableStepsError
    return value


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise UnreadableStepsError
    return value


def _slug(value: Any) -> str:
    if not isinstance(value, str) or not _SLUG.fullmatch(value):
        raise UnreadableStepsError
    return value
