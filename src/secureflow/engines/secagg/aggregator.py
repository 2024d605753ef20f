"""The aggregator's side of `sf-secagg-1`: relays, adds up, asks, and opens only the sum.

It is not trusted: a party is protected by what its client refuses. The checks here make a
round end in the exact sum of its survivors or in an error that names a party.

`receive` takes any frame from a party; `requests` returns what to (re)send to whom, so a repeat
after a crash or a reconnect is the same call. It needs the memory of one vector, for any number of
parties. The exported state holds no secret: ciphertexts, public keys, votes and the masked sum;
revealed shares are requested again. **Persist it after `close` before sending the questions**: a
server that forgets what it asked will ask something else, which every party refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from secureflow.domain.specs.base import dump, parse
from secureflow.engines.closing import Certificate, Question, Vote, certify
from secureflow.engines.secagg import messages
from secureflow.engines.secagg.encoding import Sum, decode
from secureflow.engines.secagg.framing import FrameKind, prefix
from secureflow.engines.secagg.guards import STAGE
from secureflow.engines.secagg.masks import Ring
from secureflow.engines.secagg.messages import (
    SEALED_BYTES,
    Advance,
    Ballot,
    Begin,
    Meet,
    Opening,
    RoundKey,
    Setup,
    Upload,
)
from secureflow.engines.secagg.plan import MaskingPlan
from secureflow.engines.secagg.recovery import RevealedShares, recover, unmask
from secureflow.engines.secagg.shamir import PRIME, SHARE_BYTES
from secureflow.kit.canonical import b64decode, b64encode, canonical_bytes, parse_json
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_STATE_LIMIT = 1 << 28


@dataclass(frozen=True)
class _Advanced:
    """A party's key for a round and its shares, still sealed."""

    key: RoundKey
    recipients: tuple[str, ...]
    sealed: bytes

    def share_for(self, party: str) -> bytes:
        at = self.recipients.index(party) * SEALED_BYTES
        return self.sealed[at : at + SEALED_BYTES]


@dataclass
class _Round:
    """The open round."""

    number: int
    model: str
    context: str
    keys: tuple[RoundKey, ...]
    total: Ring
    uploaded: set[str] = field(default_factory=set)
    question: Question | None = None
    votes: dict[str, Vote] = field(default_factory=dict)
    shares: dict[str, list[int]] = field(default_factory=dict, repr=False)

    @property
    def roster(self) -> tuple[str, ...]:
        return tuple(k.party for k in self.keys)

    @property
    def nobody_dead(self) -> bool:
        """Whether nobody of the context is dead: then answers to the question open the sum."""
        return self.question is not None and len(self.question.survivors) == len(self.keys)


