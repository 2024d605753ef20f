"""Many agents in one process: `python -m benchmarks.crowd start --config CROWD.json`.

Each agent is the real one, as `agent.edge.main.serve` wires it: its own directory, keys, charter,
record (SQLite, synchronous FULL), control socket, mTLS link to the server and uplink to the
enclave. Two things differ from the agent's own process. The agents of a process share one event
loop, one pool of threads and one interpreter; and what a worker process computes is computed in
this process, which is right only for the family `rehearsal`: it touches no data. Its update is a
small constant instead of the worker's zeros, so that the model changes and everybody fetches it in
every round.

The file names the agents' configurations and the process's `nice`: agents stand for other people's
machines, and must not take the processor away from the server that is measured.
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.processes import step_back
from secureflow.agent.edge.main import serve
from secureflow.agent.settings import AgentSettings
from secureflow.demo.processes import Process
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.models import model_family
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import announce_ready, configure_logging
from secureflow.kit.memory import limit_arenas
from secureflow.kit.process import run_until_stopped


class NoOpTraining:
    """Computation for agents whose jobs touch no data; see `agent.compute.workers.Workers`."""

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}

    async def check(self, job: str, spec: Mapping[str, Any], dataset: DatasetConfig | None) -> None:
        """Take what `prepare` takes."""
        await self.prepare(job, spec, dataset)

    async def prepare(
        self,
        job: str,
        spec: Mapping[str, Any],
        dataset: DatasetConfig | None,
        salt: bytes | None = None,
        commitment: str = "",
        keys: bytes = b"",
    ) -> dict[str, Any]:
        """Take a job that reads no rows; its party weighs 1."""
        del dataset, salt, commitment, keys
        training = parse(TrainingSpec, dict(spec))
        if model_family(training).needs_data:
            raise _missing_data()
        self._sizes[job] = training.parameters
        return {"rows": 1, "validation": 0}

    async def compute(
        self, job: str, step: str, arguments: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return {sums, seconds}; a step that trains writes its delta."""
        if step == "train" and arguments is not None:
            await asyncio.to_thread(self._write, job, Path(arguments["update"]))
        return {"sums": [1.0], "seconds": 0.0}

    async def describe(
        self, dataset: DatasetConfig, salt: bytes, known: tuple[str, str] | None = None
    ) -> dict[str, Any]:
        """Refuse: there is no dataset."""
        del dataset, salt, known
        raise _missing_data()

    async def close(self, job: str) -> None:
        """Forget the job."""
        self._sizes.pop(job, None)

    async def stop(self) -> None:
        """Forget every job."""
        self._sizes.clear()

    def _write(self, job: str, update: Path) -> None:
        """Write a delta of norm 0.01; later rounds find it there."""
        size = self._sizes[job]
        if not update.exists() or update.stat().st_size != 4 * size:
            np.full(size, 0.01 / math.sqrt(size), "<f4").tofile(update)


def crowd(directory: Path, configs: Sequence[Path], *, nice: int, log: Path) -> Process:
    """Return a process, not yet started, that will host the agents of these configurations."""
    directory.mkdir(mode=0o700)
    file = directory / "crowd.json"
    file.write_text(json.dumps({"agents": [str(path) for path in configs], "nice": nice}))
    command = ("-m", "benchmarks.crowd", "start", "--config", str(file))
    return Process(directory.name, command, directory, log)


async def _host(directory: Path, configs: Sequence[Path]) -> None:
    """Be every one of these agents until cancelled or until one fails."""
    agents = [AgentSettings.load(path) for path in configs]
    async with asyncio.TaskGroup() as group:
        for settings in agents:
            group.create_task(serve(settings, NoOpTraining()))
        while not all((one.directory / "ready.json").exists() for one in agents):  # noqa: ASYNC110  files
            await asyncio.sleep(0.1)
        announce_ready(directory, {"process": "crowd", "agents": len(agents)})


def _missing_data() -> SecureFlowError:
    return SecureFlowError("missing_data", "The agents of a crowd have no data.")


def main() -> None:
    """Host the agents that the file names."""
    limit_arenas()
    file = Path(sys.argv[sys.argv.index("--config") + 1])
    told = json.loads(file.read_text())
    step_back(told["nice"])
    configure_logging("agent", form="json", level="warning")
    run_until_stopped(_host(file.parent, [Path(one) for one in told["agents"]]))


if __name__ == "__main__":
    main()
