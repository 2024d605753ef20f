"""Every single change of a JSON value: each member changed, removed, or of another type."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

Path = tuple[str | int, ...]
Mutant = tuple[str, Callable[[], bytes]]
"""What is changed, and the JSON text of it: only until the next one is asked for."""

_OTHERS: Final[tuple[Any, ...]] = (None, True, 1, 1.0, "", "\ud800", [], {})
_STEP: Final = 11
"""Of long texts (signatures, notes, hashes) one character in so many is changed."""


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the path of every member, those that hold others included."""
    if path:
        yield path
    members = value.items() if isinstance(value, dict) else ()
    for name, one in enumerate(value) if isinstance(value, list) else members:
        yield from places(one, (*path, name))


def mutants(value: Any) -> Iterator[Mutant]:
    """Yield each change of a value, which is as before at the end."""

    def text() -> bytes:
        return json.dumps(value).encode()

    for path in list(places(value)):
        parent = value
        for name in path[:-1]:
            parent = parent[name]
        last, honest = path[-1], parent[path[-1]]
        for what, other in _changed(honest):
            parent[last] = other
            yield f"{path} {what}", text
            parent[last] = honest
        if isinstance(parent, list):
            del parent[last]
            yield f"{path} removed", text
            parent.insert(last, honest)
        else:
            order = dict(parent)
            del parent[last]
            yield f"{path} removed", text
            parent.clear()
            parent.update(order)


def _changed(honest: Any) -> Iterator[tuple[str, Any]]:
    for other in _OTHERS:
        if type(other) is not type(honest) or other != honest:
            yield f"as {other!r}", other
    if isinstance(honest, bool):
        yield "negated", not honest
    elif isinstance(honest, int | float):
        for other in (honest + 1, -1, float(honest), 2**53, 1 << 70, honest + 0.5, 1e-7):
            yield f"as {other}", other
    elif isinstance(honest, str) and honest:
        last = len(honest) - 1
        for at in sorted({*range(0, len(honest), _STEP), last}):
            other = "B" if honest[at] == "A" else "A"
            yield f"with {other} at {at}", honest[:at] + other + honest[at + 1 :]
        for other in (honest + "\n", honest + "\u202e", honest.upper()):
            if other != honest:
                yield f"as {other!r:.40}", other
