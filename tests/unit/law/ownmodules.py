"""Which modules are a kind's own: derived from the tables, so that nobody keeps a list.

A kind's own modules are those of its records, with everything beside them in a package that is
named after the kind, and whatever only these import. What two kinds import is shared; but for what
a training released, as jobs hold it that apply models: that is training's own, like a record.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from secureflow.agent.compute.kinds import CODE_KINDS, WORKER_KINDS
from secureflow.agent.kinds.kinds import AGENT_KINDS
from secureflow.application.jobs.kinds import JOB_KINDS
from secureflow.application.jobs.scoredmodels import scored_model
from secureflow.cli.kinds import CLI_KINDS
from secureflow.domain.specs.kind import FIRST
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.domain.specs.scored import ScoredModel
from secureflow.enclave.kinds import ENCLAVE_KINDS
from secureflow.engines.kinds import ENGINE_KINDS
from tests.syntax import nodes

SOURCE = Path(__file__).resolve().parents[3] / "src" / "secureflow"
Modules = frozenset[str]


def own_modules() -> Modules:
    """Return the names of all kinds' own modules."""
    imported = imports()
    each = (own_of(name, imported, _recorded(name)) for name in SPEC_KINDS)
    return frozenset[str]().union(*each)


def own_of(kind: str, imported: Mapping[str, Modules], recorded: Iterable[str]) -> Modules:
    """Return the own modules of one kind.

    Args:
        kind: its name.
        imported: what each module imports.
        recorded: the modules of its records.
    """
    own = {one for one in recorded if one in imported}
    own |= {one for one in imported if kind in one.split(".")[1:-1]}
    users: dict[str, set[str]] = {one: set() for one in imported}
    for user, names in imported.items():
        for name in names:
            users[name].add(user)
    tables = {one for one in imported if one.endswith(".kinds")}
    while True:
        more = {
            one for one, by in users.items() if one not in own and by & own and by <= own | tables
        }
        if not more:
            return frozenset(own)
        own |= more


@cache
def imports() -> Mapping[str, Modules]:
    """Return what each module of ours imports of ours."""
    modules = {module_of(path): path for path in SOURCE.rglob("*.py")}
    known = frozenset(modules)
    return {name: frozenset(_imported(path, known)) for name, path in modules.items()}


def module_of(path: Path) -> str:
    """Return the name of the module that stands in a file."""
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(path: Path, modules: Modules) -> Iterator[str]:
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names if one.name in modules)
        if isinstance(node, ast.ImportFrom) and node.module:
            named = {f"{node.module}.{one.name}" for one in node.names}
            yield from (named & modules) or ({node.module} & modules)


def _recorded(kind: str) -> Iterator[str]:
    """Yield where a kind's records are; the command line has those of all kinds in one module."""
    spec = SPEC_KINDS[kind]
    yield from (spec.spec.__module__, spec.request.__module__, spec.check.__module__)
    if kind == FIRST:
        yield from (ScoredModel.__module__, scored_model.__module__)
    tables: Iterable[Mapping[str, object]] = (
        ENGINE_KINDS, JOB_KINDS, AGENT_KINDS, WORKER_KINDS, CODE_KINDS, ENCLAVE_KINDS,
        CLI_KINDS._kinds,
    )  # fmt: skip
    yield from (type(table[kind]).__module__ for table in tables if kind in table)
