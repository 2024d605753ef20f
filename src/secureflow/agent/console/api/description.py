"""The API as an OpenAPI 3.1 document, from the table of operations."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from secureflow.agent.console.addresses import API
from secureflow.agent.console.api.operations import FORM, UNATTENDED, Operation
from secureflow.agent.console.api.problems import MEDIA_TYPE, Problem
from secureflow.domain.specs.base import adapter
from secureflow.kit.version import __version__

_PART: Final = re.compile(r"{(\w+)}")
_ARGUMENT: Final = re.compile(r"(\w+): (.+)")
_SCHEMAS: Final = "#/components/schemas/{model}"
_Model = tuple[str, JsonSchemaMode, TypeAdapter[Any]]


def described(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the document of these operations."""
    models: Any = list(_models(operations))
    found, definitions = TypeAdapter.json_schemas(
        models, ref_template=_SCHEMAS, schema_generator=_Schemas
    )
    schemas: dict[str, Any] = {**definitions.get("$defs", {})}
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        place = paths.setdefault(f"{API}{one.path}", {})
        place[one.method.lower()] = _operation(one, found)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "SecureFlow owner's page",
            "description": "The JSON API of `secureflow agent console`. The session is a cookie; "
            f"a call that writes sends JSON and the header {FORM} (`Session.form`). "
            f"One that reads keeps no session alive with {UNATTENDED}: 1.",
            "version": __version__,
        },
        "paths": paths,
        "components": {"schemas": {name: schemas[name] for name in sorted(schemas)}},
    }


def text(operations: Sequence[Operation]) -> str:
    """Return the document as indented JSON."""
    return json.dumps(described(operations), indent=2, ensure_ascii=False) + "\n"


def _models(operations: Sequence[Operation]) -> Iterator[_Model]:
    yield "Problem", "serialization", adapter(Problem)
    for one in operations:
        if one.answer is not None:
            yield f"{one.id} answer", "serialization", adapter(one.answer)
        if one.body is not None:
            yield f"{one.id} body", "validation", adapter(one.body)


def _operation(one: Operation, found: Mapping[Any, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": one.id,
        "summary": one.about,
        "x-needs": one.need,
        "parameters": list(_parameters(one)),
        "responses": _responses(one, found),
    }
    if one.body is not None:
        schema = found[f"{one.id} body", "validation"]
        made["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema}},
        }
    return made


def _responses(one: Operation, found: Mapping[Any, Any]) -> dict[str, Any]:
    problem = {"schema": found["Problem", "serialization"]}
    failed = {"description": "What went wrong", "content": {MEDIA_TYPE: problem}}
    if one.streams:
        content: dict[str, Any] = {"text/event-stream": {"schema": {"type": "string"}}}
        return {"200": {"description": "Events", "content": content}, "default": failed}
    if one.answer is None:
        return {"204": {"description": "It is done"}, "default": failed}
    schema = found[f"{one.id} answer", "serialization"]
    content = {"application/json": {"schema": schema}}
    return {"200": {"description": "The answer", "content": content}, "default": failed}


def _parameters(one: Operation) -> Iterator[dict[str, Any]]:
    for name in _PART.findall(one.path):
        schema = {"type": "string"}
        if pattern := one.patterns.get(name):
            schema["pattern"] = f"^{pattern}$"
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    if one.query is not None:
        asked = adapter(one.query).json_schema()
        about = _arguments(one.query.__doc__ or "")
        for name, each in asked.get("properties", {}).items():
            each.pop("title", None)
            described_as = {"description": about[name]} if name in about else {}
            yield {"name": name, "in": "query", "required": False, "schema": each, **described_as}


class _Schemas(GenerateJsonSchema):
    """Describes a member by what the docstring of its class says of it."""

    def dataclass_schema(self, schema: Any) -> dict[str, Any]:
        """Return a dataclass's schema, with a first paragraph as its description."""
        made = super().dataclass_schema(schema)
        of = schema.get("cls")
        if of is None or not is_dataclass(of):
            return made
        about = of.__doc__ or ""
        made["description"] = " ".join(about.partition("\n\n")[0].split())
        members: dict[str, dict[str, Any]] = made.get("properties", {})
        for name, said in _arguments(about).items():
            if name in members:
                members[name].setdefault("description", said)
        made.pop("title", None)
        for one in members.values():
            one.pop("title", None)
            if self.mode == "serialization":
                one.pop("default", None)
                one.pop("readOnly", None)
        if self.mode == "serialization":
            made["required"] = list(members)  # defaults are answered, too
        return made


def _arguments(about: str) -> dict[str, str]:
    """Return what a docstring says of each argument (Google style)."""
    _, begins, rest = about.partition("Args:\n")
    found: dict[str, str] = {}
    last = ""
    for line in rest.split("\n") if begins else ():
        told = line.strip()
        if not told:
            break
        argument = _ARGUMENT.fullmatch(told) if line.startswith(" " * 8) else None
        if argument and not line.startswith(" " * 9):
            last = argument[1]
            found[last] = argument[2]
        elif last:
            found[last] += f" {told}"
    return found
