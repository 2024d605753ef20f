"""The agent's process: it dials out and opens no network port; its owner uses `control`."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Protocol

from secureflow.adapters.accounting import ProcessAccountant
from secureflow.adapters.datasources import check_library
from secureflow.adapters.link import CredentialFiles, Link, Uplink
from secureflow.adapters.link.peerlink import Dialling
from secureflow.adapters.mpcengines.registry import Engines
from secureflow.adapters.mpcengines.runs import EngineRuns
from secureflow.adapters.policy import CedarPolicies
from secureflow.adapters.sandbox import PlainSandbox
from secureflow.agent.compute.bundle_workers import BundleWorkers
from secureflow.agent.compute.kinds import CODE_KINDS
from secureflow.agent.compute.worker_process import MODULE as WORKER
from secureflow.agent.compute.workers import Workers
from secureflow.agent.edge.anchorplaces import open_places
from secureflow.agent.edge.anchors import Opening, Running, own_anchors
from secureflow.agent.edge.bundlecommands import BundleCommands
from secureflow.agent.edge.clockwatch import ClockWatch
from secureflow.agent.edge.commands import Commands
from secureflow.agent.edge.computing import HiddenPlaces, start_workers
from secureflow.agent.edge.control import Command, ControlServer, is_own
from secureflow.agent.edge.documents import Describe, document_command
from secureflow.agent.edge.enginewatch import EngineWatch
from secureflow.agent.edge.grantcommands import GrantCommands
from secureflow.agent.edge.grantwatch import GrantWatch
from secureflow.agent.edge.missedends import MissedEnds
from secureflow.agent.edge.notifying import NotificationCommands, own_notifications
from secureflow.agent.edge.ownidentity import check_at_start, read_signing_key
from secureflow.agent.edge.ownmodelcommands import OwnModelCommands
from secureflow.agent.edge.pagecommands import page_commands
from secureflow.agent.edge.peerlinks import peer_links
from secureflow.agent.edge.peoplecommands import PeopleCommands
from secureflow.agent.edge.permissions import Gate
from secureflow.agent.edge.policycommands import PolicyCommands
from secureflow.agent.edge.predictioncommands import PredictionCommands
from secureflow.agent.edge.probingcommands import ProbingCommands
from secureflow.agent.edge.providercommands import ProviderCommands, person_providers
from secureflow.agent.edge.questionwatch import QuestionWatch
from secureflow.agent.edge.recovery import certificate_recovery
from secureflow.agent.edge.reload import Reload, Rules
from secureflow.agent.edge.resultcommands import ResultCommands
from secureflow.agent.edge.revenuecommands import RevenueCommands
from secureflow.agent.edge.revenuewatch import RevenueWatch
from secureflow.agent.edge.running import Describing
from secureflow.agent.edge.verifying import verifier
from secureflow.agent.edge.wiring import Assembly, ExternalPorts, assemble, passwords
from secureflow.agent.edge.witnessing import witnessing
from secureflow.agent.job.context import Computing, Fetching
from secureflow.agent.kinds.kind import AgentKinds
from secureflow.agent.kinds.kinds import AGENT_KINDS
from secureflow.agent.owner.engines import OwnEngines
from secureflow.agent.owner.environments import Environments
from secureflow.agent.owner.identities import PersonIdentities
from secureflow.agent.owner.logins import Limits, Logins
from secureflow.agent.owner.ownmodels import KeptModels
from secureflow.agent.owner.predictions import KeptPredictions
from secureflow.agent.owner.providerlogins import ProviderLogins
from secureflow.agent.owner.publications import check_lineage
from secureflow.agent.owner.results import KeptOutcomes
from secureflow.agent.record.damage import require_head
from secureflow.agent.record.folder import check_present, keep_record, locked_folder
from secureflow.agent.record.room import reserve_of
from secureflow.agent.record.store import RecordStore
from secureflow.agent.settings import AgentSettings, ControlSettings
from secureflow.agent.verbs.attestation import appraisal_policy
from secureflow.agent.witness.headwatch import HeadWatch
from secureflow.application.ports.sandbox import Sandbox
from secureflow.domain.exits import exit_code
from secureflow.domain.specs.kind import SpecKinds
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.kit.clock import system_clock
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.folder import claim_folder
from secureflow.kit.logging import announce_ready, get_logger, process_logging
from secureflow.kit.measurement import code_measurement
from secureflow.kit.memory import limit_arenas
from secureflow.kit.plain import shown
from secureflow.kit.process import Hangup, run_until_stopped
from secureflow.kit.version import __version__
from secureflow.texts import error_line

_log = get_logger(__name__)


class LocalComputing(Computing, Describing, Protocol):
    """All local computation of an agent (`agent.compute.workers.Workers`)."""

    async def stop(self) -> None:
        """Drop every job's rows."""


