"""The running centre: database, ledger, link and runner, opened in order of dependency.

Heavy modules that only jobs need (NumPy, the report renderer) are loaded with the first job.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from secureflow.adapters.accounting import ProcessAccountant
from secureflow.adapters.artifacts import FileArtifacts, ReadTogether, ScratchFiles
from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.log import SqlLedger
from secureflow.adapters.link import Bounds as LinkBounds
from secureflow.adapters.link.server import LinkServer
from secureflow.adapters.messaging import InProcessBus
from secureflow.application.jobs.jobs import topic
from secureflow.application.jobs.kind import JobKinds
from secureflow.application.jobs.kinds import JOB_KINDS
from secureflow.application.membership import member_keys
from secureflow.application.organisations import revoked
from secureflow.application.ports.artifacts import DamagedArtifactError
from secureflow.application.ports.bus import Bus
from secureflow.application.ports.logkeys import LogKeys
from secureflow.application.revocations import RevocationWatch
from secureflow.application.running.aggregation import Aggregation
from secureflow.application.running.answering import note_answer
from secureflow.application.running.asking import Asking
from secureflow.application.running.claims import JobClaims, poll_forever
from secureflow.application.running.local import LocalParties
from secureflow.application.running.queueing import JobQueue
from secureflow.application.running.runner import Runner
from secureflow.application.running.scripts import Scripts
from secureflow.application.running.stepoutputs import StepOutputs
from secureflow.application.running.waiting import WaitObserver, Waits
from secureflow.application.secretsroot import secrets_root
from secureflow.application.sweeping import keep_swept
from secureflow.application.throttle import Throttle
from secureflow.application.witnessing import Witnessing
from secureflow.domain.organisations import Agent
from secureflow.engines.script import AGGREGATOR
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import Clock, Ticks, system_clock
from secureflow.kit.crypto import SigningKey
from secureflow.kit.diskreserve import DiskReserve
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.hostport import parse_address
from secureflow.kit.logging import get_logger
from secureflow.kit.text import Text
from secureflow.kit.version import __version__
from secureflow.server.authorities import read_authorities
from secureflow.server.awaiting import awaited
from secureflow.server.cawatch import SECONDS as CA_SECONDS
from secureflow.server.cawatch import CaWatch
from secureflow.server.certificate import ServerCertificate
from secureflow.server.logkeys import LogKeyFiles
from secureflow.server.metrics import Metrics
from secureflow.server.neighbours import Watchers, own_name, poll_log
from secureflow.server.providers import login_providers
from secureflow.server.readiness import WRITE_SECONDS, Dependency, ReadinessProbe
from secureflow.server.record import check_record, keep_record
from secureflow.server.room import Figures, RecordRoom, figures, reserve_of
from secureflow.server.rpc import PartyDesk
from secureflow.server.services import Services
from secureflow.server.settings import LinkSettings, ServerSettings
from secureflow.server.wiring import Ports, make_services, notify_of

_log = get_logger(__name__)
LINK_GRACE = 0.5
"""Grace period of open calls when the link stops, in seconds."""


@dataclass(frozen=True)
class Centre:
    """Everything behind REST. `link` is the address for parties to dial."""

    services: Services
    certificate: ServerCertificate
    link: str


async def open_centre(
    settings: ServerSettings,
    stack: AsyncExitStack,
    stopping: Callable[[], bool],
    kinds: JobKinds = JOB_KINDS,
) -> Centre:
    """Start every part; the stack stops them in reverse.

    Raises:
        SecureFlowError: `ca_…`, `key_…`, `database_…`, `…_address`, `fenced`, `record_…`.
    """
    clock, keys = system_clock, LogKeyFiles(settings)
    authorities, reserve = read_authorities(settings), reserve_of(settings)
    authority = authorities.issuing
    identity = settings.tls, authority, settings.host, clock, settings.key_files
    certificate = reserve.run(lambda: ServerCertificate(*identity, authorities.trusted))
    database, ledger, sealing = await _open_record(settings, keys, stack)
    artifacts, uploads, vectors = _stores(settings)
    bus, metrics, steps = InProcessBus(), Metrics(), StepOutputs(artifacts)
    waits = Waits(clock, changed := _Waker(bus, metrics))
    witnessing = Witnessing(ledger, partial(member_keys, database.begin))
    desk = _make_desk(settings, witnessing, artifacts, vectors, kinds)
    made = settings.link, certificate, authority.trust_domain, authorities.greeting(), desk
    link = _make_link(*made, readable := ReadTogether(artifacts, uploads), waits.observe)
    stack.push_async_callback(link.stop, LINK_GRACE)
    address = _public(settings, port := await link.start())
    asking = _asking(link, kinds, waits, witnessing, database, (readable, vectors))
    room = RecordRoom(settings.directory, reserve, artifacts.demand)
    claims = _claims(settings, database, stack, reserve, port)
    parts = asking, ledger, keys.signing, Scripts(kinds.engines), _now_ms, changed
    queued = database.begin, settings.queue, clock, (noted := room.given_up_for(waits.note))
    runner = Runner(database.begin, *parts, noted, claims, queue := JobQueue(*queued), steps)
    stack.push_async_callback(runner.stop)
    world = database.begin, ledger, keys.signing, authority, link, runner, bus, artifacts, uploads
    outside = login_providers(settings.identity, clock), notify_of(settings), keys
    services = make_services(
        Ports(*world, clock, ProcessAccountant(), kinds, *outside, sealing),
        address,
        expel=(expel := partial(_expel, link)),
        notify_disabled=link.shut_out,
        coming=lambda agent: link.expect(agent.party),
        readiness=_readiness(database, ledger, artifacts, stack),
        stopping=stopping,
        metrics=metrics,
        bounds=settings.bounds,
        room=room.for_job,
        waits=waits.of,
        server=claims.name,
        others=(others := lambda: claims.others),
    )
    revocation_watch = RevocationWatch(database.begin, expel, link.shut_out)
    await reserve.run_async(revocation_watch.poll)  # before anyone is let in
    desk.open(services := _attached(services, database, settings))
    _keep(stack, room.keep_reserve(), *_background(services, clock))
    await reserve.run_async(lambda: _resume_work(services, runner))
    looks = Watchers(bus, runner.drives, others).poll, partial(poll_log, ledger, others)
    _keep(stack, _follow_ca(CaWatch(settings, authorities, certificate, link), services))
    polls = runner.poll, queue.poll, revocation_watch.poll, services.project_stops.poll
    _keep(stack, poll_forever([*polls, services.tokens.uses.poll, *looks]))
    return Centre(services, certificate, address)


async def _open_record(
    settings: ServerSettings, keys: LogKeyFiles, stack: AsyncExitStack
) -> tuple[Database, SqlLedger, SigningKey]:
    """Return the database, its log, and the key under which secrets lie in it."""
    wait = settings.database.wait_seconds
    database, ledger = await open_ledger(settings, keys.signing, stack, wait=wait, keys=keys)
    return database, ledger, await secrets_root(database.begin, keys.signing)


def _attached(services: Services, database: Database, settings: ServerSettings) -> Services:
    """Return the use cases with what they know of this machine, awake for changes."""
    database.on_change = services.feed.changed
    storage = Figures(lambda: figures(settings), time.monotonic).now
    overviews = services.overviews.showing(storage)
    return replace(services, record=lambda: database.fault, overviews=overviews)


def _readiness(
    database: Database, ledger: SqlLedger, artifacts: FileArtifacts, stack: AsyncExitStack
) -> ReadinessProbe:
    probe = make_readiness(database, ledger, artifacts=artifacts)
    stack.push_async_callback(probe.stop)
    return probe


def _make_desk(
    settings: ServerSettings,
    witnessing: Witnessing,
    artifacts: FileArtifacts,
    vectors: ScratchFiles,
    kinds: JobKinds,
) -> PartyDesk:
    return PartyDesk(
        *(witnessing, settings.max_artifact_bytes, system_clock, artifacts, vectors),
        Throttle(settings.link.calls_per_second, settings.link.burst, time.monotonic),
        {name for name, kind in kinds.engines.specs.items() if kind.peers},
    )


def _background(services: Services, clock: Clock) -> Iterator[Coroutine[Any, Any, None]]:
    """Yield what the use cases do while nobody asks for it."""
    notices = services.notices
    sweeps = services.bundles.sweep, services.uploads.sweep, notices.delivering.sweep
    yield keep_swept(services.begin, clock, also=sweeps)
    yield services.transactions.keep_numbered()
    yield services.failed_logins.keep_flushed()
    yield services.feed.keep_links()
    # Slow receivers must not hold up the rest.
    yield poll_forever([notices.notifying.poll, notices.expiring.poll, notices.outages.poll])
    yield poll_forever([notices.delivering.poll])


async def _follow_ca(watch: CaWatch, services: Services) -> None:
    """Follow changes of the CA's files until cancelled."""
    while True:
        try:
            await watch.poll(services.begin, services.transactions)
        except SecureFlowError as error:  # a held log, or a database that is away: later
            _log.info("ca_not_recorded", code=error.code)
        except Exception:  # noqa: BLE001  the edge of a task: a full disk is emptied in time
            _log.exception("ca_not_followed")
        await asyncio.sleep(CA_SECONDS)


