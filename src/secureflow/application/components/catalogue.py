"""The catalogue of all that can be drawn: kinds of job, and what goes into them.

Everything follows from the tables of kinds, their requests' schemas and the engines' disclosure; a
kind, step, family, measure or program that is added there is a component here, once it has its
words (`secureflow.texts.components`). The catalogue is the same as long as the process runs.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args, get_type_hints

from secureflow.application.access import Principal, require
from secureflow.application.components.kinds import DRAWN, GROUPS, sample
from secureflow.application.components.schemas import Schema, choices, forms, schemas
from secureflow.domain.specs.base import JobSpec
from secureflow.domain.specs.conditions import ANY_METRIC
from secureflow.domain.specs.kind import SpecKinds
from secureflow.domain.specs.ports import PORTS, WHEN, Port, Ports
from secureflow.engines.run.kind import EngineKinds
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import text_in
from secureflow.texts import told
from secureflow.texts.components import words_of

VERSION: Final = 1
"""Of the catalogue's shape."""
_PROTECTIONS: Final = ("none", "peers", "sealed", "secagg", "sealed+secagg")
_STAYS: Final = frozenset({"rows", "table", "matched_rows"})
"""Types of ports whose content never leaves an owner's agent."""
_MOST_TRIED: Final = 4
_ROWS_IN: Final = {
    **{"name": "rows", "type": "rows", "required": True, "many": True},
    **{"field": "datasets", "goes_on": False},
}
"""What every kind takes: a dataset of each organisation."""


@dataclass(frozen=True)
class Catalogue:
    """The catalogue as it is sent, and the digest of these bytes in hex (SHA-256)."""

    body: bytes
    digest: str


class Components:
    """Use cases around components.

    Args:
        kinds: of the jobs that can be asked for.
    """

    def __init__(self, kinds: EngineKinds) -> None:
        self._kinds = kinds
        self._made: Catalogue | None = None
        self._making = asyncio.Lock()

    async def catalogue(self, principal: Principal) -> Catalogue:
        """Return the catalogue, which is made at the first request: it takes a second.

        Raises:
            SecureFlowError: `forbidden`.
        """
        require(principal, "job.read")
        async with self._making:
            if self._made is None:
                self._made = await asyncio.to_thread(self._make)
            return self._made

    def _make(self) -> Catalogue:
        made = json.dumps(catalogue(self._kinds), ensure_ascii=False, separators=(",", ":"))
        body = made.encode()
        return Catalogue(body, hashlib.sha256(body).hexdigest())


def catalogue(kinds: EngineKinds) -> dict[str, Any]:
    """Return the catalogue as JSON; the Chinese stands beside the English everywhere.

    Raises:
        KeyError: something has no words; a test tells what.
    """
    definitions, roots = schemas(kinds.specs)
    types = dict.fromkeys(["rows", *(one.type for one in _every_port())])
    return {
        "version": VERSION,
        "groups": [{"id": one, **words_of("group", one)} for one in GROUPS],
        "port_types": [
            {"id": one, **words_of("port", one), "stays": one in _STAYS} for one in types
        ],
        "protections": [{"id": one, **words_of("protection", one)} for one in _PROTECTIONS],
        "components": list(_components(kinds, definitions, roots)),
        "conditions": sorted(ANY_METRIC),
        "$defs": definitions,
    }


def _every_port() -> Iterator[Port]:
    for ports in PORTS.values():
        yield from (*ports.inputs, *ports.outputs)


def _components(
    kinds: EngineKinds, definitions: Mapping[str, Schema], roots: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    for name, root in roots.items():
        common = _common(kinds, name, definitions[root])
        whole = {"id": name, "level": "kind", "place": None, "preset": {"kind": name}}
        yield _component({**whole, **common}, root, kinds, sample(kinds.specs, name))
        parts = DRAWN[name].parts
        if parts is None:
            continue
        field = definitions[root]["properties"][parts.field]
        place = {"path": parts.field, "many": field.get("type") == "array"}
        for form in forms(field):
            tags = definitions[form]["properties"][parts.tag]
            for value in (tags["const"],) if "const" in tags else choices(tags):
                if value in parts.hidden:
                    continue
                one = {"id": f"{name}.{value}", "level": parts.level, "place": place}
                one |= {"preset": {parts.tag: value}, **common, **parts.own(value)}
                yield _component(one, form, kinds, parts.sample(kinds.specs, value))


def _component(
    one: Mapping[str, Any], form: str, kinds: EngineKinds, spec: JobSpec
) -> dict[str, Any]:
    """Return a component with its words, its parameters, and who learns what by default."""
    return {
        **one,
        **words_of("component", one["id"]),
        "parameters": {"$ref": f"#/$defs/{form}"},
        "learns": [_both(row) for row in kinds.of(spec).disclosure(spec, "")],
    }


def _common(kinds: EngineKinds, name: str, schema: Schema) -> dict[str, Any]:
    """Return what a kind and all its parts have in common."""
    given, drawn = PORTS.get(name, Ports()), DRAWN[name]
    return {
        "kind": name,
        "group": drawn.group,
        "inputs": [
            {**_ROWS_IN, **words_of("port_name", "rows")},
            *map(_port, given.inputs),
            *([_port(WHEN)] if name in PORTS else []),
        ],
        "outputs": [*map(_port, given.outputs)],
        "step": name in PORTS,
        "protections": _protections(kinds, name, schema),
        "smallest_roster": _smallest(kinds.specs, name),
        "engine": drawn.engine,
        "extra": "",
    }


def _protections(kinds: EngineKinds, name: str, schema: Schema) -> list[str]:
    """Return what can be chosen, else what the kind's specs have."""
    chosen = schema["properties"].get("protection")
    if chosen is not None:
        return [one for one in _PROTECTIONS if one in choices(chosen)]
    named = get_args(get_type_hints(kinds[name].spec.spec)["protection"])
    return [one for one in _PROTECTIONS if one in named]


def _smallest(specs: SpecKinds, name: str) -> int:
    """Return the fewest parties whose number no rule of the kind refuses."""
    for count in range(1, _MOST_TRIED):
        try:
            specs.check(sample(specs, name, parties=count))
        except SecureFlowError as error:
            if (error.details or {}).get("field") == "roster":
                continue
        return count
    return _MOST_TRIED


def _port(port: Port) -> dict[str, Any]:
    return {
        "name": port.name,
        "type": port.type,
        **words_of("port_name", port.name),
        "required": port.needed,
        "many": port.many,
        "field": port.field,
        "goes_on": port.goes_on,
    }


def _both(row: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return the texts of a row of a disclosure in both languages."""
    texts = {name: text_in(row, name) for name in ("who", "sees", "why")}
    return {name: {"en": str(one), "zh": str(told(one, "zh"))} for name, one in texts.items()}