async def serve(
    settings: AgentSettings,
    computing: LocalComputing | None = None,
    config: Path | None = None,
    hangup: Hangup | None = None,
    kinds: AgentKinds = AGENT_KINDS,
    worker: str = WORKER,
    describe: Describe | None = None,
    opening: Opening = open_places,
) -> None:
    """Run this party until cancelled.

    Args:
        settings: the agent's.
        computing: local computation; by default a warm worker process per job.
        config: the settings file, which a reload reads again; by default `agent.yaml`.
        hangup: the SIGHUP handler, which is set to reload.
        kinds: the kinds of job that it takes part in.
        worker: the module that worker processes run, with the same kinds in its own table.
        describe, opening: make what the owner's page shows of a request; open places for anchors.

    Raises:
        SecureFlowError: `not_enrolled`, `agent_running`, `address_unavailable`, and those of
            keys, settings, policies, libraries, sandbox, data, record, places and disk.
    """
    key, specs = read_signing_key(settings), kinds.engines.specs
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(locked_folder(settings.directory))
        reserve_of(settings).run(lambda: claim_folder(settings.directory))
        store = await open_record(settings, stack)
        _check_record(settings, key, store)
        hidden = HiddenPlaces(settings)
        workers = computing or await start_workers(settings, worker, kinds, store, hidden)
        peers = await stack.enter_async_context(peer_links(settings))
        parts = _put_together(settings, key, store, workers, kinds, peers)
        link, uplink, assembly, workers, engines = parts
        hidden.follow(assembly.context.active)
        reload = _reload(config or settings.directory / "agent.yaml", assembly, specs)
        take_limits(assembly)
        watch, granted = ClockWatch(link), GrantWatch(link, assembly)
        told, own_watch = own_notifications(assembly.context, partial(_certificate_ends, settings))
        anchors = own_anchors(assembly, link, opening, stack)
        own = Commands(assembly, link, workers, reload, watch), NotificationCommands(told)
        page = page_commands(assembly, link, reload, granted, specs)
        others = await stack.enter_async_context(witnessing(assembly, link))
        table = _tables(page, *own, anchors, others)
        control = await asyncio.to_thread(_control, assembly, link, table, granted, describe)
        watching = _link_watches(link, assembly)
        looking = _started(watch, *watching, engines, granted, told, own_watch, *anchors.tasks)
        try:
            await store.reserve.run_async(control.start)
            if hangup is not None:
                reload.listen(hangup)
            store.reserve.run(lambda: announce_ready(settings.directory, _facts(settings)))
            await link.run()
        finally:
            for task in looking:
                task.cancel()
            for stop in (control.stop, assembly.context.channels.stop, workers.stop, uplink.close):
                await stop()


class Tabled(Protocol):
    """Some of the owner's commands."""

    def table(self) -> Mapping[str, Command]:
        """Return the commands by name."""


def _started(*tasks: Running) -> list[asyncio.Task[None]]:
    return [asyncio.create_task(one.run()) for one in tasks]


def _tables(commands: Mapping[str, Command], *more: Tabled) -> dict[str, Command]:
    return {**commands, **{name: one for part in more for name, one in part.table().items()}}


def _reload(config: Path, assembly: Assembly, kinds: SpecKinds) -> Reload:
    return Reload(config, assembly, partial(rules, kinds=kinds))


def _certificate_ends(settings: AgentSettings) -> int:
    return CredentialFiles(settings.directory)().span[1]


def _check_record(settings: AgentSettings, key: SigningKey, store: RecordStore) -> None:
    require_head(store.fact("head"), proved=store.proved_any())
    check_at_start(settings, key, store)
    for dataset in settings.datasets:
        check_lineage(store, dataset)
        check_library(dataset)