async def _resume_work(services: Services, runner: Runner) -> None:
    """Finish a pending continuation, let a restored log continue, and resume the jobs."""
    with suppress(InfrastructureError):  # a full disk must not prevent a start
        await runner.poll()
    await services.continuing.finish()
    await services.guard.settle()
    with suppress(InfrastructureError):
        await services.feed.open()
    with suppress(SecureFlowError):  # the next look does it
        await services.project_stops.sweep()
    await runner.resume_all()


def _claims(
    settings: ServerSettings,
    database: Database,
    stack: AsyncExitStack,
    reserve: DiskReserve,
    port: int,
) -> JobClaims:
    own = reserve.run(lambda: stack.enter_context(own_name(settings.directory)))
    return JobClaims(database.begin, own, f"{socket.gethostname()}:{port}")


def _expel(link: LinkServer, agent: Agent) -> None:
    link.expel(agent.party, agent.id, revoked(agent.id))


def _stores(settings: ServerSettings) -> tuple[FileArtifacts, FileArtifacts, ScratchFiles]:
    spare, folder = settings.storage.reserve_mb << 20, settings.artifacts
    try:
        uploads = FileArtifacts(settings.uploads, reserve=spare, part="uploads")
        vectors = ScratchFiles(folder / "vectors", reserve=spare)
        return FileArtifacts(folder, reserve=spare), uploads, vectors
    except InfrastructureError as error:  # others are told no path, but who starts it needs it
        hint = Text(
            "Check the disk of {folder}: is it mounted for writing, and for this "
            "user? Waiting work then continues by itself.",
            folder=folder,
        )
        raise error.retold(error.message, hint) from error


