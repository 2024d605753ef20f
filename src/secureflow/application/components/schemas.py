"""JSON schemas of what can be asked for, with words in both languages beside every field.

They are made of the classes of the requests, so that they cannot say anything else than what is
checked; what a form needs beside that has names of its own (`x-words`, `x-choices`, `x-picks`,
`x-expert`, `x-common`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, Final

from pydantic import TypeAdapter

from secureflow.domain.specs.kind import SpecKinds
from secureflow.domain.specs.request import RequestBase
from secureflow.domain.texts import ONE_LINE
from secureflow.texts.components import choice_words, field_words

Schema = dict[str, Any]

COMMON: Final = frozenset(one.name for one in fields(RequestBase))
"""Fields that the request of every kind begins with."""
_MODULE: Final = "__"
_HINTS: Final = {"picks": "x-picks", "expert": "x-expert"}
_HOLDS_FORMS: Final = ("anyOf", "oneOf", "items", "prefixItems")
_NAMED: Final = frozenset({"strategy", "aggregation", "compression"})
"""Fields whose forms are no components, which would have names: their constants need words."""
_LEFT_OUT: Final = frozenset({"title", "description", "examples"})


def schemas(kinds: SpecKinds) -> tuple[dict[str, Schema], dict[str, str]]:
    """Return every definition with its words, and the name of each kind's request among them.

    Raises:
        KeyError: a field or a choice without words.
    """
    asked = [(kind.name, "validation", TypeAdapter(kind.request)) for kind in kinds.values()]
    named, root = TypeAdapter.json_schemas(asked)  # type: ignore[arg-type]
    definitions = {_short(name): _plain(one) for name, one in root["$defs"].items()}
    for name, one in definitions.items():
        requested = name in {kind.request.__name__ for kind in kinds.values()}
        for field, schema in one.get("properties", {}).items():
            _describe(name, field, schema, definitions)
            if requested and field in COMMON:
                schema["x-common"] = True
    roots = {key: _short(one["$ref"].rsplit("/", 1)[-1]) for (key, _), one in named.items()}
    return definitions, roots


def forms(schema: Schema) -> Iterator[str]:
    """Yield the names of the definitions that a field may hold, in the order of its schema."""
    if "$ref" in schema:
        yield schema["$ref"].rsplit("/", 1)[-1]
    for member in _HOLDS_FORMS:
        inner = schema.get(member, [])
        for one in inner if isinstance(inner, list) else [inner]:
            yield from forms(one)


def choices(schema: Schema) -> Iterator[str]:
    """Yield the texts that a field may hold one of, each once."""
    found = [str(one) for one in schema.get("enum", ())]
    for member in _HOLDS_FORMS:
        inner = schema.get(member, [])
        for one in inner if isinstance(inner, list) else [inner]:
            found += [*choices(one), *([str(one["const"])] if "const" in one else [])]
    yield from dict.fromkeys(found)


def _describe(of: str, field: str, schema: Schema, definitions: Mapping[str, Schema]) -> None:
    """Put words beside a field; what is constant is nothing to fill in."""
    if "const" in schema:
        return
    words = field_words(of, field)
    schema["x-words"] = {
        name: words[name] for name in ("title", "description", "unit") if name in words
    }
    schema.update({to: words[name] for name, to in _HINTS.items() if name in words})
    values = [*choices(schema), *(_tags(schema, definitions) if field in _NAMED else ())]
    if named := {one: choice_words(of, field, one) for one in values}:
        schema["x-choices"] = named


def _tags(schema: Schema, definitions: Mapping[str, Schema]) -> Iterator[str]:
    """Yield the constants by which the forms that a field may hold are told apart."""
    for form in forms(schema):
        members = definitions[_short(form)]["properties"].values()
        yield from (str(one["const"]) for one in members if "const" in one)


def _short(name: str) -> str:
    """Return a definition's name; of two classes with one name, with its module's."""
    parts = name.split(_MODULE)
    return name if len(parts) == 1 else ".".join(parts[-2:])


def _plain(value: Any, *, names: bool = False) -> Any:
    """Return a schema without texts in one language, and with short references and patterns.

    Args:
        value: the schema, or a part of it.
        names: whether its members are the names of fields, which may be called anything.
    """
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if not isinstance(value, Mapping):
        return value
    found: Schema = {}
    for name, one in value.items():
        if name == "$ref":
            found[name] = f"#/$defs/{_short(one.rsplit('/', 1)[-1])}"
        elif name == "pattern" and one == ONE_LINE.pattern and not names:
            found["format"] = "line"
        elif name == "default" and not names:
            found[name] = one
        elif names or name not in _LEFT_OUT:
            found[name] = _plain(one, names=name == "properties" and not names)
    return found
