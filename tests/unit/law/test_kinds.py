"""One seam for every kind of job: outside of a kind's own modules nothing tells kinds apart."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence

import pytest

from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.engines.kinds import ENGINE_KINDS
from tests.syntax import nodes
from tests.unit.law.ownmodules import SOURCE, imports, module_of, own_modules, own_of

PROBES = {"hasattr", "getattr"}
WHOSE = ("spec", "job", "wanted", "request", "body", "entity")
SPECS = {kind.spec.__name__ for kind in SPEC_KINDS.values()}
STAGES = {stage for kind in ENGINE_KINDS.values() for stage in kind.stages}
BESIDE = ("secureflow.demo",)
"""Of no kind, and bound to one: the demonstration trains, and shows what training released."""
COMPARED = re.compile(
    r"""\b(kind|stage)s?\b["'\])]*\s*(==|!=|(not\s+)?in\b)\s*[\[(]?\s*["']"""
    r"""|["']\s*(==|!=|(not\s+)?in\b)\s*[\w.\[\]"'()]*\b(kind|stage)s?\b"""
)
"""A kind or stage beside a literal, in a template."""


def test_only_a_kinds_own_modules_tell_kinds_apart() -> None:
    own = own_modules()
    found = [
        f"{path.relative_to(SOURCE)}:{line}: {what}"
        for path in sorted(SOURCE.rglob("*.py"))
        if module_of(path) not in own and not module_of(path).startswith(BESIDE)
        if not module_of(path).endswith(".kinds")
        for line, what in told_apart(nodes(path))
    ]
    assert not found, "\n".join(found)


def test_no_template_tells_kinds_apart() -> None:
    templates = sorted(SOURCE.rglob("*.jinja"))
    assert templates
    found = [
        f"{path.relative_to(SOURCE)}:{number}: {line.strip()}"
        for path in templates
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if COMPARED.search(line)
    ]
    assert not found, "\n".join(found)


def test_what_tells_kinds_apart_in_a_template_is_found() -> None:
    for text in (
        "{% if kind == 'training' %}",
        '{% if job.kind=="statistics" %}',
        '{% if report["kind"] != "training" %}',
        "{% if report.kind in ('training', 'mpc') %}",
        "{% if report.get('kind') not in ['training'] %}",
        "{% if 'training' == report.kind %}",
        '{% if line["stage"] == "train" %}',
    ):
        assert COMPARED.search(text), text
    for text in ("{{ report.kind|both }}", "{% if report.answers %}", "the kind of 'job'"):
        assert not COMPARED.search(text), text


@pytest.mark.parametrize("layer", ["domain", "engines", "application", "agent", "enclave"])
def test_what_all_kinds_share_imports_nothing_of_one(layer: str) -> None:
    """`engines.preparation` reads the columns that a training job names, for whoever trains."""
    own = own_modules()
    shared = [
        name
        for name in imports()
        if name.startswith(f"secureflow.{layer}.")
        if not name.endswith(".kinds") and not name.startswith("secureflow.engines.preparation")
        if name not in own
    ]
    assert shared
    found = [f"{name}: {sorted(imports()[name] & own)}" for name in shared if imports()[name] & own]
    assert not found, "\n".join(found)


def test_a_kinds_own_modules_are_derived() -> None:
    """Records, packages with the kind's name, and what only these import; not what two share."""
    imported = {
        "x.agent.overlap.rows": frozenset[str](),
        "x.hashes": frozenset[str](),
        "x.agent.overlap.kind": frozenset({"x.hashes", "x.sums"}),
        "x.other": frozenset({"x.sums"}),
        "x.sums": frozenset[str](),
    }
    beside = {"x.agent.overlap.rows", "x.agent.overlap.kind"}
    assert own_of("overlap", imported, ()) == beside | {"x.hashes"}
    own = own_modules()
    assert {"secureflow.domain.specs.training_rules", "secureflow.enclave.trainingfolds"} <= own
    assert "secureflow.adapters.statistics.opendp" in own
    for shared in ("engines.run.renewing", "application.jobs.rosters", "enclave.folds"):
        assert f"secureflow.{shared}" not in own


def test_what_tells_kinds_apart_is_found() -> None:
    for text in (
        "from x import TrainingSpec",
        "isinstance(spec, x.StatisticsSpec)",
        "if spec.kind == 'training': ...",
        "if kind in ('training', 'mpc'): ...",
        "hasattr(spec, 'privacy')",
        "getattr(job.spec, 'privacy', None)",
        "match spec.kind:\n    case 'training': ...",
        "if step.stage == 'train': ...",
        "if stage in ('moments', 'evaluate'): ...",
        "if 'statistics' != document['stage']: ...",
        "if (line.get('stage'), n) == ('train', 1): ...",
        "match request.stage:\n    case 'train': ...",
        "LAST: Final = 'evaluate'",
    ):
        assert list(told_apart(ast.walk(ast.parse(text)))), text
    for text in (
        "hasattr(rows, 'columns')",
        "if state == 'running': ...",
        "kinds.of(spec)",
        "verb: ClassVar = 'train'",
        "if verb == 'train': ...",
        "if step.stage == kind.contributing: ...",
    ):
        assert not list(told_apart(ast.walk(ast.parse(text)))), text


def told_apart(walked: Iterable[ast.AST]) -> Iterator[tuple[int, str]]:
    """Yield where a spec class is named, `kind` compared with a literal, or a spec probed."""
    for node in walked:
        named = getattr(node, "id", None) or getattr(node, "attr", None)
        if isinstance(node, ast.alias):
            named = node.name
        if named in SPECS and isinstance(node, ast.Name | ast.Attribute | ast.alias):
            yield node.lineno, f"names {named}"
        if isinstance(node, ast.Compare) and _tells((node.left, *node.comparators)):
            yield node.lineno, "compares a kind or a stage with a literal"
        if isinstance(node, ast.Match) and (_is_kind(node.subject) or _is_stage(node.subject)):
            yield node.lineno, "matches a kind or a stage"
        if isinstance(node, ast.Assign | ast.AnnAssign) and _names_stage(node):
            yield node.lineno, "has a name for a stage"
        probes = isinstance(node, ast.Call) and getattr(node.func, "id", "") in PROBES
        if probes and node.args and _ends_in(node.args[0], "spec"):
            yield node.lineno, "asks what a spec has"


def _tells(parts: Sequence[ast.expr]) -> bool:
    """Any literal beside a spec's `kind`; beside another `kind`, the name of a kind of job."""
    literals = {one for part in parts for one in _literals(part)}
    bare = any(isinstance(part, ast.Name) and part.id == "kind" for part in parts)
    staged = bool(literals & STAGES) and any(map(_is_stage, parts))
    return (
        staged
        or (bool(literals) and any(map(_is_kind, parts)))
        or (bare and bool(literals & set(SPEC_KINDS)))
    )


def _is_stage(node: ast.expr) -> bool:
    """Whatever is called `stage`: a name, a member, an item, or one of several in a tuple."""
    if isinstance(node, ast.Tuple | ast.List):
        return any(map(_is_stage, node.elts))
    if isinstance(node, ast.Call):
        return any(isinstance(one, ast.Constant) and one.value == "stage" for one in node.args)
    if isinstance(node, ast.Subscript):
        return isinstance(node.slice, ast.Constant) and node.slice.value == "stage"
    return _ends_in(node, "stage") or _ends_in(node, "stages")


def _names_stage(node: ast.Assign | ast.AnnAssign) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    value = node.value
    return (
        isinstance(value, ast.Constant)
        and value.value in STAGES
        and not any(_ends_in(target, "verb") for target in targets)
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