def _make_link(
    settings: LinkSettings,
    certificate: ServerCertificate,
    trust_domain: str,
    roots: dict[str, JSON],
    desk: PartyDesk,
    artifacts: ReadTogether,
    on_wait: WaitObserver,
) -> LinkServer:
    return LinkServer(
        f"{settings.bind}:{settings.port}",
        certificate.credentials,
        trust_domain,
        desk.callbacks(),
        artifacts,
        clock=system_clock,
        version=__version__,
        bounds=LinkBounds(settings.max_connections, settings.handshake_seconds),
        on_wait=on_wait,
        roots=roots,
    )


def _asking(
    link: LinkServer,
    kinds: JobKinds,
    waits: Waits,
    witnessing: Witnessing,
    database: Database,
    stores: tuple[ReadTogether, ScratchFiles],
) -> Asking:
    parties = _parties(link, kinds, *stores, waits)
    answered = partial(note_answer, database.begin)
    damaged = partial(_demand_whole, *stores)
    return Asking(parties, witnessing.cosigned, link.left, answered, damaged)


async def _demand_whole(
    artifacts: ReadTogether, vectors: ScratchFiles, job: str, digest: str
) -> None:
    """Raise `DamagedArtifactError` if a blob is damaged here; whoever says so may be lying."""
    for store in (lambda: artifacts, lambda: vectors.of(job)):
        try:
            await store().open(digest)
        except DamagedArtifactError:
            raise
        except SecureFlowError:
            continue  # none of that name, no store any more, or no disk: nothing is known of it


