"""What can be told of a bundle without running it: imports, and what keeps it from running.

All of it is *information*, never a guarantee: code can import by a name that it computes. Parsing
is bounded by size, since a syntax tree takes a hundred times the bytes of its source.
"""

from __future__ import annotations

import ast
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from secureflow.engines.bundles.characters import Remark
from secureflow.engines.bundles.format import Bundle
from secureflow.engines.bundles.identifiers import MAX_PARSED
from secureflow.kit.plain import shown
from secureflow.kit.text import Text

Version = tuple[int, int]

METHODS: Final = ("initial", "prepare", "train", "evaluate")
"""What the class of an entry point is called for (docs/bundles.md)."""
MAX_PARSED_IN_ALL: Final = 2 << 20
MAX_IMPORTS: Final = 200
"""Imports of one file that are listed."""
_STARTUP: Final = frozenset({"__main__", "sitecustomize", "usercustomize"})
"""Modules that an interpreter looks for by itself."""


@dataclass(frozen=True)
class Inspection:
    """What was found.

    Args:
        python: the Python version that the syntax was checked for.
        imports: file → the modules that it names, sorted.
        problems: what keeps the bundle from running, first those of files.
        unread: Python files that were too long to be parsed.
    """

    python: Version
    imports: Mapping[str, tuple[str, ...]]
    problems: tuple[Remark, ...]
    unread: tuple[str, ...]

    @property
    def modules(self) -> tuple[str, ...]:
        """The first names of all absolute imports, sorted."""
        every = (name for names in self.imports.values() for name in names)
        return tuple(sorted({name.partition(".")[0] for name in every} - {""}))


def inspect(
    bundle: Bundle,
    entry: str = "",
    python: Version = sys.version_info[:2],
    methods: tuple[str, ...] = METHODS,
) -> Inspection:
    """Parse the bundle's Python files and check its names and entry point.

    Args:
        bundle: what is inspected.
        entry: `module:Class`; it is not looked for if it is empty.
        python: version of the environment; a newer one than this interpreter's is taken for it.
        methods: that the class of the entry point is called for.
    """
    python = min(python, sys.version_info[:2])
    imports: dict[str, tuple[str, ...]] = {}
    trees: dict[str, ast.Module] = {}
    problems: list[Remark] = list(_shadowing(bundle))
    unread: list[str] = []
    room = MAX_PARSED_IN_ALL
    module = entry.partition(":")[0]
    wanted = _files_of(module) if entry else ()
    for path in (one for one in bundle.files if one.endswith(".py")):
        room -= len(bundle.files[path])
        if len(bundle.files[path]) > MAX_PARSED or room < 0:
            unread.append(path)
            continue
        found = _parsed(path, bundle.text(path), python)
        if isinstance(found, Remark):
            problems.append(found)
            continue
        imports[path] = tuple(sorted(set(_imports(found))))[:MAX_IMPORTS]
        if path in wanted:
            trees[path] = found
    if entry:
        unsure = {*unread, *(one.file for one in problems)}
        problems += _entry_problems(bundle, entry, trees, unsure, methods)
    return Inspection(python, imports, tuple(problems), tuple(unread))


def lacks(bundle: Bundle, entry: str, method: str) -> bool:
    """Tell whether an entry point's class certainly has no such method.

    False where it may get one elsewhere: from a base class, a decorator, or another name.
    """
    module, _, name = entry.partition(":")
    there = [path for path in _files_of(module) if path in bundle.files]
    if len(there) != 1 or len(bundle.files[there[0]]) > MAX_PARSED:
        return False
    tree = _parsed(there[0], bundle.text(there[0]), sys.version_info[:2])
    if isinstance(tree, Remark):
        return False
    bound = _binding(tree, name)
    plain = isinstance(bound, ast.ClassDef) and not (
        bound.bases or bound.keywords or bound.decorator_list
    )
    return plain and method not in set(_named(tree))


def _named(tree: ast.Module) -> Iterator[str]:
    """Yield every name, attribute and text of a module: one of them may become a method's."""
    for node in ast.walk(tree):
        for one in ("name", "id", "attr", "asname", "value"):
            found = getattr(node, one, None)
            if isinstance(found, str):
                yield found


def _parsed(path: str, text: str, python: Version) -> ast.Module | Remark:
    version = f"{python[0]}.{python[1]}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text, feature_version=python)
    except SyntaxError as error:
        reason = Text(
            "syntax error in Python {version}: {reason}",
            version=version,
            reason=shown(error.msg)[:200],
        )
        return Remark(path, error.lineno or 0, reason)
    except (ValueError, RecursionError, MemoryError):  # nested too deeply, or a NUL
        return Remark(path, 0, Text("Python {version} cannot parse it", version=version))


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for one in node.names:
                yield shown(one.name)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + shown(node.module or "")


def _shadowing(bundle: Bundle) -> Iterator[Remark]:
    """Yield modules that have a name of the standard library, each at its first file."""
    seen: set[str] = set()
    for path in bundle.files:
        name = path.partition("/")[0]
        if "/" not in path and not path.endswith(".py"):
            continue
        name = name.removesuffix(".py")
        if name not in seen and name in sys.stdlib_module_names | _STARTUP:
            seen.add(name)
            text = Text("{name} is a module of Python itself: choose another name", name=name)
            yield Remark(path, 0, text)


def _files_of(module: str) -> tuple[str, str]:
    path = module.replace(".", "/")
    return f"{path}.py", f"{path}/__init__.py"


def _entry_problems(
    bundle: Bundle,
    entry: str,
    trees: Mapping[str, ast.Module],
    unsure: set[str],
    methods: tuple[str, ...],
) -> Iterator[Remark]:
    module, _, name = entry.partition(":")
    wanted = _files_of(module)
    there = [path for path in wanted if path in bundle.files]
    name, module = shown(name)[:64], shown(module)[:200]
    if not there:
        reason = Text("the entry point's module {module} is not in the bundle", module=module)
        yield Remark(wanted[0], 0, reason)
    for path in there:
        if path in unsure:
            continue
        bound = _binding(trees[path], name)
        if bound is None:
            reason = Text("the entry point's class {name} is not defined", name=name)
            yield Remark(path, 0, reason)
        elif isinstance(bound, ast.ClassDef) and not bound.bases:
            defined = {one.name for one in bound.body if isinstance(one, ast.FunctionDef)}
            for method in methods:
                if method not in defined:
                    reason = Text("{name} has no method {method}", name=name, method=method)
                    yield Remark(path, bound.lineno, reason)


def _binding(tree: ast.Module, name: str) -> ast.AST | None:
    """Return what binds a name at the top of a module."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return node
        if isinstance(node, ast.Import | ast.ImportFrom) and any(
            (one.asname or one.name) in {name, "*"} for one in node.names
        ):
            return node
        if isinstance(node, ast.Assign) and any(
            isinstance(one, ast.Name) and one.id == name for one in node.targets
        ):
            return node
    return None
