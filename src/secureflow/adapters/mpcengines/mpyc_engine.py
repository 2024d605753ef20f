"""MPyC 0.11: unmodified programs of others, by Shamir sharing among three parties or more.

B. Schoenmakers, "MPyC: Python Package for Secure Multiparty Computation" (TPMPC 2018). Passively
secure with an honest majority: m parties tolerate t = ⌊(m - 1) / 2⌋ that put together what they
see. With two parties t is 0: nothing is shared secretly, so two are refused.

MPyC listens on every address of its machine, so it needs a network of its own in any case. Parties
send one another pickles: they are read in the engine's process and nowhere else. A peer that does
not keep to the protocol can so take over this party's process of the engine, and with it its inputs
to this job: the label says it.
"""

from __future__ import annotations

import asyncio
from math import prod
from pathlib import Path
from typing import Final

from secureflow.adapters.mpcengines import failures, mpyc_program, mpyc_speech
from secureflow.adapters.mpcengines.checks import check_choice, check_job
from secureflow.adapters.mpcengines.plan import Plan
from secureflow.adapters.mpcengines.runs import EngineRuns, Interpreter
from secureflow.application.ports.mpcengine import (
    BUNDLE,
    EngineInfo,
    EngineJob,
    EngineResult,
    Estimate,
    Progress,
    Shapes,
)
from secureflow.domain.specs import ownprograms
from secureflow.domain.specs.mpc_programs import PROGRAMS, VERSIONS
from secureflow.kit.errors import SecureFlowError

NAME: Final = ownprograms.MPYC
VERSION: Final = VERSIONS[NAME]
PROTOCOL: Final = ownprograms.SHAMIR
_ENTRY: Final = PROGRAMS[ownprograms.MPYC].protocols[ownprograms.SHAMIR]
WORDS: Final = {
    "entry": "the file that it should run is not in the bundle",
    "options": "an argument is an option of MPyC itself, which is not the program's to set",
}
_EACH: Final = (11, 420, 4e-6)
"""Bytes on the wire to each peer, bytes of memory, and seconds of each value that is shared once;
measured by sums of a million integers among three parties (`python -m benchmarks.mpc`)."""
_MEMORY: Final = 96 << 20
_RESERVED: Final = 1 << 30
"""Address space that NumPy reserves and never touches."""
_ONE_THREAD: Final = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""MPyC's own arithmetic has one thread."""


class MpycEngine:
    """`application.ports.mpcengine.MpcEngine`.

    Args:
        runs: where it runs.
        python: of its environment.
    """

    def __init__(self, runs: EngineRuns, python: Interpreter) -> None:
        self._runs = runs
        self._python = python

    def describe(self) -> EngineInfo:
        """See `MpcEngine.describe`."""
        return EngineInfo(NAME, VERSION, {PROTOCOL: _ENTRY.label}, {}, _ENTRY.parties)

    def available(self) -> SecureFlowError | None:
        """See `MpcEngine.available`."""
        try:
            self._python.find()
        except SecureFlowError as error:
            return error
        return self._runs.problem(NAME, needs_network=True)

    def estimate(self, program: str, protocol: str, shapes: Shapes) -> Estimate:
        """Return what it costs to share every input once and to open as much: the least.

        What a program does beyond that nobody can tell without running it. Program and protocol
        may be named as specs name them.
        """
        named = BUNDLE if program == NAME else program
        check_choice(self.describe(), named, protocol.lower(), len(shapes))
        return estimated(shapes)

    async def run(self, job: EngineJob, progress: Progress) -> EngineResult:
        """See `MpcEngine.run`."""
        if (problem := self.available()) is not None:
            raise problem
        check_job(self.describe(), job)
        arguments = job.parameters.get("arguments", [])
        if not isinstance(arguments, list) or not all(isinstance(one, str) for one in arguments):
            raise failures.failed(NAME, job.party, "connect", WORDS["options"])
        plan = Plan(
            self.describe(),
            await asyncio.to_thread(self._python.ready),
            Path(mpyc_program.__file__),
            words=WORDS,
            outputs=None,
            environment=_ONE_THREAD,
            addresses=job.limits.memory + _RESERVED,
            speech=mpyc_speech.speech,
            streams=mpyc_speech.STREAMS,
        )
        return await self._runs.run(plan, job, progress)


def estimated(shapes: Shapes) -> Estimate:
    """See `MpycEngine.estimate`."""
    values = sum(prod(shape) for inputs in shapes.values() for shape in inputs.values())
    wire, memory, seconds = _EACH
    peers = len(shapes) - 1
    return Estimate(2 * values * wire * peers, _MEMORY + values * memory, 1 + values * seconds)
