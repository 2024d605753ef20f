"""The closing certificate: t votes for one contributor set.

Why there is only one: docs/threat-model.md, "The closing certificate". A certificate holds the
question once and one signature per voter, so votes on different sets cannot even be represented
together; `certify` refuses to combine them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from secureflow.domain.quorum import threshold_of
from secureflow.engines.closing.vote import MAX_PARTIES, Question, Vote, check_set
from secureflow.kit.canonical import digest, parse_json
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

MAX_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class Certificate:
    """A question and its signers; `verify_certificate` checks whether they are enough.

    Args:
        question: the certified contributor set.
        votes: voter → base64 signature.
    """

    question: Question
    votes: Mapping[str, str] = field(hash=False)

    @property
    def survivors(self) -> tuple[str, ...]:
        """The certified contributors, sorted."""
        return self.question.survivors

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the certified question: equal for every quorum that signed it."""
        return digest(self.question.as_json())

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {**self.question.as_json(), "votes": dict(sorted(self.votes.items()))}

    @classmethod
    def from_json(cls, value: Any) -> Certificate:
        """Read the JSON form of a foreign certificate; nothing is verified here.

        Raises:
            SecureFlowError: `certificate_malformed`, `vote_malformed`.
        """
        if not isinstance(value, dict) or not isinstance(value.get("votes"), dict):
            raise _malformed("it is no object with votes")
        rest = dict(value)
        votes = rest.pop("votes")
        if len(votes) > MAX_PARTIES:
            raise _malformed(Text("it holds {count} votes", count=len(votes)))
        question = Question.from_json(rest)
        for voter, signature in votes.items():
            if not isinstance(signature, str):
                raise _malformed("a signature is not a string")
            Vote(question, voter, signature)
        return cls(question, votes)


def parse_certificate(data: bytes) -> Certificate:
    """Parse a foreign certificate of at most 1 MiB.

    Raises:
        SecureFlowError: `malformed_json`, `certificate_malformed`, `vote_malformed`.
    """
    return Certificate.from_json(parse_json(data, MAX_BYTES))


def certify(votes: Iterable[Vote]) -> Certificate:
    """Combine votes into a certificate.

    Raises:
        SecureFlowError: `certificate_mixed` if they answer different questions,
            `certificate_forged` if one voter signs twice, `certificate_short` if there are none.
    """
    question: Question | None = None
    signatures: dict[str, str] = {}
    for vote in votes:
        question = question or vote.question
        if vote.question != question:
            raise SecureFlowError(
                "certificate_mixed",
                Text(
                    "The vote of {voter} answers another question than the votes before it.",
                    voter=vote.voter,
                ),
                "Votes for different contributor sets never make one certificate.",
            )
        if signatures.setdefault(vote.voter, vote.signature) != vote.signature:
            raise _forged(vote.voter, "signed twice, differently")
        signatures[vote.voter] = vote.signature
    if question is None:
        raise SecureFlowError("certificate_short", "There is no vote to certify anything.")
    return Certificate(question, signatures)


def verify_certificate(certificate: Certificate, roster: Mapping[str, str], least: int = 0) -> None:
    """Verify that t parties of the spec's roster, or `least`, certify this contributor set.

    A job that opens sums of at least so many parties opens none without so many votes: where all
    are needed, a party that takes its approval back before its vote keeps its update closed.

    Args:
        certificate: the foreign certificate.
        roster: party → base64 Ed25519 key, exactly the signed spec's roster.
        least: the fewest votes, if more than t.

    Raises:
        SecureFlowError: `survivors_unknown`, `dead_inconsistent`, `survivors_too_few`,
            `certificate_forged` (a signature is invalid, or the voter is not a contributor),
            `certificate_short`.
    """
    check_set(certificate.question, roster)
    for voter, signature in certificate.votes.items():
        if voter not in certificate.survivors:
            raise _forged(voter, "is not among the contributors that it certifies")
        if not Vote(certificate.question, voter, signature).holds_under(roster[voter]):
            raise _forged(voter, "did not sign this contributor set")
    check_votes(certificate, roster, least)


def check_votes(certificate: Certificate, roster: Mapping[str, str], least: int) -> None:
    """Refuse a certificate with fewer votes than t, or `least` (`certificate_short`)."""
    needed = max(threshold_of(len(roster)), least)
    if len(certificate.votes) < needed:
        raise SecureFlowError(
            "certificate_short",
            Text(
                "Round {round} is closed by {count} of {roster_count} parties; {needed} "
                "are needed.",
                round=certificate.question.round,
                count=len(certificate.votes),
                roster_count=len(roster),
                needed=needed,
            ),
            "Wait for more votes: nothing opens before.",
            {"found": len(certificate.votes), "needed": needed},
        )


def _forged(voter: str, reason: str) -> SecureFlowError:
    return SecureFlowError(
        "certificate_forged",
        Text(
            "The closing certificate is not authentic: {voter} {reason}.",
            voter=voter,
            reason=reason,
        ),
        "Do not open anything on it; keep it as evidence.",
        {"voter": voter},
    )


def _malformed(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "certificate_malformed",
        Text("The closing certificate is malformed: {reason}.", reason=reason),
    )
