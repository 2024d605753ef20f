"""What the source says to people, found by following it: texts that end up in errors and findings.

It starts from the arguments of `SecureFlowError` and its like, and goes on, until nothing new is
found, to what flows into them within the source: local variables, constants of modules, parameters
of functions (at every call of them), what functions return, and the facts of a text.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import secureflow
from tests.syntax import nodes, tree

SOURCE = Path(secureflow.__file__).parent
SPEAKERS = {
    "SecureFlowError": (1, 2), "InfrastructureError": (1, 2), "UnsuccessfulJobError": (1, 2),
    "KeyVaultError": (1, 2),
    "Finding": (1, 2), "Passed": (1,), "Decision": (1,), "Refused": (1, 2), "StepProblem": (1, 2),
    "ChannelFaultError": (0,), "_broken": (0,),
}  # fmt: skip
"""Positions of the arguments that people read."""
SPOKEN = {"message", "hint"}
YIELDING = (
    "application/jobs/training.py", "application/jobs/statistics.py",
    "application/jobs/pricing.py", "application/jobs/reachability.py",
    "application/jobs/rosters.py", "engines/run/explaining.py",
    "engines/training/disclosure.py", "engines/statistics/disclosure.py", "domain/charter.py",
)  # fmt: skip
"""Modules whose generators yield remarks or rows for people."""
SPEAKING = (
    *(f"engines/ledger/{name}.py" for name in ("accused", "bundle", "ends", "gaps", "held")),
    "adapters/database/emptiness.py", "agent/record/room.py", "engines/run/explaining.py",
)  # fmt: skip
"""Modules that say nothing but what people read: no f-string of words stands in them."""
STORED = {("agent/owner/inbox.py", "_closed"): "reason"}
"""Parameters whose texts are stored in English; their Chinese is looked up when they are shown."""
RETURNING = {
    "agent/edge/check.py": ("_leaf",), "domain/continuation.py": ("problem", "_number_problem"),
}  # fmt: skip
"""Functions that return what people read, where no call of them is found."""
PROBLEMS = {"Problem | None": 1, "tuple[str, str] | None": 0}
"""Annotations of functions that return why a spec contradicts itself: what precedes the reason."""
WORDS = re.compile("[A-Za-z]{2}.* | .*[A-Za-z]{2}")
Function = ast.FunctionDef | ast.AsyncFunctionDef
Named = tuple[Path, str]
"""A function by its module and name."""


@dataclass
class Said:
    """What was found, each with the place where it stands."""

    templates: dict[str, tuple[frozenset[str], str]] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)
    formatted: dict[str, str] = field(default_factory=dict)
    """f-strings, which keep no facts."""


class Reading:
    """One pass over the source."""

    def __init__(self, source: Path = SOURCE) -> None:
        self.said = Said()
        self._source = source
        self._trees = {
            path: tree(path)
            for path in sorted(source.rglob("*.py"))
            if "migrations" not in path.parts
        }
        self._modules = {self._dotted(path): path for path in self._trees}
        self._functions: dict[Named, Function] = {}
        self._within: dict[ast.AST, Function | None] = {}
        self._imports: dict[Path, dict[str, Named]] = defaultdict(dict)
        self._texts_of_ours = source / "kit" / "text.py"
        self._heard: dict[Named, set[str]] = defaultdict(set)
        """Parameters of functions that end up in a text."""
        self._seen: set[object] = set()
        for path, module in self._trees.items():
            self._survey(path, module, None)
        calls = [
            (path, node)
            for path in self._trees
            for node in nodes(path)
            if isinstance(node, ast.Call)
        ]
        self._yielded()
        self._contradictions()
        self._named_here()
        for name in SPEAKING:
            self._formatted(source / name)
        for path, call in calls:
            if _name(call) == "Text":
                self._text(path, call)
        calls = [
            (path, call)
            for path, call in calls
            if _name(call) in SPEAKERS or self._called(path, call)
        ]
        size = -1
        while size != len(self._seen):
            size = len(self._seen)
            for path, call in calls:
                for argument in self._spoken(path, call):
                    self._text(path, argument)

    def _dotted(self, path: Path) -> str:
        parts = ("secureflow", *path.relative_to(self._source).with_suffix("").parts)
        return ".".join(parts).removesuffix(".__init__")

    def _survey(self, path: Path, node: ast.AST, within: Function | None) -> None:
        for child in ast.iter_child_nodes(node):
            self._within[child] = within
            if isinstance(child, Function):
                self._functions[path, child.name] = child
            if isinstance(child, ast.ImportFrom) and child.module in self._modules:
                for one in child.names:
                    self._imports[path][one.asname or one.name] = (
                        self._modules[child.module],
                        one.name,
                    )
            self._survey(path, child, child if isinstance(child, Function) else within)

    def _yielded(self) -> None:
        for name in YIELDING:
            path = self._source / name
            for node in ast.walk(self._trees[path]):
                if isinstance(node, ast.Yield) and node.value is not None:
                    self._text(path, node.value)

    def _contradictions(self) -> None:
        """Take what functions return as a contradiction in a spec: reason and hint."""
        for (path, _), function in self._functions.items():
            returned = ast.unparse(function.returns) if function.returns else ""
            if returned not in PROBLEMS:
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.Return) and node.value is not None:
                    for told in (node.value, *_parts(node.value)):
                        if isinstance(told, ast.Tuple):
                            for one in told.elts[PROBLEMS[returned] :]:
                                self._text(path, one)

    def _named_here(self) -> None:
        for name, functions in RETURNING.items():
            for function in functions:
                self._told(self._source / name, self._functions[self._source / name, function])
        for (name, function), parameter in STORED.items():
            self._heard[self._source / name, function].add(parameter)

    def _told(self, path: Path, function: Function) -> None:
        """Take what a function returns, and the keys of its rules."""
        for node in ast.walk(function):
            if isinstance(node, ast.Return) and node.value is not None:
                self._text(path, node.value)
            elif isinstance(node, ast.Dict):
                for key in filter(None, node.keys):
                    self._text(path, key)

    def _formatted(self, path: Path) -> None:
        for node in ast.walk(self._trees[path]):
            if isinstance(node, ast.JoinedStr):
                fixed = "".join(one.value for one in node.values if isinstance(one, ast.Constant))
                if WORDS.search(fixed):
                    self._text(path, node)

    def _spoken(self, path: Path, call: ast.Call) -> Iterator[ast.expr]:
        name = _name(call)
        if name in SPEAKERS:
            yield from (one for n, one in enumerate(call.args) if n in SPEAKERS[name])
            yield from (one.value for one in call.keywords if one.arg in SPOKEN)
            return
        called = self._called(path, call)
        if called is None or called not in self._heard:
            return
        arguments = self._functions[called].args
        names = [one.arg for one in (*arguments.posonlyargs, *arguments.args)]
        bound = isinstance(call.func, ast.Attribute) and names[:1] in (["self"], ["cls"])
        for place, one in enumerate(call.args, int(bound)):
            if isinstance(one, ast.Starred):
                break
            if place < len(names) and names[place] in self._heard[called]:
                yield one
        yield from (one.value for one in call.keywords if one.arg in self._heard[called])

    def _called(self, path: Path, call: ast.Call) -> Named | None:
        name, of = _name(call), getattr(call.func, "value", None)
        if isinstance(call.func, ast.Name):
            return self._found(path, name)
        if isinstance(of, ast.Name) and of.id in ("self", "cls"):
            return (path, name) if (path, name) in self._functions else None
        if isinstance(of, ast.Name) and of.id in self._imports[path]:
            module, what = self._imports[path][of.id]
            place = self._modules.get(f"{self._dotted(module)}.{what}")
            return (place, name) if place and (place, name) in self._functions else None
        return None

    def _found(self, path: Path, name: str) -> Named | None:
        here: Named | None = (path, name)
        while here is not None and here not in self._functions:
            here = self._imports[here[0]].get(here[1])
        return here

    def _text(self, path: Path, node: ast.expr) -> None:
        """Take an expression that people read."""
        place = f"{path.relative_to(self._source)}:{node.lineno}"
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            self.said.constants.setdefault(node.value, place)
        elif isinstance(node, ast.JoinedStr):
            self.said.formatted.setdefault(ast.unparse(node), place)
        elif isinstance(node, ast.Name):
            self._named(path, node)
        elif isinstance(node, ast.Call):
            self._returned(path, node, place)
        for one in _parts(node):
            self._text(path, one)

    def _returned(self, path: Path, call: ast.Call, place: str) -> None:
        name = _name(call)
        plain = isinstance(call.func, ast.Name)  # not `sqlalchemy.Text`
        if (
            plain
            and name == "Text"
            and self._imports[path].get("Text", ("", ""))[0] == self._texts_of_ours
        ):
            template = call.args[0]
            if not isinstance(template, ast.Constant):
                raise AssertionError(f"{place}: a template must stand there")
            facts = frozenset(one.arg for one in call.keywords if one.arg)
            self.said.templates.setdefault(template.value, (facts, place))
            for one in call.keywords:
                self._text(path, one.value)
        elif name in ("Joined", "without_stop"):
            for argument in call.args[-1:]:
                self._text(path, argument)
        called = self._called(path, call)
        if called is None or called in self._seen:
            return
        function = self._functions[called]
        if function.returns is None or "str" not in ast.unparse(function.returns):
            return
        self._seen.add(called)
        for node in ast.walk(function):
            if isinstance(node, ast.Return) and node.value is not None:
                self._text(called[0], node.value)

    def _named(self, path: Path, node: ast.Name) -> None:
        """Follow a name to what it stands for."""
        within = self._within.get(node)
        key = (path, within, node.id)
        if key in self._seen:
            return
        self._seen.add(key)
        if within is not None:
            arguments = within.args
            every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
            if node.id in {one.arg for one in every}:
                self._heard[path, within.name].add(node.id)
            for value in _assigned(ast.walk(within), node.id):
                self._text(path, value)
        for value in _assigned(self._trees[path].body, node.id):
            self._text(path, value)
        if node.id in self._imports[path]:
            module, name = self._imports[path][node.id]
            for value in _assigned(self._trees[module].body, name):
                self._text(module, value)


def _parts(node: ast.expr) -> list[ast.expr]:
    """Return the expressions one of which, or all of which, an expression is."""
    match node:
        case ast.IfExp():
            return [node.body, node.orelse]
        case ast.BoolOp():
            return node.values
        case ast.List() | ast.Tuple():
            return node.elts
        case ast.Dict():
            return node.values
        case ast.ListComp():
            return [node.elt]
        case ast.Starred() | ast.NamedExpr() | ast.Subscript():
            return [node.value]
        case ast.Call(func=ast.Attribute(value=table, attr="get"), args=[_, *others]):
            return [table, *others]
    return []


def _assigned(nodes: Iterator[ast.AST] | list[ast.stmt], name: str) -> Iterator[ast.expr]:
    for node in nodes:
        if isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
            targets: list[ast.expr] = [node.target]
        elif isinstance(node, ast.Assign):
            targets = node.targets
        else:
            continue
        for target in targets:
            if isinstance(target, ast.Name) and target.id == name:
                yield node.value
            elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                yield from (
                    value
                    for one, value in zip(target.elts, node.value.elts, strict=False)
                    if isinstance(one, ast.Name) and one.id == name
                )


def _name(call: ast.Call) -> str:
    return getattr(call.func, "id", "") or getattr(call.func, "attr", "")
