"""Attempts: parties run a protocol among themselves, and begin anew if one of them was lost.

1. `peer_offer`: each party makes fresh keys for its channels of this attempt, signs a statement for
   each peer, and signs a leaf, which commits to what it puts in. Leaves are in the log before
   anybody computes: what a party put in can be shown in a dispute.
2. `peer_run`: each gets the others' statements and leaves, checks them, opens its channels, and
   runs the protocol. It answers with counts; results stay with the parties that the spec names.

A run cannot be resumed, because randomness is used once. One that died is begun again, with the
next number, at most as often as the spec allows; which reasons make that sensible is said here
(`AGAIN`). A party that has its result keeps it, and tells so when it is asked for a further
attempt. Once every party that gets a result has one, the job has succeeded, whoever was lost after
that.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from secureflow.domain.partyengines import ask_peer
from secureflow.engines.ledger.leaves import SignedLeaf, commitment, leaf_from_json, verify
from secureflow.engines.run.asking import Answers, ask
from secureflow.engines.run.attemptcodes import AGAIN, EXHAUSTED
from secureflow.engines.run.kept import KEPT, committing
from secureflow.engines.run.messages import (
    PeerOfferReply,
    PeerOfferRequest,
    PeerRunForAll,
    PeerRunOwn,
    PeerRunReply,
)
from secureflow.engines.run.run import Course, leaf_entries, record, report_dropouts, seconds_now
from secureflow.engines.script import Script, Tell
from secureflow.kit.canonical import JSON, digest
from secureflow.kit.errors import SecureFlowError, reasons_of
from secureflow.kit.plain import shown
from secureflow.kit.reading import objects
from secureflow.kit.text import Text, text_in, with_texts

ATTEMPT: Final = "attempt"
"""The kind of the leaf by which a party enters an attempt."""
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
ENTRY_PARTS: Final = ("leaf", "document", "salt")
"""What is shown of an entry, and kept by whoever was shown it."""


@dataclass(frozen=True)
class Attempted:
    """The attempt that succeeded.

    Args:
        number: of it.
        runs: what parties told of their runs; one that was lost after the result is missing.
        offers: party → hex hash of the leaf by which it entered the newest attempt.
        history: all attempts, one row each: number, outcome, seconds, and the reasons by party.
    """

    number: int
    runs: dict[str, PeerRunReply]
    offers: dict[str, str]
    history: list[dict[str, JSON]]


def attempt_document(
    number: int, program: str, inputs: str, count: int, statements: Mapping[str, JSON]
) -> dict[str, JSON]:
    """Return what the leaf of an attempt commits to, at the party that enters it.

    Args:
        number: of the attempt.
        program: hex digest of what all run.
        inputs: hex commitment to what this party puts in.
        count: how much that is, by the kind's measure.
        statements: peer → the signed statement for it.
    """
    return {
        "attempt": number,
        "program": program,
        "inputs": inputs,
        "count": count,
        "statements": {peer: digest(one) for peer, one in sorted(statements.items())},
    }


@dataclass(frozen=True)
class Offer:
    """A peer's leaf as a party of the attempt has checked it.

    Args:
        leaf: its hex hash.
        inputs: hex commitment to what the peer puts in.
        count: how much that is, by its own word.
    """

    leaf: str
    inputs: str
    count: int


def check_offer(
    party: str,
    key: str,
    shown: Mapping[str, Any],
    statement: JSON,
    *,
    to: str,
    job: str,
    spec: str,
    number: int,
    program: str,
) -> Offer:
    """Check that a peer has entered this very attempt, with the statement that is shown.

    Args:
        party: the peer.
        key: its signing key, of the roster.
        shown: `{"leaf", "document", "salt"}` as the centre passes it on.
        statement: the peer's, for `to`.
        to: who checks.
        job: job id.
        spec: hex digest of the spec.
        number: of the attempt.
        program: hex digest of what all run.

    Raises:
        SecureFlowError: `peer_offer_forged` naming the peer.
    """
    try:
        signed = leaf_from_json(shown.get("leaf"))
        document = shown.get("document")
        found = commitment(bytes.fromhex(str(shown.get("salt"))), document)
    except (SecureFlowError, ValueError):
        raise _forged(party, "cannot be read") from None
    if not isinstance(document, dict) or not _is_entry(signed, party, key, job, spec):
        raise _forged(party, "is not its own for this job")
    if found != signed.leaf.commitment:
        raise _forged(party, "does not commit to the document beside it")
    statements = document.get("statements")
    told = statements.get(to) if isinstance(statements, dict) else None
    same = (document.get("attempt"), document.get("program"), told)
    if same != (number, program, digest(statement)):
        raise _forged(party, "is of another attempt, program or channel")
    inputs, count = document.get("inputs"), document.get("count")
    if not isinstance(inputs, str) or not _DIGEST.fullmatch(inputs) or not _is_count(count):
        raise _forged(party, "does not say what it puts in")
    return Offer(signed.hash(), inputs, count)


def _is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value < 1 << 53


def _is_entry(signed: SignedLeaf, party: str, key: str, job: str, spec: str) -> bool:
    leaf = signed.leaf
    bound = (leaf.kind, leaf.author, leaf.job, leaf.spec) == (ATTEMPT, party, job, spec)
    return bound and verify(signed, key)


def _forged(party: str, reason: str) -> SecureFlowError:
    return SecureFlowError(
        "peer_offer_forged",
        Text("The entry of {party} into the attempt {reason}.", party=party, reason=reason),
        "Its agent is faulty, or the centre shows another entry: ask the organisation.",
        {"party": party},
    )


def run_attempts(
    course: Course[Any],
    stage: str,
    program: str,
    most: int,
    keepers: Collection[str],
    figure: str = "",
) -> Script[Attempted]:
    """Have the parties run a protocol until those that get a result have it.

    Args:
        course: the running job.
        stage: of the work.
        program: hex digest of what all run.
        most: how often it may be begun.
        keepers: the parties that get a result, which they keep; the others enter attempts alone.
        figure: the one that says again how much a party put in; none if left out.

    Raises:
        SecureFlowError: `attempts_exhausted`; a party's own error where no repetition helps.
    """
    history: list[dict[str, JSON]] = []
    for number in range(1, most + 1):
        counted = {"attempt": number, "attempts": most}
        yield Tell("attempt", {**counted, "stage": stage, "state": "started"}, counted)
        began = yield from seconds_now()
        offers = yield from _offered(course, number, program)
        runs = _done(offers, keepers)
        failures = offers.failures
        if not failures and not _complete(runs, keepers):
            ran = yield from _run(course, number, offers, keepers, figure)
            runs, failures = {**runs, **ran.replies}, ran.failures
        complete = _complete(runs, keepers)
        ended = yield from seconds_now()
        row = _row(number, failures, complete=complete, seconds=round(ended - began, 3))
        history.append(row)
        yield from _record_end(course, stage, row, failures)
        yield Tell("attempt", {**counted, "stage": stage, **row})
        if complete:
            entered = {party: str(_hash(one)) for party, one in sorted(offers.replies.items())}
            return Attempted(number, runs, entered, history)
        _stop_unless_again(failures, history)
    raise _exhausted(history, failures)


def _complete(runs: Mapping[str, PeerRunReply], keepers: Collection[str]) -> bool:
    return all(party in runs for party in keepers)


def _done(
    offers: Answers[PeerOfferReply], keepers: Collection[str]
) -> dict[str, PeerRunReply]:  # fmt: skip
    """Return what parties tell of results that they have of an earlier attempt."""
    told = {party: offers.replies[party].done for party in keepers if party in offers.replies}
    return {party: one for party, one in told.items() if one and _kind(one) == KEPT}


def _offered(
    course: Course[Any], number: int, program: str
) -> Script[Answers[PeerOfferReply]]:  # fmt: skip
    """Have all parties enter an attempt; their leaves are in the log before anybody computes."""
    request = PeerOfferRequest(
        **course.named, attempt=number, program=program, head=course.ledger.note
    )
    asked = yield from ask(course.parties, request, need=0, patience=course.patience)
    entered: Answers[PeerOfferReply] = Answers({}, dict(asked.failures))
    for party, reply in asked.replies.items():
        try:
            _check_entry(course, party, reply, number, program)
            course.ledger.waiting += leaf_entries(course, party, reply)
        except SecureFlowError as error:
            entered.failures[party] = error.as_json()
        else:
            entered.replies[party] = reply
    if not entered.failures:
        document = {"attempt": number, "program": program, "parties": sorted(entered.replies)}
        yield from record(course, [{"kind": "attempt.started", "document": document}])
    return entered


def _check_entry(
    course: Course[Any], party: str, reply: PeerOfferReply, number: int, program: str
) -> None:
    """Refuse an entry that the peers would refuse: it is the party's fault, not theirs."""
    peers = {one for one in course.parties if one != party}
    if set(reply.statements) != peers:
        raise _forged(party, "does not have a statement for each of the others")
    shown = {"leaf": reply.leaf, "document": reply.document, "salt": reply.salt}
    for peer, statement in reply.statements.items():
        check_offer(
            party, course.spec.keys[party], shown, statement, to=peer, job=course.context.job,
            spec=course.context.digest, number=number, program=program,
        )  # fmt: skip


