"""The agent as a witness of the log: it checks every head, stores the last one, and cosigns.

`observe` updates the view in memory at once; `keep` puts it on disk in the caller's transaction,
and only then may `cosign` be called: a restart never forgets a head that was cosigned.

Own leaves are chained per job (the first one of a job names the newest of all), so two concurrent
jobs cannot break each other's chain. A leaf is sent with the reply that caused it; if a round
passes without its inclusion proof, it is sent again with that round's reply and every later one
(`earlier`): replies get lost, also several in a row. The server has certainly received it once it
logged a later leaf, since replies contain all; a question for a vote does not show it, because
that follows from what the enclave holds. After one more round without proof, the server is hiding
it: the alarm `leaf_missing`; after `MAX_UNPROVED_ROUNDS` rounds the alarm is raised in any case. A
leaf that no reply has contained yet (`DEFERRED`) cannot be missing, and a job's end is no round:
its answer sends everything once more, and a head over the end that still omits something is not
cosigned (`check_ended`).
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from secureflow.agent.record.records import BUDGET, OwnLeaf
from secureflow.agent.record.store import RecordStore
from secureflow.agent.witness.fraudfiles import keep_fraud
from secureflow.agent.witness.log_proofs import LogProofs, parse_log_proofs, parse_proof
from secureflow.domain.charter import Charter, SignedCharter
from secureflow.engines.ledger.ends import FINISHED, finished_document
from secureflow.engines.ledger.fraud import convict
from secureflow.engines.ledger.gaps import beyond_its_key
from secureflow.engines.ledger.leaves import SALT_BYTES, Leaf, commitment, sign_leaf
from secureflow.engines.ledger.merkle import verify_consistency, verify_inclusion
from secureflow.engines.ledger.notes import Checkpoint, cosign, parse_note
from secureflow.engines.ledger.setback import head_only
from secureflow.engines.ledger.submission import Submission, judge
from secureflow.engines.ledger.witness import WitnessView, fraud_proof, observe
from secureflow.kit.canonical import JSON, sha256
from secureflow.kit.clock import Clock
from secureflow.kit.crypto import SigningKey
from secureflow.kit.disk import remove
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.oserrors import reason_of
from secureflow.kit.text import Text

Call = Callable[[str, Mapping[str, JSON]], Awaitable[JSON]]
MAX_UNPROVED_ROUNDS = 8
"""Rounds that may pass without a proof of a leaf that the centre may not have received; a single
round after it was certainly received has the same weight."""
DEFERRED = BUDGET
"""The kind of leaves that are sent with the next reply, not with one of their own."""
MAX_UNPROVED = 64
MAX_EVIDENCE_FILES = 64
"""The first ones are sufficient evidence; a log could sign heads until the disk is full."""

_log = get_logger(__name__)
_KEY_ENDED = "ledger_key_ended"
_ALARMS = frozenset({"ledger_inconsistent", "leaf_missing", _KEY_ENDED})
_EVIDENCE = frozenset({"ledger_inconsistent", "ledger_rollback", _KEY_ENDED})
_CATCH_UP_TRIES = 5
_PATIENCE = 10.0
"""Seconds for a question that would only make an alarm more convincing."""


@dataclass(frozen=True)
class Compared:
    """What a party compared with its own rounds before it witnessed that a job succeeded.

    Args:
        model: digest of the output; "" if it could not compare it, or there is none.
        scores: digest of the scores of contributions that it verified; "" likewise.
    """

    model: str = ""
    scores: str = ""


NOTHING: Final = Compared()


@dataclass(frozen=True)
class Observed:
    """A head that was found consistent, and the own leaves that it is proven to contain."""

    checkpoint: Checkpoint
    proved: Mapping[str, int]
    """Their hashes, each with its index."""


class Witness:
    """Watches one log for one organisation.

    Args:
        store: the agent's record.
        party: organisation slug.
        key: its signing key.
        charter: returns the pinned charter (raises `charter_not_pinned`).
        directory: for proofs of fraud.
        clock: unix seconds.
        call: requests `audit.head` from the server, for proofs that overtook each other.
    """

    def __init__(
        self,
        store: RecordStore,
        party: str,
        key: SigningKey,
        charter: Callable[[], Charter],
        directory: Path,
        clock: Clock,
        call: Call,
    ) -> None:
        self._store = store
        self._party = party
        self._key = key
        self._charter = charter
        self._directory = directory
        self._clock = clock
        self._call = call
        self._lock = asyncio.Lock()
        self._seen: WitnessView | None = None
        self._newest = ("", "")
        self.troubled = False
        """Set if a head was refused that does not extend the accepted one."""

    @property
    def view(self) -> WitnessView:
        """The last accepted head, under the pinned log."""
        charter = self._charter()
        pinned = (charter.origin, charter.log_key)
        if self._seen is None or (self._seen.origin, self._seen.log_key) != pinned:
            self._seen = _load_view(self._store.fact("head"), charter)
        return self._seen

    @property
    def log_size(self) -> int:
        """Size of the last accepted head; 0 before there is any."""
        try:
            return self.view.size
        except SecureFlowError:
            return 0

    @property
    def newest(self) -> str:
        """The last accepted head as the log signed it, without cosignatures; empty if none."""
        try:
            note = self.view.note
        except SecureFlowError:
            return ""
        if self._newest[0] != note:
            self._newest = (note, head_only(note) if note else "")
        return self._newest[1]

    def unproved(self) -> list[str]:
        """Return the hashes of own leaves that wait for an inclusion proof, newest first.

        At most `MAX_UNPROVED`: leaves of jobs that failed long ago must not crowd out this one's.
        """
        return [leaf.hash for leaf in reversed(self._store.unproved())][:MAX_UNPROVED]

    def check_alarm(self) -> None:
        """Refuse to continue after an alarm, until the owner clears it."""
        alarm = self._store.fact("alarm")
        if alarm is not None:
            raise SecureFlowError.from_json(alarm)

    async def observe(self, head: str, log_proofs: JSON) -> Observed:
        """Check a head and the proofs that came with it.

        Raises:
            SecureFlowError: `ledger_…`, `malformed_note`, `malformed_rider`. An inconsistent log
                raises the alarm, and both notes are kept on disk.
        """
        self.check_alarm()
        proofs = parse_log_proofs(log_proofs)
        async with self._lock:
            try:
                view = await self._observe(head, proofs)
            except SecureFlowError as error:
                if error.code in _EVIDENCE:
                    await self._accuse(error)
                raise
            self._seen = view
        checkpoint = parse_note(head).checkpoint
        return Observed(checkpoint, self._proved(checkpoint, proofs))

    async def check_key(self, head: str) -> None:
        """Raise the alarm for a head that a key of the log signed after it ended.

        Raises:
            SecureFlowError: `ledger_key_ended`, `malformed_note`.
        """
        try:
            self._check_key(head)
        except SecureFlowError as error:
            if error.code in _EVIDENCE and self._store.fact("alarm") is None:
                await self._accuse(error)
            raise

    async def submitted(self, submission: Submission) -> str:
        """Return the cosignature of a head of this log that anybody submitted (C2SP tlog-witness).

        What was seen is stored before this returns; the proof is the submitter's and accuses
        nobody (`engines.ledger.submission`).

        Raises:
            SecureFlowError: `witness_stopped` after an alarm, `ledger_key_ended`, and what `judge`
                raises; two roots of one size raise the alarm.
        """
        if self._store.fact("alarm") is not None:
            raise SecureFlowError(
                "witness_stopped",
                "This witness cosigns nothing after an alarm, until its owner clears it.",
                "Ask its owner.",
            )
        async with self._lock:
            try:
                self._check_key(submission.note)
                self._seen = judge(self.view, submission)
            except SecureFlowError as error:
                if error.code in _EVIDENCE:
                    await self._accuse(error)
                raise
            await asyncio.to_thread(self._keep_seen)
            return self.cosign(submission.note)

    def keep(self, observed: Observed) -> None:
        """Put the view and the proved leaves on disk; the caller holds the transaction."""
        view = self.view
        self._store.set_fact("head", {"origin": view.origin, "note": view.note})
        if view.note:
            self._store.add_head(view.origin, view.size, self.newest)
        for leaf, place in observed.proved.items():
            self._store.prove_leaf(leaf, place)

    def earlier(self, job: str, observed: Observed) -> dict[str, int]:
        """Return the job's leaves that a new round lacks, and the weight of each.

        Raises:
            SecureFlowError: `leaf_missing`, and the alarm stays.
        """
        offered = self._store.offered(job, DEFERRED)
        late = [leaf for leaf in offered if leaf.hash not in observed.proved]
        missing = [leaf for leaf in late if leaf.missed >= MAX_UNPROVED_ROUNDS]
        if missing:
            raise self._alarm(_missing(job, missing, observed.checkpoint))
        heard = self._store.received_by_centre(job, observed.proved) if late else frozenset()
        return {leaf.hash: MAX_UNPROVED_ROUNDS if leaf.hash in heard else 1 for leaf in late}

    def finish(self, job: str, spec: str, outcome: str, compared: Compared = NOTHING) -> OwnLeaf:
        """Sign this party's end of a job: the extent of its leaves; the caller's transaction.

        Args:
            job: job id.
            spec: digest of its spec.
            outcome: how it ended.
            compared: what of a success this party compared with its own rounds.
        """
        end = self._store.end(job)
        document = finished_document(outcome, end, compared.model, compared.scores)
        return self.leaf(FINISHED, job, spec, document)

    def check_ended(self, job: str, observed: Observed) -> None:
        """Refuse to cosign a head over a job's end that omits own leaves of the job.

        This raises no alarm: the answer to `finish` may have come too late. But a party that is
        listed without its own end has not witnessed the job's end.

        Raises:
            SecureFlowError: `end_left_out`.
        """
        out = [leaf for leaf in self._store.unproved(job) if leaf.hash not in observed.proved]
        if out:
            raise SecureFlowError(
                "end_left_out",
                Text(
                    "The log at size {size} closes job {job} without {count} of the "
                    "leaves that {party} signed in it.",
                    size=observed.checkpoint.size,
                    job=job,
                    count=len(out),
                    party=self._party,
                ),
                "An audit bundle lists what is left out as not provable; `secureflow agent "
                "leaves` shows it. The answer may have come too late: ask the operator.",
                {"leaves": [leaf.hash for leaf in out]},
            )

    def cosign(self, head: str) -> str:
        """Return this party's cosignature line for a head that was observed and kept."""
        return cosign(head, self._party, self._key, self._clock())

    def leaf(self, kind: str, job: str, spec: str, document: JSON) -> OwnLeaf:
        """Sign the next own leaf and append it; the caller holds the transaction."""
        salt = secrets.token_bytes(SALT_BYTES)
        body = Leaf(
            kind=kind,
            origin=self._charter().origin,
            author=self._party,
            at=self._clock(),
            commitment=commitment(salt, document),
            job=job,
            spec=spec,
            prev=self._store.last_leaf(job),
        )
        signed = sign_leaf(body, self._key)
        bundle = {"leaf": signed.json(), "document": document, "salt": salt.hex()}
        leaf = OwnLeaf(signed.hash(), job, kind, bundle)
        self._store.add_leaf(leaf)
        return leaf

    def _keep_seen(self) -> None:
        with self._store.transaction():
            self.keep(Observed(parse_note(self.view.note).checkpoint, {}))

    def _check_key(self, head: str) -> None:
        one = beyond_its_key(self._charter(), parse_note(head))
        if one is not None:
            raise SecureFlowError(
                _KEY_ENDED,
                Text(
                    "A head of {origin} is shown that a key signed after it ended at {size} "
                    "entries: the old key of the log is still in use.",
                    origin=one.origin,
                    size=one.size,
                ),
                "Give both notes to the other members: the centre, or a thief, signs by a key "
                "that you have withdrawn.",
                {"known": one.note, "shown": head, "log_key": one.log_key},
            )

    async def _observe(self, head: str, proofs: LogProofs) -> WitnessView:
        self._check_key(head)
        view = self.view
        size = parse_note(head).checkpoint.size
        pair = (min(view.size, size), max(view.size, size))
        if 0 in pair or pair[0] == pair[1] or proofs.sizes == pair:
            return observe(view, head, proofs.consistency if pair[0] < pair[1] else ())
        return await self._catch_up(view, head)

    async def _catch_up(self, view: WitnessView, head: str) -> WitnessView:
        """Accept a head whose proof is relative to an older view: two requests overtook each other.

        The newest head N is requested twice, with the proofs view → N and head → N.
        """
        size = parse_note(head).checkpoint.size
        observe(WitnessView(view.origin, view.log_key), head, ())  # the log's signature first
        for _ in range(_CATCH_UP_TRIES):
            note, ours = _head(await self._call("audit.head", {"from": view.size}))
            other, proof = _head(await self._call("audit.head", {"from": size}))
            if parse_note(note).checkpoint != parse_note(other).checkpoint:
                continue  # the log grew in between
            newest = observe(view, note, ours)
            checkpoint = parse_note(head).checkpoint
            if not verify_consistency(size, newest.size, checkpoint.root, newest.root, proof):
                raise SecureFlowError(
                    "ledger_inconsistent",
                    Text(
                        "The heads of size {size} and {newest_size} of {origin} do not "
                        "belong to one history.",
                        size=size,
                        newest_size=newest.size,
                        origin=view.origin,
                    ),
                    "Stop trusting this centre and give both notes to the other members.",
                    {"known": newest.note, "shown": head, "proof": [one.hex() for one in proof]},
                )
            return newest
        raise SecureFlowError(
            "ledger_rollback",
            Text(
                "{origin} gave no proof from size {old} to size {new}.",
                origin=view.origin,
                old=view.size,
                new=size,
            ),
            "Ask the operator why the log cannot prove its own history.",
            {"known": view.note, "shown": head},
        )

    def _proved(self, checkpoint: Checkpoint, proofs: LogProofs) -> dict[str, int]:
        waiting = set(self.unproved())
        return {
            one.hash: one.index
            for one in proofs.inclusion
            if one.hash in waiting
            and one.size == checkpoint.size
            and verify_inclusion(
                bytes.fromhex(one.hash), one.index, one.size, one.proof, checkpoint.root
            )
        }

    async def _accuse(self, error: SecureFlowError) -> None:
        """Keep the evidence and raise the alarm; what convinces strangers is a file of its own."""
        self.troubled = True
        nodes = await self._nodes_for(error)
        await asyncio.to_thread(self._keep_evidence, error, nodes)

    async def _nodes_for(self, error: SecureFlowError) -> tuple[bytes, ...]:
        """Return nodes of the larger tree, of which one may be the root of its first leaves.

        A consistency proof from a power of two leaves that root out; one from a leaf more has it.
        """
        shown, known = (str(error.details.get(name, "")) for name in ("shown", "known"))
        try:
            small, large = sorted(parse_note(note).checkpoint.size for note in (known, shown))
            if small & (small - 1) or not small or small + 1 >= large:
                return ()
            async with asyncio.timeout(_PATIENCE):
                answer = await self._call("audit.head", {"from": small + 1})
            return _head(answer)[1]
        except (SecureFlowError, TimeoutError):
            return ()  # the alarm does not wait for what the accused says

    def _keep_evidence(self, error: SecureFlowError, nodes: tuple[bytes, ...]) -> None:
        """Write both notes to disk; they prove the log's fraud to anyone who holds the charter."""
        known, shown = str(error.details.get("known", "")), str(error.details.get("shown", ""))
        key = str(error.details.get("log_key") or self.view.log_key)
        record = {
            **error.as_json(),
            "log_key": key,
            "at": self._clock(),
            "fraud_proof": fraud_proof(known, shown, key),
        }
        name = sha256((known + shown).encode()).hex()
        path = self._directory / f"{error.code}-{name}.json"
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            # A separate kind: accusations, which a centre can provoke, must not crowd it out.
            if len(list(self._directory.glob("ledger_*.json"))) < MAX_EVIDENCE_FILES:
                path.write_text(json.dumps(record, indent=1) + "\n")
        except OSError as fault:  # the alarm holds both notes as well, and must still be raised
            _log.error("evidence_not_written", path=str(path), reason=reason_of(fault))
            remove(path)
        if path.exists():
            error.details["evidence"] = str(path)
        proof = parse_proof(error.details.get("proof") or [])
        fraud = convict(known, shown, key, proof, nodes, self._signed_charter())
        if fraud is not None:
            error.details["fraud"] = keep_fraud(self._directory, fraud)
        self._alarm(error)

    def _signed_charter(self) -> SignedCharter | None:
        kept = self._store.fact("charter")
        return None if kept is None else SignedCharter.from_json(kept)

    def _alarm(self, error: SecureFlowError) -> SecureFlowError:
        _log.error("ledger_alarm", code=error.code, message=error.message)
        with self._store.transaction():
            if error.code in _ALARMS:
                self._store.set_fact("alarm", error.as_json())
            self._store.note(self._clock(), "alarm", code=error.code, message=error.message)
        return error


