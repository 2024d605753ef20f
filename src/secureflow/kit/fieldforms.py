"""What is wrong with a value, one fault for each place: of a field with several forms, all of them.

Pydantic reports an error for each form that it tried, one after the other; alone, the first one
says that no other is allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import groupby
from types import MappingProxyType
from typing import Any, Final

from secureflow.kit.fieldfaults import NO_FIELD, UNKNOWN_FIELDS, allowed, fault
from secureflow.kit.fieldplaces import Names, Place
from secureflow.kit.nearnames import alike
from secureflow.kit.text import Text

NEAR: Final = "there is no field of this name here: {near} may be meant"
"""Of a field that is like one that there is."""
_WORDS: Final[Mapping[str, str]] = {
    "tuple_type": "a list, such as [A, B]",
    "list_type": "a list, such as [A, B]",
    "dataclass_type": "an object with named fields",
    "model_type": "an object with named fields",
    "dict_type": "an object with named fields",
    "model_attributes_type": "an object with named fields",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a text",
}
"""The form that an error says the value has not."""
_OF_SIZE: Final = frozenset({"too_short", "too_long"})
"""Errors of a value that has the form."""


@dataclass(frozen=True)
class Fault:
    """What is wrong at one place.

    Args:
        members: the members of the value that lead to it, outermost first.
        problem: what is wrong, for people.
    """

    members: Names
    problem: str


@dataclass(frozen=True)
class _Found:
    error: Mapping[str, Any]
    place: Place

    def is_only_of(self, others: Sequence[_Found]) -> bool:
        """Tell whether a list is too short only because an item of it is wrong."""
        members = self.place.members
        return self.error["type"] == "too_short" and any(
            one.place.members[: len(members)] == members != one.place.members for one in others
        )

    def is_another_form(self, depth: int) -> bool:
        """Tell whether the value has not this form at all, of a field with several."""
        same = len(self.place.members) == self.place.forms[depth].before
        return same and self.error["type"] not in _OF_SIZE


def faults(
    errors: Sequence[Mapping[str, Any]],
    place: Callable[[Mapping[str, Any]], Place],
    others: Mapping[str, str] = MappingProxyType({}),
) -> list[Fault]:
    """Return what is wrong, one fault for each place.

    Of a field that has several forms it is what is wrong with the one that the value has, else all
    that it may be. Misspelt fields come first: the right ones are missing because of them.

    Args:
        errors: of pydantic; at least one.
        place: where an error lies.
        others: as `fault` takes them.
    """
    found = [_Found(one, place(one)) for one in errors]
    told = _told([one for one in found if not one.is_only_of(found)], 0, others)
    return sorted(told, key=lambda one: getattr(one.problem, "template", "") != NEAR)


def _told(found: Sequence[_Found], depth: int, others: Mapping[str, str]) -> Iterator[Fault]:
    for place, each in groupby(found, lambda one: _field(one, depth)):
        group = list(each)
        if place is None:
            yield from (Fault(one.place.members, _alone(one, others)) for one in group)
            continue
        forms: dict[str, list[_Found]] = {}
        for one in group:
            forms.setdefault(one.place.forms[depth].label, []).append(one)
        fit = [each for each in forms.values() if not any(e.is_another_form(depth) for e in each)]
        if fit or len(forms) == 1:
            yield from _told(min(fit or forms.values(), key=len), depth + 1, others)
        else:
            yield Fault(place, _any_of(group, others))


def _field(found: _Found, depth: int) -> Names | None:
    """Return the place of the field with several forms that an error is about, or None."""
    forms = found.place.forms
    return found.place.members[: forms[depth].before] if len(forms) > depth else None


def _alone(found: _Found, others: Mapping[str, str]) -> str:
    error, members = found.error, found.place.members
    if error["type"] in UNKNOWN_FIELDS and members:
        if near := alike(str(members[-1]), found.place.names):
            return Text.of_table(NEAR, {"near": ", ".join(near)})
        return NO_FIELD if error["type"] != "extra_forbidden" else fault(error, others)
    return fault(error, others)


def _any_of(found: Sequence[_Found], others: Mapping[str, str]) -> str:
    forms = [one for one in dict.fromkeys(map(_form, found)) if one is not None]
    if len(forms) < len(dict.fromkeys(map(_form, found))):
        whole = dict.fromkeys(fault(one.error, others) for one in found)
        return reduce(lambda one, more: Text("{one}; or {more}", one=one, more=more), whole)
    told = reduce(lambda one, more: Text("{one}, or {more}", one=one, more=more), forms)
    return Text("it must be {forms}", forms=told)


def _form(found: _Found) -> str | None:
    """Return what a value of this form is, in words; None where there are none for it."""
    kind = str(found.error["type"])
    if kind in {"literal_error", "enum"}:
        return allowed(found.error)
    names = found.place.forms[-1].names
    if kind in {"dataclass_type", "model_type"} and names:
        return Text("an object with the fields {names}", names=", ".join(names))
    return _WORDS.get(kind)
