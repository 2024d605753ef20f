"""The names in a file of Python that are not plain ASCII."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from typing import Final

MAX_PARSED: Final = 256 << 10
"""Bytes of a file that is parsed."""


def foreign_names(text: str) -> frozenset[str] | None:
    """Return them as Python reads them (NFKC); None where a file cannot be parsed, or is too long.

    Comments and strings may be in any language, names of variables rarely are.
    """
    if len(text.encode()) > MAX_PARSED:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return frozenset(one for one in _names(tree) if not one.isascii())


def _names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            continue
        for _, value in ast.iter_fields(node):
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, str):
                    yield from one.split(".")
