"""One real agent, and in memory everything around it: log, charter, enclave, blobs, worker.

The others' signatures, proofs, evidence and seals are genuine; only transport and numbers are
toys. `reopen` forgets the agent object and builds another one on the same directory: a crash.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from peers.accounting import InlineAccountant

from secureflow.adapters.datasources import dataset_commitment
from secureflow.adapters.policy import CedarPolicies
from secureflow.adapters.tee import SimulatedAttester, SimulatedPlatform
from secureflow.adapters.tee.dcap import DcapVerifier
from secureflow.agent.edge.wiring import Assembly, ExternalPorts, assemble
from secureflow.agent.kinds.kind import AgentKinds
from secureflow.agent.kinds.kinds import AGENT_KINDS
from secureflow.agent.owner.publications import declaration, keep_lineage
from secureflow.agent.record.store import RecordStore
from secureflow.agent.settings import (
    AgentSettings,
    AttestationSettings,
    ConsentSettings,
    EngineSettings,
    Partner,
)
from secureflow.agent.verbs.attestation import appraisal_policy
from secureflow.domain.charter import Charter, Member, SignedCharter
from secureflow.domain.policies import Policy
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.base import dump, parse, spec_digest
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.attestation import Evidence, runtime_data
from secureflow.engines.closing import round_context
from secureflow.engines.ledger.leaves import leaf_from_json
from secureflow.engines.ledger.merkle import MemoryTree, leaf_hash
from secureflow.engines.ledger.notes import Checkpoint, attach, cosign, sign_checkpoint
from secureflow.engines.sealing import (
    Binding,
    Opener,
    RecipientKey,
    RoundRelease,
    SealedUpdate,
    tensor_digest,
)
from secureflow.engines.sealing.wiretypes import rounded_to
from secureflow.engines.training.models import initial_model_digest, update_layout
from secureflow.engines.training.sending import update_form
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError

NOW = 1_800_000_000
JOB = "job_0123456789"
ORIGIN = "log.example"
ME = "bank-a"
WIDTH = 2
SALT = b"\x07" * 32
ALLOW = "permit(principal, action, resource);"
ACCOUNTANT = InlineAccountant()
"""One for all worlds: what it was asked once it knows."""

DATASET = {
    "name": "customers",
    "path": "customers.csv",
    "format": "csv",
    "columns": [
        {"name": "age", "type": "number", "bounds": [0, 100]},
        {"name": "job", "type": "category", "categories": ["x", "y"], "sensitive": True},
        {"name": "income", "type": "category", "categories": ["low", "high"]},
    ],
}


class Worker:
    """Stands in for the warm worker: deltas are a function of the seed, calls are counted."""

    def __init__(self, spec: TrainingSpec) -> None:
        self.spec = spec
        self.calls: list[str] = []
        self.closed: list[str] = []
        self.noise = 0.0
        self.weight = 40.0

    async def check(self, job: str, spec: Mapping[str, Any], dataset: DatasetConfig | None) -> None:
        self.calls.append("check")

    async def prepare(
        self,
        job: str,
        spec: Mapping[str, Any],
        dataset: DatasetConfig | None,
        salt: bytes | None = None,
        commitment: str = "",
        keys: bytes = b"",
    ) -> dict[str, Any]:
        self.calls.append("prepare")
        return {"rows": 40, "validation": 4}

    async def compute(
        self, job: str, step: str, arguments: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        if step == "train" and arguments is not None:
            before = np.fromfile(arguments["model"], np.float32)
            assert len(before) == self.spec.parameters
            generator = np.random.Generator(np.random.PCG64(int(arguments["seed"], 16)))
            delta = generator.normal(size=len(before)).astype(np.float32) + np.float32(self.noise)
            if self.spec.privacy is not None:
                delta *= np.float32(1e-3)  # within every cap
            rounded_to(self.spec.wire or "float32", delta).tofile(arguments["update"])
        return self._answer(step)

    async def close(self, job: str) -> None:
        self.closed.append(job)

    def _answer(self, stage: Any) -> dict[str, Any]:
        self.calls.append(stage)
        length = update_layout(self.spec, stage).sums
        if self.spec.privacy is not None:
            return {"sums": [1.0] * length, "seconds": 0.25}
        return {"sums": [self.weight, *([1.0] * (length - 1))], "seconds": 0.25}


class Enclave:
    """A simulated enclave: one generation of keys, real evidence, real opening."""

    def __init__(self, platform: SimulatedPlatform, measurement: str, *, debug: bool) -> None:
        self.recipient = RecipientKey.generate()
        self.release_key = SigningKey.generate()
        self._attester = SimulatedAttester(platform, measurement=measurement, debug=debug)
        self.opened: dict[tuple[int, str, str], bytes] = {}
        self.evidence = ""

    def attest(self, nonce: str, spec: str, job: str = JOB, at: int = NOW) -> Evidence:
        runtime = runtime_data(
            nonce=nonce, hpke=self.recipient.public,
            release=self.release_key.public, job=job, spec=spec,
        )  # fmt: skip
        evidence = self._attester.attest(runtime, at)
        self.evidence = evidence.digest
        return evidence

    def release(self, world: World, number: int, stage: str, model: str) -> dict[str, Any]:
        length = update_layout(world.spec, stage).sums  # type: ignore[arg-type]
        sums = (120.0, *([3.0] * (length - 1)))
        release = RoundRelease(
            JOB, world.digest, number, stage, tuple(sorted(world.keys)), model, sums
        )
        return release.sign(self.release_key)


class Uplink:
    """The way to whichever enclave is up; opens what arrives as the enclave would."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.sent: list[tuple[SealedUpdate, str]] = []
        self.lost = False

    async def send(self, address: str, update: SealedUpdate, commitment: str) -> dict[str, Any]:
        if self.lost:
            raise SecureFlowError("job_not_open", "the enclave does not know the job")
        world, binding = self._world, update.header.binding
        self.sent.append((update, commitment))
        expected = Binding(
            JOB, binding.round, binding.stage, ME, world.digest, binding.model,
            world.enclave.evidence,
            update_form(world.spec, binding.stage),  # type: ignore[arg-type]
        )  # fmt: skip
        key = world.keys[ME].public
        opener = Opener(world.enclave.recipient, update.header, expected, key)
        buffer = bytearray(opener.length)
        opener.attach(memoryview(buffer))
        for chunk in update.chunks():
            opener.write(chunk)
        opener.finish(update.trailer())
        world.enclave.opened[binding.round, binding.stage, binding.model] = bytes(buffer)
        return {"job": JOB, "round": binding.round, "body": update.body_digest, "at": NOW}


