"""The console's canvas, run by Node: it draws job files anew, and asks for jobs again.

Where Node or the web project's packages are missing that is said (`verifiers.demand_node`).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peers.verifiers import WEB, node

_SOURCES = "src/console/canvas/node"


def redraw(folder: Path, catalogue: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, Any]:
    """Return what is made of each file: `request`, `drawn`, `file`, `again`; or `error`."""
    given = {"catalogue": catalogue, "files": dict(files)}
    return _run(built(folder, "redraw"), given)


def built(folder: Path, name: str) -> Path:
    """Return a program of the canvas, bundled for Node in a folder."""
    program = folder / name
    tool = (WEB / "node_modules" / ".bin" / "rolldown").resolve()
    source = f"{_SOURCES}/{name}.ts"
    bundle = [str(node()), str(tool), source, "--platform", "node", "-d", str(program)]
    subprocess.run(bundle, cwd=WEB, check=True, capture_output=True)
    return program / f"{name}.js"


def asked_again(
    program: Path,
    catalogue: Mapping[str, Any],
    known: Mapping[str, Any],
    specs: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the request that each spec is run again with.

    Args:
        program: `again`, built.
        catalogue: of the components.
        known: the `datasets` (`id`, `name`, `organisation`) and `models` (`id`, `job`).
        specs: by name.
    """
    return _run(program, {"catalogue": catalogue, "known": known, "specs": dict(specs)})


def _run(program: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    done = subprocess.run(
        [str(node()), str(program)],
        input=json.dumps(given), check=True, capture_output=True, text=True,
    )  # fmt: skip
    answers: dict[str, Any] = json.loads(done.stdout)
    return answers
