"""An enclave over its real uplink, and organisations that seal, vote and certify with it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from peers.links import Pki, now

from secureflow.adapters.link import CredentialFiles, Source, Uplink, UplinkServer
from secureflow.adapters.tee import SimulatedAttester, SimulatedPlatform
from secureflow.domain.specs.base import dump, parse, spec_digest
from secureflow.domain.specs.training import TrainingSpec
from secureflow.enclave.verbs import EnclaveVerbs
from secureflow.engines.attestation import parse_evidence
from secureflow.engines.closing import Question, Vote, cast_vote, certify, round_context
from secureflow.engines.sealing import (
    Binding,
    RecipientKey,
    SealedUpdate,
    seal,
    tensor_digest,
    update_manifest,
)
from secureflow.engines.training.initial import initial_parameters
from secureflow.engines.training.models import Stage, update_layout
from secureflow.kit.canonical import sha256
from secureflow.kit.crypto import SigningKey

JSON = Any
JOB = "job_0123456789abcdefghjk"
PARTIES = ("bank-a", "bank-b", "bank-c", "bank-d")


class Blobs:
    """The centre's blobs in memory; what is stored here is all that an operator sees."""

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}
        self.failures: list[Exception] = []

    async def fetch(self, digest: str, path: Path, size: int) -> None:
        """Write the blob to the path."""
        data = self.stored[digest]
        assert len(data) <= size
        await asyncio.to_thread(path.write_bytes, data)

    async def store(self, source: Source, digest: str) -> None:
        """Keep the blob."""
        if self.failures:
            raise self.failures.pop(0)
        assert not isinstance(source, Path)
        data = bytes(source) if isinstance(source, memoryview) else b"".join(source.chunks())
        self.stored[digest] = data


@dataclass
class Organisation:
    """One contributor with its keys and its own uplink."""

    name: str
    key: SigningKey
    credentials: CredentialFiles
    uplink: Uplink
    recipient: RecipientKey = field(default_factory=RecipientKey.generate)
    evidence: str = ""