async def open_record(settings: AgentSettings, stack: contextlib.AsyncExitStack) -> RecordStore:
    """Open the record if it is the folder's own and newest; it is closed with the stack.

    Raises:
        SecureFlowError: `store_…`, `record_…`, `disk_…`.
    """
    check_present(settings)
    reserve = reserve_of(settings)
    store = stack.enter_context(contextlib.closing(RecordStore(settings.record, reserve)))
    keeper = reserve.run(lambda: keep_record(store, settings))
    reserve.keep()
    keeper.start()
    stack.push_async_callback(keeper.stop)
    return store


def _put_together(
    settings: AgentSettings,
    key: SigningKey,
    store: RecordStore,
    workers: LocalComputing,
    kinds: AgentKinds,
    dialling: Dialling,
) -> tuple[Link, Uplink, Assembly, LocalComputing, EngineWatch]:
    read = rules(settings, kinds.engines.specs)
    credentials = CredentialFiles(settings.directory, settings.key_files)
    credentials()  # `not_enrolled` before anything runs

    def doubted(error: SecureFlowError) -> None:
        if error.code == "certificate_not_valid_now":
            credentials.remove_previous()
        link.redial_if_expired(error)

    uplink = Uplink(lambda: credentials.at(system_clock()), doubted)
    link = Link(
        settings.link,
        credentials,
        lambda: _hello(assembly, watch.here),
        lambda verb, body, proofs: assembly.agent.handle(verb, body, proofs),  # noqa: PLW0108  made later
        clock=system_clock,
        whose=settings.organisation,
        recover=certificate_recovery(settings, credentials, key, system_clock),
    )
    sandbox = workers.config.sandbox if isinstance(workers, Workers) else PlainSandbox()
    watch = EngineWatch(link, engines_of(settings, sandbox))
    running: LocalComputing = workers
    if isinstance(workers, Workers):
        running = BundleWorkers(workers, lambda: assembly.code, settings.directory, CODE_KINDS)
    ports = ExternalPorts(
        link=link,
        uplink=uplink,
        computing=running,
        policies=read.policies,
        verifier=read.verifier,
        appraisal=read.appraisal,
        accounting=ProcessAccountant(),
        clock=system_clock,
        links=lambda: link.welcomes,
        dialling=dialling,
        engines=watch.engines,
        forget_answers=link.forget_answers,
        confines=sandbox.confines,
    )
    assembly = assemble(settings, key, store, ports, kinds)
    return link, uplink, assembly, running, watch


def _control(
    assembly: Assembly,
    link: Link,
    commands: Mapping[str, Command],
    granted: GrantWatch,
    describe: Describe | None,
) -> ControlServer:
    """Return the socket's server with every command, and the gate before them."""
    settings = assembly.context.settings
    logins = logins_of(assembly, settings.control)
    table = {**commands, **more_commands(assembly, link, logins, granted)}
    table |= document_command(table, describe)
    gate = Gate(assembly.people, logins, settings.control, is_own)
    return ControlServer(settings.socket, table, gate.admit, settings.control.group)


def logins_of(assembly: Assembly, settings: ControlSettings) -> Logins:
    """Return the sessions of an agent's people."""
    context = assembly.context
    limits = Limits(settings.idle_minutes * 60, settings.hours * 3600)
    parts = context.store, context.key, context.clock, time.monotonic, limits
    return Logins(*parts, passwords)


def more_commands(
    assembly: Assembly, link: Fetching, logins: Logins, granted: GrantWatch
) -> Mapping[str, Command]:
    """Return the owner's commands about code, predictions, models, results, tested ids, people.

    Code that nobody waits for any more is removed.
    """
    assembly.bundles.sweep()
    context = assembly.context
    environments = Environments(context.settings.directory)
    bundles = BundleCommands(assembly.inbox, context.store, assembly.bundles, environments)
    kept = PredictionCommands(
        lambda: KeptPredictions(context.settings, context.store, context.clock)
    )
    models = OwnModelCommands(lambda: KeptModels(context.settings, context.store, context.clock))
    tested = ProbingCommands(assembly, link)
    results = ResultCommands(lambda: KeptOutcomes(context.settings, context.store, context.clock))
    grants = GrantCommands(assembly, granted)
    people = PeopleCommands(assembly.people, logins)
    policies = PolicyCommands(assembly.inbox, assembly.consent.decisions)
    at_providers = provider_commands(assembly, logins)
    parts = (
        *(bundles, kept, models, tested, results, people, policies, grants, at_providers),
        RevenueCommands(assembly, link),
    )
    return {name: one for part in parts for name, one in part.table().items()}


