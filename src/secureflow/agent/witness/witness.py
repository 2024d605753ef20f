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
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from secureflow.agent.record.records import BUDGET, OwnLeaf
from secureflow.agent.record.store import RecordStore
from secureflow.agent.witness.deeds import Deeds
from secureflow.agent.witness.evidence import Call, Evidence, read_head
from secureflow.agent.witness.log_proofs import LogProofs, parse_log_proofs
from secureflow.domain.charter import Charter
from secureflow.engines.ledger.ends import FINISHED, finished_document
from secureflow.engines.ledger.gaps import beyond_its_key
from secureflow.engines.ledger.leaves import SALT_BYTES, Leaf, commitment, sign_leaf
from secureflow.engines.ledger.merkle import verify_consistency, verify_inclusion
from secureflow.engines.ledger.notes import Checkpoint, cosign, parse_note
from secureflow.engines.ledger.setback import head_only
from secureflow.engines.ledger.submission import Submission, judge
from secureflow.engines.ledger.witness import WitnessView, inconsistent, observe
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import Clock
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

MAX_UNPROVED_ROUNDS = 8
"""Rounds that may pass without a proof of a leaf that the centre may not have received; a single
round after it was certainly received has the same weight."""
DEFERRED = BUDGET
"""The kind of leaves that are sent with the next reply, not with one of their own."""
MAX_UNPROVED = 64

_KEY_ENDED = "ledger_key_ended"
_EVIDENCE = frozenset({"ledger_inconsistent", "ledger_rollback", _KEY_ENDED})
_CATCH_UP_TRIES = 5


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
        self._clock = clock
        self._call = call
        self._evidence = Evidence(store, directory, clock, call)
        self._lock = asyncio.Lock()
        self._seen: WitnessView | None = None
        self._newest = ("", "")
        self.deeds: Deeds | None = None
        """What is anchored of it (`agent.witness.owndeeds`)."""
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
                    await self.accuse(error)
                raise
            self._seen = view
        checkpoint = parse_note(head).checkpoint
        return Observed(checkpoint, self._proved(checkpoint, proofs))

    async def accuse(self, error: SecureFlowError) -> None:
        """Keep both notes of a contradiction as evidence, and raise the alarm."""
        self.troubled = True
        await self._evidence.accuse(error, self.view.log_key)

    async def check_key(self, head: str) -> None:
        """Raise the alarm for a head that a key of the log signed after it ended.

        Raises:
            SecureFlowError: `ledger_key_ended`, `malformed_note`.
        """
        try:
            self._check_key(head)
        except SecureFlowError as error:
            if error.code in _EVIDENCE and self._store.fact("alarm") is None:
                await self.accuse(error)
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
                    await self.accuse(error)
                raise
            await asyncio.to_thread(self._keep_seen)
            return self.cosign(submission.note)

    async def compare(self, head: str) -> None:
        """Have the centre prove that a head which it showed to somebody else is of this history.

        The head is signed by the log and is none of those on record. The questions are asked
        outside of the lock: no round waits for them.

        Raises:
            SecureFlowError: `not_found` if the centre denies the head; of the link; `ledger_…`,
                with the alarm.
        """
        size = parse_note(head).checkpoint.size
        for _ in range(_CATCH_UP_TRIES):
            seen = self.view
            newest = await self._newest_with_proofs(seen.size, size)
            async with self._lock:
                if newest is None or self.view != seen:
                    continue
                try:
                    self._seen = _joined(seen, head, *newest)
                except SecureFlowError as error:
                    if error.code in _EVIDENCE:
                        await self.accuse(error)
                    raise
                await asyncio.to_thread(self._keep_seen)
                return
        raise _unproven(self.view, head)

    async def convicted(self, known: str, shown: str) -> None:
        """Raise the alarm for two heads of one size that the log signed, if they differ.

        Raises:
            SecureFlowError: `ledger_inconsistent`.
        """
        ours, theirs = parse_note(known).checkpoint, parse_note(shown).checkpoint
        if ours.root != theirs.root:
            error = inconsistent(self.view, theirs, shown, known)
            error.details["log_key"] = self._charter().log_keys[ours.origin]
            await self.accuse(error)
            raise error

    def keep(self, observed: Observed) -> None:
        """Put the view and the proved leaves on disk; the caller holds the transaction."""
        view = self.view
        self._store.set_fact("head", {"origin": view.origin, "note": view.note})
        if view.note:
            self._store.add_head(view.origin, view.size, self.newest)
            if self.deeds is not None:
                self.deeds.head(self.newest)
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
            raise self._evidence.alarm(_missing(job, missing, observed.checkpoint))
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
        if self.deeds is not None:
            self.deeds.leaf(leaf, spec)
        return leaf

    def _keep_seen(self) -> None:
        if not self.view.note:
            return  # an empty log: there is nothing to keep of it
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
            newest = await self._newest_with_proofs(view.size, size)
            if newest is not None:
                return _joined(view, head, *newest)
        raise _unproven(view, head)

    async def _newest_with_proofs(
        self, ours: int, theirs: int
    ) -> tuple[str, tuple[bytes, ...], tuple[bytes, ...]] | None:
        """Return the newest head and the proofs from two sizes to it; None if it grew meanwhile."""
        note, one = read_head(await self._call("audit.head", {"from": ours}))
        other, two = read_head(await self._call("audit.head", {"from": theirs}))
        same = parse_note(note).checkpoint == parse_note(other).checkpoint
        return (note, one, two) if same else None

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


def _joined(
    view: WitnessView, head: str, note: str, ours: tuple[bytes, ...], theirs: tuple[bytes, ...]
) -> WitnessView:
    """Return the view at a newest head to which proofs lead from the view and from another head.

    Raises:
        SecureFlowError: `ledger_…`.
    """
    newest, checkpoint = observe(view, note, ours), parse_note(head).checkpoint
    shown = checkpoint.size, newest.size, checkpoint.root, newest.root
    if not verify_consistency(*shown, theirs):
        raise SecureFlowError(
            "ledger_inconsistent",
            Text(
                "The heads of size {size} and {newest_size} of {origin} do not "
                "belong to one history.",
                size=checkpoint.size,
                newest_size=newest.size,
                origin=view.origin,
            ),
            "Stop trusting this centre and give both notes to the other members.",
            {"known": newest.note, "shown": head, "proof": [one.hex() for one in theirs]},
        )
    return newest


def _unproven(view: WitnessView, head: str) -> SecureFlowError:
    return SecureFlowError(
        "ledger_rollback",
        Text(
            "{origin} gave no proof from size {old} to size {new}.",
            origin=view.origin,
            old=view.size,
            new=parse_note(head).checkpoint.size,
        ),
        "Ask the operator why the log cannot prove its own history.",
        {"known": view.note, "shown": head},
    )


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
