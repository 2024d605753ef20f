"""A party's side of `sf-secagg-1`: its messages, and its refusals.

Per job: `setup` → `meet` → `advance(0)`. Per round: `begin` → `upload` (which carries the keys and
shares of the next round) → `answer` the question, and once more if a party was dead: two flights
if all stay. A party that missed a round comes back with `advance(r)`.

The rules enforced here (docs/secagg.md, "What a client refuses"): one context, one masked vector
and one answer per round; masks only towards parties whose shares were opened; keys only if their
organisations signed them; shares revealed only for a question that passes `guards` and, if anybody
is dead, that a certificate of t votes confirms.

**Persist `export_state()` before sending what a method returned.** A restored client repeats its
messages exactly; the state holds secrets and must be protected by the party.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import blake3
import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from numpy.typing import NDArray

from secureflow.domain.specs.base import dump
from secureflow.engines.closing import Certificate, Question, Vote, cast_vote, verify_certificate
from secureflow.engines.secagg import guards, messages
from secureflow.engines.secagg.encoding import encode
from secureflow.engines.secagg.framing import FrameKind, prefix
from secureflow.engines.secagg.masks import Ring, add_masks, pair_key, self_key
from secureflow.engines.secagg.messages import (
    SEALED_BYTES,
    Advance,
    Ballot,
    Begin,
    Meet,
    Opening,
    RoundKey,
    Setup,
)
from secureflow.engines.secagg.plan import MIN_PARTIES, MaskingPlan
from secureflow.engines.secagg.shamir import SHARE_BYTES
from secureflow.engines.secagg.shares import (
    RoundSecrets,
    agree,
    commit,
    open_pair,
    public_text,
    seal_pair,
)
from secureflow.kit.canonical import b64decode, b64encode, canonical_bytes, parse_json
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_STATE_LIMIT = 1 << 24


@dataclass
class _Round:
    """An open round as this party sees it."""

    number: int
    context: str
    model: str
    frame: bytes
    keys: tuple[RoundKey, ...]
    shares: dict[str, tuple[int, int]] = field(repr=False)
    uploaded: str = ""
    vote: Vote | None = None
    roster: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.roster = tuple(k.party for k in self.keys)


class SecAggClient:
    """One party of one job.

    Args:
        plan: the job's plan, built by this party from the signed spec and its own charter.
        party: its name in the roster.
        key: its organisation's signing key.
        least: the minimum number of contributors that its approval accepts.
        sealing: its X25519 sealing key; fresh by default.
    """

    def __init__(
        self,
        plan: MaskingPlan,
        party: str,
        key: SigningKey,
        *,
        least: int = MIN_PARTIES,
        sealing: X25519PrivateKey | None = None,
    ) -> None:
        if plan.keys.get(party) != key.public:
            raise _refusal("unknown_party", party, "its signing key is not the roster's")
        self.plan = plan
        self.party = party
        self._key = key
        self._least = least
        self._sealing = sealing or X25519PrivateKey.generate()
        self._own = messages.sign_setup(key, plan, party, public_text(self._sealing))
        self._setups: dict[str, Setup] = {party: self._own}
        self._agreed: dict[str, bytes] = {}
        self._secrets: dict[int, RoundSecrets] = {}
        self._round: _Round | None = None

    @property
    def number(self) -> int | None:
        """The open round's number."""
        return None if self._round is None else self._round.number

    @property
    def vote(self) -> Vote | None:
        """The vote cast in the open round."""
        return None if self._round is None else self._round.vote

    # --- once per job --------------------------------------------------------------------------

    def setup(self) -> bytes:
        """Return the SETUP frame."""
        return messages.pack(self._own)

    def meet(self, data: bytes) -> None:
        """Read the others' sealing keys; newcomers may be added later.

        Raises:
            SecureFlowError: `forged_key`, `unknown_party`, `other_job`, `setup_changed`,
                `weak_key`.
        """
        fresh: dict[str, Setup] = {}
        for setup in self._expect(Meet, data)[0].setups:
            known = self._setups.get(setup.party)
            if known == setup:
                continue
            messages.check_statement(self.plan, setup)
            if known is not None or setup.party in fresh:
                reason = Text("{party} shows a second key", party=setup.party)
                raise _refusal("setup_changed", self.party, reason, signer=setup.party)
            fresh[setup.party] = setup
        agreed = {p: agree(self._sealing, s.key, p) for p, s in fresh.items()}
        self._setups |= fresh
        self._agreed |= agreed

    def advance(self, round_: int) -> bytes:
        """Return the ADVANCE frame for a coming round: at the start, or when coming back.

        Raises:
            SecureFlowError: `stale_round`.
        """
        message, body = self._advance(round_)
        return messages.pack(message, body)

    # --- once per round ------------------------------------------------------------------------

    def begin(self, data: bytes, model: str) -> str:
        """Check a round's roster, open the shares, fix the context and return it.

        Args:
            data: the BEGIN frame.
            model: the hex digest of the global model *as this party computed it*.

        Raises:
            SecureFlowError: `second_context`, `stale_round`, `other_roster`,
                `roster_below_threshold`, `forged_key`, `stale_key`, `own_key_replaced`,
                `unknown_setup`, `share_unopenable`.
        """
        current = self._round
        if current and (bytes(data), model) == (current.frame, current.model):
            return current.context
        begin, body = self._expect(Begin, data)
        if current and begin.round == current.number:
            raise _refusal(
                "second_context",
                self.party,
                Text(("round {round} already has another context"), round=begin.round),
            )
        if begin.round not in self._secrets or (current and begin.round < current.number):
            raise _refusal(
                "stale_round",
                self.party,
                Text("round {round} is not a coming one", round=begin.round),
            )
        self._check_roster(begin)
        shares = self._open_shares(begin, body)
        listed = [(k.party, k.digest) for k in begin.keys]
        context = self.plan.context(begin.round, model, listed)
        self._round = _Round(begin.round, context, model, bytes(data), begin.keys, shares)
        # Older secrets are deleted: then nobody can ask for them.
        self._secrets = {r: s for r, s in self._secrets.items() if r >= begin.round}
        return context

    def upload(
        self,
        values: NDArray[np.floating[Any]],
        weight: int = 1,
        metrics: Mapping[str, float] | None = None,
        noise: NDArray[np.int64] | None = None,
    ) -> memoryview:
        """Mask an update and return the UPLOAD frame, which includes the next round's keys.

        Shapes and limits: `encoding.encode`. After a crash the same update gives the same frame.

        Raises:
            SecureFlowError: `not_begun`, `invalid_update`, `second_update`.
        """
        at = self._open_round()
        upload, sealed = self._upload(at)
        head = prefix(FrameKind.UPLOAD, dump(upload), self.plan.vector_bytes + len(sealed))
        frame = np.empty(len(head) + self.plan.vector_bytes + len(sealed), np.uint8)
        frame[: len(head)] = np.frombuffer(head, np.uint8)
        end = len(head) + self.plan.vector_bytes
        frame[end:] = np.frombuffer(sealed, np.uint8)
        vector = frame[len(head) : end].view(self.plan.ring)
        encode(self.plan.encoding, values, weight, metrics or {}, noise, vector)
        self._mask(at, vector)
        return frame.data

    def contribute(
        self,
        values: NDArray[np.floating[Any]],
        weight: int,
        metrics: Mapping[str, float],
        noise: NDArray[np.int64] | None,
        vector: Ring,
    ) -> tuple[bytes, str]:
        """Mask an update into `vector` (shape `(slots,)`), which is sent separately from its frame.

        Returns:
            The UPLOAD frame without the vector, for a `Conductor`; the vector's hex BLAKE3.

        Raises:
            SecureFlowError: those of `upload`.
        """
        at = self._open_round()
        upload, sealed = self._upload(at)
        encode(self.plan.encoding, values, weight, metrics, noise, vector)
        self._mask(at, vector)
        return messages.pack(upload, sealed), at.uploaded

    def answer(self, data: bytes) -> bytes:
        """Answer a QUESTION (a VOTE, or an OPENING if nobody is dead) or a CERTIFICATE.

        Raises:
            SecureFlowError: those of `guards.check_question` and `closing.verify_certificate`,
                `not_begun`. Then nothing was revealed.
        """
        message, _ = messages.unpack(self.plan, data)
        if not isinstance(message, Question | Certificate):
            raise _refusal("unexpected_message", self.party, "this is not a closing question")
        at = self._open_round()
        question = message if isinstance(message, Question) else message.question
        guards.check_question(self._position(at), question)
        if isinstance(message, Certificate):
            verify_certificate(message, self.plan.keys, self.plan.threshold)
        at.vote = cast_vote(question, self.party, self._key)
        ballot = Ballot(self.party, at.vote.signature)
        everybody = set(question.survivors) == set(at.roster)
        if isinstance(message, Certificate) or everybody:
            return self._opening(at, question, ballot)
        return messages.pack(ballot)

    # --- crash and return ----------------------------------------------------------------------

    def export_state(self) -> bytes:
        """Return everything that a restart needs, as canonical JSON. It contains secrets."""
        at = self._round
        state: dict[str, Any] = {
            "sealing": b64encode(self._sealing.private_bytes_raw()),
            "setups": [dump(s) for s in self._setups.values()],
            "seeds": {str(r): b64encode(s.seed) for r, s in self._secrets.items()},
            "round": None,
        }
        if at is not None:
            state["round"] = {
                "model": at.model,
                "begin": b64encode(at.frame),
                "uploaded": at.uploaded,
                "vote": at.vote.as_json() if at.vote else None,
            }
        return canonical_bytes(state)

    @classmethod
    def restore(
        cls,
        plan: MaskingPlan,
        party: str,
        key: SigningKey,
        state: bytes,
        *,
        least: int = MIN_PARTIES,
    ) -> SecAggClient:
        """Rebuild a client from its own state; keys and shares of others are checked again.

        Raises:
            SecureFlowError: `state_unreadable`: leave the job rather than start again.
        """
        try:
            return cls._restored(plan, party, key, state, least)
        except (KeyError, TypeError, ValueError, SecureFlowError) as error:
            raise SecureFlowError(
                "state_unreadable",
                Text(
                    "{party}'s stored state of {job} is unreadable: {error}.",
                    party=party,
                    job=plan.job,
                    error=error,
                ),
                "Leave this job: a party that has lost track of what it sent must not send "
                "anything more.",
            ) from error

    @classmethod
    def _restored(
        cls, plan: MaskingPlan, party: str, key: SigningKey, state: bytes, least: int
    ) -> SecAggClient:
        value = parse_json(state, _STATE_LIMIT)
        sealing = X25519PrivateKey.from_private_bytes(b64decode(value["sealing"]))
        client = cls(plan, party, key, least=least, sealing=sealing)
        client.meet(messages.pack(Meet(tuple(Setup(**s) for s in value["setups"]))))
        client._secrets = {int(r): client._derive(b64decode(s)) for r, s in value["seeds"].items()}
        saved = value["round"]
        if saved is not None:
            client.begin(b64decode(saved["begin"], _STATE_LIMIT), saved["model"])
            at = client._open_round()
            at.uploaded = saved["uploaded"]
            at.vote = Vote.from_json(saved["vote"]) if saved["vote"] else None
        return client

    # --- parts ---------------------------------------------------------------------------------

    def _expect(self, kind: type[Any], data: bytes) -> tuple[Any, memoryview]:
        message, body = messages.unpack(self.plan, data)
        if not isinstance(message, kind):
            raise _refusal(
                "unexpected_message", self.party, Text("it waits for {name}", name=kind.__name__)
            )
        return message, body

    def _open_round(self) -> _Round:
        if self._round is None:
            raise _refusal("not_begun", self.party, "no round has begun")
        return self._round

    def _position(self, at: _Round) -> guards.RoundPosition:
        return guards.RoundPosition(
            plan=self.plan,
            party=self.party,
            round=at.number,
            context=at.context,
            roster=at.roster,
            masked=bool(at.uploaded),
            vote=at.vote,
            least=self._least,
        )

    def _derive(self, seed: bytes) -> RoundSecrets:
        return RoundSecrets(seed, self.plan.threshold, len(self.plan.roster))

    def _round_key(self, round_: int) -> RoundKey:
        secret = self._secrets[round_]
        commitment = commit(self.plan.job, round_, self.party, secret.self_seed)
        mask_key = public_text(secret.mask_key)
        return messages.sign_round_key(self._key, self._own, round_, mask_key, commitment)

    def _advance(self, round_: int) -> tuple[Advance, bytes]:
        floor = -1 if self._round is None else self._round.number
        if not floor < round_ < self.plan.rounds:
            raise _refusal(
                "stale_round", self.party, Text("round {round} is not a coming one", round=round_)
            )
        self._secrets.setdefault(round_, self._derive(secrets.token_bytes(32)))
        key = self._round_key(round_)
        shares = self._secrets[round_].shares
        recipients = tuple(p for p in self.plan.index if p in self._agreed)
        sealed = (
            seal_pair(self._agreed[p], self._own, self._setups[p], key, shares[self.plan.index[p]])
            for p in recipients
        )
        return Advance(key, recipients), b"".join(sealed)

    def _upload(self, at: _Round) -> tuple[messages.Upload, bytes]:
        """The header of an UPLOAD frame and the next round's sealed shares."""
        following = at.number + 1
        advance, sealed = self._advance(following) if following < self.plan.rounds else (None, b"")
        return messages.Upload(at.number, at.context, advance), sealed

    def _mask(self, at: _Round, vector: Ring) -> None:
        add_masks(vector, *self._mask_keys(at))
        shown = blake3.blake3(vector.view(np.uint8).data).hexdigest()
        if at.uploaded not in {"", shown}:
            # Two vectors under the same mask would reveal their difference.
            vector.fill(0)
            raise _refusal("second_update", self.party, "it has masked another update this round")
        at.uploaded = shown

    def _check_roster(self, begin: Begin) -> None:
        names = [k.party for k in begin.keys]
        if not messages.in_roster_order(self.plan, names):
            raise _refusal("other_roster", self.party, "the round's parties are not the spec's")
        if len(names) < self.plan.threshold:
            reason = Text(
                "there are {count} parties, and {threshold} are needed",
                count=len(names),
                threshold=self.plan.threshold,
            )
            raise _refusal("roster_below_threshold", self.party, reason)
        own = self._round_key(begin.round)
        if own not in begin.keys:
            raise _refusal("own_key_replaced", self.party, "its own round key is not in the list")
        for key in begin.keys:
            if key == own:
                continue
            messages.check_statement(self.plan, key)
            if key.round != begin.round:
                reason = Text("{party}'s key is of round {round}", party=key.party, round=key.round)
                raise _refusal("stale_key", self.party, reason)
            setup = self._setups.get(key.party)
            if setup is None or setup.digest != key.sealing:
                reason = Text("{party}'s sealing key is not the one shown before", party=key.party)
                raise _refusal("unknown_setup", self.party, reason)

    def _open_shares(self, begin: Begin, body: memoryview) -> dict[str, tuple[int, int]]:
        others = [k for k in begin.keys if k.party != self.party]
        sealed = messages.pieces(body, SEALED_BYTES, len(others))
        shares = {
            key.party: open_pair(
                self._agreed[key.party], self._setups[key.party], self._own, key, piece
            )
            for key, piece in zip(others, sealed, strict=True)
        }
        own = self._secrets[begin.round].shares
        shares[self.party] = own[self.plan.index[self.party]]
        return shares

    def _mask_keys(self, at: _Round) -> tuple[list[bytes], list[bytes]]:
        """Keys to add and to subtract: self mask, pairs with later parties | with earlier ones."""
        secret = self._secrets[at.number]
        plus = [self_key(secret.self_seed, at.context)]
        minus: list[bytes] = []
        for key in at.keys:
            if key.party == self.party:
                continue
            agreed = agree(secret.mask_key, key.key, key.party)
            later = self.plan.index[key.party] > self.plan.index[self.party]
            first, second = (self.party, key.party) if later else (key.party, self.party)
            (plus if later else minus).append(pair_key(agreed, at.context, first, second))
        return plus, minus

    def _opening(self, at: _Round, question: Question, ballot: Ballot) -> bytes:
        alive = set(question.survivors)
        body = b"".join(
            at.shares[p][1 if p in alive else 0].to_bytes(SHARE_BYTES, "big") for p in at.roster
        )
        return messages.pack(Opening(at.number, at.context, ballot), body)


def _refusal(code: str, party: str, reason: str, **details: str) -> SecureFlowError:
    return SecureFlowError(
        code,
        Text("{party} refuses: {reason}.", party=party, reason=reason),
        "Nothing was revealed; a server that asks this is faulty or hostile.",
        {"party": party, **details},
    )
