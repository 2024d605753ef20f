"""A world without a network: real signatures, votes, leaves and log; toy updates.

It answers a script's effects as honest parties and an honest enclave would, and can be told to
lose the enclave, silence a party, or let one lie. Its log is a real one: `bundle` can be audited.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import numpy as np

from secureflow.application.ports.storage import PendingLeaf
from secureflow.application.running import recording
from secureflow.domain.charter import Charter, Member
from secureflow.domain.quorum import quorum_of
from secureflow.domain.scoredocument import scores_digest
from secureflow.domain.specs.base import dump, parse, spec_digest
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.closing import (
    Certificate,
    Question,
    Vote,
    round_context,
    verify_certificate,
)
from secureflow.engines.ledger.bundle_format import BundleEntry, bundle_json
from secureflow.engines.ledger.ends import FINISHED, SERVER, End, finished_document
from secureflow.engines.ledger.leaves import Leaf, commitment, leaf_from_json, parse_leaf, sign_leaf
from secureflow.engines.ledger.merkle import MemoryTree, leaf_hash
from secureflow.engines.ledger.notes import Checkpoint, attach, cosign, parse_note, sign_checkpoint
from secureflow.engines.privacy.seeds import seed_binding
from secureflow.engines.run.run import JobContext
from secureflow.engines.script import (
    ENCLAVE,
    Ask,
    Effect,
    Move,
    Now,
    Publish,
    Record,
    Script,
    Tell,
    effect_digest,
)
from secureflow.engines.sealing import RoundRelease, tensor_digest
from secureflow.engines.training.federated import federated_training
from secureflow.engines.training.kind import TRAINING_ENGINE
from secureflow.engines.training.models import initial_model_digest, update_layout
from secureflow.engines.training.private import noised_once
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError

ORIGIN = "log.example"
JOB = "job_0123456789"


Journal = list[tuple[str, Any, dict[str, Any] | None]]


class Crash(BaseException):
    """The process dies."""


def party_name(place: int) -> str:
    return f"bank-{chr(97 + place)}" if place < 26 else f"bank-{place}"


def make_spec(keys: dict[str, SigningKey], rounds: int = 3, **more: Any) -> TrainingSpec:
    return parse(
        TrainingSpec,
        {
            "project": "prj_0123456789",
            "name": "rehearsal",
            "purpose": "test",
            "submitter": "usr",
            "roster": [{"party": p, "key": k.public} for p, k in keys.items()],
            "model": {"family": "rehearsal", "parameters": 8},
            **more,
            "plan": {"rounds": rounds, "validation": 0.0, **(more.get("plan") or {})},
        },
    )


@dataclass
class World:
    """Honest unless told otherwise. `lose_enclave_at` counts asks to the enclave or for uploads.

    `members` are charter members beside the roster's `count`. With `names_models` the parties name
    the model in their ends; without it they are of 0.2.0, as in the stories of the pinned scripts.
    """

    count: int = 3
    members: int = 0
    rounds: int = 3
    protection: str = "sealed"
    silent: set[str] = field(default_factory=set)
    liar: Callable[[str, str, dict[str, Any]], dict[str, Any]] | None = None
    lose_enclave_at: int | None = None
    refuse: dict[tuple[str, str], SecureFlowError] = field(default_factory=dict)
    privacy: dict[str, Any] | None = None
    names_models: bool = False
    plan: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        numbers = range(self.count + self.members)
        self.everybody = {party_name(n): SigningKey.from_seed(bytes([n + 1]) * 32) for n in numbers}
        self.keys = dict(list(self.everybody.items())[: self.count])
        self.log_key = SigningKey.from_seed(b"\xff" * 32)
        more = {"protection": self.protection, "privacy": self.privacy}
        more |= {"plan": self.plan} if self.plan else {}
        self.spec = make_spec(self.keys, self.rounds, **more)
        self.digest = spec_digest(self.spec)
        self.context = JobContext(
            JOB, self.spec, self.digest, self._public(self.everybody), 2_000_000_000,
            TRAINING_ENGINE.contributing,
        )  # fmt: skip
        self.tree = MemoryTree()
        self.entries: list[dict[str, Any]] = []
        self.log: list[PendingLeaf] = []
        self.heads: dict[int, str] = {}
        self.charter = Charter(
            1, "consortium.example", ORIGIN, self.log_key.public,
            tuple(Member(p, p.title(), key.public) for p, key in self.everybody.items()),
        )  # fmt: skip
        with patch.object(recording.secrets, "token_bytes", bytes):
            proposed = recording.server_leaf("job.proposed", {}, ORIGIN, self.log_key, 1, job=JOB)
        self._log([proposed])
        self.made: dict[str, list[dict[str, Any]]] = {}
        self.before: dict[str, str] = {}
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.progress: dict[str, Any] = {}
        self.states: list[str] = []
        self.models: list[dict[str, Any]] = []
        self.done: dict[int, Any] = {}
        self.votes: dict[tuple[str, int, str], Question] = {}
        self.enclave_asks = 0
        self.asked: list[tuple[str, str]] = []
        self.starts: dict[tuple[int, str], str] = {}
        self.performed = 0
        self.lost_now = False
        self._fresh_enclave()
        self.parameters = np.zeros(8, np.float32)

    @staticmethod
    def _public(keys: dict[str, SigningKey]) -> dict[str, str]:
        return {party: key.public for party, key in keys.items()}

    def _fresh_enclave(self) -> None:
        self.open = False
        self.folded: dict[tuple[int, str], set[str]] = {}
        self.only: list[str] | None = None

    def perform(self, seq: int, effect: Effect) -> Any:
        """Answer an effect; the same seq again gets the same answer, as from parties' records."""
        if seq in self.done:
            return self.done[seq]
        self.performed += 1
        answer = self._record(seq, effect) if isinstance(effect, Record) else self._perform(effect)
        self.done[seq] = answer
        return answer

    def _perform(self, effect: Effect) -> Any:
        match effect:
            case Ask():
                return self._ask(effect)
            case Move():
                self.states.append(effect.state)
            case Tell():
                self.told.append((effect.kind, dict(effect.data)))
                self.progress |= effect.progress
            case Publish():
                self.models.append(dict(effect.model))
                return {"model": "mdl_0000000001", "version": len(self.models)}
            case Now():
                return 1_800_000_000_000 + 10 * self.performed
        return None

    def _record(self, seq: int, effect: Record) -> Any:
        """Number leaves as the server does; with salts that are the same in every run."""
        self.entries += map(dict, effect.entries)
        own = [leaf for leaf in self.log if leaf.author == SERVER]
        end = End(len(own), leaf_hash(own[-1].data).hex())
        with patch.object(recording.secrets, "token_bytes", bytes):
            self._log(
                recording.pending_leaves(
                    JOB, seq, effect, ORIGIN, self.log_key, self.digest, 1_800_000_000, end
                )
            )
        size = len(self.log)
        checkpoint = Checkpoint(ORIGIN, size, self.tree.root())
        note = self.heads[size] = sign_checkpoint(checkpoint, self.log_key)
        return {"note": note, "size": size, "indices": []}

    def _log(self, leaves: list[PendingLeaf]) -> None:
        self.log += leaves
        self.tree.append(*(leaf.data for leaf in leaves))

    def bundle(self) -> dict[str, Any]:
        """Write the job's audit bundle, as `application.audit` does, under its last head."""
        size = len(self.log)
        return bundle_json(
            note=self.heads[size],
            job=JOB,
            spec=dump(self.spec),
            charter=self.charter.digest,
            entries=[
                BundleEntry(
                    index, parse_leaf(leaf.data), tuple(self.tree.inclusion_proof(index)),
                    leaf.document, leaf.salt,
                )
                for index, leaf in enumerate(self.log)
            ],
        )  # fmt: skip

    def _ask(self, ask: Ask) -> Any:
        replies: dict[str, Any] = {}
        failures: dict[str, Any] = {}
        if ask.verb in {"train", "mask", "release", "attest", "roll", "open"}:
            self.enclave_asks += 1
            if self.enclave_asks == self.lose_enclave_at:
                self._fresh_enclave()
        for party in ask.to:
            try:
                body = {**ask.body, **ask.each.get(party, {})}
                replies[party] = self._one(party, ask.verb, body)
            except SecureFlowError as error:
                failures[party] = error.as_json()
            else:
                self._keep_cosignature(ask, replies[party])
        need = len(ask.to) if ask.need is None else ask.need
        if len(replies) < need:
            if len(ask.to) == 1:
                raise SecureFlowError.from_json(next(iter(failures.values())))
            raise SecureFlowError("too_few_answers", str(failures), "", {"failures": failures})
        return {"replies": replies, "failures": failures}

    def _keep_cosignature(self, ask: Ask, reply: dict[str, Any]) -> None:
        if ask.verb in {"cosign", "finish"} and reply.get("cosignature"):
            size = parse_note(ask.body["head"]).checkpoint.size
            self.heads[size] = attach(self.heads[size], [reply["cosignature"]])

    def _one(self, party: str, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        self.asked.append((party, verb))
        if party in self.silent:
            raise SecureFlowError("party_silent", f"{party} is silent")
        if (party, verb) in self.refuse:
            raise self.refuse[party, verb]
        if party == ENCLAVE:
            return getattr(self, f"enclave_{verb}")(body)  # type: ignore[no-any-return]
        reply = getattr(self, f"party_{verb}")(party, body)
        return self.liar(party, verb, reply) if self.liar else reply  # type: ignore[no-any-return]

    def _leaf(self, party: str, kind: str, document: Any) -> dict[str, Any]:
        """Sign the next leaf of a party, or give the one that it signed for the same action."""
        made = self.made.setdefault(party, [])
        for known in made:
            if (known["leaf"]["leaf"]["kind"], known["document"]) == (kind, document):
                return {**known, "leaves": list(made)}
        salt = b"\x07" * 32
        leaf = Leaf(
            kind, ORIGIN, party, 1_800_000_000, commitment(salt, document),
            job=JOB, spec=self.digest, prev=self._end(party).last or self.before.get(party, ""),
        )  # fmt: skip
        signed = sign_leaf(leaf, self.keys[party])
        made.append({"leaf": signed.json(), "document": document, "salt": salt.hex()})
        return {**made[-1], "leaves": list(made)}

    def _end(self, party: str) -> End:
        made = self.made.get(party, [])
        return End(len(made), leaf_from_json(made[-1]["leaf"]).hash() if made else "")

    def party_consent(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        approval = {
            "job": JOB,
            "spec": body["digest"],
            "party": party,
            "expires": body["expires"],
            "min_contributors": 3,
        }
        signed = {"body": approval, "signature": self.keys[party].sign("approval", approval)}
        return {"approval": signed, **self._leaf(party, "approval", signed)}

    def party_challenge(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        return {"nonce": "00" * 32, "recipient": "", "signature": ""}

    def party_admit(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        verdict = {"tier": "SIMULATED SGX"}
        return {"verdict": verdict, **self._leaf(party, "attested", {"g": body["generation"]})}

    def party_train(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        if not self.open or (self.only is not None and party not in self.only):
            raise SecureFlowError("enclave_lost", "the job is not open")
        key = (body["round"], body["stage"])
        self.folded.setdefault(key, set()).add(party)
        initial = initial_model_digest(self.spec)
        self.starts[key] = body["model"]["digest"] if body["model"] else initial
        line = cosign(body["head"], party, self.keys[party], 1_800_000_000)
        document = {"round": body["round"], "stage": body["stage"]}
        return {"rows": 100, "cosignature": line, **self._leaf(party, "update", document)}

    def party_close(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        names = ("job", "round", "stage", "context", "survivors", "dead")
        question = Question.from_json({n: body[n] for n in names})
        self._check_witnessed(party, question, body["cosigned"])
        first = self.votes.setdefault((party, question.round, question.stage), question)
        assert first == question, "a party was asked for two sets"
        return {"vote": Vote(question, party, self.keys[party].sign("vote", question.body(party)))
                .as_json()}  # fmt: skip

    def _check_witnessed(self, party: str, question: Question, note: str) -> None:
        """Refuse as a real agent does: `agent.job.guards.check_cosigned`."""
        slot = (party, question.round, question.stage)
        if slot in self.votes:
            return
        first = not any(voter == party for voter, *_ in self.votes)
        keys = self._public(self.everybody if first else self.keys)
        if len(parse_note(note).cosigners(keys)) < quorum_of(len(keys)):
            raise SecureFlowError("head_not_cosigned", f"{party} votes first: {first}")

    def party_cosign(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        return {"cosignature": cosign(body["head"], party, self.everybody[party], 1_800_000_000)}

    def party_finish(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        line = self.party_cosign(party, body)
        made = self.made.get(party, [])
        if not made and body["outcome"] == "succeeded":
            return line
        if made and made[-1]["leaf"]["leaf"]["kind"] == FINISHED:
            return {**line, **made[-1], "leaves": list(made)}
        model = (body["model"] or {}).get("digest", "")
        named = model if self.names_models else ""
        document = finished_document(
            body["outcome"], self._end(party), named, self.scores_named(party, body)
        )
        return {**line, **self._leaf(party, FINISHED, document)}

    def scores_named(self, party: str, body: dict[str, Any]) -> str:
        """Return the scores that a party's end names."""
        told = body.get("contribution")
        return scores_digest(told) if told and self.names_models else ""

    def enclave_open(self, body: dict[str, Any]) -> dict[str, Any]:
        self.open, self.only = True, body["expected"]
        return {"hpke": "", "release": "", "uplink": "127.0.0.1:1"}

    def _opened(self) -> None:
        if not self.open:
            raise SecureFlowError("job_not_open", "the enclave does not know the job")

    def enclave_attest(self, body: dict[str, Any]) -> dict[str, Any]:
        self._opened()
        return {"evidence": {party: {"for": party} for party in body["nonces"]}}

    def enclave_roll(self, body: dict[str, Any]) -> dict[str, Any]:
        self._opened()
        key = (body["round"], body["stage"])
        return {"folded": sorted(self.folded.get(key, ())), "noise": self._noise(key)}

    def _noise(self, key: tuple[int, str]) -> str:
        """Return what binds the seeds of those who are folded: the same seeds at each enclave."""
        if not noised_once(self.spec) or key[1] != "train":
            return ""
        return seed_binding({party: party.encode() for party in self.folded.get(key, ())})

    def enclave_release(self, body: dict[str, Any]) -> dict[str, Any]:
        self._opened()
        certificate = Certificate.from_json(body["certificate"])
        verify_certificate(certificate, self.spec.keys)
        key = (body["round"], body["stage"])
        assert self.folded.get(key) == set(certificate.survivors)
        context = round_context(
            JOB, *key, spec=self.digest, model=self.starts[key], roster=self.spec.parties,
            noise=self._noise(key),
        )  # fmt: skip
        assert certificate.question.context == context
        model = np.full(8, body["round"] if body["stage"] == "train" else 0, np.float32)
        length = update_layout(self.spec, body["stage"]).sums
        sums = (300.0, *([0.0] * (length - 1)))
        release = RoundRelease(
            JOB, self.digest, *key, certificate.survivors, tensor_digest(model), sums
        ).sign(self.log_key)
        return {**release, "artifact": tensor_digest(model), "size": 32}

    def enclave_finish(self, body: dict[str, Any]) -> dict[str, Any]:
        self._fresh_enclave()
        return {}

    def script(self) -> Script[dict[str, Any]]:
        """Return a fresh script of the job."""
        return federated_training(self.context)


def told_dropouts(world: World) -> list[dict[str, Any]]:
    """Return who dropped out as the job's events say it."""
    return [one for kind, data in world.told if kind == "dropouts" for one in data["dropouts"]]


def drive(world: World, journal: Journal, die_at: int | None = None) -> dict[str, Any]:
    """Drive the script as the runner does: replay, perform, journal; optionally die.

    Dying *after* an effect was performed and *before* it was journalled is the hardest place.
    """
    script = world.script()
    effect, seq = next(script), 0
    try:
        while True:
            if seq < len(journal):
                kept, answer, failure = journal[seq]
                assert kept == effect_digest(effect), f"the script changed at {seq}: {effect}"
            else:
                answer = failure = None
                try:
                    answer = world.perform(seq, effect)
                except SecureFlowError as error:
                    failure = error.as_json()
                if seq == die_at:
                    raise Crash
                journal.append((effect_digest(effect), answer, failure))
            seq += 1
            if failure is None:
                effect = script.send(answer)
            else:
                effect = script.throw(SecureFlowError.from_json(failure))
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