def provider_commands(assembly: Assembly, logins: Logins) -> ProviderCommands:
    """Return the commands about the identity providers of this agent's settings."""
    context = assembly.context
    identities = PersonIdentities(context.store, assembly.people, logins, context.clock)
    known = person_providers(context.settings.identity.oidc, context.clock)
    parts = known, identities, logins, context.clock, time.monotonic
    return ProviderCommands(ProviderLogins(*parts), identities)


def _link_watches(
    link: Link, assembly: Assembly
) -> tuple[HeadWatch, MissedEnds, QuestionWatch, RevenueWatch]:
    """Return what looks after the log, ends, questions and settlements, while there is a link."""
    context = assembly.context
    parts = context.witness, context.store, context.charter, assembly.continuations, context.clock
    return (
        HeadWatch(link, *parts),
        MissedEnds(link, context.store),
        QuestionWatch(link, context.store, assembly.questions),
        RevenueWatch(link, assembly),
    )


def run(
    config: Path,
    kinds: AgentKinds = AGENT_KINDS,
    worker: str = WORKER,
    describe: Describe | None = None,
) -> int:
    """Run the process until SIGTERM or SIGINT; return the exit code. See `serve`."""
    limit_arenas()
    try:
        settings = AgentSettings.load(config)
    except SecureFlowError as error:
        sys.stderr.write(f"{shown(error_line(error))}\n")
        return exit_code(error.code)
    form, level = settings.log_form, settings.log_level
    with process_logging("agent", form=form, level=level, written=error_line) as tell:
        hangup = Hangup()
        try:
            running = serve(settings, None, config, hangup, kinds, worker, describe)
            run_until_stopped(running, hangup)
        except SecureFlowError as error:
            tell(error)
            return exit_code(error.code)
    return 0


def rules(settings: AgentSettings, kinds: SpecKinds = SPEC_KINDS) -> Rules:
    """Read the files that settings name: policies, roots; and the measurements.

    Raises:
        SecureFlowError: `policy_unreadable`, `policy_invalid`, `simulated_root_refused`.
    """
    if settings.attestation.allow_simulated:
        reason = "SIMULATED enclaves protect nothing from the operator"
        _log.warning("tee_simulated", message=reason)
    return Rules(
        CedarPolicies.load(settings.consent.policies, kinds),
        verifier(settings),
        appraisal_policy(settings.attestation, code_measurement),
    )


def take_limits(assembly: Assembly) -> None:
    """Apply budget limits that were edited while no agent ran, and report them.

    A budget that cannot be read does not prevent the start: the job that needs it reports why.
    """
    context = assembly.context
    try:
        changes = context.budgets.changes(context.settings.datasets)
        context.budgets.take_limits(changes, context.clock())
        tested = context.probing.changes(context.settings.datasets)
        context.probing.take_limits(tested, context.clock())
    except SecureFlowError as error:
        _log.error("budget_refused", message=str(error))
        return
    for one in changes:
        _log.warning("budget_limit_changed", **one)
    for one in tested:
        _log.warning("probing_limit_changed", **one)


def _facts(settings: AgentSettings) -> dict[str, str]:
    """Return what an agent that is ready says of itself."""
    party, socket = settings.organisation, str(settings.socket)
    return {"process": "agent", "party": party, "version": __version__, "socket": socket}


def engines_of(settings: AgentSettings, sandbox: Sandbox) -> Engines:
    """Return this agent's engines; what runs of a killed agent left behind is removed."""
    own, wanted = OwnEngines(settings.directory), settings.engines
    runs = EngineRuns(sandbox, settings.engines_folder, unconfined=wanted.unconfined)
    runs.sweep()
    return Engines(runs, own.interpreter)


def _hello(assembly: Assembly, engines: Mapping[str, str]) -> dict[str, object]:
    context = assembly.context
    return {
        "version": __version__,
        "log_size": context.witness.log_size,
        "unproved": context.witness.unproved(),
        "head": context.witness.newest,
        "charter": context.charter.named(),
        "key": context.key.public,
        "engines": dict(engines),
    }