def _run(
    course: Course[Any],
    number: int,
    offers: Answers[PeerOfferReply],
    keepers: Collection[str],
    figure: str,
) -> Script[Answers[PeerRunReply]]:
    """Have all parties run the protocol, each with what the others offered it."""
    given = offers.replies
    each = {
        party: PeerRunOwn(
            statements={peer: given[peer].statements[party] for peer in given if peer != party},
            offers={
                peer: {"leaf": one.leaf, "document": one.document, "salt": one.salt}
                for peer, one in given.items()
                if peer != party
            },
        )
        for party in given
    }
    request = PeerRunForAll(**course.named, attempt=number)
    asked = yield from ask(course.parties, request, each, need=0, patience=course.patience)
    ran: Answers[PeerRunReply] = Answers({}, dict(asked.failures))
    for party, reply in asked.replies.items():
        try:
            if party in keepers:
                committing(party, reply, KEPT)
            if figure:
                _check_count(party, reply.figures.get(figure), given[party].document)
            course.ledger.waiting += leaf_entries(course, party, reply)
        except SecureFlowError as error:
            ran.failures[party] = error.as_json()
        else:
            ran.replies[party] = reply
            course.contributed.rounds[party] = 1
    return ran


def _check_count(party: str, told: object, entry: Any) -> None:
    """Refuse a run over more or less than its party committed to: the report would tell it.

    Raises:
        SecureFlowError: `peer_result_malformed` naming the party.
    """
    said = entry["count"]
    if type(told) is not int or told != said:
        raise SecureFlowError(
            "peer_result_malformed",
            Text("{party} says that it ran over {told}, and it committed to {count}.",
                 party=party, told=shown(repr(told)[:40]), count=said),
            ask_peer(party),
            {"party": party, "committed": said},
        )  # fmt: skip


