"""Drafts a Cedar policy from a decision of people: as narrow as what they decided.

The same submitter, kind, dataset, project, purpose, protection and parties; no other columns, no
smaller group, no higher ε or bound, and every other fact of the kind exactly. Whatever in a text of
the request is not a plain character is written as an escape, so that it stays a text, and is seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from secureflow.domain.specs.kind import Fact

_SUBSETS: Final = frozenset({"columns", "sensitive"})
"""Fewer of these are less than what was decided."""
_LEAST: Final = frozenset({"group_size", "min_contributors"})
"""More of these are safer than what was decided."""


def drafted(
    request: Mapping[str, Any],
    facts: Mapping[str, Fact],
    *,
    allow: bool,
    name: str,
    two: str,
) -> str:
    """Return the text of the policy.

    Args:
        request: in Cedar's form.
        facts: the forms of its context.
        allow: whether it permits; else it forbids.
        name: its `@id`.
        two: why two people must decide, or empty.
    """
    parts = " &&\n    ".join(_parts(request["context"], facts))
    notes = [f"@id({_literal(name)})"]
    if two and allow:
        notes.append(f"@two_people({_literal(two)})")
    scope = ",\n    ".join(
        f"{part} == {request[part]['type']}::{_literal(request[part]['id'])}"
        for part in ("principal", "action", "resource")
    )
    effect = "permit" if allow else "forbid"
    return "\n".join(notes) + f"\n{effect} (\n    {scope}\n)\nwhen {{\n    {parts}\n}};\n"


def _parts(context: Mapping[str, Any], facts: Mapping[str, Fact]) -> Iterator[str]:
    for name, form in facts.items():
        value, own = context[name], f"context.{name}"
        if form == "decimal":
            yield _at_most(own, value)
        elif value == []:  # Cedar knows no type of an empty set
            yield f"{own}.isEmpty()"
        elif name in _SUBSETS:
            yield f"{_value(value)}.containsAll({own})"
        else:
            yield f"{own} {'>=' if name in _LEAST else '=='} {_value(value)}"
    if context["dp"]:
        yield f"context has epsilon && {_at_most('context.epsilon', context['epsilon'])}"


def _at_most(own: str, value: Mapping[str, Any]) -> str:
    return f'{own}.lessThanOrEqual(decimal("{value["__extn"]["arg"]}"))'


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return str(value) if isinstance(value, int) else _literal(str(value))


def _literal(text: str) -> str:
    """Return a text as Cedar writes it."""
    return '"' + "".join(map(_character, text)) + '"'


def _character(one: str) -> str:
    if one in '"\\' or not one.isprintable():
        return f"\\u{{{ord(one):x}}}"
    return one
