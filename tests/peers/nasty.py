"""JSON values that a parser of foreign bytes does not expect: wrong types, edges, lies."""

from __future__ import annotations

from typing import Any

NASTY: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1 << 31,
    1 << 63,
    10**400,
    0.5,
    -0.0,
    1e308,
    "",
    "0" * 64,
    "F" * 64,
    "\0",
    "\ud800",
    "x" * 5000,
    [],
    {},
    [None],
    [[]],
    {"a": 1},
    ["", 0],
]
