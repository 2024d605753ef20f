"""Validators that stop early: how many errors a foreign value causes does not grow with its size.

Pydantic collects every error before it reports one, and an error takes a hundred times the memory
of the value that caused it: 1 MiB of wrong items took 400 MiB, and the event loop for seconds.
A sequence therefore stops at its first wrong item, and an object with far more members than it may
have is refused before any of them is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic_core import SchemaValidator

from secureflow.kit.text import Text

MAX_UNKNOWN: Final = 64
"""Unknown members of an object that are all named."""
MAX_MEMBERS: Final = 4096
"""Members of an object with free names whose values are checked, unless its type allows fewer."""
_SEQUENCES: Final = frozenset({"list", "tuple", "set", "frozenset"})
_WITHIN: Final = (
    "schema", "items_schema", "keys_schema", "values_schema", "fields", "choices", "definitions",
    "steps",
)  # fmt: skip
"""The parts of a schema that are schemas, or contain some."""


def validator(of: TypeAdapter[Any]) -> SchemaValidator:
    """Return a class's validator that stops early."""
    schema: Any = _stopping(of.core_schema)
    return SchemaValidator(schema)


def _stopping(schema: Any) -> Any:
    if isinstance(schema, list | tuple):
        return type(schema)(map(_stopping, schema))
    if not isinstance(schema, Mapping):
        return schema
    if "type" not in schema:  # choices by their tags
        return {name: _stopping(one) for name, one in schema.items()}
    made = {name: _stopping(one) if name in _WITHIN else one for name, one in schema.items()}
    if schema["type"] in _SEQUENCES:
        made["fail_fast"] = True
    most = _most_members(schema)
    return made if most is None else _at_most(most, made)


def _most_members(schema: Mapping[str, Any]) -> int | None:
    """Return the most members of an object with which reading it begins; None for any number."""
    if schema["type"] == "dict" and _can_fail(schema):
        return min(int(schema.get("max_length", MAX_MEMBERS)), MAX_MEMBERS)
    if schema["type"] == "dataclass" and _refuses_more(schema):
        return len(schema["fields"]) + MAX_UNKNOWN
    return None


def _can_fail(schema: Mapping[str, Any]) -> bool:
    """Tell whether a member of an object, whose names are texts, can be wrong."""
    keys, values = schema.get("keys_schema", {}), schema.get("values_schema", {})
    return not (set(keys) <= {"type"} and values.get("type", "any") == "any")


def _refuses_more(schema: Mapping[str, Any]) -> bool:
    config: Mapping[str, Any] = schema.get("config", {})
    return config.get("extra_fields_behavior") == "forbid"


def _at_most(most: int, schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that first counts the members of an object."""
    named = {"ref": schema.pop("ref")} if "ref" in schema else {}
    function = {"type": "no-info", "function": _counting(most)}
    return {"type": "function-before", "function": function, "schema": schema, **named}


def _counting(most: int) -> Callable[[Any], Any]:
    def count(value: Any) -> Any:
        if isinstance(value, dict) and len(value) > most:
            raise ValueError(Text("it has more than {most} members", most=most))
        return value

    return count
