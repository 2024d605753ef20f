"""A small place for tests: four members, a window of 100 seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from secureflow.engines.anchors import entries as e
from secureflow.engines.anchors import rules
from secureflow.engines.anchors.state import Member, State, found
from tests.peers.anchor_chain import member, word

PLACE = "file:test"
EUR = e.currency_word("EUR")
JOB = e.job_digest("job_1")
NAMES = ("ann", "ben", "cy", "dee")


@dataclass
class World:
    """The place, and who sends to it; `now` is its clock."""

    names: Sequence[str] = NAMES
    now: int = 1000
    window: int = 100
    state: State = field(init=False)

    def __post_init__(self) -> None:
        self.state = found(PLACE, [who(one) for one in self.names], self.window)

    def send(self, name: str, entry: e.Entry) -> rules.Applied:
        """Send an entry from somebody's account."""
        return rules.apply(self.state, entry, who(name).account, self.now)

    def all(self, entry: e.Entry, *names: str) -> list[str]:
        """Return what each one's entry comes to; of everybody, if nobody is named."""
        return [self.send(one, entry).result for one in names or self.names]

    def stand(self, **more: int) -> e.SetContributions:
        """Have contributions stand, of everybody by default a quarter."""
        shares = shared(**more or dict.fromkeys(self.names, 10_000 // len(self.names)))
        assert self.all(shares) == ["kept"] * self.k + ["known"] * (len(self.names) - self.k)
        return shares

    @property
    def k(self) -> int:
        return self.state.quorum


def who(name: str) -> Member:
    """Return somebody, member or not."""
    return member(PLACE, name)


def shared(version: int = 1, job: bytes = JOB, **shares: int) -> e.SetContributions:
    """Return a vote; the first one named takes the rounding."""
    pairs = sorted((who(name).key, share) for name, share in shares.items())
    members, parts = zip(*pairs, strict=True)
    return e.SetContributions(job, version, word("scores"), members, parts, who(min(shares)).key)


def split(payer: str, amount: int, version: int = 1, job: bytes = JOB) -> e.Split:
    """Return a vote on a split."""
    return e.Split(job, version, who(payer).key, amount, EUR)


def head(size: int, root: str = "root", log: str = "log") -> e.AnchorHead:
    """Return a head."""
    return e.AnchorHead(word(log), size, word(root, size), (bytes(32), bytes(32)))


def admit(name: str) -> e.Admit:
    """Return a vote on a member."""
    one = who(name)
    return e.Admit(one.key, one.account, one.signature)
