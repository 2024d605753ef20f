"""The context that every verb handler of an agent shares, and its external ports."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol
from weakref import WeakValueDictionary

from secureflow.agent.activesettings import ActiveSettings
from secureflow.agent.job.guards import check_approved, check_cosigned, check_not_late
from secureflow.agent.owner.budgets import Budgets
from secureflow.agent.owner.keysecret import key_secret
from secureflow.agent.owner.probing import Probing
from secureflow.agent.owner.publications import Publication, published
from secureflow.agent.peers.channels import PeerChannels
from secureflow.agent.record.records import JobRecord, OwnLeaf, RoundRecord
from secureflow.agent.record.restored import check_not_before_restore
from secureflow.agent.record.store import RecordStore
from secureflow.agent.settings import AgentSettings
from secureflow.agent.witness.charter import PinnedCharter
from secureflow.agent.witness.owndeeds import OwnDeeds
from secureflow.agent.witness.witness import Witness
from secureflow.application.ports.mpcengine import MpcEngine
from secureflow.domain.blobs import BlobPlace
from secureflow.domain.partyengines import absent, other_version
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.base import JobSpec, brings_rows, dataset_name
from secureflow.engines.run.kind import EngineKinds
from secureflow.engines.sealing import SealedUpdate
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import Clock
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError

APPROVAL: Final = "approval"
"""The kind of the leaf of an approval: the first of a job, before it begins here."""


class Computing(Protocol):
    """Local computation on the rows (`agent.compute.workers.Workers`)."""

    async def check(self, job: str, spec: Mapping[str, Any], dataset: DatasetConfig | None) -> None:
        """Refuse what cannot be computed, without reading rows."""

    async def prepare(
        self,
        job: str,
        spec: Mapping[str, Any],
        dataset: DatasetConfig | None,
        salt: bytes | None = None,
        commitment: str = "",
        keys: bytes = b"",
    ) -> dict[str, Any]:
        """Read and check the rows of the committed file."""

    async def compute(
        self, job: str, step: str, arguments: Mapping[str, JSON] | None = None
    ) -> dict[str, Any]:
        """Have one step of a prepared job computed; return {sums, seconds}.

        The steps, their arguments and the layout of their sums are defined by the job's kind
        (`WorkerKind.steps`).
        """

    async def close(self, job: str) -> None:
        """Forget the job's rows."""


class Fetching(Protocol):
    """The server's blobs and calls (`adapters.link.Link`)."""

    async def fetch(self, digest: str, path: Path, size: int) -> None:
        """Fetch a blob and verify its BLAKE3 digest."""

    async def store(
        self, source: memoryview | Path, digest: str, place: BlobPlace | None = None
    ) -> None:
        """Store a blob of this BLAKE3 digest, for the round that asked for it."""

    async def call(self, kind: str, body: dict[str, JSON]) -> JSON:
        """Call the server."""


class Uploading(Protocol):
    """The link to the enclave (`adapters.link.Uplink`)."""

    async def send(self, address: str, update: SealedUpdate, commitment: str) -> dict[str, JSON]:
        """Upload; return the receipt."""


class RunningEngines(Protocol):
    """This agent's engines (`adapters.mpcengines.registry.Engines`)."""

    def get(self, name: str) -> MpcEngine:
        """Return an engine, installed or not."""

    def ready(self, name: str) -> MpcEngine:
        """Return an engine that can run here now."""

    def here(self) -> dict[str, str]:
        """Return name → version of those that can run here now."""


class ApprovedCode(Protocol):
    """The owner's approved code (`agent.owner.code.OwnerCode`)."""

    async def fetch(self, digest: str) -> None:
        """Have a bundle's file here, from the centre if it is gone."""

    def write(self, digest: str, folder: Path) -> None:
        """Write an approved bundle's files into a folder that this makes.

        Raises:
            SecureFlowError: `not_approved`, `not_found`.
        """


class JobLocks:
    """One lock per job while somebody holds or waits for it: a centre can name any job."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def __getitem__(self, job: str) -> asyncio.Lock:
        """Return the job's lock."""
        return self._locks.setdefault(job, asyncio.Lock())

    def __len__(self) -> int:
        """Return how many jobs have a lock."""
        return len(self._locks)


class NoEngines:
    """The engines of an agent that has none."""

    def get(self, name: str) -> MpcEngine:
        """Refuse: see `ready`."""
        return self.ready(name)

    def ready(self, name: str) -> MpcEngine:
        """Refuse: it is not installed."""
        raise absent(name)

    def here(self) -> dict[str, str]:
        """Return none."""
        return {}


