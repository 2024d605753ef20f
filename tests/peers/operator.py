"""A malicious operator: the real centre in this process, with its CA and log key, against real
agents and a real enclave in processes of their own, over the real links.

What it does between two steps of an honest course is its own affair: it may ask any party
anything, show it any head with any proof, and mint certificates.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from peers.links import until

from secureflow.adapters.artifacts import FileArtifacts
from secureflow.adapters.link import CredentialFiles
from secureflow.adapters.link.server import LinkServer
from secureflow.agent import api
from secureflow.application.ports.courier import Request
from secureflow.application.running.asking import Asking
from secureflow.application.running.local import LocalParties
from secureflow.application.running.recording import pending_leaves
from secureflow.demo.data import demo_features, private_features
from secureflow.demo.platform import TRUST_DOMAIN, Platform
from secureflow.demo.processes import stop_all
from secureflow.domain.charter import SignedCharter
from secureflow.domain.ids import new_id
from secureflow.domain.specs.base import dump, parse, spec_digest
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.ledger.ends import SERVER
from secureflow.engines.ledger.leaves import leaf_from_json, verify
from secureflow.engines.ledger.merkle import MemoryTree
from secureflow.engines.ledger.notes import Checkpoint, parse_note, sign_checkpoint
from secureflow.engines.run.run import Course, JobContext, accusations
from secureflow.engines.script import ENCLAVE, Ask, Effect, Now, Publish, Record
from secureflow.engines.training.federated import federated_training
from secureflow.engines.training.kind import TRAINING_ENGINE
from secureflow.kit.canonical import canonical_bytes, sha256
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.pki import Authority, make_csr, new_link_key
from secureflow.server.centre import open_centre
from secureflow.server.services import Services
from secureflow.server.settings import ServerSettings

JSON = Any
PATIENCE = 20.0


class Operator:
    """The centre's owner: courier, log and authority in one hand."""

    def __init__(self, platform: Platform, courier: LocalParties, services: Services) -> None:
        self.platform = platform
        self.courier = courier
        self.link: LinkServer = courier.remote  # type: ignore[assignment]
        self.ledger, self.begin = services.ledger, services.begin
        self.overdue = services.overdue
        self.log_key = SigningKey.load(platform.server / "log.key")
        self.authority = Authority.load(platform.server / "ca")
        self.parties = tuple(platform.parties)
        charter = SignedCharter.parse(platform.charter_file().read_bytes()).charter
        self.keys = charter.keys
        self._numbers = count(1)

    def spec(self, parties: Sequence[str] = (), **changes: JSON) -> TrainingSpec:
        """Return the spec of a rehearsal with pinned members."""
        value: dict[str, JSON] = {
            "project": self.platform.project,
            "name": "rehearsal",
            "purpose": "testing",
            "submitter": "operator",
            "roster": [{"party": p, "key": self.keys[p]} for p in parties or self.parties],
            "model": {"family": "rehearsal", "parameters": 64},
            "plan": {"rounds": 5, "validation": 0.0},
            "limits": {"patience_seconds": PATIENCE},
        }
        return parse(TrainingSpec, value | changes)

    async def ask(self, job: str, party: str, verb: str, body: Mapping[str, JSON]) -> JSON:
        """Ask a party something, under an id of its own."""
        name = f"{job}/x{next(self._numbers)}/{party}"
        return await self.link.ask(Request(name, party, verb, dict(body), PATIENCE))

    async def standing(self) -> None:
        """Wait until every party has dialled in."""
        await until(lambda: all(map(self._stands, (*self.parties, ENCLAVE))))

    def spec_over_rows(
        self, scale: str, parties: Sequence[str] = (), **changes: JSON
    ) -> TrainingSpec:
        """Return the spec of logistic regression over the banks' rows."""
        features = dump(private_features() if scale == "bounds" else demo_features())
        names = parties or self.parties
        roster = [{"party": p, "key": self.keys[p], "dataset": "adult"} for p in names]
        plan = {"rounds": 3, "validation": 0.0, "batch_size": 64}
        facts = {"roster": roster, "features": features, "plan": plan, "model": {}}
        return self.spec(**{**facts, **changes})

    async def restart(self, party: str, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Kill an agent, do something to its files, and start it again."""
        process = self.platform.processes[party]
        process.kill()
        await until(lambda: not self._stands(party))
        meanwhile()
        self.platform.start(party, wait=False)
        await self.standing()

    async def lose_enclave(self) -> None:
        """Kill the enclave and start it again."""
        enclave = self.platform.processes[ENCLAVE]
        enclave.kill()
        await until(lambda: not self._stands(ENCLAVE))
        self.platform.start(ENCLAVE, wait=False)
        await self.standing()

    def _stands(self, party: str) -> bool:
        return self.link.status(party).connected

    def credentials(self, organisation: str) -> CredentialFiles:
        """Mint a certificate for an agent of any organisation."""
        key = new_link_key()
        uri = f"spiffe://{TRUST_DOMAIN}/org/{organisation}/agent/minted"
        chain = self.authority.issue(make_csr(key), uri, int(time.time()), life=timedelta(hours=1))
        place = self.platform.directory / "minted" / f"{organisation}-{next(self._numbers)}"
        return CredentialFiles.create(place, self.authority.pem, key, chain)

    def blobs(self, vectors_of: str = "") -> FileArtifacts:
        """Return the centre's blobs, or the masked vectors of a job."""
        directory = self.platform.server / "artifacts"
        if not vectors_of:
            return FileArtifacts(directory)
        return FileArtifacts(directory / "vectors" / vectors_of, durable=False)

    async def put(self, data: bytes, vectors_of: str = "") -> str:
        """Put something of the operator's own beside them; return its digest."""

        async def chunks() -> AsyncIterator[bytes]:
            yield data

        stored = await self.blobs(vectors_of).put(chunks(), limit=len(data))
        return stored.digest

    async def vector(self, run: Run, party: str) -> bytes:
        """Return the masked vector that a party has sent in the open round."""
        digest = run.seen["mask"]["replies"][party]["vector"]
        return b"".join([chunk async for chunk in await self.blobs(run.job).open(digest)])

    async def clear_alarm(self, party: str) -> JSON:
        """Play the owner who lets an agent go on; return what the alarm was."""
        config = self.platform.parties[party].config  # meanwhile it may ask the centre: this loop
        return (await asyncio.to_thread(api.clear_alarm, config, "test"))["cleared"]

    async def leaves(self, size: int) -> list[bytes]:
        """Return the data of the log's first leaves."""
        data: list[bytes] = []
        while len(data) < size:
            entries = await self.ledger.entries(start=len(data), limit=size - len(data))
            data += [entry.data for entry in entries]
        return data

    def fork(self, leaves: Sequence[bytes]) -> Fork:
        """Sign a history."""
        tree = MemoryTree()
        tree.append(*leaves)
        checkpoint = Checkpoint(self.ledger.origin, tree.size, tree.root())
        return Fork(tree, sign_checkpoint(checkpoint, self.log_key))

    async def show(
        self, run: Run, party: str, verb: str, body: Mapping[str, JSON], fork: Fork
    ) -> JSON:
        """Ask with a forked head, and with the best proof that the fork has for it."""
        field_name = "cosigned" if verb == "close" else "head"
        honest = self.link._callbacks

        async def log_proofs(_: str, __: Mapping[str, JSON], standing: Any) -> JSON:
            old, new = sorted((standing.log_size, fork.tree.size))
            proof = fork.tree.consistency_proof(old, new) if 0 < old < new else []
            consistency = {"from": old, "to": new, "proof": [one.hex() for one in proof]}
            return {"consistency": consistency, "inclusion": []}

        self.link._callbacks = replace(honest, log_proofs=log_proofs)
        try:
            return await self.ask(run.job, party, verb, {field_name: fork.note} | _rest(body))
        finally:
            self.link._callbacks = honest


def _rest(body: Mapping[str, JSON]) -> dict[str, JSON]:
    return {name: value for name, value in body.items() if name not in ("head", "cosigned")}


@dataclass(frozen=True)
class Fork:
    """A history of the operator's making, and its signed head."""

    tree: MemoryTree
    note: str


@dataclass
class Run:
    """An honest course, up to wherever the operator wants to interfere."""

    operator: Operator
    spec: TrainingSpec
    job: str = field(default_factory=lambda: new_id("job"))
    tamper: Callable[[Effect], Effect] = lambda effect: effect
    seen: dict[str, JSON] = field(default_factory=dict)
    """Verb → the newest answer to it."""

    def __post_init__(self) -> None:
        self.digest = spec_digest(self.spec)
        expires = int(time.time()) + 3600
        stage = TRAINING_ENGINE.contributing
        context = JobContext(self.job, self.spec, self.digest, self.operator.keys, expires, stage)
        self._script = federated_training(context)
        self._asking = Asking(self.operator.courier, _ignored)
        self._seq = 0
        self.effect: Effect = next(self._script)

    def body(self, **more: JSON) -> dict[str, JSON]:
        """Return a request body of this job."""
        return {"job": self.job, "digest": self.digest, **more}

    @property
    def course(self) -> Course[TrainingSpec]:
        """What the script knows."""
        found: Course[TrainingSpec] = self._script.gi_frame.f_locals["course"]
        return found

    def accused(
        self,
        error: SecureFlowError,
        body: JSON,
        party: str = "bank-a",
        against: Sequence[str] = ("server",),
    ) -> str:
        """Check that a refusal is a signed accusation; let the course record it; return its code.

        One leaf for each kind of refusal in a round, over the request that provoked it first.
        """
        offered = error.details["accusation"]
        signed, document = leaf_from_json(offered["leaf"]), offered["document"]
        assert verify(signed, self.spec.keys[party])
        found = (signed.leaf.kind, signed.leaf.job, signed.leaf.author)
        assert found == ("accusation", self.job, party)
        assert (document["code"], document["against"]) == (error.code, list(against))
        first = self.seen.setdefault(f"{party} {error.code} {document.get('round')}", body)
        assert sha256(canonical_bytes(first)).hex() == document["evidence"]
        self.course.ledger.waiting += accusations(self.course, {party: error.as_json()})
        return error.code

    async def recorded(self) -> list[tuple[str, str]]:
        """Go on over the next record and return kind and author of its entries."""
        while not isinstance(self.effect, Record):
            await self.step()
        shown = []
        for entry in self.effect.entries:
            if "signed" in entry:
                leaf = leaf_from_json(entry["signed"]).leaf
                shown.append((leaf.kind, leaf.author))
            else:
                shown.append((str(entry["kind"]), "server"))
        await self.step()
        return shown

    async def until(self, verb: str, **facts: JSON) -> Ask:
        """Go on honestly until this verb is to be asked, with these facts in its body."""
        while True:
            effect = self.effect
            if isinstance(effect, Ask) and effect.verb == verb and _holds(effect, facts):
                return effect
            await self.step()

    async def step(self, answer: JSON = None) -> None:
        """Do what the script asks for, or answer it as the operator likes.

        Raises:
            SecureFlowError: the job's own end.
        """
        if answer is None:
            try:
                answer = await self._perform(self.tamper(self.effect))
            except SecureFlowError as error:
                self.effect = self._script.throw(error)
                return
        if isinstance(self.effect, Ask):
            self.seen[self.effect.verb] = answer
        self.effect = self._script.send(answer)

    async def give_up(self) -> None:
        """Cancel, so that the parties forget the job."""
        try:
            self.effect = self._script.throw(SecureFlowError("cancelled", "The test is over."))
            while True:
                await self.step()
        except SecureFlowError:
            return

    async def _perform(self, effect: Effect) -> JSON:
        self._seq += 1
        match effect:
            case Ask():
                return await self._asking.perform(self.job, self._seq, effect, asyncio.Event())
            case Record():
                return await self._record(effect)
            case Publish():
                return {"model": new_id("mdl"), "version": 1}
            case Now():
                return time.time_ns() // 1_000_000
        return None

    async def _record(self, effect: Record) -> JSON:
        operator = self.operator
        async with operator.begin() as unit:
            own = await unit.leaves.end(self.job, SERVER)
        leaves = pending_leaves(
            self.job, self._seq, effect, operator.ledger.origin, operator.log_key, self.digest,
            int(time.time()), own,
        )  # fmt: skip
        recorded = await operator.ledger.append(leaves)
        return {"note": recorded.note, "size": recorded.size, "indices": list(recorded.indices)}


def _holds(ask: Ask, facts: Mapping[str, JSON]) -> bool:
    return all(ask.body.get(name) == value for name, value in facts.items())


async def _none_ended(jobs: Sequence[str]) -> list[str]:
    del jobs
    return []


async def _ignored(head: str, lines: Mapping[str, str]) -> None:
    del head, lines


async def refusal(asked: Awaitable[JSON]) -> SecureFlowError:
    """Return what the party refused with; a hint is part of every refusal."""
    with pytest.raises(SecureFlowError) as caught:
        await asked
    return caught.value


def size_of(note: str) -> int:
    """Return the size of a head."""
    return parse_note(note).checkpoint.size


@asynccontextmanager
async def operating(platform: Platform) -> AsyncIterator[Operator]:
    """Put the operator in the place of a platform's server."""
    platform.charter_file()  # while there is a server that its agent can ask
    stop_all([platform.processes.pop("server")])
    platform.stays = True  # from here on this process has gRPC's threads: spawn, do not fork
    settings = ServerSettings.load(Path(platform.server / "server.yaml"))
    async with AsyncExitStack() as stack:
        centre = await open_centre(settings, stack, lambda: False)
        runner: Any = centre.services.jobs._driver
        courier = runner._asking._courier
        operator = Operator(platform, courier, centre.services)
        # Its runs are in no database: an enclave that asks how they ended would forget them.
        centre.services.overdue.ended = _none_ended  # type: ignore[method-assign]
        await operator.standing()
        yield operator
