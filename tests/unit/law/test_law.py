"""The law (CONTRIBUTING.md), checked on the syntax tree of every source file."""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Iterable, Iterator
from pathlib import Path

from secureflow.domain.errors import CATALOGUE
from tests.syntax import nodes

ROOT = Path(__file__).resolve().parents[3]
SOURCES = [
    path
    for folder in ("src", "benchmarks", "examples")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if "wire/v1" not in path.as_posix()
]
FORBIDDEN_MODULES = {"utils", "helpers", "common", "misc", "manager"}
FORBIDDEN_CLASS = re.compile(r"^(I[A-Z][a-z]\w*|Abstract\w*|\w+Impl|\w+Manager)$")
FORBIDDEN_IMPORTS = {"pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}


def _functions(
    walked: Iterable[ast.AST],
) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in walked:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _unannotated(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    every += [a for a in (arguments.vararg, arguments.kwarg) if a]
    names = [a.arg for a in every if a.annotation is None and a.arg not in {"self", "cls"}]
    if function.returns is None and function.name != "__init__":
        names.append("return")
    return names


def _file_problems(path: Path, lines: list[str]) -> Iterator[str]:
    if len(lines) > 500:
        yield f"{len(lines)} lines, more than 500"
    if FORBIDDEN_MODULES & {path.stem, *path.parent.parts[-3:]}:
        yield "a drawer module name"


def _function_problems(walked: Iterable[ast.AST]) -> Iterator[str]:
    for function in _functions(walked):
        length = (function.end_lineno or 0) - function.lineno + 1
        if length > 60:
            yield f"{function.name}: {length} lines, more than 60"
        missing = _unannotated(function)
        if missing:
            yield f"{function.name}: not annotated: {', '.join(missing)}"


def _name_problems(walked: Iterable[ast.AST]) -> Iterator[str]:
    for node in walked:
        if isinstance(node, ast.ClassDef) and FORBIDDEN_CLASS.match(node.name):
            yield f"class name {node.name}"
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [a.name for a in node.names] + [getattr(node, "module", None) or ""]
            if FORBIDDEN_IMPORTS & {n.split(".")[0] for n in names}:
                yield f"line {node.lineno}: a format that runs code"


def _line_problems(lines: list[str]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        broad = re.search(r"except (\(.*)?\b(Exception|BaseException)\b", line)
        if broad and "#" not in line:
            yield f"line {number}: broad except without a reason beside it"
        if re.search(r"\bTODO\b|\bFIXME\b", line) and not re.search(r"ADR|CHANGELOG", line):
            yield f"line {number}: an open end without a reference"


def test_files_keep_the_law() -> None:
    problems = [
        f"{path.relative_to(ROOT)}: {problem}"
        for path in SOURCES
        for lines in [path.read_text().splitlines()]
        for problem in (
            *_file_problems(path, lines),
            *_function_problems(nodes(path)),
            *_name_problems(nodes(path)),
            *_line_problems(lines),
        )
    ]
    assert not problems, "\n".join(problems)


def test_what_breaks_the_law_is_found() -> None:
    tree = ast.parse(
        "import pickle\nclass AbstractThing: ...\ndef f(a) -> None:\n" + "    a = 1\n" * 60
    )
    told = [*_function_problems(ast.walk(tree)), *_name_problems(ast.walk(tree))]
    assert told == [
        "f: 61 lines, more than 60",
        "f: not annotated: a",
        "line 1: a format that runs code",
        "class name AbstractThing",
    ]
    assert len([*_file_problems(ROOT / "src" / "utils" / "x.py", ["x"] * 501)]) == 2
    assert len([*_line_problems(["except Exception:", "# TODO"])]) == 2


def test_files_are_small() -> None:
    sizes = [len(path.read_text().splitlines()) for path in SOURCES]
    assert statistics.median(sizes) <= 120 or len(sizes) < 30, statistics.median(sizes)


def test_the_error_catalogue_holds_every_code() -> None:
    used: dict[str, str] = {}
    for path in SOURCES:
        for node in nodes(path):
            name = getattr(getattr(node, "func", None), "id", "")
            if isinstance(node, ast.Call) and name == "SecureFlowError" and node.args:
                first = node.args[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    used.setdefault(first.value, path.relative_to(ROOT).as_posix())
    missing = {code: where for code, where in used.items() if code not in CATALOGUE}
    assert not missing, missing


def test_no_index_host_is_spelled_out() -> None:
    hosts = re.compile(r"pypi\.org|pythonhosted\.org|registry\.npmjs\.org|deb\.debian\.org")
    suffixes = {".py", ".toml", ".txt", ".md", ".yaml", ".json", ".cfg", ".sh"}
    found = [
        path.relative_to(ROOT).as_posix()
        for folder in ("src", "requirements", "docs", "configs", "benchmarks", "api", "deploy")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix in suffixes and hosts.search(path.read_text())
    ]
    assert not found
