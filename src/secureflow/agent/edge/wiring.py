"""Assembles an agent from its settings and its external ports; plain functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from secureflow.adapters.link.peerlink import Dialling
from secureflow.agent.activesettings import ActiveSettings
from secureflow.agent.job.context import (
    AgentContext,
    Computing,
    Fetching,
    NoEngines,
    RunningEngines,
    Uploading,
)
from secureflow.agent.job.retrying import call_with_retries
from secureflow.agent.job.selectedrows import SelectedRows
from secureflow.agent.kinds.kind import AgentKinds, Contributions
from secureflow.agent.kinds.kinds import AGENT_KINDS
from secureflow.agent.owner.accounting import Accounting
from secureflow.agent.owner.acting import acting
from secureflow.agent.owner.agreements import OwnAgreements
from secureflow.agent.owner.budgets import Budgets
from secureflow.agent.owner.bundles import OwnerBundles, named_code
from secureflow.agent.owner.code import OwnerCode
from secureflow.agent.owner.consent import Consent
from secureflow.agent.owner.decisions import Decisions
from secureflow.agent.owner.environments import Environments
from secureflow.agent.owner.grants import Grants
from secureflow.agent.owner.inbox import Inbox
from secureflow.agent.owner.people import People
from secureflow.agent.owner.probing import Probing
from secureflow.agent.owner.questions import OwnQuestions
from secureflow.agent.owner.settlements import OwnSettlements
from secureflow.agent.peers.channels import Nowhere, PeerChannels
from secureflow.agent.record.carriedbytes import CarriedBytes
from secureflow.agent.record.restored import ForgottenJobs
from secureflow.agent.record.rollback import RollbackCheck
from secureflow.agent.record.room import Room
from secureflow.agent.record.store import RecordStore
from secureflow.agent.settings import AgentSettings
from secureflow.agent.verbs.approvals import Approvals
from secureflow.agent.verbs.attestation import Attestation
from secureflow.agent.verbs.delivering import Deliveries
from secureflow.agent.verbs.dispatch import AgentVerbs
from secureflow.agent.verbs.keeping import KeptResults
from secureflow.agent.verbs.masking import Masking
from secureflow.agent.verbs.peers import PeerAttempts, PeerLinks
from secureflow.agent.verbs.rounds import SealedRounds
from secureflow.agent.verbs.sessions import Sessions
from secureflow.agent.verbs.settling import Settling
from secureflow.agent.verbs.stopping import Stopping
from secureflow.agent.witness.charter import PinnedCharter
from secureflow.agent.witness.continuations import Continuations
from secureflow.agent.witness.owndeeds import OwnDeeds
from secureflow.agent.witness.witness import Witness
from secureflow.application.ports.policies import Policies
from secureflow.engines.attestation import AppraisalPolicy, EvidenceVerifier
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import Clock
from secureflow.kit.crypto import SigningKey

if TYPE_CHECKING:
    from secureflow.application.passwords import Passwords


@dataclass(frozen=True)
class ExternalPorts:
    """The external ports of an agent."""

    link: Fetching
    uplink: Uploading
    computing: Computing
    policies: Policies
    verifier: EvidenceVerifier
    appraisal: AppraisalPolicy
    accounting: Accounting
    clock: Clock
    links: Callable[[], int]
    """Returns how many links the centre has welcomed so far."""
    dialling: Dialling = field(default_factory=Nowhere)
    """Reaches the agents of peers."""
    confines: bool = False
    """Whether `computing` runs code of others, in a sandbox that confines it."""
    peers: PeerLinks | None = None
    """Other channels than those over `dialling`."""
    engines: RunningEngines = field(default_factory=NoEngines)
    """For computation among parties."""
    forget_answers: Callable[[str], None] = lambda _: None
    """Has the link send no earlier answer of a job again."""


@dataclass(frozen=True)
class Assembly:
    """An agent and the parts that its owner's commands use."""

    agent: AgentVerbs
    context: AgentContext
    inbox: Inbox
    consent: Consent
    attestation: Attestation
    continuations: Continuations
    rollback: RollbackCheck
    bundles: OwnerBundles
    code: OwnerCode
    people: People
    grants: Grants
    stopping: Stopping
    questions: OwnQuestions
    agreements: OwnAgreements
    settlements: OwnSettlements


