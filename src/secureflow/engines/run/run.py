"""The state of a running job's script, and the small steps that every phase uses.

A course is rebuilt from the journal after a crash: it holds only answers to effects.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from secureflow.domain.errors import DISKS
from secureflow.domain.quorum import quorum_of, threshold_of
from secureflow.domain.specs.base import JobSpec
from secureflow.engines.ledger.ends import FINISHED, End, follows, read_finished, scores_named
from secureflow.engines.ledger.leaves import SignedLeaf, commitment, leaf_from_json, verify
from secureflow.engines.ledger.notes import attach, parse_note
from secureflow.engines.ledger.stepoutputs import STEP, signs_what_was_asked
from secureflow.engines.run.asking import Answers, ask
from secureflow.engines.run.messages import (
    Cosigned,
    CosignRequest,
    Leaves,
    ReleasedModel,
    ReleasedMoments,
    SelfReport,
    ShownLeaf,
    read_reply,
)
from secureflow.engines.run.tees import tee_of
from secureflow.engines.script import Now, Record, Script, Tell
from secureflow.engines.secagg import Conductor
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text, text_in, with_texts

READMISSION_CODES = frozenset(
    {"enclave_lost", "job_not_open", "attestation_expired", "not_admitted"}
)
"""Codes that mean: this enclave, or the verdict on it, is gone. Admission is repeated."""
MAX_LONE_LOSSES = 8
"""How often per job a party may report an enclave as lost that others reached."""


S = TypeVar("S", bound=JobSpec)


@dataclass(frozen=True)
class JobContext(Generic[S]):
    """The application's input to a script.

    Args:
        job: job id.
        spec: the signed spec.
        digest: its hex SHA-256.
        members: the adopted charter's organisation → base64 signing key.
        expires: unix seconds at which requested approvals expire.
        contributing: the stage that counts as a party's contribution (`EngineKind.contributing`).
        accounting: under differential privacy, the cost of the plan: `epsilon` by conversion, and
            the Rényi `curve` of one release.
        facts: whether reasons keep the facts that they are made of; jobs that were submitted
            before that was so are replayed without them.
    """

    job: str
    spec: S
    digest: str
    members: Mapping[str, str]
    expires: int
    contributing: str
    accounting: Mapping[str, JSON] | None = None
    facts: bool = False


@dataclass
class Admission:
    """The approvals, and the admitted enclave.

    Args:
        approvals: party → its signed approval.
        generation: the number of enclaves that the job has had.
        uplink: where the newest one accepts updates.
        names: what the agents called this and the earlier enclaves (`names_of`).
        lone_losses: party → how often it reported an enclave as lost that others reached.
    """

    approvals: dict[str, JSON] = field(default_factory=dict)
    generation: int = 0
    uplink: str = ""
    names: tuple[str, ...] = ()
    lone_losses: dict[str, int] = field(default_factory=dict)

    @property
    def tee(self) -> str:
        """The TEE of all these enclaves, as it is shown; empty before the first is admitted."""
        return tee_of(self.names)


@dataclass
class JobLedger:
    """The ledger's state of the job, and the leaves for its next entry.

    Args:
        note: the newest head; `cosigned` is the same with enough cosignatures, empty without.
        voted: the parties whose votes have closed a round.
        waiting: parties' leaves that go into the next entry.
        recorded: hex hashes of parties' leaves that were accepted.
        followed: party and leaf → the leaf after it.
        ends: party → number and last of its leaves.
        model: the model that parties were told as that of a success, "" for none; None before.
        scores: digest of the scores that they were told with it; "" for none.
        steps: number of a part → the outputs that parties were asked to sign; None if unknown.
    """

    note: str = ""
    cosigned: str = ""
    voted: set[str] = field(default_factory=set)
    waiting: list[dict[str, JSON]] = field(default_factory=list)
    recorded: set[str] = field(default_factory=set)
    followed: dict[tuple[str, str], str] = field(default_factory=dict)
    ends: dict[str, End] = field(default_factory=dict)
    model: str | None = None
    scores: str = ""
    steps: dict[int, JSON] | None = field(default_factory=dict)


@dataclass
class Contributed:
    """The parties' contributions to the rounds so far.

    Args:
        replies: the contributions to the open round, whose leaves are not recorded.
        rounds: party → how many rounds it contributed to.
        rows: party → the most rows that it reported.
        told: party → what it said of itself past the masks, in the first contributing round and
            after the last one; None where it was away.
        dropouts: who dropped out of which round, and why; watchers know the first `reported` ones.
    """

    replies: Mapping[str, Leaves] = field(default_factory=dict)
    rounds: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    told: dict[str, tuple[SelfReport | None, SelfReport | None]] = field(default_factory=dict)
    dropouts: list[dict[str, JSON]] = field(default_factory=list)
    reported: int = 0


@dataclass
class Start:
    """The start of the next round, in jobs whose rounds update something."""

    model: ReleasedModel | None = None
    moments: ReleasedMoments | None = None


@dataclass
class MaskedSessions:
    """The masked sessions of a job, by stage.

    Args:
        conductors: one for each stage.
        steps: the published means, oldest first.
        seen: party → how many of them it was sent.
        spent: digests of the vectors that the last round added up.
    """

    conductors: dict[str, Conductor] = field(default_factory=dict)
    steps: list[dict[str, JSON]] = field(default_factory=list)
    seen: dict[str, int] = field(default_factory=dict)
    spent: list[str] = field(default_factory=list)


@dataclass
class Course(Generic[S]):
    """The state of a running job; `started` is in unix seconds."""

    context: JobContext[S]
    admission: Admission = field(default_factory=Admission)
    ledger: JobLedger = field(default_factory=JobLedger)
    contributed: Contributed = field(default_factory=Contributed)
    start: Start = field(default_factory=Start)
    masked: MaskedSessions = field(default_factory=MaskedSessions)
    started: int = 0

    @property
    def spec(self) -> S:
        """The signed spec."""
        return self.context.spec

    @property
    def parties(self) -> tuple[str, ...]:
        """The spec's roster, in its order."""
        return self.spec.parties

    @property
    def threshold(self) -> int:
        """The minimum of contributors and votes that open a round: t of the spec's roster."""
        return max(threshold_of(len(self.parties)), self.spec.min_contributors)

    @property
    def patience(self) -> float:
        """Seconds without progress after which a party counts as silent."""
        return self.spec.limits.patience_seconds

    @property
    def named(self) -> dict[str, Any]:
        """The members of a request that identify the job and its spec."""
        return {"job": self.context.job, "digest": self.context.digest}

    def drop(self, round_number: int, stage: str, failures: Mapping[str, JSON]) -> None:
        """Note who dropped out of a round, and why, and keep the accusations in their refusals."""
        self.ledger.waiting += accusations(self, failures)
        for party, error in failures.items():
            gone = {
                "party": party,
                "round": round_number,
                "stage": stage,
                "code": error.get("code", ""),
                "reason": error.get("message", ""),
            }
            if self.context.facts:
                gone = with_texts({**gone, "reason": text_in(error, "message")})
            self.contributed.dropouts.append(gone)


