"""A party's one vote per round on who contributed.

The guarantee (docs/threat-model.md, "The closing certificate"): with N parties in the spec's roster
and t = ⌊2N/3⌋+1, a party that votes at most once per (job, round, stage) makes the
certified set unique as long as 2t > N + c for c colluders. So a party refuses a second question, a
set that leaves it out, a set for a context in which it contributed nothing, and a sum of fewer
than t parties.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from secureflow.domain.quorum import floor_of, threshold_of
from secureflow.kit.canonical import digest
from secureflow.kit.crypto import SigningKey, verify
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

KIND: Final = "vote"
MAX_PARTIES: Final = 4096
MAX_ROUND: Final = 2**31 - 1

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/-]{0,127}")
_CONTEXT: Final = re.compile(r"[0-9a-f]{64}")
_SIGNATURE: Final = re.compile(r"[A-Za-z0-9+/]{86}==")


def round_context(
    job: str,
    round_number: int,
    stage: str,
    *,
    spec: str,
    model: str,
    roster: Sequence[str],
    noise: str = "",
) -> str:
    """Return the hex context of a sealed round, to which every contribution to it is bound.

    Args:
        job: job id.
        round_number: from 0.
        stage: e.g. `train`.
        spec: hex spec digest.
        model: hex BLAKE3 of the global model that the round starts from.
        roster: the spec's parties; their order does not matter.
        noise: if an enclave draws noise from the contributors' seeds, what binds them
            (`engines.privacy.seeds.seed_binding`). Votes fix it with the set.
    """
    return digest(
        {
            "job": job,
            "round": round_number,
            "stage": stage,
            "spec": spec,
            "model": model,
            "roster": sorted(roster),
            **({"noise": noise} if noise else {}),
        }
    )


@dataclass(frozen=True)
class Question:
    """Who contributed to a round: every vote of its certificate answers the same question.

    Args:
        job: job id.
        round: round number, from 0.
        stage: which closing of the round, e.g. `update`.
        context: hex SHA-256 of what the contributions are bound to.
        survivors: sorted parties whose contributions will be opened.
        dead: sorted rest of the roster.

    Raises:
        SecureFlowError: `vote_malformed`.
    """

    job: str
    round: int
    stage: str
    context: str
    survivors: tuple[str, ...]
    dead: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.job) or not _NAME.fullmatch(self.stage):
            raise _malformed("job or stage")
        if type(self.round) is not int or not 0 <= self.round <= MAX_ROUND:
            raise _malformed("round")
        if not _CONTEXT.fullmatch(self.context):
            raise _malformed("context")
        for name, parties in (("survivors", self.survivors), ("dead", self.dead)):
            if list(parties) != sorted(set(parties)) or len(parties) > MAX_PARTIES:
                raise _malformed(Text("{name} (sorted, each party once)", name=name))
            if not all(_NAME.fullmatch(party) for party in parties):
                raise _malformed(name)

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "job": self.job,
            "round": self.round,
            "stage": self.stage,
            "context": self.context,
            "survivors": list(self.survivors),
            "dead": list(self.dead),
        }

    @classmethod
    def from_json(cls, value: Any) -> Question:
        """Read the JSON form of a foreign question; unknown fields are refused.

        Raises:
            SecureFlowError: `vote_malformed`.
        """
        if not isinstance(value, dict) or value.keys() != cls.__dataclass_fields__.keys():
            raise _malformed("it does not have the fields that it must have")
        text = all(isinstance(value[name], str) for name in ("job", "stage", "context"))
        if not text or not all(_is_names(value[name]) for name in ("survivors", "dead")):
            raise _malformed("a field has the wrong type")
        parties = {name: tuple(value[name]) for name in ("survivors", "dead")}
        return cls(**{**value, **parties})

    @property
    def slot(self) -> tuple[str, int, str]:
        """(job, round, stage): a party votes once for each."""
        return (self.job, self.round, self.stage)

    def body(self, voter: str) -> dict[str, Any]:
        """Return what the voter's signature of kind `vote` covers."""
        return {**self.as_json(), "voter": voter}


@dataclass(frozen=True)
class Vote:
    """A party's signed answer; a signature exists only for *yes*."""

    question: Question
    voter: str
    signature: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.voter) or not _SIGNATURE.fullmatch(self.signature):
            raise _malformed("voter or signature")

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form, a signed thing: `{"body", "signature"}`."""
        return {"body": self.question.body(self.voter), "signature": self.signature}

    @classmethod
    def from_json(cls, value: Any) -> Vote:
        """Read a foreign vote; its signature is *not* verified here.

        Raises:
            SecureFlowError: `vote_malformed`.
        """
        if not isinstance(value, dict) or value.keys() != {"body", "signature"}:
            raise _malformed("it is not an object of body and signature")
        if not isinstance(value["body"], dict):
            raise _malformed("body")
        rest, signature = dict(value["body"]), value["signature"]
        voter = rest.pop("voter", None)
        if not isinstance(voter, str) or not isinstance(signature, str):
            raise _malformed("voter or signature")
        return cls(Question.from_json(rest), voter, signature)

    def holds_under(self, public: str) -> bool:
        """Tell whether the signature is valid under the voter's base64 key."""
        return verify(public, KIND, self.question.body(self.voter), self.signature)


