"""SPU 0.9.5 as an engine (`application.ports.mpcengine.MpcEngine`): ABY3, CHEETAH, and three PSIs.

SPU needs Python 3.11 and NumPy 1, so it has an environment of its own (`locks/spu.txt`); what runs
there is `spu_programs`. Its links carry no identity that we trust: SPU's TLS takes any member's
certificate for any party. They end within this machine, the job's channels carry them on, and
`spu_speech` hears who speaks.

What it computes stands in `spu_catalogue`, what it protects in `spu_labels`, what it costs in
`spu_estimates`.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from secureflow.adapters.mpcengines import spu_catalogue
from secureflow.adapters.mpcengines.checks import check_job
from secureflow.adapters.mpcengines.plan import Plan
from secureflow.adapters.mpcengines.runs import EngineRuns, Interpreter
from secureflow.adapters.mpcengines.spu_estimates import estimated
from secureflow.adapters.mpcengines.spu_inputs import check_inputs
from secureflow.adapters.mpcengines.spu_programs import party
from secureflow.adapters.mpcengines.spu_speech import Speech
from secureflow.adapters.mpcengines.spu_words import BLAMED, UNSURE, WORDS
from secureflow.application.ports.mpcengine import (
    EngineInfo,
    EngineJob,
    EngineResult,
    Estimate,
    Progress,
    Shapes,
)
from secureflow.application.ports.sandbox import View
from secureflow.kit.errors import SecureFlowError

_OUTPUTS: Final = frozenset(
    {"matches", "ranks", "winner", "price", "correlation", "probability", "class"}
)
_COMMANDS: Final = ("sh", "sort", "tail", "uniq")
"""What SPU's intersections start to sort their files."""
_THREADS: Final = 512


class SpuEngine:
    """See the module.

    Args:
        runs: where it runs.
        python: of its environment.
    """

    def __init__(self, runs: EngineRuns, python: Interpreter) -> None:
        self._runs = runs
        self._python = python

    def describe(self) -> EngineInfo:
        """See `MpcEngine.describe`."""
        return spu_catalogue.info()

    def available(self) -> SecureFlowError | None:
        """See `MpcEngine.available`."""
        try:
            self._python.find()
        except SecureFlowError as error:
            return error
        return self._runs.problem(spu_catalogue.NAME)

    def estimate(self, program: str, protocol: str, shapes: Shapes) -> Estimate:
        """See `MpcEngine.estimate`; a party without inputs has {} as its shapes."""
        spu_catalogue.check(program, protocol, len(shapes))
        return estimated(program, protocol, shapes)

    async def run(self, job: EngineJob, progress: Progress) -> EngineResult:
        """See `MpcEngine.run`."""
        spu_catalogue.check(job.program, job.protocol, len(job.parties))
        if (problem := self.available()) is not None:
            raise problem
        check_job(self.describe(), job)
        await asyncio.to_thread(check_inputs, job)
        python = await asyncio.to_thread(self._python.ready)
        return await self._runs.run(self._plan(python, job), _with_settings(job), progress)

    def _plan(self, python: Path, job: EngineJob) -> Plan:
        return Plan(
            info=self.describe(),
            python=python,
            program=spu_catalogue.FOLDER / "entry.py",
            words=WORDS,
            unsure=UNSURE,
            blamed=BLAMED,
            outputs=_OUTPUTS,
            environment={
                "PATH": "/usr/bin:/bin",
                "JAX_PLATFORMS": "cpu",
                party.CONNECT: str(job.deadlines.connect),
                party.WAIT: str(job.deadlines.total),
            },
            views=(View(spu_catalogue.FOLDER, Path("/engine/spu_programs")), *_commands()),
            processes=_THREADS,
            speech=Speech(),
        )


def _with_settings(job: EngineJob) -> EngineJob:
    """Return the job with what its program must know beside its parameters."""
    receivers = sorted(job.parties.index(one) for one in job.receivers)
    settings = {"receivers": receivers, "job": job.job, "attempt": job.attempt}
    return replace(job, parameters={**job.parameters, party.SETTINGS: settings})


def _commands() -> Iterator[View]:
    """Yield the programs of the system that it starts, each where it looks for it."""
    for name in _COMMANDS:
        found = shutil.which(name, path="/usr/bin:/bin")
        if found is not None:
            place = "/bin/sh" if name == "sh" else f"/usr/bin/{name}"
            yield View(Path(os.path.realpath(found)), Path(place))
