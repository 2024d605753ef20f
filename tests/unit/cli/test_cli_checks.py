"""Each check of a doctor is called by a Chinese word for who reads Chinese."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import secureflow
from secureflow.agent.edge import doctor as of_the_agent
from secureflow.cli.doctor import _named
from tests.syntax import tree

SOURCE = Path(secureflow.__file__).parent
FOUND = {"Finding", "Passed", "_finding", "finding", "refused", "report"}
"""What makes a finding of a check that its first argument names."""
SAME = {"TLS", "worker"}
"""Names that are the same in Chinese, and of checks that no command prints."""
CJK = re.compile("[\u4e00-\u9fff]")


def _checks() -> Iterator[str]:
    for place in ("agent/edge", "server", "enclave"):
        for path in sorted((SOURCE / place).glob("*.py")):
            module = tree(path)
            constants = {
                target.id: node.value.value
                for node in module.body
                if isinstance(node, ast.Assign | ast.AnnAssign)
                and isinstance(node.value, ast.Constant)
                for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
                if isinstance(target, ast.Name)
            }
            for node in ast.walk(module):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    yield from _named_by(node, node.func.id, constants)


def _named_by(call: ast.Call, function: str, constants: dict[str, object]) -> Iterator[str]:
    first = call.args[0] if call.args and function in FOUND else None
    if isinstance(first, ast.Constant):
        yield str(first.value)
    if isinstance(first, ast.Name) and first.id in constants:
        yield str(constants[first.id])


def _connections() -> Iterator[str]:
    """The checks of `secureflow doctor`, as its source lists them."""
    source = (SOURCE / "cli" / "doctor.py").read_text()
    yield from re.findall(r'^ +\("([\w ]+)", _\w+\),$', source, re.MULTILINE)


def test_each_check_has_its_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    names = {*(name for name, _, _ in of_the_agent._CHECKS), *_checks(), *_connections()}
    assert {"providers", "readiness", "platform", "provider"} <= names
    assert [one for one in sorted(names - SAME) if not CJK.search(_named(one))] == []
