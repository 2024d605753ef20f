"""The browser's verifier, run by Node: many questions to one process.

Where Node or the web project's packages are missing that is said; with SECUREFLOW_DEMAND_NODE=1
(`.ci/run`) it is a failure. The frames are described in `web/src/verify/node/batch.ts`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

DEMANDED: Final = "SECUREFLOW_DEMAND_NODE"
WEB: Final = Path(__file__).parents[2] / "web"
_BUNDLER: Final = WEB / "node_modules" / ".bin" / "rolldown"


@cache
def node() -> Path | None:
    """Return the Node.js that the pages are built with, if there is one."""
    place = WEB / "bundle.py"
    spec = importlib.util.spec_from_file_location("web_bundle", place)
    assert spec is not None
    assert spec.loader is not None
    bundle = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bundle)
    try:
        return Path(bundle.tools().node)
    except bundle.NodeMissingError:
        return None


def missing() -> str:
    """Say what is missing; nothing if the browser's verifier can be tested."""
    if node() is None:
        return "no Node.js of the right age"
    return "" if _BUNDLER.exists() else "no packages in web/node_modules (npm ci)"


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


@contextmanager
def browser_verifier(folder: Path) -> Iterator[BrowserVerifier]:
    """Bundle it for Node and run it."""
    program = folder / "batch.mjs"
    bundling = [_BUNDLER.resolve(), "src/verify/node/batch.ts", "--platform", "node"]
    subprocess.run(
        [str(node()), *bundling, "-o", program], cwd=WEB, check=True, capture_output=True
    )
    command = [str(node()), str(program)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield BrowserVerifier(process)
        assert process.stdin is not None
        process.stdin.close()