def record(course: Course[Any], entries: Iterable[Mapping[str, JSON]]) -> Script[None]:
    """Append entries to the ledger; the head becomes the course's newest, not yet cosigned.

    Waiting leaves of the parties are appended before them, in the order in which they came.
    """
    waiting, course.ledger.waiting = course.ledger.waiting, []
    answer = yield Record((*waiting, *entries))
    course.ledger.note = answer["note"]
    course.ledger.cosigned = ""


def report_dropouts(course: Course[Any]) -> Script[None]:
    """Notify watchers of new dropouts, with the reasons."""
    fresh = course.contributed.dropouts[course.contributed.reported :]
    course.contributed.reported = len(course.contributed.dropouts)
    if fresh:
        yield Tell("dropouts", {"dropouts": fresh})


def seconds_now() -> Script[float]:
    """Return the current time in unix seconds."""
    milliseconds: int = yield Now()
    return milliseconds / 1000


def enclave_lost(course: Course[Any], answers: Answers[Any]) -> bool:
    """Tell from the answers to a request for updates whether an enclave must be admitted again.

    A party that repeatedly reports an enclave as lost that others reached is a dropout: each
    admission costs everyone an attestation.
    """
    lost = [p for p, error in answers.failures.items() if error["code"] in READMISSION_CODES]
    if not answers.replies:
        return bool(lost)
    for party in lost:
        course.admission.lone_losses[party] = course.admission.lone_losses.get(party, 0) + 1
    return any(course.admission.lone_losses[party] <= MAX_LONE_LOSSES for party in lost)


def take_leaves(course: Course[Any], replies: Mapping[str, Leaves]) -> None:
    """Queue the leaves in parties' replies for the next entry of the ledger.

    Raises:
        SecureFlowError: `leaf_forged`, `malformed_leaf`; leaves accepted before stay queued.
    """
    for party, reply in replies.items():
        course.ledger.waiting += leaf_entries(course, party, reply)


