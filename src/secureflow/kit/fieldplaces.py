"""Where an error of pydantic lies: at which members of the value, in which of a field's forms.

Pydantic's path of an error mixes the members of the value with the forms of a field that it tried:
`('receivers', "literal['all']")`. Only the schema tells them apart, and which names an object has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

Names = tuple[int | str, ...]

_AROUND: Final = ("schema", "python_schema", "strict_schema")
"""The parts of a schema that say what one is that only checks or changes a value around it."""
_WRAPPED: Final = re.compile(r"function-[a-z]+\[[^ ]*, (.*)\]")
"""The name of a form that a function checks before or after it, with that of the form itself."""
_OBJECTS: Final = frozenset({"dataclass-args", "model-fields", "typed-dict"})
_LISTS: Final = frozenset({"list", "tuple", "set", "frozenset"})


@dataclass(frozen=True)
class Form:
    """One form of a field that was tried, of those that it may have.

    Args:
        label: pydantic's name of it.
        before: how many members of the value stand before it.
        names: the names that it has, if it is an object.
    """

    label: str
    before: int
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """Where an error lies.

    Args:
        members: the members of the value that lead to it, outermost first.
        forms: those that were tried of fields with several forms, outermost first.
        names: the names that the object around it has, if that is known.
    """

    members: Names = ()
    forms: tuple[Form, ...] = ()
    names: tuple[str, ...] = ()

    def within(self, *around: int | str) -> Place:
        """Return this place in something larger, of which the value is one member."""
        forms = tuple(replace(one, before=one.before + len(around)) for one in self.forms)
        return replace(self, members=(*around, *self.members), forms=forms)


def place(schema: Mapping[str, Any], path: Sequence[int | str]) -> Place:
    """Return where an error lies.

    Args:
        schema: pydantic's own (`core_schema`), of the value that was read. What it does not know of
            a path is taken for members.
        path: the error's `loc`.
    """
    definitions: dict[str, Any] = {}
    node, found = _inner(schema, definitions), Place()
    for at, name in enumerate(path):
        if node is None:
            return replace(found, members=(*found.members, *path[at:]), names=())
        if node["type"] == "tagged-union":
            inner = node["choices"].get(name)
        elif node["type"] == "union":
            inner = _chosen(node["choices"], str(name))
            names = tuple(_fields(_inner(inner, definitions)))
            form = Form(str(name), len(found.members), names)
            found = replace(found, forms=(*found.forms, form))
        else:
            inner = _member(node, name)
            names = tuple(_fields(node))
            found = replace(found, members=(*found.members, name), names=names)
        node = _inner(inner, definitions)
    return found


def _inner(schema: Any, definitions: dict[str, Any]) -> Mapping[str, Any] | None:
    """Return the schema of what a value is, without all that only checks or changes it."""
    while isinstance(schema, Mapping):
        if "ref" in schema:
            definitions[schema["ref"]] = schema
        kind = schema.get("type")
        if kind == "definitions":
            definitions.update({one["ref"]: one for one in schema["definitions"]})
        if kind == "definition-ref":
            schema = definitions.get(schema["schema_ref"])
        elif kind == "chain":
            schema = schema["steps"][0]
        elif around := next((name for name in _AROUND if name in schema), None):
            schema = schema[around]
        else:
            return schema
    return None


def _chosen(choices: Sequence[Any], label: str) -> Any:
    """Return the schema of a form by the name that pydantic gives it."""
    for choice in choices:
        schema, own = choice if isinstance(choice, tuple) else (choice, None)
        kind = label.partition("[")[0].removeprefix("constrained-")
        named = getattr(schema.get("cls"), "__name__", None)
        if label in (own, named) or (own is None and kind == schema["type"]):
            return schema
    wrapped = _WRAPPED.fullmatch(label)
    return _chosen(choices, wrapped[1]) if wrapped else None


def _fields(schema: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return the names that an object has, each with its schema; none of anything else."""
    if schema is None or schema["type"] not in _OBJECTS:
        return {}
    fields = schema["fields"]
    if isinstance(fields, Mapping):
        return fields
    return {one.get("validation_alias") or one["name"]: one for one in fields}


def _member(schema: Mapping[str, Any], name: int | str) -> Any:
    kind = schema["type"]
    if kind in _OBJECTS:
        return _fields(schema).get(str(name))
    if kind == "dict":
        return schema.get("values_schema")
    if kind in _LISTS:
        items = schema.get("items_schema")
        return _item(schema, items, name) if isinstance(items, list) else items
    return None


def _item(schema: Mapping[str, Any], items: list[Any], name: int | str) -> Any:
    if not isinstance(name, int):
        return None
    repeated = schema.get("variadic_item_index")
    if repeated is not None and name >= repeated:
        return items[repeated]
    return items[name] if name < len(items) else None
