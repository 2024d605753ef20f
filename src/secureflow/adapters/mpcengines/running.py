"""One run of an engine: its process, its doors, its peers, its deadlines. See `EngineRuns.run`.

    agree with every peer → start the process → take its doors → forward, watch, read what it says
    → keep what it returns → tell the peers → wait until all are done → end the process

Nothing of the process is trusted: sizes are bounded, file names are ours, and an answer that is not
as declared is refused. It shows signs of life (something said, bytes on a channel, or processor
time used), or it waits for a peer whose own does so, or it is ended. It ends with the run, with all
it started, however the run ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from secureflow.adapters.mpcengines import failures, host
from secureflow.adapters.mpcengines.agreement import Peers
from secureflow.adapters.mpcengines.forwarding import SPARES, Doors, Forwarder
from secureflow.adapters.mpcengines.hostlines import Ended, HostLines, LineRefused
from secureflow.adapters.mpcengines.keeping import Kept
from secureflow.adapters.mpcengines.life import TICK, Life
from secureflow.adapters.mpcengines.outputs import Outputs, TooLarge
from secureflow.adapters.mpcengines.plan import Place, Plan
from secureflow.adapters.mpcengines.speaking import ImpostorError, Listener, Speech, Stream, anybody
from secureflow.adapters.mpcengines.together import ended, first, until_broken
from secureflow.application.ports.mpcengine import (
    PHASES,
    EngineJob,
    EngineResult,
    Progress,
)
from secureflow.application.ports.sandbox import Launch, Limits, SandboxProcess, View
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.printedlog import PrintedLog
from secureflow.kit.shielding import shielded

HOST: Final = Path(host.__file__)
MESSAGES: Final = 100_000
"""Of one process."""
_TOGETHER: Final = 32
"""Messages that are read in a row; then others have their turn."""
WORK: Final = "/tmp/work"  # noqa: S108 - inside the sandbox
OPEN_FILES: Final = 256
OF_EACH: Final = 16
"""Descriptors, and further ones for each party: what waits in a socket's buffers is the kernel's
memory, which `memory` counts in a cgroup of version 2 alone."""
_KILLED: Final = 128 + signal.SIGKILL
_NEAR: Final = 0.9
"""Of the memory that it may have: who was killed beyond that had too much, where nothing counts."""
LINGER: Final = 5.0
"""Seconds in which a process that closed its channel ends by itself."""
MOMENT: Final = 2.0
"""Seconds in which a process that has gone is seen to be: a peer, whose engine fails with it, may
be heard before."""


class EngineRun:
    """One run; `run` is called once.

    Args:
        place: where.
        plan: how.
        job: what.
        progress: is told of it.
    """

    def __init__(self, place: Place, plan: Plan, job: EngineJob, progress: Progress) -> None:
        self._place = place
        self._plan = plan
        self._job = job
        self._progress = progress
        self._engine = plan.info.name
        self._peers = Peers(job, plan.info)
        self._doors = Doors()
        self._speech = _speech_of(plan, job)
        self._spares = max(1, min(plan.streams, SPARES // len(job.peers)))
        self._forwarder = Forwarder(
            self._doors, job.channels, job.deadlines.connect, self._listener, self._spares
        )
        names = plan.outputs if job.party in job.receivers else frozenset()
        self._outputs = Outputs(job.outputs, names, job.files)
        self._kept = Kept(job.kept, job.limits.scratch)
        self._life = Life(lambda: self._forwarder.moved, job.deadlines.idle)
        self._closed = False
        self._flooded = False
        self._unsure: list[SecureFlowError] = []
        self._seen: list[SecureFlowError] = []
        self._process: SandboxProcess | None = None
        self._ending: asyncio.Task[None] | None = None
        self._done = False
        self._late: list[str] = []

    async def run(self) -> EngineResult:
        """Run, and leave nothing behind but the outputs.

        Raises:
            SecureFlowError: see `MpcEngine.run`.
        """
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._job.deadlines.total) as whole:
                self._phase("connect", 0.0)
                await self._peers.agree(self._job.deadlines.connect)
                figures = await self._in_process()
        except BaseException as error:  # cancellation too: half of a result is none
            self._outputs.remove()
            if isinstance(error, TimeoutError) and whole.expired():
                seconds = self._job.deadlines.total
                late = self._late or (self._peers.working if self._life.quiet else [])
                if late:
                    raise self._peers.late(late[0]) from error
                raise failures.too_slow(*self._where, seconds) from error
            raise
        took = time.monotonic() - began
        return EngineResult(figures, dict(self._outputs.kept), took, self._life.peak)

    @property
    def _where(self) -> tuple[str, str, str]:
        return self._engine, self._job.party, self._peers.phase

    async def _in_process(self) -> Mapping[str, JSON]:
        """Compute in a process, which is gone afterwards; the peers are watched from the start."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        log, lines = PrintedLog(self._place.log, self._flood), HostLines(ours)
        watching = {one: asyncio.create_task(self._peers.watch(one)) for one in self._job.peers}
        try:
            launch = self._launch((theirs.fileno(), log.inherited))
            self._process = await self._place.sandbox.start(launch)
            theirs.close()
            log.give_away()
            opening = asyncio.create_task(self._opened(lines, launch, self._process))
            try:
                await first({opening, *watching.values()}, opening)
            finally:
                await ended([opening])
            self._phase("inputs", 0.0)
            return await self._computed(lines, self._process, watching)
        except SecureFlowError as error:
            raise await self._named(error, watching) from error
        finally:
            theirs.close()
            await shielded(self._cleared(watching, lines, ours))
            await shielded(log.close(0 if self._process is None else 1))

    async def _cleared(
        self, watching: Mapping[str, asyncio.Task[None]], lines: HostLines, ours: socket.socket
    ) -> None:
        """Leave nothing: no process, no connection, no socket."""
        await ended(watching.values())
        if self._process is not None:
            await self._process.kill()
        await self._forwarder.stop()
        self._doors.close()
        lines.take_no_more()
        ours.close()

    async def _opened(self, lines: HostLines, launch: Launch, process: SandboxProcess) -> None:
        """Open the doors.

        Raises:
            SecureFlowError: `engine_silent`, `engine_failed`, `engine_output_refused`.
        """
        try:
            await self._open_doors(lines, launch)
        except TimeoutError as error:
            raise failures.silent(*self._where, self._job.deadlines.connect) from error
        except Ended as error:
            raise await self._died(process) from error
        except LineRefused as error:
            raise self._refused(error) from error

    def _launch(self, ends: tuple[int, int]) -> Launch:
        job, plan = self._job, self._plan
        views = [View(HOST, Path("/engine/host.py")), *plan.views]
        views.append(View(plan.program, Path("/engine/program.py")))
        views += [View(path, Path("/inputs", name)) for name, path in job.inputs.items()]
        views += [View(path, Path("/kept", name)) for name, path in self._kept.files.items()]
        if job.code is not None:
            views.append(View(job.code.folder, Path("/code")))
        launch = Launch(
            (str(plan.python), "-I", "-B"),
            {"LANG": "C.UTF-8", **plan.environment},
            tuple(views),
            limits=Limits(
                job.limits.memory,
                plan.processes,
                file_size=job.files,
                scratch=job.files,
                open_files=OPEN_FILES + OF_EACH * len(job.parties),
                addresses=plan.addresses,
            ),
            ends=ends,
            loopback=True,
            shared_futexes=plan.shared_futexes,
        )
        files = (self._inside(launch, one) for one in (HOST, plan.program))
        return replace(launch, command=(*launch.command, *files))

    def _inside(self, launch: Launch, path: Path) -> str:
        return str(self._place.sandbox.inside(launch, path))

    async def _open_doors(self, lines: HostLines, launch: Launch) -> None:
        """Have the process pass its sockets: before any code of the engine runs.

        Raises:
            TimeoutError: it did not.
            Ended, LineRefused: as `HostLines`.
        """
        job, spares = self._job, self._spares
        told = {
            "number": job.number,
            "parties": len(job.parties),
            "program": job.program,
            "protocol": job.protocol,
            "parameters": dict(job.parameters),
            "inputs": {name: self._inside(launch, path) for name, path in job.inputs.items()},
            "kept": {name: self._inside(launch, path) for name, path in self._kept.files.items()},
            "receives": job.party in job.receivers,
            "folder": WORK if self._place.sandbox.confines else str(self._place.folder),
            "code": None if job.code is None else self._inside(launch, job.code.folder),
            "entry": "" if job.code is None else job.code.entry,
            "spares": spares,
        }
        async with asyncio.timeout(job.deadlines.connect):
            await lines.send(json.dumps(told, allow_nan=False).encode() + b"\n")
            for party in job.parties:
                door = await lines.message()
                port = door.get("port")
                if door.get("say") != "door" or type(port) is not int or not 0 < port < 1 << 16:
                    raise LineRefused("it did not open its network")
                if party == job.party:
                    self._doors.port = port
                    continue
                listening, *more = lines.sockets(1 + spares)
                self._doors.listening[party] = listening
                self._doors.spares[party] = deque(more)
        lines.take_no_more()

    async def _computed(
        self,
        lines: HostLines,
        process: SandboxProcess,
        watching: Mapping[str, asyncio.Task[None]],
    ) -> Mapping[str, JSON]:
        """Have the engine compute; return its figures when every party is done."""
        reading = asyncio.create_task(self._read(lines, process))
        alive = asyncio.create_task(self._alive(process))
        beating = until_broken(self._peers.beat(self._life.works))
        work = [beating, *map(self._forward, self._job.peers)]
        beside = [asyncio.create_task(one) for one in work]
        try:
            figures: Mapping[str, JSON] = await first(
                {reading, alive, *watching.values(), *beside}, reading
            )
            self._done = True
            await self._peers.tell({"say": "done"})
            self._phase("outputs", 1.0)
            await self._all_done(watching, {alive, *beside})
            return figures
        except SecureFlowError as error:
            if (own := await self._own(error, reading)) is not None:
                raise own from error
            raise
        finally:
            await ended([reading, alive, *beside])

    async def _own(
        self, error: SecureFlowError, reading: asyncio.Task[Mapping[str, JSON]]
    ) -> SecureFlowError | None:
        """Return the error of the own process, where it is surely that and a peer's is not.

        Peers whose engines fail with the own one may be heard before it is seen to have gone, and
        long before it is known why.
        """
        if error.code != "peer_broken" or self._peers.sure(error) or error in self._seen:
            return None
        if not self._closed:
            await asyncio.wait({reading}, timeout=MOMENT)
        if self._closed:
            await asyncio.wait({reading}, timeout=2 * LINGER)
        own = reading.exception() if reading.done() and not reading.cancelled() else None
        return own if isinstance(own, SecureFlowError) and self._sure(own) else None

    async def _all_done(
        self, watching: Mapping[str, asyncio.Task[None]], beside: set[asyncio.Task[None]]
    ) -> None:
        """Wait for the peers. The process, which may still carry their bytes, is measured on."""
        try:
            for one in watching.values():
                await first({*beside, *watching.values()}, one)
        except asyncio.CancelledError:
            self._late = [peer for peer, one in watching.items() if not one.done()]
            raise

    async def _forward(self, peer: str) -> None:
        """Carry a peer's connections until its channel breaks; `Peers.watch` says why.

        Raises:
            SecureFlowError: `peer_broken`: it is not the peer who speaks.
        """
        try:
            await until_broken(self._forwarder.run(peer))
        except ImpostorError as error:
            self._seen.append(
                failures.impostor(self._engine, peer, self._peers.phase, error.reason)
            )
            raise self._seen[-1] from error

    def _listener(self, peer: str, theirs: bool) -> Listener:
        parties = self._job.parties
        return self._speech(Stream(self._job.number, parties.index(peer), theirs))

    async def _named(
        self, error: SecureFlowError, watching: Mapping[str, asyncio.Task[None]]
    ) -> SecureFlowError:
        """Tell the peers, and return the error of the party where the failure began."""
        sure = self._sure(error)
        await self._peers.fail(error, sure=sure)
        if sure or error in self._seen:
            return error
        return await self._peers.culprit(error, watching)

    def _sure(self, error: SecureFlowError) -> bool:
        """Tell whether a failure is surely this party's."""
        return error.code not in {"peer_broken", "engine_silent"} and error not in self._unsure

    async def _read(self, lines: HostLines, process: SandboxProcess) -> Mapping[str, JSON]:
        """Take what the process says until it is done; return its figures."""
        try:
            for count in range(MESSAGES):
                if count % _TOGETHER == _TOGETHER - 1:
                    await asyncio.sleep(0)  # what has come already waits for nobody
                told = await lines.message()
                self._life.sign()
                match told.get("say"):
                    case "progress":
                        self._progressed(told)
                    case "output":
                        await self._outputs.take(told, lines, self._life.sign)
                    case "keep":
                        await self._kept.take(told, lines, self._life.sign)
                    case "done":
                        self._life.look(process.pid)
                        return self._figures(told.get("figures"))
                    case "failed":
                        raise self._failed(told.get("word"))
                    case _:
                        break
        except Ended as error:
            raise await self._died(process) from error
        except LineRefused as error:
            raise self._refused(error) from error
        raise failures.refused(self._engine, self._job.party, "it says what no engine says")

    def _progressed(self, told: Mapping[str, Any]) -> None:
        phase, share = told.get("phase"), told.get("share")
        if isinstance(phase, str) and phase in PHASES and isinstance(share, int | float):
            self._phase(phase, min(max(float(share), 0.0), 1.0))

    def _phase(self, phase: str, share: float) -> None:
        self._peers.phase = phase
        self._progress(phase, share)

    def _figures(self, figures: object) -> Mapping[str, JSON]:
        if isinstance(figures, dict):
            with contextlib.suppress(ValueError):
                return self._plan.figures(figures)
        reason = "its figures are not those of its program"
        raise failures.refused(self._engine, self._job.party, reason)

    def _failed(self, word: object) -> SecureFlowError:
        """Return the error for a word of the process; one that is not known is not repeated."""
        if word == "memory":
            return failures.out_of_memory(*self._where, self._job.limits.memory)
        if word == "files":
            return self._with_word(word, self._too_large())
        words = {**failures.WORDS, **self._plan.words}
        if not isinstance(word, str) or word not in words:
            return failures.refused(self._engine, self._job.party, "it says what no engine says")
        if word in self._plan.blamed:
            peer, phase = self._job.peers[0], self._peers.phase
            return failures.faithless(self._engine, peer, phase, words[word])
        return self._with_word(word, failures.failed(*self._where, words[word]))

    def _refused(self, error: LineRefused) -> SecureFlowError:
        if isinstance(error, TooLarge):
            return self._too_large()
        return failures.refused(self._engine, self._job.party, str(error))

    def _too_large(self) -> SecureFlowError:
        job = self._job
        others = job.code is not None
        return failures.too_large(self._engine, job.party, job.files, others=others)

    def _with_word(self, word: str, error: SecureFlowError) -> SecureFlowError:
        """Return the error for a word, which a peer may have caused if the adapter says so."""
        self._unsure += [error] if word in self._plan.unsure else []
        return error

    async def _died(self, process: SandboxProcess) -> SecureFlowError:
        """Return why a process closed its channel; it is ended if it goes on."""
        self._closed = True
        try:
            async with asyncio.timeout(LINGER):
                code = await process.wait()
        except TimeoutError:
            code = 0
        if self._flooded:
            return failures.failed(*self._where, failures.WORDS["flooded"])
        most = self._job.limits.memory
        near = 0 < _NEAR * most <= self._life.peak
        if process.starved or (code == _KILLED and near):
            return failures.out_of_memory(*self._where, most)
        word = "killed" if code == _KILLED else "died"
        return self._with_word(word, failures.failed(*self._where, failures.WORDS[word]))

    async def _alive(self, process: SandboxProcess) -> None:
        """Measure the process, and end the run where nobody's shows a sign of life."""
        deadlines, most = self._job.deadlines, self._job.limits.memory
        while True:
            await asyncio.sleep(min(TICK, deadlines.idle / 4))
            await asyncio.to_thread(self._life.look, process.pid)
            if 0 < most < self._life.peak:  # where no cgroup counts it
                raise failures.out_of_memory(*self._where, most)
            if not self._done and self._life.quiet and not self._peers.working:
                raise failures.silent(*self._where, deadlines.idle, self._peers.waiting)

    def _flood(self) -> None:
        """It prints without end: end it."""
        self._flooded = True
        if self._process is not None:
            self._ending = asyncio.get_running_loop().create_task(self._process.kill())


def _speech_of(plan: Plan, job: EngineJob) -> Speech:
    """Return who listens; with three parties somebody must."""
    if plan.speech is None and len(job.parties) > 2:
        raise ValueError(plan.info.name)
    return plan.speech or anybody
