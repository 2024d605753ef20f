"""openmined-psi 2.0.6 as an engine: private set intersection where SPU cannot run, or size only.

It pins a release of protobuf that is not ours, so it has an environment of its own
(`locks/openmined.txt`); what runs there is `openmined_program`, over one TCP connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from secureflow.adapters.mpcengines.checks import check_choice, check_job
from secureflow.adapters.mpcengines.openmined_program import MAX_KEYS, SETTINGS
from secureflow.adapters.mpcengines.plan import Plan
from secureflow.adapters.mpcengines.runs import EngineRuns, Interpreter
from secureflow.adapters.mpcengines.spu_words import BLAMED, UNSURE, WORDS
from secureflow.application.ports.mpcengine import (
    EngineInfo,
    EngineJob,
    EngineProgram,
    EngineResult,
    Estimate,
    Progress,
    SecurityLabel,
    Shapes,
)
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

NAME: Final = "openmined"
VERSION: Final = "2.0.6"
PROGRAM: Final = Path(__file__).with_name("openmined_program.py")
_PER_KEY: Final = 1.7e-4
"""Seconds of two multiplications on the curve, which each identifier takes at each party."""
_POINT: Final = 35
"""Bytes of a point with what names it in its message."""
_PROCESS: Final = 60 << 20
_HELD: Final = 500
"""Bytes of memory for each identifier."""


_APART: Final = (
    "that it does not learn which holds while it follows the protocol: one that disguises each "
    "identifier in a way of its own tells their answers apart"
)


def _label(learns: str, repeats: str, *, more: tuple[str, ...] = ()) -> SecurityLabel:
    return SecurityLabel(
        adversary="semi-honest",
        threshold="neither of the two learns more than it should alone",
        collusion="two parties are all there are: nobody is left to protect",
        leakage=(
            "each party learns how many identifiers the other has",
            learns,
            (
                "a party can put in identifiers that it only guesses: the protocol does not see "
                "where they come from"
            ),
            *more,
        ),
        repeats=repeats,
        numeric="identifiers are compared by 128 bits of their digest",
    )


LABELS: Final = {
    "ECDH": _label(
        "whoever receives learns which of its own identifiers the other has too, not only how many",
        "a further attempt on the same lists tells nothing new; on a changed list it tests other "
        "identifiers",
    ),
    "ECDH-SIZE": _label(
        "whoever receives learns how many identifiers both have, and not which",
        "a further attempt on the same lists tells nothing new; on a list with one identifier more "
        "or less the two sizes tell whether the other has that one",
        more=(_APART,),
    ),
}
_FIXED: Final[Mapping[str, Mapping[str, str]]] = {"ECDH": {}, "ECDH-SIZE": {"reveal": "size"}}
"""Parameters that a protocol leaves no choice of."""


@cache
def _info() -> EngineInfo:
    digest = sha256(f"{NAME} {VERSION}\n".encode() + PROGRAM.read_bytes()).hexdigest()
    programs = {
        "psi": EngineProgram(
            title="private set intersection",
            digest=digest,
            protocols=("ECDH", "ECDH-SIZE"),
            parties=(2, 2),
            learns=(
                "by ECDH each receiver learns which of its own identifiers the other party has too",
                "by ECDH-SIZE each receiver learns how many both have, and nothing else",
            ),
        )
    }
    return EngineInfo(NAME, VERSION, LABELS, programs, (2, 2))


class OpenminedEngine:
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
        return _info()

    def available(self) -> SecureFlowError | None:
        """See `MpcEngine.available`."""
        try:
            self._python.find()
        except SecureFlowError as error:
            return error
        return self._runs.problem(NAME)

    def estimate(self, program: str, protocol: str, shapes: Shapes) -> Estimate:
        """See `MpcEngine.estimate`.

        Both work at once for most of it: seconds = 0.5 + two multiplications for each identifier of
        the longer list, and half as many again; bytes = three points for each.
        """
        check_choice(_info(), program, protocol, len(shapes))
        sizes = [one["keys"][0] for one in shapes.values() if "keys" in one]
        if max(sizes, default=0) > MAX_KEYS:
            raise _many(max(sizes))
        longest, both = max(sizes, default=0), sum(sizes)
        return Estimate(
            bytes=4000 + 3 * _POINT * longest,
            memory=_PROCESS + _HELD * both,
            seconds=0.5 + 1.5 * _PER_KEY * longest,
        )

    async def run(self, job: EngineJob, progress: Progress) -> EngineResult:
        """See `MpcEngine.run`."""
        if (problem := self.available()) is not None:
            raise problem
        check_job(self.describe(), job)
        plan = Plan(
            info=self.describe(),
            python=await asyncio.to_thread(self._python.ready),
            program=PROGRAM,
            words=WORDS,
            unsure=UNSURE,
            blamed=BLAMED,
            outputs=frozenset({"matches", "size"}),
        )
        return await self._runs.run(plan, _with_settings(job), progress)


def _with_settings(job: EngineJob) -> EngineJob:
    receivers = sorted(job.parties.index(one) for one in job.receivers)
    settings = {"receivers": receivers}
    given = {"reveal": "ids", **job.parameters, **_FIXED[job.protocol]}
    return replace(job, parameters={**given, SETTINGS: settings})


def _many(size: int) -> SecureFlowError:
    return SecureFlowError(
        "too_large",
        Text(
            "openmined-psi takes {most} identifiers at most, and a party has {size}.",
            most=MAX_KEYS,
            size=size,
        ),
        "Use SPU: secureflow engine install spu.",
    )
