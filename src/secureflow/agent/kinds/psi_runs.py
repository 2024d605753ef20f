"""The runs of an intersection's engine: with one peer after the other, and the size first if asked.

An engine takes a file of keys, 16 bytes each in ascending order, and says which of its own places
match (a NumPy file of int64), or how many do (JSON). Both are foreign here: the first is read by
the worker, of the second one number.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from secureflow.agent.compute.jobfiles import held_folder
from secureflow.agent.job.context import AgentContext, RunningEngines
from secureflow.agent.kinds.kind import PeerSession
from secureflow.agent.kinds.psi_turns import Run, Turns, await_turn, give_turns
from secureflow.agent.record.records import JobRecord
from secureflow.application.ports.mpcengine import (
    EngineDeadlines,
    EngineJob,
    EngineResult,
    MpcEngine,
)
from secureflow.domain.partyengines import other_version
from secureflow.domain.specs.psi import PROGRAM, VERSIONS, PsiProtocol, PsiSpec
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_PROTOCOLS: Final[Mapping[PsiProtocol, str]] = {
    "rr22": "RR22", "kkrt": "KKRT", "ecdh": "ECDH", "openmined": "ECDH",
}  # fmt: skip
_SIZE_ALONE: Final = "ECDH-SIZE"
"""What engines call the protocols."""
_MATCHES: Final = "matches"
_SIZE: Final = "size"
_THEIRS: Final = "theirs"
"""The figure of an engine that says how many keys the peer's brought."""
_KEPT: Final = "kept"
_SHORT: Final = 1024
_LEAST: Final = 1.0
"""Seconds of a run that begins when the time is over: it says so itself."""
_SMALL: Final = "openmined"


@dataclass(frozen=True)
class Found:
    """What came of the runs.

    Args:
        size: how many keys match, where that alone was asked; else 0.
        peak: bytes of memory of the largest process.
    """

    size: int = 0
    peak: int = 0


Counted = Callable[[str, int, bool], Awaitable[None]]
"""Told after each run, before anything of it is used: of which peer, how many keys its engine
brought, and whether it learned of them."""


Then = Callable[[Turns], Awaitable[None]]
"""What a receiver does after all turns, while the others wait."""


@dataclass(frozen=True)
class Lists:
    """What goes into the runs, and what comes out.

    Args:
        keys: the file of this party's.
        counts: party → how many keys it committed to.
        matches: the folder for what matches, a file for each peer.
        counted: see `Counted`.
    """

    keys: Path
    counts: Mapping[str, int]
    matches: Path
    counted: Counted


@dataclass(frozen=True)
class _Wish:
    """One run: of which parties, with whom, by what, who learns what, and by when of the loop."""

    pair: tuple[str, ...]
    peer: str
    protocol: PsiProtocol
    receivers: tuple[str, ...]
    until: float
    reveal: str = "ids"


def check_engines(spec: PsiSpec, engines: RunningEngines, party: str) -> None:
    """Refuse a job whose engines are not here in their versions.

    Raises:
        SecureFlowError: `engine_absent`, `engine_unconfined`.
    """
    needed = {spec.engine.name: spec.engine.version}
    if spec.size_first:
        needed[_SMALL] = VERSIONS[_SMALL]
    for name, version in needed.items():
        here = engines.ready(name).describe().version
        if here != version:
            raise other_version(name, party, here, version)