class EnclaveWorld:
    """An enclave and four organisations; every step can be done right or wrong."""

    def __init__(self, directory: Path, **spec: Any) -> None:
        self.pki = Pki(directory)
        self.blobs = Blobs()
        self.platform = SimulatedPlatform.generate(now())
        self.organisations = {name: self._organisation(name) for name in PARTIES}
        self.spec = make_spec(self.organisations, **spec)
        self.digest = spec_digest(self.spec)
        self.initial = initial_parameters(self.spec)
        self.model = tensor_digest(self.initial)
        self.public: JSON = {}
        self.address = ""
        self.verbs = self._verbs()
        self._server: UplinkServer | None = None

    async def start(self) -> EnclaveWorld:
        """Listen."""
        domain = self.pki.authority.trust_domain
        self._server = UplinkServer(
            "127.0.0.1:0", self.pki.enclave(), domain, self.verbs.uploads, clock=now
        )
        self.address = f"127.0.0.1:{await self._server.start()}"
        return self

    async def stop(self) -> None:
        """Close every link."""
        for one in self.organisations.values():
            await one.uplink.close()
        if self._server is not None:
            await self._server.stop(0)

    async def restart(self) -> None:
        """Lose the enclave's memory; agents must verify the new one."""
        if self._server is not None:
            await self._server.stop(0)
        self.verbs = self._verbs()
        await self.start()

    def approvals(self, names: Iterable[str] = PARTIES, **changes: JSON) -> dict[str, JSON]:
        """Return signed approvals."""
        return {name: self.approval(name, **changes) for name in names}

    def approval(self, name: str, signer: SigningKey | None = None, **changes: JSON) -> JSON:
        """Return one signed approval."""
        body = {
            "job": JOB,
            "spec": self.digest,
            "party": name,
            "expires": now() + 3600,
            "min_contributors": 3,
        } | changes
        key = signer or self.organisations[name].key
        return {"body": body, "signature": key.sign("approval", body)}

    def open_body(self, generation: int = 1, **changes: JSON) -> JSON:
        """Return the body of `open`."""
        recipients = {}
        for name, one in self.organisations.items():
            body = {"job": JOB, "generation": generation, "recipient": one.recipient.public}
            signature = one.key.sign("recipient", body)
            recipients[name] = {"recipient": one.recipient.public, "signature": signature}
        return {
            "job": JOB,
            "digest": self.digest,
            "spec": dump(self.spec),
            "approvals": self.approvals(),
            "generation": generation,
            "recipients": recipients,
            "expected": None,
            "model": None,
        } | changes

    async def ask(self, verb: str, **body: JSON) -> JSON:
        """Ask the enclave."""
        return await self.verbs.handle(verb, {"job": JOB, **body})

    async def open(self, **changes: JSON) -> EnclaveWorld:
        """Open the job and attest to every organisation."""
        self.public = await self.verbs.handle("open", self.open_body(**changes))
        nonces = {name: f"{index:064x}" for index, name in enumerate(self.organisations)}
        answer = await self.ask("attest", nonces=nonces)
        for name, evidence in answer["evidence"].items():
            self.organisations[name].evidence = parse_evidence(evidence).digest
        return self

    def update(self, seed: int, stage: Stage = "train", weight: float = 10.0) -> bytes:
        """Return the plaintext of an update: delta, then sums."""
        layout = update_layout(self.spec, stage)
        random = np.random.default_rng(seed)
        delta = random.standard_normal(layout.parameters).astype("<f4") / 100
        sums = np.arange(layout.sums, dtype="<f8")
        sums[0] = weight
        return bytes(delta.tobytes() + sums.tobytes())

    def seal(
        self,
        name: str,
        plaintext: bytes,
        *,
        number: int = 1,
        stage: Stage = "train",
        signer: SigningKey | None = None,
        **changes: Any,
    ) -> SealedUpdate:
        """Seal an update of an organisation; `changes` go into the binding."""
        layout = update_layout(self.spec, stage)
        facts = {
            "job": JOB,
            "round": number,
            "stage": stage,
            "party": name,
            "spec": self.digest,
            "model": self.model,
            "evidence": self.organisations[name].evidence if name in self.organisations else "",
            "manifest": update_manifest(layout.parameters, layout.sums),
        } | changes
        key = signer or self.organisations[name].key
        return seal(Binding(**facts), memoryview(plaintext), self.public["hpke"], key)

    async def upload(
        self, name: str, sealed: SealedUpdate | None = None, *, seed: int | None = None,
        number: int = 1, stage: Stage = "train", via: Uplink | None = None,
    ) -> JSON:  # fmt: skip
        """Send an update over the organisation's own link and return the receipt."""
        if sealed is None:
            seed = PARTIES.index(name) if seed is None else seed
            sealed = self.seal(name, self.update(seed, stage), number=number, stage=stage)
        link = via or self.organisations[name].uplink
        return await link.send(self.address, sealed, commitment(sealed))

    def question(
        self, survivors: Iterable[str] = PARTIES, *, number: int = 1, stage: Stage = "train",
        model: str = "", noise: str = "",
    ) -> Question:  # fmt: skip
        """Return the closing question."""
        context = round_context(
            JOB, number, stage,
            spec=self.digest, model=model or self.model, roster=PARTIES, noise=noise,
        )  # fmt: skip
        alive = tuple(sorted(survivors))
        dead = tuple(sorted(set(PARTIES) - set(alive)))
        return Question(JOB, number, stage, context, alive, dead)

    def certificate(self, question: Question, voters: Iterable[str] | None = None) -> JSON:
        """Return the JSON of a certificate signed by these voters (default: all survivors)."""
        names = question.survivors if voters is None else voters
        votes: list[Vote] = [
            cast_vote(question, name, self.organisations[name].key) for name in names
        ]
        return certify(votes).as_json()

    async def release(self, certificate: JSON, *, number: int = 1, stage: Stage = "train") -> JSON:
        """Ask for a release; the model moves on."""
        answer = await self.ask("release", round=number, stage=stage, certificate=certificate)
        self.model = answer["model"]
        return answer

    def worker_initial(self) -> str:
        """Return the digest of the spec's initial model."""
        return tensor_digest(self.initial)

    def stored_model(self, digest: str) -> NDArray[np.float32]:
        """Return a model that the operator can read."""
        return np.frombuffer(self.blobs.stored[digest], np.float32)

    def _organisation(self, name: str) -> Organisation:
        credentials = self.pki.agent(name)
        return Organisation(name, SigningKey.generate(), credentials, Uplink(credentials))

    def _verbs(self) -> EnclaveVerbs:
        attester = SimulatedAttester(self.platform, measurement="ab" * 32)
        return EnclaveVerbs(attester, self.blobs, lambda: self.address, now)


def make_spec(organisations: Mapping[str, Organisation], **changes: Any) -> TrainingSpec:
    """Return a rehearsal spec of these organisations."""
    value: dict[str, Any] = {
        "project": "prj_0123456789abcdefghjk",
        "name": "rehearsal",
        "purpose": "testing",
        "submitter": "tester",
        "roster": [{"party": n, "key": o.key.public} for n, o in organisations.items()],
        "model": {"family": "rehearsal", "parameters": 1000},
        "plan": {"rounds": 3},
        "limits": {"max_weight": 1000, "clip_norm": 100.0},
    }
    return parse(TrainingSpec, value | changes)


def commitment(sealed: SealedUpdate) -> str:
    """Return a stand-in for the salted commitment: unique per sealed update."""
    return sha256(sealed.header_bytes).hex()


@contextlib.asynccontextmanager
async def enclave_world(directory: Path, **spec: Any) -> AsyncIterator[EnclaveWorld]:
    """A started world with the job open."""
    world = await EnclaveWorld(directory, **spec).start()
    try:
        yield await world.open()
    finally:
        await world.stop()
