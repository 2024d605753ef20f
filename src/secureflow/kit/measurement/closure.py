"""The static import closure: which of our files run when the entry point is run.

Everything that runs on loading counts: imports at a module's top level, in its classes and in its
branches, except under `if TYPE_CHECKING`, and every `__init__.py` on the way. An import inside a
function does not count: it may never run, and if it does the enclave's guard refuses modules that
are not measured (`enclave/guard.py`). As in Python, a package takes precedence over a module of the
same name.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

OURS: Final = "secureflow"
_COMPILED: Final = frozenset({".so", ".pyc"})
_LATER: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


@dataclass(frozen=True)
class Closure:
    """What an entry point reaches.

    Attributes:
        modules: our modules by name, with their content.
        foreign: what they import from elsewhere, dotted, the standard library included.
    """

    modules: dict[str, bytes]
    foreign: frozenset[str]


def file_of(name: str, root: Path) -> Path | None:
    """Return the file of one of our modules under the package's folder, or None."""
    place = root.joinpath(*name.split(".")[1:])
    for path in (place / "__init__.py", place.with_name(f"{place.name}.py")):
        if path.is_file():
            return path
    return None


def beside(name: str, root: Path) -> Path | None:
    """Return a file that Python could load in place of one of our modules' source, or None."""
    place = root.joinpath(*name.split(".")[1:])
    for path in (*place.parent.glob(f"{place.name}.*"), *place.glob("__init__.*")):
        if path.suffix in _COMPILED:
            return path
    return None


def closure(entry: str, root: Path) -> Closure:
    """Return what one of our modules reaches, itself and its packages included."""
    modules: dict[str, bytes] = {}
    foreign: set[str] = set()
    waiting = [entry]
    while waiting:
        for name in _with_packages(waiting.pop()):
            path = None if name in modules else file_of(name, root)
            if path is None:
                continue
            modules[name] = path.read_bytes()
            found = imports(modules[name], name, path.name == "__init__.py")
            waiting += (one for one in found if _is_ours(one))
            foreign.update(one for one in found if not _is_ours(one))
    return Closure(modules, frozenset(foreign))


def imports(source: bytes, module: str, package: bool) -> frozenset[str]:
    """Return the dotted names that a module's loading imports; of `from a import b`, `a` and `a.b`.

    Raises:
        SyntaxError: it is not Python.
    """
    home = module.split(".") if package else module.split(".")[:-1]
    return frozenset(_names(ast.parse(source).body, home))


def _names(statements: Sequence[ast.AST], home: list[str]) -> Iterator[str]:
    for one in statements:
        if isinstance(one, ast.Import):
            yield from (alias.name for alias in one.names)
        elif isinstance(one, ast.ImportFrom):
            above = home[: len(home) - one.level + 1] if one.level else []
            place = ".".join([*above, *filter(None, [one.module])])
            yield place
            yield from (f"{place}.{alias.name}" for alias in one.names)
        elif isinstance(one, ast.If) and _for_types(one.test):
            yield from _names(one.orelse, home)
        elif not isinstance(one, _LATER):
            yield from _names(list(ast.iter_child_nodes(one)), home)


def _for_types(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"


def _is_ours(name: str) -> bool:
    return name.split(".", 1)[0] == OURS


def _with_packages(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]