@cache
def platform() -> SimulatedPlatform:
    """Return the hardware that all worlds' enclaves run on."""
    return SimulatedPlatform.generate(NOW)


@cache
def policies(text: str) -> CedarPolicies:
    """Return what decides by a text; it keeps nothing of what it decided."""
    return CedarPolicies([Policy("test.cedar", text, "")])


@cache
def empty_record() -> bytes:
    """Return the file of a record that was just made."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "agent.db"
        RecordStore(path).close()
        return path.read_bytes()


@dataclass
class World:
    """See the module. `policy` is the agent's Cedar text, `members` more charter members."""

    directory: Path
    policy: str = ALLOW
    parties: tuple[str, ...] = (ME, "bank-b", "bank-c")
    members: tuple[str, ...] = ()
    spec_changes: dict[str, Any] = field(default_factory=dict)
    partners: Mapping[str, str] = field(default_factory=dict)
    allow_simulated: bool = True
    privacy: dict[str, Any] | None = None
    entries: list[dict[str, Any]] = field(default_factory=list)
    accounting: Any = ACCOUNTANT
    kinds: AgentKinds = field(default_factory=lambda: AGENT_KINDS)
    confines: bool = False
    links: int = 1
    """How many links the centre has welcomed."""
    more_ports: dict[str, Any] = field(default_factory=dict)
    """Ports that only some kinds of job need: channels to peers, engines."""
    me: str = ME
    """The party whose agent it is."""
    base_models: tuple[Path, ...] = ()
    """Files of models on which adapters stand."""
    more_columns: tuple[dict[str, Any], ...] = ()
    """Of the dataset."""
    anchors: tuple[Any, ...] = ()
    """Places at which the agent anchors."""

    def __post_init__(self) -> None:
        self._settings: tuple[Any, AgentSettings] | None = None
        self.now = NOW
        self.directory.mkdir(exist_ok=True)
        names = (*self.parties, *self.members)
        self.all_keys = {name: SigningKey.from_seed(name.ljust(32).encode()) for name in names}
        self.keys = {name: self.all_keys[name] for name in self.parties}
        self.log_key = SigningKey.from_seed(b"\xff" * 32)
        self.tree = MemoryTree()
        self.positions: dict[str, int] = {}
        self.platform = platform()
        self.measurement = "ab" * 32
        self.enclave = self.new_enclave()
        self.blobs: dict[str, bytes] = {}
        self.spec = self.make_spec(**self.spec_changes)
        self.digest = spec_digest(self.spec)
        self.worker = Worker(self.spec)
        self.uplink = Uplink(self)
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.assembly: Assembly
        self.store: RecordStore
        self.open_agent()
        self.assembly.context.charter.pin(self.signed_charter, self.charter.digest)
        self.publish()

    # The agent.

    @property
    def charter(self) -> Charter:
        members = tuple(Member(n, n.title(), k.public) for n, k in self.all_keys.items())
        return Charter(1, "example.org", ORIGIN, self.log_key.public, members)

    @property
    def signed_charter(self) -> SignedCharter:
        signed = SignedCharter(self.charter)
        for name, key in self.all_keys.items():
            signed = signed.sign(name, key)
        return signed

    @property
    def data(self) -> Path:
        """The file of the one dataset; the toy worker reads no rows of it."""
        return self.directory / "customers.csv"

    @property
    def declared(self) -> dict[str, Any]:
        columns = [*DATASET["columns"], *self.more_columns]  # type: ignore[misc]
        return {**DATASET, "columns": columns, "path": str(self.data), "privacy": self.privacy}

    def publish(self, text: str = "age,job,income\n41,x,low\n") -> None:
        """Write the file, and what the agent keeps of having published it."""
        self.data.write_text(text)
        (dataset,) = self.settings.datasets
        commitment = dataset_commitment(self.data, SALT)
        fact = {"id": "dst_1", "salt": SALT.hex(), "commitment": commitment}
        with self.store.transaction():
            self.store.set_fact("dataset/customers", {**fact, **declaration(dataset)})
            keep_lineage(self.store, dataset)

    @property
    def settings(self) -> AgentSettings:
        partners = [(name, self.all_keys[of].public) for name, of in self.partners.items()]
        of = (
            self.directory,
            self.me,
            self.declared,
            partners,
            self.allow_simulated,
            self.base_models,
            self.anchors,
        )
        if self._settings is None or self._settings[0] != of:
            self._settings = of, self._made_settings()
        return self._settings[1]

    def _made_settings(self) -> AgentSettings:
        return AgentSettings(
            engines=EngineSettings(memory_mb=96, scratch_mb=7),
            directory=self.directory,
            organisation=self.me,
            server="https://centre.example",
            link="centre.example:1",
            trust_domain="example.org",
            datasets=(parse(DatasetConfig, self.declared, "dataset"),),
            base_models=self.base_models,
            anchors=self.anchors,
            consent=ConsentSettings(
                protections=("sealed", "sealed+secagg"),
                two_party=tuple(
                    Partner(dataset=dataset, key=self.all_keys[party].public)
                    for dataset, party in self.partners.items()
                ),
            ),
            attestation=AttestationSettings(
                allow_simulated=self.allow_simulated, measurements=("ab" * 32,)
            ),
        )

    @property
    def link(self) -> Any:
        """What the agent has for a centre: this world's blobs and calls."""
        return self

    def open_agent(self) -> None:
        settings = self.settings
        if not settings.record.exists():
            settings.record.write_bytes(empty_record())
        self.store = RecordStore(settings.record)
        ports = ExternalPorts(
            link=self.link,
            uplink=self.uplink,
            computing=self.worker,
            policies=policies(self.policy),
            verifier=DcapVerifier(self.platform.root_pem),
            appraisal=appraisal_policy(settings.attestation, lambda: self.measurement),
            accounting=self.accounting,
            clock=lambda: self.now,
            links=lambda: self.links,
            confines=self.confines,
            **self.more_ports,
        )
        self.assembly = assemble(settings, self.all_keys[self.me], self.store, ports, self.kinds)

    def reopen(self) -> None:
        """Kill the agent and start it again."""
        self.store.close()
        self.open_agent()

    async def ask(self, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        """Deliver a request with the log proofs that an honest server attaches."""
        return await self.assembly.agent.handle(verb, body, self.log_proofs(body))

    # The server: blobs, calls, log.

    async def fetch(self, digest: str, path: Path, size: int) -> None:
        if digest not in self.blobs:
            raise SecureFlowError("not_found", digest)
        np.frombuffer(self.blobs[digest], np.uint8).tofile(path)

    async def call(self, kind: str, body: dict[str, Any]) -> Any:
        if kind == "log.mine":
            return {"leaves": []}
        self.calls.append((kind, body))
        if kind == "audit.entries":
            start = body["start"]
            return {"entries": self.listed()[start : start + body["limit"]]}
        if kind == "audit.head" and not body["from"]:
            head = Checkpoint(ORIGIN, len(self.listed()), self.tree.root())
            return {"note": sign_checkpoint(head, self.log_key), "consistency": []}
        if body["from"] > self.tree.size:
            raise SecureFlowError("not_found", "The log has not so many leaves.")
        proof = self.tree.consistency_proof(body["from"])
        return {"note": self.head(), "consistency": [h.hex() for h in proof]}

    def listed(self) -> list[dict[str, Any]]:
        """Return what the centre lists: `entries`, and hashes up to the size of the log."""
        rest = range(len(self.entries), self.tree.size)
        return [*self.entries, *({"index": at, "hash": "00" * 32} for at in rest)]

    def head(self, size: int | None = None) -> str:
        size = self.tree.size if size is None else size
        return sign_checkpoint(Checkpoint(ORIGIN, size, self.tree.root(size)), self.log_key)

    def record(self, *replies: Mapping[str, Any]) -> str:
        """Append the leaves that replies carry, in chain order and each once; return the head."""
        for reply in replies:
            for bundle in reply.get("leaves", ()):
                data = leaf_from_json(bundle["leaf"]).data()
                node = leaf_hash(data).hex()
                if node not in self.positions:
                    self.positions[node] = self.tree.size
                    self.tree.append(data)
        self.tree.append(b"an entry of the server's own")
        return self.head()

    def log_proofs(self, body: Mapping[str, Any]) -> dict[str, Any] | None:
        head = body.get("head") or body.get("cosigned")
        if head is None:
            return None
        size = int(head.split("\n")[1])
        witness = self.assembly.context.witness
        old, new = sorted((witness.log_size, size))
        proof = self.tree.consistency_proof(old, new) if 0 < old < new else []
        inclusion = [
            {
                "hash": node,
                "index": self.positions[node],
                "size": size,
                "proof": [h.hex() for h in self.tree.inclusion_proof(self.positions[node], size)],
            }
            for node in witness.unproved()
            if self.positions.get(node, size) < size
        ]
        consistency = {"from": old, "to": new, "proof": [h.hex() for h in proof]}
        return {"consistency": consistency, "inclusion": inclusion}

    def cosigned(self, note: str, *, by: Sequence[str] | None = None) -> str:
        names = self.all_keys if by is None else by
        return attach(note, [cosign(note, n, self.all_keys[n], self.now) for n in names])

    # The job.

    def make_spec(self, **changes: Any) -> TrainingSpec:
        value = {
            "project": "prj_0123456789",
            "name": "credit",
            "purpose": "credit scoring",
            "submitter": "usr_alice",
            "roster": [
                {"party": p, "key": k.public, "dataset": "customers"} for p, k in self.keys.items()
            ],
            "features": {
                "label": {"column": "income", "positive": "high"},
                "numeric": [{"column": "age", "bounds": [0, 100], "scale": "bounds"}],
                "categorical": [{"column": "job", "categories": ["x", "y"]}],
            },
            "plan": {"rounds": 3},
        }
        return parse(TrainingSpec, {**value, **changes}).drawn()

    def new_enclave(self, *, measurement: str | None = None, debug: bool = False) -> Enclave:
        return Enclave(self.platform, measurement or self.measurement, debug=debug)

    def model(self, value: float) -> tuple[str, bytes]:
        """Make a model of one value; the blob store knows it."""
        data = np.full(self.spec.parameters, value, np.float32).tobytes()
        digest = tensor_digest(memoryview(data))
        self.blobs[digest] = data
        return digest, data

    def body(self, **more: Any) -> dict[str, Any]:
        return {"job": JOB, "digest": self.digest, **more}

    def consent_body(self, **changes: Any) -> dict[str, Any]:
        return {**self.body(spec=dump(self.spec), expires=NOW + 86_400), **changes}

    async def admit(self, generation: int = 1) -> dict[str, Any]:
        challenge = await self.ask("challenge", self.body(generation=generation))
        evidence = self.enclave.attest(challenge["nonce"], self.digest)
        body = self.body(generation=generation, evidence=evidence.as_json(), model=None)
        return await self.ask("admit", body)

    async def admitted(self) -> None:
        """Bring the job to the point where the first round may begin."""
        approval = await self.ask("consent", self.consent_body())
        self.record(approval)
        self.record(await self.admit())

    def train_body(self, number: int = 1, stage: str = "train", **changes: Any) -> dict[str, Any]:
        body = self.body(
            round=number,
            stage=stage,
            generation=1,
            model=None if number <= 1 else self.released(number - 1, 0.5 * (number - 1)),
            moments=None,
            head=self.head(),
            uplink={"address": "enclave:1"},
        )
        return {**body, **changes}

    def released(self, number: int, value: float) -> dict[str, Any]:
        digest, data = self.model(value)
        return {
            "digest": digest,
            "artifact": digest,
            "size": len(data),
            "release": self.enclave.release(self, number, "train", digest),
            "keys": None,
        }

    def close_body(self, train: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
        model = train["model"]["digest"] if train["model"] else self.initial
        context = round_context(
            JOB, train["round"], train["stage"],
            spec=self.digest, model=model, roster=self.spec.parties,
        )  # fmt: skip
        body = self.body(
            round=train["round"],
            stage=train["stage"],
            context=context,
            survivors=sorted(self.keys),
            dead=[],
            cosigned=self.cosigned(train["head"]),
        )
        return {**body, **changes}

    @property
    def initial(self) -> str:
        return initial_model_digest(self.spec)

    async def round(self, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Play one honest round to its vote and record it; return the two replies."""
        body = self.train_body(number)
        trained = await self.ask("train", body)
        closed = await self.ask("close", self.close_body(body))
        self.record(trained)
        return trained, closed
