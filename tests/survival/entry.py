"""`python -m tests.survival.entry server|enclave|agent start --config FILE`: a mortal process.

The real process with kill points around its work: the server's effects, the enclave's verbs and
uploads, an agent's verbs and commits. A supervisor that has imported everything forks it, and forks
it anew the moment it was killed. Agents draw the secrets of jobs from a fixed seed, so that two
runs of one spec make one model.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

from secureflow.kit.errors import SecureFlowError
from tests import nursery
from tests.survival.points import Points

DIRECTORY = "SECUREFLOW_TEST_POINTS"
BUSY = "SECUREFLOW_TEST_BUSY"
"""Seconds that the server's SQLite waits for another process, where a test does not want to."""
_PR_SET_PDEATHSIG = 1

_place: ContextVar[str] = ContextVar("place", default="")


def mortal_server(points: Points) -> Callable[[Path], int]:
    """Kill before each outside effect, after it, and before the commit that makes it durable."""
    import aiosqlite  # noqa: F401  what a server loads late, loaded once for all its lives
    import h11  # noqa: F401
    import uvicorn.protocols.http.auto  # noqa: F401

    import secureflow.application.reports.page
    import secureflow.engines.training.federated  # noqa: F401
    from secureflow.adapters.database import connections
    from secureflow.adapters.database.unit import SqlUnitOfWork as SqlUnit
    from secureflow.application.running.runner import Runner
    from secureflow.server.main import run

    connections.BUSY_SECONDS = float(os.environ.get(BUSY, connections.BUSY_SECONDS))
    perform, durable, commit = Runner._perform_outside, Runner._make_durable, SqlUnit.commit

    async def perform_outside(self: Any, course: Any) -> Any:
        place = f"{course.seq} {getattr(course.effect, 'verb', course.effect.effect)}"
        async with _around(points, place):
            return await perform(self, course)

    async def make_durable(self: Any, course: Any) -> bool:
        token = _place.set(f"{course.job} {course.seq}")
        try:
            return await durable(self, course)
        finally:
            _place.reset(token)

    async def before_commit(self: Any) -> None:
        if _place.get():
            points.reach(f"{_place.get().split()[1]} uncommitted")
        await commit(self)

    Runner._perform_outside = perform_outside  # type: ignore[method-assign]
    Runner._make_durable = make_durable  # type: ignore[method-assign]
    SqlUnit.commit = before_commit  # type: ignore[method-assign]
    return run


def mortal_enclave(points: Points) -> Callable[[Path], int]:
    """Kill before and after each verb and each upload, and before each reading of updates."""
    from secureflow.enclave.main import run
    from secureflow.enclave.spill import Spill
    from secureflow.enclave.uploads import Uploads
    from secureflow.enclave.verbs import EnclaveVerbs

    handle, receive, blocks = EnclaveVerbs.handle, Uploads.receive, Spill.blocks
    readings: Counter[bytes] = Counter()

    async def handle_verb(self: Any, verb: str, body: Any, log_proofs: Any = None) -> Any:
        async with _around(points, _step(verb, body)):
            return await handle(self, verb, body, log_proofs)

    def read_again(self: Any) -> Iterator[Any]:
        readings[self._key] += 1  # of this round's updates
        points.reach(f"reading {readings[self._key]}")
        return blocks(self)

    async def receive_upload(self: Any, peer: Any, start: int, header: bytes, rest: Any) -> Any:
        from secureflow.engines.sealing import parse_header

        bound = parse_header(header).binding
        async with _around(points, f"upload {bound.round} {bound.stage} {bound.party}"):
            return await receive(self, peer, start, header, rest)

    EnclaveVerbs.handle = handle_verb  # type: ignore[method-assign]
    Spill.blocks = read_again  # type: ignore[method-assign]
    Uploads.receive = receive_upload  # type: ignore[method-assign]
    return run


def mortal_agent(points: Points) -> Callable[[Path], int]:
    """Kill before each verb, before and after each commit in it, and before its reply."""
    from secureflow.agent.record.store import RecordStore
    from secureflow.agent.verbs import approvals
    from secureflow.agent.verbs.dispatch import AgentVerbs
    from tests.survival import coded, drawing

    run = coded.run if os.environ.get(coded.CODE) else drawing.run
    handle, transaction = AgentVerbs.handle, RecordStore.transaction

    async def handle_verb(self: Any, verb: str, body: Any, log_proofs: Any = None) -> Any:
        place = _step(verb, body)
        token = _place.set(place)
        try:
            async with _around(points, place):
                return await handle(self, verb, body, log_proofs)
        finally:
            _place.reset(token)

    @contextlib.contextmanager
    def in_transaction(self: Any) -> Iterator[None]:
        with transaction(self):
            yield
            if _place.get():
                points.reach(f"{_place.get()} uncommitted")
        if _place.get():
            points.reach(f"{_place.get()} committed")

    AgentVerbs.handle = handle_verb  # type: ignore[method-assign]
    RecordStore.transaction = in_transaction  # type: ignore[assignment, method-assign]
    party = points._process

    def known(length: int) -> bytes:
        return hashlib.sha256(f"secret of {party}".encode()).digest()[:length]

    approvals.secrets = SimpleNamespace(token_bytes=known)  # type: ignore[assignment]
    return run


MORTAL = {"server": mortal_server, "enclave": mortal_enclave, "agent": mortal_agent}


@contextlib.asynccontextmanager
async def _around(points: Points, place: str) -> Any:
    points.reach(f"{place} before")
    try:
        yield
    except SecureFlowError:
        raise  # a refusal did nothing that a crash could undo
    points.reach(f"{place} after")


def _step(verb: str, body: Any) -> str:
    names = ("round", "stage")
    return " ".join([verb, *(str(body[name]) for name in names if name in body)])


def supervise(run: Callable[[Path], int], config: Path) -> int:
    """Fork the process, and again whenever it was killed; return its exit code otherwise."""
    child = 0
    told = False

    def pass_on(number: int, _: FrameType | None) -> None:
        nonlocal told
        told = True
        if child:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, pass_on)
    while not told:
        child = os.fork()
        if child == 0:
            _live(run, config)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            return os.waitstatus_to_exitcode(status)
    return 0


def _live(run: Callable[[Path], int], config: Path) -> None:
    """Be the process; never return."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    code = 70
    nursery.adopt()
    try:
        code = run(config)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main(arguments: list[str]) -> int:
    """Run what `secureflow <kind> start --config FILE` runs."""
    kind, _, _, config = arguments
    path = Path(config)
    points = Points(Path(os.environ[DIRECTORY]), path.parent.name)
    return supervise(MORTAL[kind](points), path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