def leaf_entries(course: Course[Any], party: str, reply: Leaves) -> list[dict[str, JSON]]:
    """Return a party's signed leaves from its reply, oldest first, without those already accepted.

    A party sends all of its leaves of the job of which it has no proof: a round that is not closed
    yet may hold one that the reply's own leaf names as its predecessor.

    Raises:
        SecureFlowError: `leaf_forged` if a leaf is not this party's for this job's spec, does not
            commit to the document that comes with it, signs other outputs of a step than it was
            asked for, or is an end of the party that counts other leaves than it sent;
            `record_set_back` if it takes the place of another leaf.
            Then nothing of the reply is accepted.
    """
    entries: list[dict[str, JSON]] = []
    hashes: list[str] = []
    followed: dict[tuple[str, str], str] = {}
    end = course.ledger.ends.get(party, End())
    for offered in reply.all:
        signed = _own_leaf(course, party, offered)
        if signed.hash() in course.ledger.recorded or signed.hash() in hashes:
            continue
        place = (party, signed.leaf.prev)
        if place in course.ledger.followed or place in followed:
            raise _record_set_back(party, course.context.job, signed)
        followed[place] = signed.hash()
        entry: dict[str, JSON] = {"signed": signed.json()}
        if offered.salt:
            entry |= {"document": offered.document, "salt": offered.salt}
            if not _is_committed(signed, entry["document"], entry["salt"]):
                raise _leaf_forged(party, "does not commit to the document beside it")
        asked = course.ledger.steps if signed.leaf.kind == STEP else None
        if asked is not None and not signs_what_was_asked(entry.get("document"), asked):
            raise _leaf_forged(party, "signs other outputs of a step than it was asked for")
        if signed.leaf.kind == FINISHED:
            _check_end(course, party, signed, entry.get("document"), end)
        end = end.after(signed.hash())
        hashes.append(signed.hash())
        entries.append(entry)
    course.ledger.recorded.update(hashes)
    course.ledger.followed.update(followed)
    course.ledger.ends[party] = end
    return entries


def _check_end(
    course: Course[Any], party: str, signed: SignedLeaf, document: JSON, shown: End
) -> None:
    """Refuse an end that would make every bundle of the job look cut, or its output exchanged."""
    read = read_finished(document)
    if read is None or read[1] != shown or not follows(signed.leaf.prev, shown):
        raise _leaf_forged(party, "is an end that counts other leaves than it showed")
    if course.ledger.model is not None and read[2] not in ("", course.ledger.model):
        raise _leaf_forged(party, "is an end that names another model than the job's")
    if scores_named(document) not in ("", course.ledger.scores):
        raise _leaf_forged(party, "is an end that names other scores than the job's")


def take_leaves_left(course: Course[Any], replies: Mapping[str, Leaves]) -> None:
    """Accept leaves for a job that has ended; malformed replies are left out.

    This includes leaves for a round that will not be closed: a party that was late once would
    otherwise miss its leaf and raise the alarm.
    """
    for party, reply in replies.items():
        try:
            course.ledger.waiting += leaf_entries(course, party, reply) if reply.leaf else []
        except SecureFlowError as error:
            course.drop(0, "finish", {party: error.as_json()})


def _own_leaf(course: Course[Any], party: str, offered: ShownLeaf) -> SignedLeaf:
    signed = leaf_from_json(offered.leaf)
    leaf = signed.leaf
    bound = (leaf.author, leaf.job, leaf.spec) == (
        party,
        course.context.job,
        course.context.digest,
    )
    if not bound or not verify(signed, course.spec.keys[party]):
        raise _leaf_forged(party, Text("is not {party}'s for this job", party=party))
    return signed


def _is_committed(signed: SignedLeaf, document: JSON, salt: JSON) -> bool:
    try:
        found = commitment(bytes.fromhex(salt), document)
    except (TypeError, ValueError, SecureFlowError):  # not hex text, or not 32 bytes
        return False
    return found == signed.leaf.commitment


def _leaf_forged(party: str, reason: str) -> SecureFlowError:
    return SecureFlowError(
        "leaf_forged",
        Text("The ledger leaf in {party}'s answer {reason}.", party=party, reason=reason),
        "Its agent is faulty, or somebody speaks in its name: ask the organisation.",
        {"party": party},
    )