def check_set(question: Question, roster: Mapping[str, Any]) -> None:
    """Refuse a contributor set that could never be certified under the spec's roster.

    Raises:
        SecureFlowError: `survivors_unknown`, `dead_inconsistent`, `survivors_too_few`.
    """
    strangers = sorted(set(question.survivors) - roster.keys())
    if strangers:
        raise SecureFlowError(
            "survivors_unknown",
            Text(
                "Listed as contributors but not in the job's roster: {strangers}.",
                strangers=", ".join(strangers),
            ),
            "Do not trust this server: the roster is fixed by the signed spec.",
            {"strangers": strangers},
        )
    if set(question.dead) != roster.keys() - set(question.survivors):
        raise SecureFlowError(
            "dead_inconsistent",
            "Contributors and dropouts together are not exactly the job's roster.",
            "Each party of the roster is either a contributor or a dropout of the round.",
        )
    needed = threshold_of(len(roster))
    found = len(question.survivors)
    if found < needed:
        reason = (
            ("a sum of two updates shows each of the two parties the other one's update")
            if found < floor_of(len(roster))
            else Text(
                "a roster of {count} opens sums of at least {needed}",
                count=len(roster),
                needed=needed,
            )
        )
        raise SecureFlowError(
            "survivors_too_few",
            Text(
                "Round {round} has {found} contributors: {reason}.",
                round=question.round,
                found=found,
                reason=reason,
            ),
            "Bring the missing parties back, or submit a job with another roster.",
            {"found": found, "needed": needed, "dead": list(question.dead)},
        )


def may_vote(
    previous: Iterable[Vote],
    question: Question,
    *,
    voter: str,
    context: str,
    roster: Mapping[str, Any],
    least: int = 3,
) -> Vote | None:
    """Decide whether this party may answer yes.

    Args:
        previous: this party's own earlier votes (from its disk).
        question: the question asked now.
        voter: this party.
        context: hex context under which this party itself contributed.
        roster: parties of the signed spec.
        least: the minimum number of contributors that this party's approval accepts.

    Returns:
        The earlier vote if the same question is asked again; else None: vote, once it is stored.

    Raises:
        SecureFlowError: `vote_already_cast`, `vote_other_context`, `voted_dead`, and those of
            `check_set`.
    """
    for vote in previous:
        if vote.question == question:
            return vote
        if vote.question.slot == question.slot:
            raise _already_cast(vote, question, voter)
    if question.context != context:
        raise SecureFlowError(
            "vote_other_context",
            Text(
                "{voter} contributed to round {round} under another context.",
                voter=voter,
                round=question.round,
            ),
            "The server shows parties different models, rosters or parameters: stop the job.",
        )
    check_set(question, roster)
    _check_contributors(question, voter, least)
    return None


def _already_cast(vote: Vote, question: Question, voter: str) -> SecureFlowError:
    return SecureFlowError(
        "vote_already_cast",
        Text(
            "{voter} has already voted in round {round} ({stage}) of {job}, on "
            "another set of contributors.",
            voter=voter,
            round=question.round,
            stage=question.stage,
            job=question.job,
        ),
        "A party votes once per round. Keep both questions: together they are evidence.",
        {"voted": vote.question.as_json(), "asked": question.as_json()},
    )


def _check_contributors(question: Question, voter: str, least: int) -> None:
    """Refuse a set that this party did not approve, or that lists it as a dropout."""
    if len(question.survivors) < least:
        raise SecureFlowError(
            "survivors_too_few",
            Text(
                "Round {round} has {count} contributors; {voter} approved the job for at "
                "least {least}.",
                round=question.round,
                count=len(question.survivors),
                voter=voter,
                least=least,
            ),
            "Bring the missing parties back, or ask for approval of a smaller job.",
            {"found": len(question.survivors), "needed": least, "dead": list(question.dead)},
        )
    if voter not in question.survivors:
        raise SecureFlowError(
            "voted_dead",
            Text(
                "{voter} is asked to certify that it dropped out of round {round}.",
                voter=voter,
                round=question.round,
            ),
            (
                "A party that is there does not certify that it dropped out: let the "
                "server retry its upload."
            ),
        )


def cast_vote(question: Question, voter: str, key: SigningKey) -> Vote:
    """Sign the answer yes; call `may_vote` first and store the vote before sending it."""
    return Vote(question, voter, key.sign(KIND, question.body(voter)))


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(party, str) for party in value)


def _malformed(part: str) -> SecureFlowError:
    return SecureFlowError(
        "vote_malformed", Text("The closing question or vote is malformed: {part}.", part=part)
    )