def _head(answer: JSON) -> tuple[str, tuple[bytes, ...]]:
    """Read the centre's answer to `audit.head`: a note, and the proof from the size asked for."""
    value = answer if isinstance(answer, dict) else {}
    return str(value.get("note", "")), parse_proof(value.get("consistency"))


def _load_view(kept: JSON, charter: Charter) -> WitnessView:
    view = WitnessView(charter.origin, charter.log_key)
    if kept is not None and kept["origin"] == charter.origin and kept["note"]:
        return observe(view, kept["note"], ())
    if charter.continuations:  # a continuation of the log counts as seen
        last = charter.continuations[-1]
        return replace(view, size=last.start, root=bytes.fromhex(last.start_root))
    return view


def _missing(job: str, leaves: list[OwnLeaf], checkpoint: Checkpoint) -> SecureFlowError:
    listed = ", ".join(f"{leaf.kind} {leaf.hash}" for leaf in leaves)
    return SecureFlowError(
        "leaf_missing",
        Text(
            "The log at size {size} does not hold this organisation's own entries of job "
            "{job}: {listed}.",
            size=checkpoint.size,
            job=job,
            listed=listed,
        ),
        "The centre leaves out what was recorded: stop, and tell the other members. "
        "`secureflow agent leaves JOB` shows the entries.",
        {"leaves": [leaf.hash for leaf in leaves], "size": checkpoint.size},
    )
