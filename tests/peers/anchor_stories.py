"""Stories that every place must tell alike: votes that are repeated, late, or no longer possible.

Random entries (`contract/evm`, `contract/fabric`) seldom come to these. What each step comes to is
what the rules say (`engines.anchors.rules`), whose own tests say what that has to be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from secureflow.engines.anchors import entries as e
from tests.peers.anchor_chain import word

FOUNDERS: Final = 6
"""Of six, five decide; of five, four."""
JOB: Final = word("story")
EUR: Final = e.currency_word("EUR")


@dataclass
class Story:
    """Steps: who sends what in one transaction, or for how many seconds nothing happens.

    Args:
        people: accounts of the founders, then of two who may join.
        window: seconds for which shares may be disputed.
    """

    people: Sequence[e.Admit]
    window: int
    steps: list[tuple[int, list[e.Entry]] | int] = field(default_factory=list)

    def send(self, entry: e.Entry, *who: int) -> None:
        self.steps += [(one, [entry]) for one in who]

    def four(self, *votes: e.Entry) -> None:
        """Four of six vote, which is not enough."""
        self.steps += [(one, list(votes)) for one in range(4)]

    def leaves(self, who: int) -> None:
        self.send(e.Remove(self.people[who].member), *range(FOUNDERS))

    def passes(self, seconds: int) -> None:
        self.steps.append(seconds)

    def shares(self, *named: int, version: int = 1) -> e.SetContributions:
        members = tuple(sorted(self.people[one].member for one in named))
        parts = (e.WHOLE - len(members) + 1, *(1 for _ in members[1:]))
        return e.SetContributions(JOB, version, word("scores"), members, parts, members[0])

    def split(self, payer: int = 0, amount: int = 99, version: int = 1) -> e.Split:
        return e.Split(JOB, version, self.people[payer].member, amount, EUR)

    def stand(self) -> None:
        self.send(self.shares(0, 1), *range(FOUNDERS))
        self.passes(self.window)


def counted_anew(of: Story) -> None:
    """Four votes of each kind wait; one of six leaves, and each is repeated."""
    of.stand()
    votes: list[e.Entry] = [
        of.shares(0, 1, version=2), of.split(), of.people[6], e.Remove(of.people[4].member),
        e.Upgrade(word("next")),
    ]  # fmt: skip
    of.four(*votes)
    of.steps += [(1, votes)]
    of.leaves(5)
    for vote in (votes[1], votes[0], votes[2], votes[3], votes[4]):
        of.send(vote, 1, 1, 4, 6)


def late(of: Story) -> None:
    """Five carry each vote, and the sixth comes late, with the same or something else."""
    first, other = of.shares(0, 1), of.shares(0, 2)
    of.send(first, *range(5))
    of.send(first, 5, 0)
    of.send(other, 5, 0)
    of.passes(of.window)
    of.send(of.split(), *range(5))
    of.send(of.split(), 5, 0)
    of.send(of.split(amount=5), 5, 0)
    of.send(first, 5, 0)
    of.send(of.people[6], *range(5))
    of.send(of.people[6], 5, 0, 6, 7)
    gone = e.Remove(of.people[6].member)
    of.send(gone, *range(5))
    of.send(gone, 5, 0, 6)
    of.send(e.Remove(of.people[7].member), 0)
    of.send(of.people[6], *range(5))
    of.send(gone, 5, 5, 0)
    closing = e.Upgrade(word("next"))
    of.send(closing, *range(6))
    of.send(closing, 6, 0, 7)
    of.send(e.Upgrade(word("elsewhere")), 6, 0)
    of.send(first, 0)


def no_longer_possible(of: Story) -> None:
    """Enough votes wait for what may not be by now: whoever repeats one changes nothing."""
    low, of_gone = of.shares(0, version=1), of.shares(0, 5, version=2)
    of.four(low, of_gone)
    of.leaves(5)
    of.send(of_gone, 0)
    of.send(of.shares(1, version=3), *range(4))
    of.send(low, 0)


def split_no_longer(of: Story) -> None:
    """As above, of splits: a payer who left, a dispute, a window, another version."""
    of.stand()
    of.four(of.split(5))
    of.leaves(5)
    of.send(of.split(5), 0)


def split_of_another_version(of: Story) -> None:
    """The version that was voted on stands no more; then the window is open anew."""
    of.stand()
    of.four(of.split())
    second = of.shares(1, 2, version=2)
    of.send(second, *range(5))
    of.four(of.split(version=2))
    of.leaves(5)
    of.send(of.split(), 0)
    of.send(of.split(version=2), 0)
    of.send(e.Dispute(JOB, 2, word("why")), 1)
    of.passes(of.window)
    of.send(of.split(), 0, 4)
    of.four(of.split(version=2))
    of.send(of.split(version=2), 4)
    of.send(e.Withdraw(JOB, 2), 1)
    of.send(of.split(version=2), 0, 4)


def disputed_meanwhile(of: Story) -> None:
    """A third version is disputed just before its votes would be enough."""
    of.stand()
    of.send(of.shares(1, 2, version=2), *range(5))
    of.send(e.Dispute(JOB, 2, word("why")), 1)
    of.passes(of.window)
    of.send(e.Withdraw(JOB, 2), 1)
    of.four(of.split(version=2))
    of.leaves(5)
    of.send(e.Dispute(JOB, 2, word("more")), 2)
    of.send(of.split(version=2), 0)


def one_account_for_two(of: Story) -> None:
    """Two are to be admitted with one account; bindings of such are for readers to check."""
    elsewhere = e.Admit(of.people[7].member, of.people[6].account, of.people[7].signature)
    of.four(elsewhere)
    of.send(of.people[6], *range(5))
    of.leaves(5)
    of.leaves(4)
    of.send(elsewhere, 0)
    of.send(of.people[7], 0, 1, 2, 3)


def alone(of: Story) -> None:
    """Whoever is left alone decides alone from then on, but not what was decided before."""
    of.stand()
    other, second = of.split(1, 7), of.shares(0, version=2)
    own = e.Remove(of.people[0].member)
    of.steps += [(0, [other, second, own])]
    of.send(of.split(), *range(1, FOUNDERS))
    for one in range(FOUNDERS - 1, 0, -1):
        of.leaves(one)
    of.steps += [(0, [other, second, own, own])]
    of.send(e.Settle(of.people[1].member, 1, EUR, word("paid")), 0)


def disputes(of: Story) -> None:
    """Only what stands is disputed, once by each, and while the window is open."""
    why, other = word("why"), word("other")
    of.send(e.Dispute(JOB, 1, why), 0)
    of.send(of.shares(0, 1), *range(FOUNDERS))
    of.send(e.Dispute(JOB, 2, why), 0)
    of.send(e.Dispute(JOB, 1, why), 0, 0, 1)
    of.send(e.Dispute(JOB, 1, other), 0)
    of.send(e.Withdraw(JOB, 1), 0, 0, 2)
    of.send(e.Dispute(JOB, 1, other), 0)
    of.passes(of.window)
    of.send(e.Dispute(JOB, 1, why), 2)
    of.send(of.split(version=2), 0)
    of.send(of.split(), *range(FOUNDERS))
    of.send(e.Withdraw(JOB, 1), 1)
    of.send(of.split(amount=0), 0)
    of.send(of.split(), *range(FOUNDERS))
    of.send(of.split(version=2), 0)


def payments(of: Story) -> None:
    """A payment is one thing, and what was confirmed is stated no more."""
    payee, other = of.people[1].member, of.people[2].member
    both = tuple(sorted((payee, other)))
    halves = e.SetContributions(JOB, 1, word("scores"), both, (5_000, 5_000), payee)
    of.send(halves, *range(5))
    of.passes(of.window)
    of.send(of.split(amount=200_000), *range(5))
    first = e.Settle(payee, 60_000, EUR, word("first"))
    of.send(first, 0, 0)
    for changes in ({"payee": other}, {"amount": 60_001}, {"currency": e.currency_word("CNY")}):
        of.send(replace(first, **changes), 0)  # type: ignore[arg-type]
    of.send(replace(first, reference=word("second")), 0, 2)
    got = e.Confirm(of.people[0].member, word("first"))
    of.send(got, 2, 0, 1, 1)
    of.send(replace(first, reference=word("second"), amount=40_000), 0)
    of.send(replace(first, reference=word("third"), amount=1), 0)
    of.send(replace(got, reference=word("second")), 1)


def bounds(of: Story) -> None:
    """Contradictions are kept up to a number; what is committed to is committed to."""
    halves = (bytes(32), bytes(32))
    heads = [e.AnchorHead(word("log"), 3, word("root", at), halves) for at in range(66)]
    specs = [e.RegisterJob(JOB, word("spec", at)) for at in range(66)]
    said = [e.CommitRound(JOB, 1, word("m", at), word(1), word(2)) for at in range(10)]
    for many in (heads, specs):
        of.steps += [(0, [*many[:33]]), (1, [*many[33:], many[0]])]
    # A size that has all its roots: another signature, and the first word of whoever had none.
    signed = [replace(one, signature=(word("r"), word("s"))) for one in heads]
    of.steps += [(2, [signed[0], signed[1]]), (3, [heads[65]]), (3, [signed[1], signed[64]])]
    of.steps += [(4, [heads[64], signed[65], signed[64], heads[65]])]
    of.steps += [(0, [*said, said[0]]), (1, [said[9]])]
    own = e.CommitDataset(word("data"), word("about"), 10)
    for one in (own, replace(own, cap=11), replace(own, commitment=word("more")), own):
        of.send(one, 0)
    spent = [e.Spend(word("data"), word("job", at), 4) for at in range(3)]
    of.steps += [(0, [*spent, spent[0], replace(spent[0], micro=1)]), (1, [*spent])]
    of.send(replace(spent[2], micro=3), 0)
    of.send(replace(spent[2], micro=2), 0)
    of.send(e.Spend(word("data"), word("job", 3), 1), 0)


def spoiled(of: Story) -> None:
    """Whoever brings a head first with a false signature does not keep the log's own one away."""
    false = e.AnchorHead(word("log"), 3, word("root"), (word("false"), word("false")))
    true = replace(false, signature=(word("r"), word("s")))
    of.send(false, 0, 0)
    of.send(true, 1, 1, 2, 0, 0)
    for who in (0, 3):  # once each
        of.send(replace(true, signature=(word("a"), word(who))), who)
        of.send(replace(true, signature=(word("b"), word(who))), who)
    # A root that looks like a member's number uses up nothing.
    of.send(replace(true, size=4, root=(2).to_bytes(32, "big")), 0)
    of.send(replace(false, size=4), 0)
    of.send(replace(true, size=4), 1, 1)
    of.send(replace(true, root=word("more")), 2)
    of.send(replace(false, root=word("more")), 3, 2)
    of.send(replace(true, size=3, signature=(word("c"), word("c"))), 1)  # its log shrank


STORIES: Final[tuple[Callable[[Story], None], ...]] = (
    counted_anew,
    late,
    no_longer_possible,
    split_no_longer,
    split_of_another_version,
    disputed_meanwhile,
    one_account_for_two,
    alone,
    disputes,
    payments,
    bounds,
    spoiled,
)
