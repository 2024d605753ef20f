"""The console's canvas, run by Node: it draws job files anew and writes them again.

Where Node or the web project's packages are missing that is said (`verifiers.demand_node`).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peers.verifiers import WEB, node

_SOURCE = "src/console/canvas/node/redraw.ts"


def redraw(folder: Path, catalogue: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, Any]:
    """Return what is made of each file: `request`, `drawn`, `file`, `again`; or `error`."""
    program = folder / "redraw"
    tool = (WEB / "node_modules" / ".bin" / "rolldown").resolve()
    bundle = [str(node()), str(tool), _SOURCE, "--platform", "node", "-d", str(program)]
    subprocess.run(bundle, cwd=WEB, check=True, capture_output=True)
    given = json.dumps({"catalogue": catalogue, "files": dict(files)})
    command = [str(node()), str(program / "redraw.js")]
    done = subprocess.run(command, input=given, check=True, capture_output=True, text=True)
    answers: dict[str, Any] = json.loads(done.stdout)
    return answers
