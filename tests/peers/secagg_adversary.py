"""A server that does as it likes, with the c parties that collude with it.

It holds every frame that the parties have sent, the colluders' keys and secrets, and keeps count
of what it has learnt: votes, and shares of each party's mask key s and self-mask seed b. `opened`
says which sums of honest updates that opens, by the algebra of double masking.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from peers.secagg import MODEL, Table

from secureflow.domain.quorum import colluders_of
from secureflow.engines.closing import Certificate, Question, cast_vote
from secureflow.engines.secagg import messages
from secureflow.engines.secagg.framing import FrameKind, decode_frame
from secureflow.engines.secagg.guards import STAGE
from secureflow.engines.secagg.masks import add_masks, pair_key, self_key
from secureflow.engines.secagg.messages import SEALED_BYTES, Advance, Begin
from secureflow.engines.secagg.shamir import SHARE_BYTES, combine, lagrange
from secureflow.kit.errors import SecureFlowError


@dataclass
class Context:
    """A context that at least one honest party accepted."""

    round: int
    roster: tuple[str, ...]
    masked: set[str] = field(default_factory=set)


class Adversary:
    """The malicious server of a table; the last c parties are its own."""

    def __init__(self, table: Table, rounds: int = 2) -> None:
        self.table = table
        self.plan = table.plan
        size = len(table.names)
        self.own = table.names[size - colluders_of(size) :]
        self.honest = table.names[: size - len(self.own)]
        self.contexts: dict[str, Context] = {}
        self.vectors: dict[tuple[str, str], np.ndarray] = {}
        self.votes: dict[Question, dict[str, str]] = defaultdict(dict)
        # (round, party, "s" | "b") → holder → share
        self.shares: dict[tuple[int, str, str], dict[str, int]] = defaultdict(dict)
        self.advances: dict[tuple[int, str], tuple[Advance, bytes]] = {}
        for name in table.names:
            table.aggregator.receive(name, table.clients[name].setup())
        for name in table.names:
            table.clients[name].meet(table.aggregator.meet())
            for round_ in range(rounds):
                message, body = messages.unpack(self.plan, table.clients[name].advance(round_))
                self.advances[round_, name] = (message, bytes(body))
                self._colluders_know(round_, name)

    # --- questions it can ask ------------------------------------------------------------------

    def sealed(self, round_: int, sender: str, receiver: str) -> bytes:
        advance, body = self.advances[round_, sender]
        at = advance.recipients.index(receiver) * SEALED_BYTES
        return body[at : at + SEALED_BYTES]

    def begin(self, victim: str, round_: int, roster: Sequence[str], model: str = MODEL) -> str:
        """Show a party a round over this roster; return its context if it accepts."""
        keys = tuple(self.advances[round_, p][0].round_key for p in roster)
        body = b"".join(self.sealed(round_, p, victim) for p in roster if p != victim)
        frame = messages.pack(Begin(round_, keys), body)
        context = self.table.clients[victim].begin(frame, model)
        self.contexts.setdefault(context, Context(round_, tuple(roster)))
        return context

    def mask(self, victim: str) -> None:
        """Let a party upload into the context that it has accepted."""
        frame = decode_frame(self.table.masked(victim), 1 << 20)
        context = frame.header["context"]
        vector = np.frombuffer(frame.body[: self.plan.vector_bytes], self.plan.ring)
        self.contexts[context].masked.add(victim)
        self.vectors[context, victim] = vector

    def question(
        self, context: str, survivors: Collection[str], dead: Collection[str] | None = None
    ) -> Question:
        gone = set(self.table.names) - set(survivors) if dead is None else set(dead)
        at = self.contexts[context].round
        alive = tuple(sorted(survivors))
        return Question(self.plan.job, at, STAGE, context, alive, tuple(sorted(gone)))

    def ask(self, victim: str, asked: Question | Certificate) -> FrameKind:
        """Ask a party and learn what it answers."""
        frame = decode_frame(self.table.clients[victim].answer(messages.pack(asked)), 1 << 20)
        question = asked if isinstance(asked, Question) else asked.question
        ballot = frame.header.get("ballot", frame.header)
        self.votes[question][victim] = ballot["signature"]
        if frame.kind is FrameKind.OPENING:
            for place, party in enumerate(self.contexts[question.context].roster):
                share = int.from_bytes(frame.body[place * SHARE_BYTES :][:SHARE_BYTES], "big")
                kind = "b" if party in question.survivors else "s"
                self.shares[question.round, party, kind][victim] = share
        return frame.kind

    def certificate(self, question: Question) -> Certificate:
        """Every vote that it has on this question, with the colluders' added."""
        votes = dict(self.votes[question])
        for name in self.own:
            votes[name] = cast_vote(question, name, self.table.keys[name]).signature
        return Certificate(question, {n: v for n, v in votes.items() if n in question.survivors})

    # --- what it knows -------------------------------------------------------------------------

    def knows(self, round_: int, party: str, kind: str) -> bool:
        return party in self.own or len(self.shares[round_, party, kind]) >= self.plan.threshold

    def opened(self, context: str) -> list[set[str]]:
        """The sets of honest parties whose sums it can read in a context.

        An update is readable when its self mask is known and every pair mask is known or cancels
        inside the sum. Unknown pair masks are the edges of a graph; its connected components are
        the only sums, and a component with an edge that leads out is none.
        """
        at = self.contexts[context]
        unknown = {p for p in at.roster if not self.knows(at.round, p, "s")}
        nodes = {p for p in at.masked if p in self.honest and self.knows(at.round, p, "b")}
        sums: list[set[str]] = []
        while nodes:
            component, frontier, closed = set(), {nodes.pop()}, True
            while frontier:
                party = frontier.pop()
                component.add(party)
                linked = unknown - {party} - component if party in unknown else set()
                closed = closed and linked <= nodes | frontier
                frontier |= linked & nodes
                nodes -= linked
            if closed:
                sums.append(component)
        return sums

    def read_alone(self, context: str, victim: str) -> np.ndarray:
        """Recover one party's slots from the shares at hand: what must never be possible."""
        at = self.contexts[context]
        secret = {kind: self._secret(at.round, victim, kind) for kind in ("s", "b")}
        vector = self.vectors[context, victim].copy()
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        from secureflow.engines.secagg.shares import agree

        private = X25519PrivateKey.from_private_bytes(secret["s"])
        plus, minus = [], [self_key(secret["b"], context)]
        for party in at.roster:
            if party != victim:
                key = self.advances[at.round, party][0].round_key.key
                names = sorted((party, victim), key=self.plan.index.__getitem__)
                pair = pair_key(agree(private, key, party), context, *names)
                later = self.plan.index[party] > self.plan.index[victim]
                (minus if later else plus).append(pair)
        add_masks(vector, plus, minus)
        return vector.view(np.dtype(f"<i{vector.itemsize}"))

    def _secret(self, round_: int, party: str, kind: str) -> bytes:
        held = self.shares[round_, party, kind]
        chosen = sorted(held)[: self.plan.threshold]
        found = combine(
            lagrange([self.plan.index[p] + 1 for p in chosen]), [held[p] for p in chosen]
        )
        assert found is not None
        return found

    def _colluders_know(self, round_: int, party: str) -> None:
        secret = self.table.clients[party]._secrets[round_]
        for name in self.own:
            of_key, of_seed = secret.shares[self.plan.index[name]]
            self.shares[round_, party, "s"][name] = of_key
            self.shares[round_, party, "b"][name] = of_seed


def refused(calls: Iterable[object]) -> list[str]:
    """The refusal codes of callables that are tried one after the other."""
    codes = []
    for call in calls:
        try:
            call()  # type: ignore[operator]
        except SecureFlowError as error:
            codes.append(error.code)
    return codes