@dataclass(frozen=True)
class AgentContext:
    """One party: its name, key, files, record, witness and charter."""

    active: ActiveSettings = field(repr=False)
    key: SigningKey = field(repr=False)
    store: RecordStore = field(repr=False)
    charter: PinnedCharter = field(repr=False)
    witness: Witness = field(repr=False)
    clock: Clock = field(repr=False)
    budgets: Budgets = field(repr=False)
    probing: Probing = field(repr=False)
    channels: PeerChannels = field(repr=False)
    own_deeds: OwnDeeds = field(repr=False)
    locks: JobLocks = field(default_factory=JobLocks, repr=False)
    """A job's requests are handled one after the other."""
    engines: RunningEngines = field(default_factory=NoEngines, repr=False)
    code: ApprovedCode | None = field(default=None, repr=False)

    @property
    def party(self) -> str:
        """This organisation's slug."""
        return self.active.organisation

    @property
    def kinds(self) -> EngineKinds:
        """The engines' part of each kind of job."""
        return self.budgets.kinds

    @property
    def settings(self) -> AgentSettings:
        """The settings in force; a reload replaces them as a whole."""
        return self.active.settings

    def check_engine(self, spec: JobSpec) -> None:
        """Refuse a job that needs an engine which this agent does not have.

        Raises:
            SecureFlowError: `engine_absent`, `engine_unconfined`, naming party and command.
        """
        if spec.engine_needed is None:
            return
        name, version = spec.engine_needed
        try:
            found = self.engines.ready(name).describe().version
        except SecureFlowError as error:
            if error.code != "engine_absent":
                raise
            raise absent(name, self.party) from error
        if found != version:
            raise other_version(name, self.party, found, version)

    def approved(self, job: str, digest: str) -> tuple[JobRecord, JobSpec]:
        """Return an approved job and its spec; see `guards.check_approved`."""
        known = self.store.job(job)
        check_not_before_restore(self.store, job, known)
        now = self.clock()
        record = check_approved(known, job, digest, now)
        if not self.store.has_leaf_beside(job, APPROVAL):  # it has not begun
            check_not_late(job, record.spec.get("not_after"), now)
        return record, self.kinds.specs.parse(record.spec, stored=True)

    def publication(self, spec: JobSpec) -> Publication | None:
        """Return the own dataset that a spec names, as published; None if it reads no rows.

        Raises:
            SecureFlowError: `dataset_unknown`, `dataset_not_published`, `declaration_changed`.
        """
        if not brings_rows(spec, self.party):
            return None
        dataset = self.settings.dataset(dataset_name(spec, self.party))
        return published(self.store, self.party, dataset)

    def pinned(self, job: JobRecord, spec: JobSpec) -> Publication | None:
        """Return the publication that a job was approved under; None if it reads no rows.

        Raises:
            SecureFlowError: those of `publication`, if an earlier version stored none.
        """
        if job.declared is None:
            return self.publication(spec)
        return Publication.from_json(job.declared)

    def reading(
        self, publication: Publication | None
    ) -> tuple[DatasetConfig | None, bytes | None, str, bytes]:
        """Return the arguments of `Computing.prepare` that select file and held-out rows."""
        if publication is None:
            return None, None, "", b""
        dataset = publication.dataset
        keys = key_secret(self.store, self.key) if dataset.key_column else b""
        return dataset, bytes.fromhex(publication.salt), publication.commitment, keys

    async def unchanged(self, job: JobRecord, spec: JobSpec) -> Publication | None:
        """Return `pinned` after comparing the file: before the job reads a row or is charged.

        Raises:
            SecureFlowError: `dataset_changed`, `dataset_unreadable`, and those of `pinned`.
        """
        publication = self.pinned(job, spec)
        if publication is not None:
            await asyncio.to_thread(publication.check_file)
        return publication

    def check_witnessed(self, note: str, record: RoundRecord, spec: JobSpec) -> None:
        """Refuse to vote in a round under a head that too few cosigned; `guards.check_cosigned`."""
        first = not self.store.voted_before(record.job, record.round, record.stage)
        check_cosigned(note, record, spec, self.charter.pinned(), first=first)

    def leaf_reply(self, leaf: OwnLeaf) -> dict[str, JSON]:
        """Return a leaf in the form of replies.

        `leaves` are all of the job's leaves without an inclusion proof, in the order of their
        chain, so that what the server missed (a round closed before this party's reply) is sent
        again.
        """
        return {**leaf.sent, "leaves": [one.sent for one in self.store.unproved(leaf.job)]}


__all__ = [
    "AgentContext",
    "ApprovedCode",
    "Computing",
    "Fetching",
    "JobLocks",
    "NoEngines",
    "RunningEngines",
    "Uploading",
]
