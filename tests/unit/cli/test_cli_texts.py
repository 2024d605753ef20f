"""Help and messages in two languages, and a start that loads nothing heavy."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import secureflow.cli
from secureflow.cli import texts
from secureflow.cli.main import app
from secureflow.cli.reference import MARKER
from secureflow.texts import catalogue

FOLDER = Path(secureflow.cli.__file__).parent
HEAVY = (
    "pydantic", "httpx", "rich", "numpy", "grpc", "sqlalchemy", "fastapi", "cryptography",
    "secureflow.server", "secureflow.agent", "secureflow.enclave", "secureflow.sdk",
)  # fmt: skip


def _used() -> Iterator[str]:
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"t", "group"}:
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    yield first.value


def test_every_text_of_the_command_line_is_translated() -> None:
    used = set(_used())
    assert len(used) > 500
    assert not used - set(catalogue())


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"SECUREFLOW_LANG": "zh"}, "zh"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "SECUREFLOW_LANG": "en"}, "en"),
        ({"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}, "en"),
        ({}, "en"),
    ],
)
def test_the_language_is_chosen_by_the_environment(
    monkeypatch: pytest.MonkeyPatch, names: dict[str, str], expected: str
) -> None:
    for name in ("SECUREFLOW_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    assert texts.language() == expected
    assert texts.t("yes") == ("是" if expected == "zh" else "yes")


def test_every_command_has_help() -> None:
    for group in app.registered_groups:
        assert group.typer_instance is not None
        for command in group.typer_instance.registered_commands:
            assert command.help, (group.name, command.name)


def test_help_loads_nothing_heavy_and_speaks_chinese() -> None:
    code = (
        "import sys\nfrom secureflow.cli.main import run\nassert run(['--help']) == 0\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env=os.environ | {"SECUREFLOW_LANG": "zh", "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    assert ended.stdout.splitlines()[-1] == "[]"
    assert "任务：联合计算。" in ended.stdout


def test_the_reference_page_is_current() -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "cli.md"
    code = "from secureflow.cli.reference import reference\nprint(reference(), end='')"
    made = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env=os.environ | {"SECUREFLOW_LANG": "en", "PYTHONIOENCODING": "utf-8"},
    ).stdout  # fmt: skip
    how = "python -m secureflow.cli.reference docs/cli.md"
    assert page.read_text().partition(MARKER)[2] == made, how
