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
from secureflow.adapters.mpcengines.running import Plan
from secureflow.adapters.mpcengines.runs import EngineRuns, Interpreter
from secureflow.application.ports.mpcengine import (
    EngineInfo,
    EngineJob,
    EngineResult,
    Estimate,
    Progress,
    SecurityLabel,
    Shapes,
)
from secureflow.kit.errors import SecureFlowError

NAME: Final = "mpyc"
VERSION: Final = "0.11"
PROTOCOL: Final = "shamir"
_PICKLE: Final = (
    "Every party keeps to the protocol: a message of a peer can run code in this engine's process "
    "(pickle), which holds this party's inputs to the job. The sandbox keeps such code from the "
    "agent, its other data and every network."
)
LABEL: Final = SecurityLabel(
    "semi-honest",
    threshold="fewer than half of the parties",
    collusion="Half of the parties or more that put together what they see learn every input.",
    trusted=(_PICKLE,),
    leakage=(
        "the sizes of inputs and of what is computed",
        "what the program itself opens to a party: read it before you approve it",
    ),
    repeats="What the program opens, once more: of the same inputs the same, or fresh randomness.",
    numeric="a prime field of the program's choice; fixed-point truncation is probabilistic",
    statistical_bits=30,
)
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
        return EngineInfo(NAME, VERSION, {PROTOCOL: LABEL}, {}, (3, 16))

    def available(self) -> SecureFlowError | None:
        """See `MpcEngine.available`."""
        try:
            self._python.find()
        except SecureFlowError as error:
            return error
        return self._runs.problem(NAME, needs_network=True)

    def estimate(self, program: str, protocol: str, shapes: Shapes) -> Estimate:
        """Return what it costs to share every input once and to open as much: the least.

        What a program does beyond that nobody can tell without running it.
        """
        check_choice(self.describe(), program, protocol, len(shapes))
        values = sum(prod(shape) for inputs in shapes.values() for shape in inputs.values())
        wire, memory, seconds = _EACH
        peers = len(shapes) - 1
        return Estimate(2 * values * wire * peers, _MEMORY + values * memory, 1 + values * seconds)

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
