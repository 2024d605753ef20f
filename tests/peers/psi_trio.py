"""Three agents in one intersection that all learn, each whole, over channels in one process.

Their engines are told one another's keys. `altered` of a party replaces what it sends over the
channel to a peer: a function of the peer and the message, which returns another one, or None for
nothing at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from peers.engines import Channels, MemoryChannel, channels_of
from peers.psi_world import PsiAgentWorld, ToyLinks

from secureflow.kit.errors import SecureFlowError

A, B, C = PARTIES = ("bank-a", "bank-b", "bank-c")
PHONES = {
    A: ("13800138000", "13900139000", "13700137000", "13500135000"),
    B: ("13600136000", "13800138000", "13700137000", "13100131000"),
    C: ("13700137000", "13200132000", "13800138000", "13500135000", "13100131000"),
}
"""All have ...8000 and ...7000; a and c also ...5000, b and c also ...1000."""
POLICY = """permit(principal, action == Action::"psi", resource)
  when { context.learns == "all" && !context.granted.contains("bank-a/of_a") };
permit(principal, action == Action::"psi", resource)
  when { context.learns == "all" && context.granted.contains("bank-a/of_a") };"""

Altered = Callable[[str, bytes], bytes | None]


class TrioLinks(ToyLinks):
    """`PeerLinks` of one of the three, over channels that the three share."""

    def __init__(self, party: str, attempts: dict[int, Channels]) -> None:
        super().__init__()
        self.party, self.attempts = party, attempts
        self.altered: Altered | None = None
        self.cuts = True
        """Whether it ends its channels where it fails."""
        self.ends_all = False
        """Whether the attempt is over for all then, as if the centre had ended it."""

    async def open(
        self, scope: Any, theirs: Mapping[str, Any], *, deadline: float, limits: Any
    ) -> dict[str, MemoryChannel]:
        if scope.attempt not in self.offered:
            raise SecureFlowError("attempt_lost", "it has no keys")
        self.bytes.append(limits.bytes)
        made = self.attempts.setdefault(scope.attempt, channels_of(PARTIES))
        self.near = {peer: made[self.party][peer] for peer in theirs}
        for channel in self.near.values():
            self._alter(channel)
        return self.near

    def _alter(self, channel: MemoryChannel) -> None:
        send = channel.send

        async def altered(message: bytes) -> None:
            said = message if self.altered is None else self.altered(channel.peer, message)
            if said is not None:
                await send(said)

        channel.send = altered  # type: ignore[method-assign]

    async def forget_attempt(self, job: str, attempt: int) -> None:
        for party, ends in self.attempts.get(attempt, {}).items():
            for channel in ends.values():
                if self.ends_all or (self.cuts and party == self.party):
                    channel.cut()
        await super().forget_attempt(job, attempt)


class TrioAgent(PsiAgentWorld):
    """One of the three; its column beside the key is named as it is, without the dash."""

    def __init__(
        self, folder: Path, party: str, attempts: dict[int, Channels], **spec: Any
    ) -> None:
        self.made = party, attempts
        self.engines_told = {one: PHONES[one] for one in PARTIES if one != party}
        peers = tuple(self.engines_told)
        super().__init__(folder / party, policy=POLICY, peers=peers, me=party, **spec)

    def _ports(self) -> dict[str, Any]:
        self.links_to = TrioLinks(*self.made)
        self.engine.of = self.engines_told
        return super()._ports()

    @property
    def declared(self) -> dict[str, Any]:
        names = ("phone", column(self.me))
        return {**super().declared, "columns": [{"name": one, "type": "text"} for one in names]}

    def publish(self, text: str = "") -> None:
        rows = (f"{one},{self.me[-1]}{one[2]}\n" for one in PHONES[self.me])
        super().publish(text or f"phone,{column(self.me)}\n" + "".join(rows))

    def rows(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = pq.read_table(self.file).to_pylist()
        return found


def column(party: str) -> str:
    return f"of_{party[-1]}"


class Trio:
    """The three; `changes` are those of the spec."""

    def __init__(self, folder: Path, *, granted: bool = False, **changes: Any) -> None:
        sides = [
            {"party": one, "key": ["phone"], "most_rows": 100,
             "granted": [column(one)] if granted else []}
            for one in PARTIES
        ]  # fmt: skip
        spec = {"learns": "all", "receiver": A, "sides": sides, **changes}
        self.attempts: dict[int, Channels] = {}
        self.agents = {one: TrioAgent(folder, one, self.attempts, **spec) for one in PARTIES}

    def __getitem__(self, party: str) -> TrioAgent:
        return self.agents[party]

    async def consented(self) -> Trio:
        for one in self.agents.values():
            await one.consented()
        return self

    async def run(self, attempt: int = 1) -> dict[str, Any]:
        """Run an attempt; return what each party answers: its reply, or its error."""
        offers = {one: await agent.offer(attempt) for one, agent in self.agents.items()}
        asked = (self._run(one, attempt, offers) for one in PARTIES)
        found = await asyncio.gather(*asked, return_exceptions=True)
        return dict(zip(PARTIES, found, strict=True))

    async def _run(self, party: str, attempt: int, offers: Mapping[str, Any]) -> dict[str, Any]:
        agent = self.agents[party]
        shown = {
            peer: {name: offers[peer][name] for name in ("leaf", "document", "salt")}
            for peer in agent.peers
        }
        statements = {peer: offers[peer]["statements"][party] for peer in agent.peers}
        body = agent.body(attempt=attempt, statements=statements, offers=shown)
        reply = await agent.ask("peer_run", body)
        agent.record(reply)
        return reply
