"""The syntax trees of the source, parsed once for the files of tests that walk them all.

Those files go to one worker (`tests.order.TOGETHER`): to parse the whole takes two seconds.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path


@cache
def tree(path: Path) -> ast.Module:
    """Return the syntax tree of a file; nobody changes it."""
    return ast.parse(path.read_text())


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Return every node of it, as `ast.walk` has them."""
    return tuple(ast.walk(tree(path)))
