"""One seam for every kind of job: outside of a kind's own modules nothing tells kinds apart."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

from secureflow.domain.specs.kinds import SPEC_KINDS

SOURCE = Path(__file__).resolve().parents[3] / "src" / "secureflow"
PROBES = {"hasattr", "getattr"}
WHOSE = ("spec", "job", "wanted", "request", "body", "entity")
SPECS = {kind.spec.__name__ for kind in SPEC_KINDS.values()}
OWN = (
    "domain/specs/training.py",
    "domain/specs/training_rules.py",
    "domain/specs/statistics.py",
    "domain/specs/kinds.py",
    "engines/training/",
    "engines/statistics/",
    "application/jobs/training.py",
    "application/jobs/models.py",
    "application/jobs/statistics.py",
    "application/ports/statistician.py",
    "adapters/frameworks/",
    "adapters/statistics/",
    "agent/compute/training.py",
    "agent/compute/statistics.py",
    "agent/compute/counting.py",
    "agent/kinds/training.py",
    "agent/kinds/features.py",
    "agent/kinds/updates.py",
    "agent/kinds/steps.py",
    "agent/kinds/modelfiles.py",
    "agent/kinds/moments.py",
    "agent/kinds/statistics.py",
    "enclave/training.py",
    "enclave/folds.py",
    "enclave/models.py",
    "cli/kinds.py",
    "demo/comparison.py",
)
"""Modules and packages of one kind alone, and the tables of the command line."""


def test_only_a_kinds_own_modules_tell_kinds_apart() -> None:
    found = [
        f"{path.relative_to(SOURCE)}:{line}: {what}"
        for path in sorted(SOURCE.rglob("*.py"))
        if not str(path.relative_to(SOURCE)).startswith(OWN)
        for line, what in told_apart(ast.parse(path.read_text()))
    ]
    assert not found, "\n".join(found)


def test_what_tells_kinds_apart_is_found() -> None:
    for text in (
        "from x import TrainingSpec",
        "isinstance(spec, x.StatisticsSpec)",
        "if spec.kind == 'training': ...",
        "if kind in ('training', 'mpc'): ...",
        "hasattr(spec, 'privacy')",
        "getattr(job.spec, 'privacy', None)",
        "match spec.kind:\n    case 'training': ...",
    ):
        assert list(told_apart(ast.parse(text))), text
    for text in ("hasattr(rows, 'columns')", "if state == 'running': ...", "kinds.of(spec)"):
        assert not list(told_apart(ast.parse(text))), text


def told_apart(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield where a spec class is named, `kind` compared with a literal, or a spec probed."""
    for node in ast.walk(tree):
        named = getattr(node, "id", None) or getattr(node, "attr", None)
        if isinstance(node, ast.alias):
            named = node.name
        if named in SPECS and isinstance(node, ast.Name | ast.Attribute | ast.alias):
            yield node.lineno, f"names {named}"
        if isinstance(node, ast.Compare) and _tells((node.left, *node.comparators)):
            yield node.lineno, "compares a kind with a literal"
        if isinstance(node, ast.Match) and _is_kind(node.subject):
            yield node.lineno, "matches a kind"
        probes = isinstance(node, ast.Call) and getattr(node.func, "id", "") in PROBES
        if probes and node.args and _ends_in(node.args[0], "spec"):
            yield node.lineno, "asks what a spec has"


def _tells(parts: Sequence[ast.expr]) -> bool:
    """Any literal beside a spec's `kind`; beside another `kind`, the name of a kind of job."""
    literals = {one for part in parts for one in _literals(part)}
    bare = any(isinstance(part, ast.Name) and part.id == "kind" for part in parts)
    return (bool(literals) and any(map(_is_kind, parts))) or (
        bare and bool(literals & set(SPEC_KINDS))
    )


def _is_kind(node: ast.expr) -> bool:
    """A `kind` of a spec, a job or request; leaves, events and columns have their own kinds."""
    attribute = isinstance(node, ast.Attribute) and node.attr == "kind"
    return attribute and any(_ends_in(node.value, name) for name in WHOSE)


def _literals(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Tuple | ast.Set | ast.List):
        for one in node.elts:
            yield from _literals(one)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def _ends_in(node: ast.expr, name: str) -> bool:
    return name in {getattr(node, "id", None), getattr(node, "attr", None)}
