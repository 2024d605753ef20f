"""An agent whose engines run confined, and that a test strikes at the phases of their runs.

`python -m tests.peers.spu_agent agent start --config FILE` runs it: forked anew the moment it was
killed, its workers forked as well (`tests.nursery`), its engines in the sandbox as they are for
people. Each line of the file `faults` in its folder is a fault, `PHASE WHAT`; they come one after
the other, each once, over its deaths:

    die     it is killed
    kill    the engine's process is killed, and nothing more is read of what it said
    1234    what this process supervises is killed: the centre

Phases are those of the engine, `offer` (an entry is on record, and nothing was sent) and `kept` (so
is a result). The file `engines.seen` has the number of each engine's process.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

from secureflow.adapters.mpcengines.hostlines import Ended
from secureflow.adapters.mpcengines.running import EngineRun
from secureflow.adapters.sandbox import BubblewrapSandbox
from secureflow.agent.edge import enginewatch
from secureflow.agent.edge import main as agent
from secureflow.agent.edge.computing import HiddenPlaces, HidingSandbox
from secureflow.agent.kinds import mpc_engines
from secureflow.agent.settings import AgentSettings
from secureflow.agent.verbs.peers import PeerAttempts
from secureflow.application.ports.mpcengine import EngineDeadlines
from tests.survival.entry import supervise

PATIENCE = 120.0
"""Seconds: longer than any honest phase, whatever the machine does beside it."""
FAULTS = "faults"
SEEN = "engines.seen"


class Faults:
    """The faults of one agent.

    Args:
        folder: the agent's.
    """

    def __init__(self, folder: Path) -> None:
        self._file, self._seen = folder / FAULTS, folder / SEEN

    def reach(self, phase: str, engine: int = 0) -> None:
        """Strike here if the next fault is of this phase.

        Raises:
            Ended: the engine's process was killed.
        """
        if engine:
            with self._seen.open("a") as seen:
                seen.write(f"{engine}\n")
        lines = self._file.read_text().splitlines() if self._file.exists() else []
        if not lines or lines[0].split()[0] != phase:
            return
        rest = self._file.with_suffix(".rest")
        rest.write_text("".join(f"{line}\n" for line in lines[1:]))
        rest.replace(self._file)
        self._strike(lines[0].split()[1], engine)

    def _strike(self, what: str, engine: int) -> None:
        for process in {"die": [os.getpid()], "kill": [engine]}.get(what) or children(int(what)):
            os.kill(process, signal.SIGKILL)
        if what == "kill":  # what it may have said before would be an end like any other
            raise Ended


def children(process: int) -> list[int]:
    """Return the processes that one has begun."""
    found = (one.read_text().split() for one in Path(f"/proc/{process}/task").glob("*/children"))
    return [int(number) for numbers in found for number in numbers]


def run(config: Path) -> int:
    """Run the agent."""
    faults = Faults(config.parent)
    progressed, enter, keep = (
        EngineRun._progressed, PeerAttempts._commit_entry, PeerAttempts._commit_run,
    )  # fmt: skip

    def said(self: Any, told: Any) -> None:
        progressed(self, told)
        faults.reach(str(told.get("phase")), self._process.pid)

    def entered(self: Any, *given: Any) -> Any:
        known = enter(self, *given)
        faults.reach("offer")
        return known

    def kept(self: Any, *given: Any) -> Any:
        told = keep(self, *given)
        faults.reach("kept")
        return told

    EngineRun._progressed = said  # type: ignore[method-assign]
    PeerAttempts._commit_entry = entered  # type: ignore[method-assign]
    PeerAttempts._commit_run = kept  # type: ignore[method-assign]
    enginewatch.INTERVAL = 0.5  # type: ignore[misc]
    patient = partial(EngineDeadlines, connect=PATIENCE, idle=PATIENCE)
    mpc_engines.EngineDeadlines = patient  # type: ignore[assignment, misc]
    confine(AgentSettings.load(config))
    return agent.run(config)


def confine(settings: AgentSettings) -> None:
    """Have engines run in the sandbox, although this agent's workers do not."""
    made = agent.engines_of
    sandbox = HidingSandbox(BubblewrapSandbox(), HiddenPlaces(settings))
    agent.engines_of = lambda settings, _: made(settings, sandbox)  # type: ignore[assignment]


if __name__ == "__main__":
    sys.exit(supervise(run, Path(sys.argv[4])))