class PsiRuns:
    """Runs engines for one party.

    Args:
        context: the party.
    """

    def __init__(self, context: AgentContext) -> None:
        self._context = context

    async def run(
        self,
        job: JobRecord,
        spec: PsiSpec,
        session: PeerSession,
        lists: Lists,
        then: Then | None = None,
    ) -> Found:
        """Run the protocol with each peer; put what matches into a folder, a file for each.

        `then` is called after that, at a receiver that has more to say to the others.

        Raises:
            SecureFlowError: those of `MpcEngine.run`; `intersection_too_small`.
        """
        peak = size = 0
        until = asyncio.get_running_loop().time() + spec.limits.seconds
        if spec.size_first:
            peak = await self._size_first(job, spec, session, lists, until)

        async def one(peer: str) -> None:
            nonlocal peak, size
            reveal = "size" if spec.learns == "size" else "ids"
            wish = _Wish(
                self._pair(spec, peer), peer, spec.protocol, self._receivers(spec, peer), until,
                reveal,
            )  # fmt: skip
            result = await self._one(job, spec, session, lists, wish)
            peak = max(peak, result.peak_bytes)
            if self._context.party not in wish.receivers:
                return
            if reveal == "size":
                size = await asyncio.to_thread(_size_of, result, _most(lists, wish))
            else:
                found = _output(result, _MATCHES)
                await asyncio.to_thread(shutil.copyfile, found, lists.matches / f"{peer}.npy")

        await self._in_turn(spec, session, one, then)
        return Found(size, peak)

    async def _in_turn(
        self, spec: PsiSpec, session: PeerSession, run: Run, then: Then | None
    ) -> None:
        """Run with each peer: with one after the other where there are several."""
        partners, engine = spec.partners(self._context.party), spec.engine.name
        if len(partners) > 1:
            await give_turns(engine, session.channels, run, then)
            return
        (peer,) = partners
        if len(spec.parties) > 2:
            await await_turn(engine, session.channels[peer])
        await run(peer)

    def _pair(self, spec: PsiSpec, peer: str) -> tuple[str, ...]:
        """Return this party and a peer, in the spec's order."""
        return tuple(one for one in spec.parties if one in {self._context.party, peer})

    def _receivers(self, spec: PsiSpec, peer: str) -> tuple[str, ...]:
        """Return which of this pair learn by the protocol, in the spec's order."""
        learn = (spec.receiver,) if spec.tells_others else spec.learners
        return tuple(one for one in self._pair(spec, peer) if one in learn)

    async def _size_first(
        self, job: JobRecord, spec: PsiSpec, session: PeerSession, lists: Lists, until: float
    ) -> int:
        """Tell whoever does not receive how many match, before the keys are told to anybody."""
        (other,) = spec.others(spec.receiver)
        (peer,) = session.channels
        wish = _Wish(spec.parties, peer, _SMALL, (other,), until, "size")
        result = await self._one(job, spec, session, lists, wish)
        if self._context.party == other:
            size = await asyncio.to_thread(_size_of, result, _most(lists, wish))
            if size < spec.minimum:
                raise too_small(spec)
        return result.peak_bytes

    async def _one(
        self, job: JobRecord, spec: PsiSpec, session: PeerSession, lists: Lists, wish: _Wish
    ) -> EngineResult:
        engine = self._engine(spec, wish.protocol)
        outputs = held_folder(self._context.settings.models, job.job) / "engine"
        await asyncio.to_thread(_emptied, outputs)
        program = engine.describe().programs[PROGRAM]
        asked = EngineJob(
            job=job.job,
            attempt=session.attempt,
            program=PROGRAM,
            digest=program.digest,
            protocol=_SIZE_ALONE if wish.reveal == "size" else _PROTOCOLS[wish.protocol],
            party=self._context.party,
            parties=wish.pair,
            receivers=wish.receivers,
            inputs={"keys": lists.keys},
            outputs=outputs,
            channels={wish.peer: session.channels[wish.peer]},
            parameters={"counts": [lists.counts[one] for one in wish.pair]},
            deadlines=_deadlines(wish),
            limits=self._context.settings.engines.limits,
            kept=await asyncio.to_thread(self._kept, job, session, wish),
        )
        result = await engine.run(asked, _untold)
        theirs = result.figures.get(_THEIRS)
        if type(theirs) is not int or theirs < 0:
            raise refused()
        await lists.counted(wish.peer, theirs, wish.peer in wish.receivers)
        return result

    def _kept(self, job: JobRecord, session: PeerSession, wish: _Wish) -> Path:
        """Return where a run keeps what further attempts need not run again.

        Whatever was kept of another list of the peer's is removed: it is of no use, and wrong.
        """
        lists = held_folder(self._context.settings.models, job.job) / _KEPT / wish.peer
        mine = lists / session.offers[wish.peer].inputs
        if lists.is_dir():
            for other in lists.iterdir():
                if other != mine:
                    shutil.rmtree(other, ignore_errors=True)
        folder = mine / (_SIZE if wish.reveal == "size" else wish.protocol)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def _engine(self, spec: PsiSpec, protocol: PsiProtocol) -> MpcEngine:
        name = spec.engine.name if protocol == spec.protocol else _SMALL
        return self._context.engines.ready(name)


def _untold(phase: str, share: float) -> None:
    """Tell nobody of an engine's progress: the agent's link says that the request is worked on."""


def _deadlines(wish: _Wish) -> EngineDeadlines:
    """Return the seconds of a run: what is left of the attempt's, since runs follow each other."""
    left = wish.until - asyncio.get_running_loop().time()
    return EngineDeadlines(total=max(left, _LEAST))


def _emptied(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)


def _output(result: EngineResult, name: str) -> Path:
    if name not in result.outputs:
        raise refused()
    return result.outputs[name]


def _most(lists: Lists, wish: _Wish) -> int:
    """Return how many keys can match: no more than either list has."""
    return min(lists.counts[one] for one in wish.pair)


def _size_of(result: EngineResult, most: int) -> int:
    """Return how many keys match, as the engine says: so many at most."""
    path = _output(result, _SIZE)
    try:
        if path.stat().st_size > _SHORT:
            raise refused()
        told = json.loads(path.read_bytes())
    except (OSError, ValueError):
        raise refused() from None
    size = told.get(_SIZE) if isinstance(told, dict) else None
    if type(size) is not int or not 0 <= size <= most:
        raise refused()
    return size


def refused() -> SecureFlowError:
    """Return the error of an engine that says what cannot be."""
    return SecureFlowError(
        "engine_output_refused",
        "What the engine says of matching keys is no list of places in the list of keys.",
        "The next attempt runs it again; if this happens again, report it.",
    )


def too_small(spec: PsiSpec) -> SecureFlowError:
    """Return the error of an intersection below the minimum; how many match is not said."""
    return SecureFlowError(
        "intersection_too_small",
        Text("Fewer than {minimum} keys match, which is the least that may be shown.",
             minimum=spec.minimum),
        "Nothing of it is shown. Bring more keys, or agree on another minimum.",
        {"minimum": spec.minimum},
    )  # fmt: skip
