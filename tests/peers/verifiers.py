"""The browser's verifier, run by Node: many questions to one process.

Where Node or the web project's packages are missing that is said; with SECUREFLOW_DEMAND_NODE=1
(`.ci/run`) it is a failure. The frames are described in `web/src/verify/node/batch.ts`.
"""

from __future__ import annotations

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
_BUNDLER: Final = WEB / "node_modules" / ".bin" / "rolldown"


def missing() -> str:
    """Say what is missing; nothing if the browser's verifier can be tested."""
    if shutil.which("node") is None:
        return "no node in PATH"
    return "" if _BUNDLER.exists() else "no packages in web/node_modules (npm ci)"


def told() -> str:
    """Return the line that says whether it is tested."""
    if lacking := missing():
        return f"NODE NOT TESTED: {lacking} ({DEMANDED}=1 makes this a failure)"
    return f"Node: {shutil.which('node')}"


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


@contextmanager
def browser_verifier(folder: Path) -> Iterator[BrowserVerifier]:
    """Bundle it for Node and run it."""
    program = folder / "batch.mjs"
    subprocess.run(
        [_BUNDLER, "src/verify/node/batch.ts", "--platform", "node", "-o", program],
        cwd=WEB, check=True, capture_output=True,
    )  # fmt: skip
    command = ["node", str(program)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield BrowserVerifier(process)
        assert process.stdin is not None
        process.stdin.close()
