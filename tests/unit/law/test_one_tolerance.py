"""Clocks may differ by one amount everywhere, named in one place."""

from __future__ import annotations

import ast
import re
from datetime import timedelta
from pathlib import Path

import secureflow
from secureflow.kit import clock, pki, renewal

SOURCE = Path(secureflow.__file__).parent
NAME = re.compile(r"SKEW|CLOCK_TOLERANCE")


def test_nobody_else_has_a_number_of_seconds_for_clocks() -> None:
    found = [
        f"{path.relative_to(SOURCE)}: {target.id}"
        for path in SOURCE.rglob("*.py")
        if path != Path(clock.__file__)
        if NAME.search(text := path.read_text())
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name) and NAME.search(target.id)
        if "MAX_SKEW" not in ast.unparse(node)
    ]
    assert not found, "take kit.clock.MAX_SKEW"


def test_it_is_five_minutes() -> None:
    assert clock.MAX_SKEW == 300
    assert timedelta(seconds=clock.MAX_SKEW) == pki.CLOCK_SKEW
    assert clock.MAX_SKEW == renewal.CHALLENGE_SECONDS
