"""Stands in for `adapters.mpcengines.host`: one party of an engine's program as a plain process.

    PYTHON -I -B plainhost.py PROGRAM.py    # one line of JSON on standard input: `PlainJob`

Nothing confines it, no agent is needed. It prints a line of JSON for each step and one at the end:
`{"done": figures, "outputs": {name: path}, "peak": bytes}` or `{"failed": word}`. Then it ends, or
stays until its standard input does: what an engine sends in a thread of its own may still be under
way. Only the standard library is imported: an engine's environment has no SecureFlow.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any


class Failed(Exception):  # noqa: N818 - as host's
    """The run ends with a word."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


class PlainJob:
    """What `host.Job` is to a program."""

    def __init__(self, told: dict[str, Any], out: int) -> None:
        self.number: int = told["number"]
        self.parties: int = told["parties"]
        self.addresses: list[str] = told["addresses"]
        self.program: str = told["program"]
        self.protocol: str = told["protocol"]
        self.parameters: dict[str, Any] = told["parameters"]
        self.inputs = {name: Path(path) for name, path in told["inputs"].items()}
        self.receives: bool = told["receives"]
        self.folder = Path(told["folder"])
        self.keeping = Path(told["keeping"]) if told.get("keeping") else None
        self.kept = {one.name: one for one in self.keeping.iterdir()} if self.keeping else {}
        self.outputs: dict[str, Path] = {}
        self._out = out
        self._stays: bool = told["stays"]

    @property
    def port(self) -> int:
        """Where the engine listens."""
        return int(self.addresses[self.number].rpartition(":")[2])

    def progress(self, phase: str, share: float) -> None:
        """Say how far it is."""
        self.say({"phase": phase, "share": share})

    def output(self, name: str, path: Path) -> None:
        """Name a file that this party receives."""
        if self.receives:
            self.outputs[name] = path

    def keep(self, name: str, path: Path) -> None:
        """Keep a file for the next attempt."""
        if self.keeping is not None:
            (self.keeping / f"{name}.part").write_bytes(path.read_bytes())
            (self.keeping / f"{name}.part").rename(self.keeping / name)

    @staticmethod
    def failed(word: str) -> Failed:
        """Return the exception that ends the run."""
        return Failed(word)

    def say(self, what: dict[str, Any]) -> None:
        """Print a line."""
        os.write(self._out, json.dumps(what).encode() + b"\n")

    def end(self, what: dict[str, Any]) -> None:
        """Print the last line, and stay if asked to."""
        self.say(what)
        os.close(self._out)
        if self._stays:
            sys.stdin.read()


def main() -> int:
    """Run one program."""
    out = os.dup(1)
    os.dup2(2, 1)
    job = PlainJob(json.loads(sys.stdin.readline()), out)
    os.chdir(job.folder)
    spec = importlib.util.spec_from_file_location("secureflow_program", sys.argv[1])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    try:
        figures = module.run(job)
    except Failed as failed:
        job.end({"failed": failed.word})
        return 1
    except Exception:  # noqa: BLE001 - a process's edge: who started it is told
        traceback.print_exc()
        job.end({"failed": "raised"})
        return 1
    outputs = {name: str(path) for name, path in job.outputs.items()}
    job.end({"done": figures, "outputs": outputs, "peak": peak_bytes()})
    return 0


def peak_bytes() -> int:
    """Return the most memory that was resident: of this process, not of whoever started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    code = main()
    os._exit(code)