def _record_set_back(party: str, job: str, signed: SignedLeaf) -> SecureFlowError:
    """Return the error of a second, different leaf after the same one: no bundle could hold both.

    An agent signs each leaf once and stores it before sending it; only one that runs on an older
    copy of its record has forgotten it.
    """
    return SecureFlowError(
        "record_set_back",
        Text(
            "{party} signed another {kind} entry of job {job} in the place of one that "
            "the log holds already: its agent runs on an older copy of its record.",
            party=party,
            kind=signed.leaf.kind,
            job=job,
        ),
        Text(
            "{party}: put the newest record back (secureflow agent doctor). Submit the "
            "job again afterwards.",
            party=party,
        ),
        {"party": party, "leaf": signed.hash()},
    )


def cosigned_note(
    head: str, replies: Mapping[str, Cosigned], keys: Mapping[str, str]
) -> tuple[str, frozenset[str]]:
    """Add cosignatures from replies to a head; invalid lines are left out."""
    lines = []
    for party, reply in replies.items():
        line = reply.cosignature
        if not line or party not in keys:
            continue
        try:
            note = parse_note(attach(head, [line]))
        except SecureFlowError:
            continue  # a malformed line is no cosignature
        if party in note.cosigners({party: keys[party]}):
            lines.append(line)
    text = attach(head, lines)
    return text, parse_note(text).cosigners(keys)


def take_cosignatures(course: Course[Any], replies: Mapping[str, Cosigned]) -> None:
    """Keep the newest head with the roster's cosignatures, if it is not cosigned yet.

    Raises:
        SecureFlowError: `head_not_cosigned`.
    """
    if course.ledger.cosigned:
        return
    text, cosigners = cosigned_note(course.ledger.note, replies, course.spec.keys)
    need = quorum_of(len(course.parties))
    if len(cosigners) < need:
        raise head_not_cosigned(len(cosigners), need, "parties of the roster")
    course.ledger.cosigned = text


def accusations(course: Course[Any], failures: Any) -> list[dict[str, JSON]]:
    """Return the entries of signed accusations that came with refusals; others are left out."""
    entries: list[dict[str, JSON]] = []
    for party, error in failures.items() if isinstance(failures, Mapping) else ():
        details = error.get("details") if isinstance(error, Mapping) else None
        offered = details.get("accusation") if isinstance(details, Mapping) else None
        if not isinstance(offered, Mapping) or party not in course.spec.keys:
            continue
        try:
            shown = read_reply(Leaves, party, "accusation", offered, stored=True)
            entries += leaf_entries(course, party, shown)
        except SecureFlowError:
            continue  # an accusation that the party did not sign accuses nobody
    return entries


def witness_by_charter(course: Course[Any]) -> Script[None]:
    """Have the newest head cosigned by ⌊2M/3⌋+1 of the charter's M members, or raise."""
    members = course.context.members
    need = quorum_of(len(members))
    head = course.ledger.cosigned or course.ledger.note
    known = parse_note(head).cosigners(members)
    if len(known) >= need:
        return
    answers = yield from ask(
        sorted(members.keys() - known),
        CosignRequest(job=course.context.job, head=course.ledger.note),
        need=need - len(known),
        patience=course.patience,
    )
    text, cosigners = cosigned_note(head, answers.replies, members)
    if len(cosigners) < need:
        raise head_not_cosigned(len(cosigners), need, "charter members")
    course.ledger.cosigned = text


def witness_first_votes(course: Course[Any], voters: Iterable[str]) -> Script[None]:
    """Have the newest head cosigned by the charter if any of the parties votes for the first time.

    That is at the job's first opening, at a repeated start, and for a party that missed the first
    rounds. Such a party refuses to vote without it; if the others are enough, they continue without
    the party.
    """
    asked = set(voters)
    if asked <= course.ledger.voted:
        return
    try:
        yield from witness_by_charter(course)
    except SecureFlowError as error:
        if error.code not in {"head_not_cosigned", "too_few_answers", *DISKS}:
            raise
        if len(asked & course.ledger.voted) < course.threshold:
            raise


def head_not_cosigned(found: int, need: int, whom: str) -> SecureFlowError:
    """Return the error of a head with too few cosignatures."""
    return SecureFlowError(
        "head_not_cosigned",
        Text(
            "The ledger's head is cosigned by {found} {whom}; {need} are needed.",
            found=found,
            whom=whom,
            need=need,
        ),
        "Bring their agents online; if one refuses, it saw another history: compare heads.",
        {"found": found, "needed": need},
    )