class Aggregator:
    """The aggregator of one job's sums."""

    carries = True
    """Whether vectors arrive here, inside the UPLOAD frames (not so for a `Conductor`)."""

    def __init__(self, plan: MaskingPlan) -> None:
        self.plan = plan
        self._setups: dict[str, Setup] = {}
        self._coming: dict[int, dict[str, _Advanced]] = {}
        self._round: _Round | None = None
        self._liars: tuple[str, ...] = ()

    # --- frames --------------------------------------------------------------------------------

    def receive(self, party: str, data: bytes | bytearray | memoryview) -> None:
        """Handle a frame from a party that the link has authenticated; a repeat changes nothing.

        Raises:
            SecureFlowError: `unknown_party`, `unexpected_message`, those of the parsers and of
                the message's own check; the state is then unchanged.
        """
        if party not in self.plan.index:
            raise SecureFlowError(
                "unknown_party", Text("{party} is not in the job's roster.", party=party)
            )
        message, body = messages.unpack(self.plan, data)
        handlers: dict[type[Any], Callable[[str, Any, memoryview], None]] = {
            Setup: self._on_setup,
            Advance: self._on_advance,
            Upload: self._on_upload,
            Ballot: self._on_vote,
            Opening: self._on_opening,
        }
        handler = handlers.get(type(message))
        if handler is None:
            raise _refused("unexpected_message", party, "it sent what only an aggregator sends")
        handler(party, message, body)

    def meet(self) -> bytes:
        """Return the MEET frame: every sealing key so far."""
        return messages.pack(Meet(tuple(self._setups[p] for p in self._order(self._setups))))

    def ready(self, round_: int) -> tuple[str, ...]:
        """Return who can take part in a round: with keys, and holding all others' shares.

        If a share between two parties is missing, the one that did not seal it is left out.
        """
        coming = {p: set(a.recipients) for p, a in self._coming.get(round_, {}).items()}
        members = set(coming)
        while True:
            omits = {p: len(members - {p} - coming[p]) for p in members}
            missing = {
                p: (omits[p] + sum(p not in coming[q] for q in members - {p}), omits[p])
                for p in members
            }
            worst = max(self._order(missing), key=lambda p: missing[p], default=None)
            if worst is None or not missing[worst][0]:
                return self._order(members)
            members.remove(worst)

    def begin(
        self, round_: int, model: str, among: Collection[str] | None = None
    ) -> dict[str, bytes]:
        """Open a round with all parties that are ready; return the BEGIN frames.

        Args:
            round_: its number.
            model: hex digest of the model that it starts from.
            among: the parties that it asks; by default all.

        Raises:
            SecureFlowError: `round_lost` if fewer than t are ready, `stale_round`.
        """
        at = self._round
        if at is not None and round_ <= at.number:
            raise SecureFlowError(
                "stale_round", Text("Round {round} is not a coming one.", round=round_)
            )
        ready = self.ready(round_)
        members = ready if among is None else tuple(p for p in ready if p in among)
        if len(members) < self.plan.threshold:
            raise self._lost(round_, "keys of", len(members), set(self.plan.index) - set(members))
        keys = tuple(self._coming[round_][p].key for p in members)
        context = self.plan.context(round_, model, [(k.party, k.digest) for k in keys])
        slots = self.plan.encoding.slots if self.carries else 0
        total = cast("Ring", np.zeros(slots, self.plan.ring))
        self._round = _Round(round_, model, context, keys, total)
        self._coming = {r: c for r, c in self._coming.items() if r >= round_}
        return self.requests()

    def close(self) -> dict[str, bytes]:
        """Stop waiting for uploads and fix the survivors; return the questions.

        Raises:
            SecureFlowError: `round_lost` if fewer than t have uploaded.
        """
        at = self._open_round()
        if at.question is None:
            if len(at.uploaded) < self.plan.threshold:
                missing = set(at.roster) - at.uploaded
                raise self._lost(at.number, "updates of", len(at.uploaded), missing)
            dead = set(self.plan.index) - at.uploaded
            survivors = tuple(sorted(at.uploaded))
            at.question = Question(
                self.plan.job, at.number, STAGE, at.context, survivors, tuple(sorted(dead))
            )
        return self.requests()

    def requests(self) -> dict[str, bytes]:
        """Return the frame for each party that has not answered yet."""
        at = self._open_round()
        if at.question is None:
            waiting = [p for p in at.roster if p not in at.uploaded]
            return self._begin_frames(at, waiting)
        if at.nobody_dead:
            frame, answered = messages.pack(at.question), set(at.shares)
        elif self.certificate is None:
            frame, answered = messages.pack(at.question), set(at.votes)
        else:
            frame, answered = messages.pack(self.certificate), set(at.shares)
        return {p: frame for p in at.question.survivors if p not in answered}

    # --- the outcome ---------------------------------------------------------------------------

    @property
    def context(self) -> str:
        """The open round's context."""
        return self._open_round().context

    @property
    def uploaded(self) -> frozenset[str]:
        """The parties whose vectors are in the sum."""
        return frozenset(self._open_round().uploaded)

    @property
    def certificate(self) -> Certificate | None:
        """The closing certificate once t parties have voted (also for the ledger)."""
        votes = self._open_round().votes
        return certify(votes.values()) if len(votes) >= self.plan.threshold else None

    @property
    def complete(self) -> bool:
        """Whether t parties have opened, so that `result` is available."""
        return len(self._open_round().shares) >= self.plan.threshold

    @property
    def liars(self) -> tuple[str, ...]:
        """Parties whose revealed shares were wrong in the last `result`."""
        return self._liars

    def result(self) -> Sum:
        """Open the sum of the survivors.

        Raises:
            SecureFlowError: `too_few_openings`, `share_mismatch` naming the party,
                `sum_inconsistent`. Then nothing was released.
        """
        at = self._open_round()
        answers, secrets = self._recovered(at)
        total = at.total.copy()
        unmask(self.plan, at.context, answers, secrets, total)
        return decode(self.plan.encoding, total, tuple(sorted(answers.survivors)))

    # --- crash and return ----------------------------------------------------------------------

    def export_state(self) -> bytes:
        """Return `length (u64) ‖ JSON ‖ masked sum`, without any secret in clear."""
        at = self._round
        state: dict[str, Any] = {
            "setups": [dump(s) for s in self._setups.values()],
            "coming": [
                {"advance": dump(Advance(a.key, a.recipients)), "sealed": b64encode(a.sealed)}
                for coming in self._coming.values()
                for a in coming.values()
            ],
            "round": None,
        }
        if at is not None:
            state["round"] = {
                "number": at.number,
                "model": at.model,
                "context": at.context,
                "keys": [dump(k) for k in at.keys],
                "uploaded": sorted(at.uploaded),
                "question": at.question.as_json() if at.question else None,
                "votes": [v.as_json() for v in at.votes.values()],
            }
        text = canonical_bytes(state)
        return len(text).to_bytes(8, "big") + text + (b"" if at is None else at.total.tobytes())

    @classmethod
    def restore(cls, plan: MaskingPlan, state: bytes) -> Aggregator:
        """Rebuild an aggregator from its own state.

        Raises:
            SecureFlowError: `state_unreadable`.
        """
        try:
            return cls._restored(plan, state)
        except (KeyError, TypeError, ValueError, SecureFlowError) as error:
            raise SecureFlowError(
                "state_unreadable",
                Text(
                    "The stored aggregator of {job} is unreadable: {error}.",
                    job=plan.job,
                    error=error,
                ),
            ) from error

    @classmethod
    def _restored(cls, plan: MaskingPlan, state: bytes) -> Aggregator:
        end = 8 + int.from_bytes(state[:8], "big")
        value = parse_json(state[8:end], _STATE_LIMIT)
        self = cls(plan)
        self._setups = {s["party"]: Setup(**s) for s in value["setups"]}
        for item in value["coming"]:
            advance = parse(Advance, item["advance"], "secagg_message")
            sealed = b64decode(item["sealed"])
            self._coming.setdefault(advance.round_key.round, {})[advance.round_key.party] = (
                _Advanced(advance.round_key, advance.recipients, sealed)
            )
        saved = value["round"]
        if saved is not None:
            keys = tuple(RoundKey(**k) for k in saved["keys"])
            total = cast("Ring", np.frombuffer(state, plan.ring, plan.encoding.slots, end).copy())
            at = _Round(saved["number"], saved["model"], saved["context"], keys, total)
            at.uploaded = set(saved["uploaded"])
            at.question = Question.from_json(saved["question"]) if saved["question"] else None
            votes = [Vote.from_json(v) for v in saved["votes"]]
            at.votes = {v.voter: v for v in votes}
            self._round = at
        return self

    # --- handlers ------------------------------------------------------------------------------

    def _on_setup(self, party: str, setup: Setup, _: memoryview) -> None:
        _same_sender(party, setup.party)
        messages.check_statement(self.plan, setup)
        if self._setups.setdefault(party, setup) != setup:
            raise _refused("setup_changed", party, "it shows a second sealing key for this job")

    def _on_advance(self, party: str, advance: Advance, body: memoryview) -> None:
        key = advance.round_key
        _same_sender(party, key.party)
        messages.check_statement(self.plan, key)
        at = self._round
        setup = self._setups.get(party)
        if not (-1 if at is None else at.number) < key.round < self.plan.rounds:
            raise _refused(
                "stale_round", party, Text("round {round} is not a coming one", round=key.round)
            )
        if setup is None or setup.digest != key.sealing:
            raise _refused("unknown_setup", party, "its sealing key is not the one it showed")
        if not messages.in_roster_order(self.plan, advance.recipients):
            raise _refused("other_roster", party, "its recipients are not in the roster's order")
        if len(body) != SEALED_BYTES * len(advance.recipients):
            raise _refused("malformed_frame", party, "its shares have another length")
        advanced = _Advanced(key, advance.recipients, bytes(body))
        self._coming.setdefault(key.round, {})[party] = advanced

    def _on_upload(self, party: str, upload: Upload, body: memoryview) -> None:
        at = self._open_round()
        self._in_context(at, party, upload.round, upload.context)
        if party in at.uploaded:
            return
        if at.question is not None:
            raise _refused(
                "upload_too_late", party, Text("round {number} is closed", number=at.number)
            )
        size = self.plan.vector_bytes if self.carries else 0
        if len(body) < size or (upload.advance is None and len(body) != size):
            raise _refused("malformed_frame", party, "its vector has another length")
        if upload.advance is not None:
            self._on_advance(party, upload.advance, body[size:])
        if self.carries:
            vector = cast("Ring", np.frombuffer(body[:size], self.plan.ring))
            np.add(at.total, vector, out=at.total)
        at.uploaded.add(party)

    def _on_vote(self, party: str, ballot: Ballot, _: memoryview) -> None:
        at = self._open_round()
        self._take_vote(at, party, ballot)

    def _on_opening(self, party: str, opening: Opening, body: memoryview) -> None:
        at = self._open_round()
        self._in_context(at, party, opening.round, opening.context)
        shares = [
            int.from_bytes(piece, "big")
            for piece in messages.pieces(body, SHARE_BYTES, len(at.keys))
        ]
        if max(shares) >= PRIME:
            raise _refused("malformed_frame", party, "a share is no element of the field")
        self._take_vote(at, party, opening.ballot)
        at.shares[party] = shares

    def _take_vote(self, at: _Round, party: str, ballot: Ballot) -> None:
        _same_sender(party, ballot.voter)
        if at.question is None or party not in at.question.survivors:
            raise _refused("unexpected_message", party, "it was not asked")
        vote = Vote(at.question, party, ballot.signature)
        if not vote.holds_under(self.plan.keys[party]):
            raise _refused("vote_forged", party, "its signature is not on the question asked")
        at.votes[party] = vote

    # --- parts ---------------------------------------------------------------------------------

    def _recovered(self, at: _Round) -> tuple[RevealedShares, dict[str, bytes]]:
        if at.question is None or not self.complete:
            raise SecureFlowError(
                "too_few_openings",
                Text(
                    "{count} of the {threshold} needed parties have opened.",
                    count=len(at.shares),
                    threshold=self.plan.threshold,
                ),
            )
        answers = RevealedShares(at.keys, frozenset(at.question.survivors), at.shares)
        secrets, self._liars = recover(self.plan, answers)
        return answers, secrets

    def _open_round(self) -> _Round:
        if self._round is None:
            raise SecureFlowError("not_begun", "No round has begun.")
        return self._round

    def _order(self, parties: Iterable[str]) -> tuple[str, ...]:
        members = set(parties)
        return tuple(p for p in self.plan.index if p in members)

    def _begin_frames(self, at: _Round, parties: Iterable[str]) -> dict[str, bytes]:
        size = SEALED_BYTES * (len(at.keys) - 1)
        head = prefix(FrameKind.BEGIN, dump(Begin(at.number, at.keys)), size)
        coming = self._coming[at.number]
        return {
            p: head + b"".join(coming[q].share_for(p) for q in at.roster if q != p) for p in parties
        }

    def _in_context(self, at: _Round, party: str, round_: int, context: str) -> None:
        if round_ != at.number:
            raise _refused("stale_round", party, Text("round {round} is not open", round=round_))
        if context != at.context:
            raise _refused("other_context", party, "it masked under another context")
        if party not in at.roster:
            raise _refused("unknown_party", party, Text("it is not in round {round}", round=round_))

    def _lost(self, round_: int, what: str, found: int, missing: set[str]) -> SecureFlowError:
        return SecureFlowError(
            "round_lost",
            Text(
                "Round {round} has {what} {found} parties; it needs {threshold}.",
                round=round_,
                what=what,
                found=found,
                threshold=self.plan.threshold,
            ),
            "Nothing was opened. Bring back the parties in `details.missing`.",
            {"missing": sorted(missing), "round": round_},
        )


def _same_sender(party: str, named: str) -> None:
    if party != named:
        raise _refused("forged_sender", party, Text("it speaks for {named}", named=named))


def _refused(code: str, party: str, reason: str) -> SecureFlowError:
    return SecureFlowError(
        code,
        Text("The message of {party} is refused: {reason}.", party=party, reason=reason),
        "",
        {"party": party},
    )
