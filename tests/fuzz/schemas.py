"""Values that fit a JSON schema of the API's description, or nearly do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from tests.fuzz.mutations import NUMBERS, hostile_text, hostile_value

DEPTH = 5


class Description:
    """Draws values for parameters and bodies as the description has them."""

    def __init__(self, openapi: Mapping[str, Any]) -> None:
        self._schemas = openapi["components"]["schemas"]
        self._operations = {
            one["operationId"]: one
            for methods in openapi["paths"].values()
            for one in methods.values()
        }

    def parameters(self, operation: str, place: str) -> Iterator[tuple[str, Any]]:
        """Yield names and schemas of an operation's parameters."""
        for one in self._operations[operation].get("parameters", []):
            if one["in"] == place:
                yield one["name"], one["schema"]

    def body(self, operation: str) -> Any:
        """Return the schema of an operation's JSON body, or None."""
        content = self._operations[operation].get("requestBody", {}).get("content", {})
        return content.get("application/json", {}).get("schema")

    def value(self, random: Random, schema: Mapping[str, Any], depth: int = DEPTH) -> Any:
        """Return a value of a schema; patterns are not looked at."""
        if "$ref" in schema:
            return self.value(random, self._schemas[schema["$ref"].rpartition("/")[2]], depth)
        for several in ("anyOf", "oneOf", "allOf"):
            if several in schema:
                return self.value(random, random.choice(schema[several]), depth)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return random.choice(schema["enum"])
        if "default" in schema and random.random() < 0.5:
            return schema["default"]
        return self._of_type(random, schema, depth)

    def _of_type(self, random: Random, schema: Mapping[str, Any], depth: int) -> Any:
        kind = schema.get("type")
        if kind == "object":
            return self._object(random, schema, depth)
        if kind == "array":
            count = random.randrange(3) if depth else 0
            inner = [schema.get("items", {})] * count or schema.get("prefixItems", [])
            return [self.value(random, one, depth - 1) for one in inner]
        if kind == "string":
            return random.choice(("x", "age", "1", hostile_text(random)))
        if kind in {"integer", "number"}:
            bounds = [schema[one] for one in ("minimum", "maximum") if one in schema]
            return random.choice((*bounds, 1, 3, random.choice(NUMBERS)))
        return random.random() < 0.5 if kind == "boolean" else hostile_value(random, 1)

    def _object(self, random: Random, schema: Mapping[str, Any], depth: int) -> Any:
        wanted = schema.get("required", [])
        return {
            name: self.value(random, inner, depth - 1)
            for name, inner in schema.get("properties", {}).items()
            if name in wanted or (depth and random.random() < 0.4)
        }