def _parties(
    link: LinkServer,
    kinds: JobKinds,
    artifacts: ReadTogether,
    vectors: ScratchFiles,
    waits: Waits,
) -> LocalParties:
    """Return the parties on the link, and the local aggregator of masked sums."""
    aggregation = Aggregation(kinds.engines, kinds.sum_handlers(artifacts), vectors)
    here = {AGGREGATOR: aggregation.handle}
    arrivals = dict.fromkeys(("mask", "hand_over"), aggregation.check_arrival)
    return LocalParties(link, here, arrivals, waits.observe)


def _keep(stack: AsyncExitStack, *work: Coroutine[Any, Any, None]) -> None:
    """Run this in the background until the stack ends it."""
    for one in work:
        stack.push_async_callback(_ended, asyncio.create_task(one))


async def _ended(task: asyncio.Task[None]) -> None:
    """End a background task and wait for it: it may be using the database."""
    task.cancel()
    await asyncio.wait([task])


async def open_ledger(
    settings: ServerSettings,
    key: SigningKey,
    stack: AsyncExitStack,
    *,
    new: bool = False,
    wait: float = 0.0,
    keys: LogKeys | None = None,
) -> tuple[Database, SqlLedger]:
    """Start the database and its log, if they belong to the folder; create them only if `new`.

    A database that is not available yet, or cannot grow even without the reserve, is waited for
    `wait` seconds.

    Raises:
        SecureFlowError: as `check_record` and the database.
    """
    database, reserve = Database(settings.database_url), reserve_of(settings)
    stack.push_async_callback(database.close)

    async def opened() -> None:
        await check_record(database, settings.directory, new=new)
        await database.start()

    await awaited(lambda: reserve.run_async(opened), database.name, wait)
    ledger = SqlLedger(database, key, settings.origin, keys=keys)

    async def started() -> None:
        async with database.reached():
            await ledger.start()

    await awaited(lambda: reserve.run_async(started), database.name, wait)
    stack.push_async_callback(ledger.stop)
    keeper = await reserve.run_async(lambda: keep_record(database, ledger, settings.directory))
    keeper.start()
    stack.push_async_callback(keeper.stop)
    return database, ledger


class _Waker:
    """Wakes the watchers of a job; the runner does not wait for them."""

    def __init__(self, bus: Bus, metrics: Metrics) -> None:
        self._bus = bus
        self._metrics = metrics
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, job: str) -> None:
        self._metrics.job_changed(job)
        task = asyncio.ensure_future(self._bus.publish(topic(job)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def make_readiness(
    database: Database,
    ledger: SqlLedger,
    ticks: Ticks = time.monotonic,
    artifacts: FileArtifacts | None = None,
) -> ReadinessProbe:
    """Return the readiness check."""
    parts = {
        "database": Dependency(partial(_read, database)),
        "ledger": Dependency(ledger.head),
        "writing": Dependency(database.try_writing, WRITE_SECONDS),
    }
    if artifacts is not None:
        parts["storage"] = Dependency(partial(_has_room, artifacts))
    return ReadinessProbe(parts, ticks)


async def _has_room(artifacts: FileArtifacts) -> None:
    artifacts.demand(0)


async def _read(database: Database) -> None:
    async with database.begin() as work:
        await work.setting("charter")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _public(settings: ServerSettings, port: int) -> str:
    """Return the address given to newcomers: as configured, else host and port."""
    if settings.link.public:
        return str(parse_address(settings.link.public, "link.public"))
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return str(parse_address(f"{host}:{port}", "host"))