def assemble(
    settings: AgentSettings,
    key: SigningKey,
    store: RecordStore,
    ports: ExternalPorts,
    kinds: AgentKinds = AGENT_KINDS,
) -> Assembly:
    """Return an agent over its record, for these kinds of job; nothing runs yet."""
    clock, party = ports.clock, settings.organisation
    store.actor = lambda: acting().facts()
    charter = PinnedCharter(store, party, key, clock)

    async def call(kind: str, body: Mapping[str, JSON]) -> JSON:
        return await call_with_retries(kind, lambda: ports.link.call(kind, dict(body)))

    witness = Witness(store, party, key, charter.pinned, settings.evidence, clock, call)
    active = ActiveSettings(settings)
    budgets = Budgets(active, store, witness, key.public, ports.accounting, call, kinds.engines)
    probing = Probing(active, store, witness, budgets.reconcile, clock)
    channels = PeerChannels(party, key, ports.dialling, CarriedBytes(store))
    consent, inbox = _deciding(active, store, ports)
    people = People(store, key, party, clock, passwords)
    bundles = OwnerBundles(settings.directory, store, ports.link, clock, lambda: named_code(inbox))
    code = OwnerCode(bundles, Environments(settings.directory), lambda: ports.confines)
    deeds = _own_deeds(active, store, charter, witness, clock, _contributing(kinds))
    own = active, key, store, charter, witness, clock, budgets, probing, channels, deeds
    context = AgentContext(*own, engines=ports.engines, code=code)
    rows = SelectedRows(context, ports.computing)
    contributions = Contributions(kinds, context, rows, ports.link)
    grants = Grants(store, party, key, clock, lambda: active.settings.consent.grants)
    sessions = Sessions(context)
    settling = Settling(context, sessions, grants)
    attestation = Attestation(context, ports.verifier, ports.appraisal)
    room = Room(settings, store, kinds.engines.specs)
    forgotten = ForgottenJobs(store, party, key.public, call)
    approvals = Approvals(context, kinds, consent, inbox, forgotten, room, code, grants)
    agent = AgentVerbs(
        context,
        approvals,
        attestation,
        contributions,
        SealedRounds(context, contributions, ports.uplink),
        Masking(context, contributions, sessions, ports.link, ports.uplink),
        KeptResults(context, contributions),
        Deliveries(context, contributions, ports.link),
        PeerAttempts(context, contributions, ports.peers or channels),
        sessions,
        room,
        settling,
        lambda: rollback.check(),  # noqa: PLW0108  made later
    )
    rollback = RollbackCheck(store, party, key.public, clock, call, agent.forget, ports.links)
    continuations = Continuations(store, witness, charter, clock, call, agent.end)
    parts = context, inbox, consent, attestation, continuations, rollback
    ends = _cancelling(agent, ports), agent.end_run, agent.forget
    stopping = Stopping(context, grants, settling, *ends, ports.computing)
    owned = bundles, code, people, grants, stopping, OwnQuestions(store, inbox, clock)
    return Assembly(agent, *parts, *owned, *_revenue(context, charter))


def _revenue(context: AgentContext, charter: PinnedCharter) -> tuple[OwnAgreements, OwnSettlements]:
    """Return the agreements and settlements of this organisation."""
    store, party, key, clock = context.store, context.party, context.key, context.clock
    agreed = OwnAgreements(store, party, key, charter, clock)
    hand = context.own_deeds.settled
    own = OwnSettlements(store, party, key, agreed, lambda: _log_keys(charter), clock, hand)
    return agreed, own


def _log_keys(charter: PinnedCharter) -> list[str]:
    """Return the keys of the pinned charter's log, the present one first."""
    pinned = charter.pinned()
    return [pinned.log_key, *pinned.log_keys.values()]


def _contributing(kinds: AgentKinds) -> frozenset[str]:
    """Return the stages whose updates make something of all parties'."""
    return frozenset(one.contributing for one in kinds.engines.values() if one.contributing)


def _own_deeds(
    active: ActiveSettings,
    store: RecordStore,
    charter: PinnedCharter,
    witness: Witness,
    clock: Clock,
    contributing: frozenset[str],
) -> OwnDeeds:
    """Return what puts deeds into the outbox of the owner's places, in the deed's transaction."""
    places = active.settings.anchors  # those that this process opened; a reload changes none
    witness.deeds = own = OwnDeeds(store, lambda: places, charter.pinned, clock, contributing)
    return own


def _cancelling(agent: AgentVerbs, ports: ExternalPorts) -> Callable[[str], None]:
    """Return what ends a job's requests, and what they were answered."""

    def cancel(job: str) -> None:
        agent.cancel(job)
        ports.forget_answers(job)

    return cancel


def _deciding(
    active: ActiveSettings, store: RecordStore, ports: ExternalPorts
) -> tuple[Consent, Inbox]:
    """Return what decides about requests, and the inbox of those that people decide."""
    decisions = Decisions(ports.policies, lambda: active.settings.consent.two_people)

    def within() -> int | None:
        return active.settings.consent.decide_within

    inbox = Inbox(store, ports.clock, decisions.two_people, within)
    return Consent(decisions, inbox), inbox


@cache
def passwords() -> Passwords:
    """Return this process's one checker of passwords, which limits how many are hashed at once."""
    from secureflow.application.passwords import Passwords  # loads Argon2: only where people log in

    return Passwords()
