"""Which requests two people of this organisation must decide (four eyes), by `agent.yaml`.

A rule holds if all of its conditions do; one rule that holds is enough. The facts are those that
policies see. What a request does not say counts as not asked for, but a job without differential
privacy has no ε that bounds what it reveals: it is over every limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from secureflow.agent.settings import TwoPeopleRule
from secureflow.kit.canonical import JSON

TWO: Final = "two people must decide"
"""Why a request waits that one person does not decide alone."""


def reasons_for_two(rules: Iterable[TwoPeopleRule], request: Mapping[str, JSON]) -> tuple[str, ...]:
    """Return the reasons of the rules that say that two people must decide a request."""
    return tuple(rule.reason or _NAMELESS for rule in rules if _holds(rule, request))


_NAMELESS: Final = "a rule of agent.yaml (consent.two_people)"


def _holds(rule: TwoPeopleRule, request: Mapping[str, JSON]) -> bool:
    given = {name: getattr(rule, name) for name in rule.conditions}
    return all(_CONDITIONS[name](value, request) for name, value in given.items())


def _over(limit: Any, request: Mapping[str, JSON]) -> bool:
    epsilon = request.get("epsilon")
    return epsilon is None or not epsilon <= limit  # what is no number is over it, too


def _used(names: Any, request: Mapping[str, JSON]) -> bool:
    return not {*names}.isdisjoint(request.get("columns") or ())


def _fact(name: str) -> Callable[[Any, Mapping[str, JSON]], bool]:
    return lambda wanted, request: bool(request.get(name)) is wanted


def _is_one(name: str) -> Callable[[Any, Mapping[str, JSON]], bool]:
    return lambda names, request: request.get(name) in names


_CONDITIONS: Final[Mapping[str, Callable[[Any, Mapping[str, JSON]], bool]]] = {
    "any": lambda wanted, _: bool(wanted),
    "kinds": _is_one("kind"),
    "datasets": _is_one("dataset"),
    "purposes": _is_one("purpose"),
    "columns": _used,
    "sensitive": _fact("sensitive"),
    "epsilon_over": _over,
    "code": _fact("bundle_digest"),
    "deliver": _fact("deliver"),
    "learns": _fact("learns"),
}