def _kind(reply: PeerRunReply) -> str:
    body = (reply.leaf or {}).get("leaf")
    return str(body.get("kind", "")) if isinstance(body, dict) else ""


def kept_leaf(party: str, reply: PeerRunReply) -> SignedLeaf:
    """Return the leaf by which a party commits to its result.

    Raises:
        SecureFlowError: `malformed_reply` for one that keeps nothing.
    """
    return leaf_from_json(committing(party, reply, KEPT).leaf)


def _hash(reply: PeerOfferReply) -> str:
    return leaf_from_json(reply.leaf).hash()


def _row(
    number: int, failures: Mapping[str, JSON], *, complete: bool, seconds: float
) -> dict[str, JSON]:
    reasons = [
        with_texts(
            {
                "party": party,
                "code": error.get("code", ""),
                "reason": text_in(error, "message"),
            }
        )
        for party, error in sorted(failures.items())
    ]
    state = "succeeded" if complete else "failed"
    return {"attempt": number, "state": state, "seconds": seconds, "reasons": reasons}


def _record_end(
    course: Course[Any], stage: str, row: Mapping[str, JSON], failures: Mapping[str, JSON]
) -> Script[None]:
    """Record how an attempt ended, with the parties' leaves; tell who was lost in it."""
    course.drop(int(row["attempt"]), stage, failures)
    document = {
        "attempt": row["attempt"],
        "outcome": row["state"],
        "failures": {party: str(error.get("code", "")) for party, error in failures.items()},
    }
    yield from record(course, [{"kind": "attempt.ended", "document": document}])
    yield from report_dropouts(course)


def _stop_unless_again(failures: Mapping[str, Any], history: list[dict[str, JSON]]) -> None:
    """Raise the failure that a further attempt would meet again.

    Raises:
        SecureFlowError: with the code of the first such failure, naming every party of one; where
            that is a run that ended at it, also those for whom it was begun again.
    """
    final = {party: one for party, one in failures.items() if one.get("code") not in AGAIN}
    if not final:
        return
    first = next(iter(final.values()))
    code = str(first.get("code") or "malformed_failure")
    told: str = Text("A further attempt would end alike. {reasons}", reasons=reasons_of(final))
    details = {"parties": sorted(final), "failures": dict(failures)}
    if code == EXHAUSTED and (lost := _lost_before(history)):
        told = Text(
            "A further attempt would end alike. {reasons} An earlier one was lost at {lost}.",
            reasons=reasons_of(final),
            lost=", ".join(lost),
        )
        details["lost"] = lost
    hint = text_in(first, "hint") or "Correct what is named, and submit the job again."
    raise SecureFlowError(code, told, hint, details)


def _lost_before(history: list[dict[str, JSON]]) -> list[str]:
    """Return the parties that failed in attempts before the last one."""
    reasons = (reason for row in history[:-1] for reason in objects(row["reasons"]))
    return sorted({str(reason["party"]) for reason in reasons})


def _exhausted(history: list[dict[str, JSON]], failures: Mapping[str, Any]) -> SecureFlowError:
    hints = (text_in(one, "hint") for one in failures.values() if one.get("hint"))
    return SecureFlowError(
        EXHAUSTED,
        Text(
            "{count} {count:attempt|attempts} ended without a result. The last one: {reasons}",
            count=len(history),
            reasons=reasons_of(failures),
        ),
        next(hints, "Bring the named organisations' agents back, and submit the job again."),
        {"parties": sorted(failures), "failures": dict(failures), "attempts": len(history)},
    )
