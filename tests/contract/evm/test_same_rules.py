"""The contract does what the rules say (`engines/anchors/rules`): random entries, the same results,
the same reasons, the same views, on a real chain."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from peers.anchor_stories import FOUNDERS, JOB, STORIES, Story
from peers.chains import HALVES, Party, World, chain, word, world

from secureflow.engines.anchors import entries as e
from secureflow.engines.anchors import money, rules
from secureflow.engines.anchors.state import State
from secureflow.engines.ledger.merkle import leaf_hash, node_hash

EUR, CNY = e.currency_word("EUR"), e.currency_word("CNY")
SEEDS = range(4)
TURNS = 30


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with chain(
        "--hardfork", "cancun", "--gas-price", "0", "--block-base-fee-per-gas", "0"
    ) as found:
        yield found


@pytest.fixture
async def here(url: str) -> AsyncIterator[World]:
    async with world(url, window=60) as made:
        yield made


class Drawn:
    """Draws entries from few values, so that they meet."""

    def __init__(self, here: World, state: State, seed: int) -> None:
        self.state = state
        self.random = random.Random(seed)
        self.all = [*here.parties, *here.others]
        self.here = here
        self.kinds: list[Callable[[], e.Entry]] = [
            self.anchor, self.register, self.approve, self.dataset, self.round, self.spend,
            self.contributions, self.dispute, self.withdraw, self.split, self.split,
            self.settle, self.settle, self.confirm, self.confirm, self.admit, self.remove,
        ]  # fmt: skip

    def one(self, what: str, count: int) -> bytes:
        return word(what, self.random.randrange(count))

    def party(self) -> Party:
        return self.random.choice(self.all)

    def standing(self) -> tuple[bytes, int]:
        """A job and a version, mostly one that stands."""
        jobs = [word("job", i) for i in range(5)]
        known = [(job, found.version) for job in jobs if (found := money.standing(self.state, job))]
        if known and self.random.random() < 0.9:
            return self.random.choice(known)
        return self.random.choice(jobs), 1

    def anchor(self) -> e.Entry:
        return e.AnchorHead(
            self.one("log", 2),
            self.random.randrange(4),
            self.one("root", 3),
            (word("r"), self.one("s", 3)),
        )

    def register(self) -> e.Entry:
        return e.RegisterJob(self.one("job", 3), self.one("spec", 3))

    def approve(self) -> e.Entry:
        return e.ApproveJob(self.one("job", 3), self.one("spec", 2))

    def dataset(self) -> e.Entry:
        return e.CommitDataset(self.one("data", 2), self.one("commitment", 2), 100)

    def round(self) -> e.Entry:
        return e.CommitRound(self.one("job", 2), 1, self.one("model", 12), word(1), word(2))

    def spend(self) -> e.Entry:
        return e.Spend(self.one("data", 2), self.one("job", 3), self.random.choice((20, 40, 50)))

    def contributions(self) -> e.Entry:
        named = tuple(
            sorted(one.key for one in self.here.parties[: self.random.choices((2, 4), (1, 15))[0]])
        )
        if self.random.random() < 0.05:
            named = tuple(sorted({one.key for one in (self.party(), self.party())}))
        shares = [e.WHOLE // len(named)] * len(named)
        shares[-1] = e.WHOLE - sum(shares[:-1])
        job, version = self.one("job", 5), self.random.choices((0, 1, 2), (1, 20, 4))[0]
        root = self.one("scores", 2) if self.random.random() < 0.05 else word("scores")
        rest = self.random.choice(named) if self.random.random() < 0.05 else named[0]
        return e.SetContributions(job, version, root, named, tuple(shares), rest)

    def dispute(self) -> e.Entry:
        return e.Dispute(*self.standing(), self.one("evidence", 2))

    def withdraw(self) -> e.Entry:
        return e.Withdraw(*self.standing())

    def split(self) -> e.Entry:
        amount = self.random.choices((0, 999, 2**53 - 1), (1, 20, 1))[0]
        payer = self.here.parties[0] if self.random.random() < 0.95 else self.party()
        return e.Split(*self.standing(), payer.key, amount, EUR)

    def settle(self) -> e.Entry:
        amount = self.random.choice((0, 1, 50, 100))
        money = EUR if self.random.random() < 0.9 else CNY
        return e.Settle(self.random.choice(self.all[:4]).key, amount, money, self.one("payment", 6))

    def confirm(self) -> e.Entry:
        return e.Confirm(self.here.parties[0].key, self.one("payment", 6))

    def admit(self) -> e.Entry:
        one, two = self.party(), self.party()
        whose = one if self.random.random() < 0.8 else two
        return e.Admit(one.key, whose.account.word, HALVES)

    def remove(self) -> e.Entry:
        return e.Remove(self.random.choice(self.all[2:]).key)

    def batch(self, most: int = 9) -> list[e.Entry]:
        return [self.random.choice(self.kinds)() for _ in range(self.random.randrange(1, most))]

    def turns(self) -> list[tuple[Party, list[e.Entry]]]:
        """Who sends what next: one party anything, or several the same vote among other things."""
        if self.random.random() < 0.4:
            who = self.party() if self.random.random() < 0.2 else self.random.choice(self.all[:4])
            return [(who, self.batch())]
        if self.random.random() < 0.3:
            payer, payee = self.all[0], self.random.choice(self.all[:4])
            paid = e.Settle(payee.key, self.random.choice((1, 100)), EUR, self.one("payment", 9))
            got = e.Confirm(payer.key, paid.reference)
            return [(payer, [paid]), (payee, [*self.batch(3), got, got])]
        votes = (self.contributions, self.split, self.split, self.admit, self.remove)
        vote = self.random.choices(votes, (6, 5, 5, 2, 1))[0]()
        voters = self.random.sample(self.all[:4], self.random.choice((2, 3, 4)))
        return [(one, [*self.batch(4), vote]) for one in voters]


async def both(here: World, state: State, who: Party, batch: list[e.Entry]) -> list[str]:
    """Do the same at both; return the results after comparing them."""
    outcome = await here.do(who, *batch)
    assert outcome.position is not None
    now = await here.time_of(outcome.position.block)
    wanted = rules.apply_batch(state, batch, who.account.word, now)
    said = [(one.result, one.reason) for one in wanted]
    assert list(zip(outcome.results, outcome.reasons, strict=True)) == said
    return [one.result for one in wanted]


async def compare(here: World, state: State, sent: list[tuple[str, e.Entry]]) -> None:
    """Compare every view."""
    anchor, node = here.anchor(None), here.anchor(None)._node
    page = await anchor.happened(None, 10_000)
    assert [(one.sender, one.entry) for one in page.events] == sent
    members = {one.member.hex(): one.account.hex() for one in await anchor.members()}
    assert members == state.members
    for log in (word("log", i) for i in range(2)):
        size, root = await node.view("head", log)
        assert (size, root.hex()) == (rules.head(state, log) or (0, bytes(32).hex()))
        for number in range(4):
            (kept,) = await node.view("roots", log, number)
            assert tuple(one.hex() for one in kept) == rules.roots(state, log, number)
        told = {(one.size, one.root.hex()) for one in await anchor.heads(log)}
        every = {(n, root) for n in range(4) for root in rules.roots(state, log, n)}
        assert told == every
    for job in (word("job", i) for i in range(5)):
        await compare_job(node, state, job)
    for payer in here.parties:
        for payee in [*here.parties, *here.others]:
            for currency in (EUR, CNY):
                due = money.owed(state, payer.key, payee.key, currency)
                assert await anchor.owed(payer.key, payee.key, currency) == due
    (successor,) = await node.view("successor")
    assert (successor.hex() if any(successor) else "") == state.successor


async def compare_job(node: Any, state: State, job: bytes) -> None:
    for spec in (word("spec", i) for i in range(3)):
        (who,) = await node.view("approvals", job, spec)
        assert {one.hex() for one in who} == set(rules.approvals(state, job, spec))
    for model in (word("model", i) for i in range(12)):
        said = e.CommitRound(job, 1, model, word(1), word(2))
        (count,) = await node.view("rounds", job, 1, model, word(1), word(2))
        assert count == rules.agreed(state, said)
    version, since, root, members, shares, rounding, _, done = await node.view("standing", job)
    stands = money.standing(state, job)
    if stands is None:
        assert version == 0
        return
    assert (version, since, root.hex()) == (stands.version, stands.since, stands.root)
    assert [one.hex() for one in members] == stands.members
    assert (list(shares), rounding.hex()) == (stands.shares, stands.rounding)
    assert done == bool(state.job(job).split)


@pytest.mark.parametrize("seed", SEEDS)
async def test_random_entries_do_the_same(here: World, seed: int) -> None:
    state = here.state()
    drawn = Drawn(here, state, seed)
    sent: list[tuple[str, e.Entry]] = []
    results: set[str] = set()
    for who, batch in (one for _ in range(TURNS) for one in drawn.turns()):
        if drawn.random.random() < 0.25:
            await here.pass_time(drawn.random.randrange(1, 80))
        member = rules.sender_of(state, who.account.word) or ""
        said = await both(here, state, who, batch)
        # A member that removes itself in the batch is none for the rest of it.
        sent += [
            (member, entry)
            for entry, result in zip(batch, said, strict=True)
            if result in {"kept", "fork"}
        ]
        results |= set(said)
    assert results == {"kept", "known", "fork", "refused"}
    await compare(here, state, sent)


@pytest.mark.parametrize("tell", STORIES, ids=lambda one: one.__name__)
async def test_votes_are_counted_the_same(url: str, tell: Callable[[Story], None]) -> None:
    async with world(url, members=FOUNDERS, window=60) as here:
        people = [*here.parties, *here.others]
        story = Story([one.binding(here.place) for one in people], here.window)
        tell(story)
        state = here.state()
        for step in story.steps:
            if isinstance(step, int):
                await here.pass_time(step)
            else:
                await both(here, state, people[step[0]], step[1])
        members = {one.member.hex() for one in await here.anchor(None).members()}
        assert members == set(state.members)
        await compare_job(here.anchor(None)._node, state, JOB)
        (successor,) = await here.anchor(None)._node.view("successor")
        assert (successor.hex() if any(successor) else "") == state.successor


async def test_everybody_reads_the_true_signature_though_a_false_one_came_first(
    here: World,
) -> None:
    state, (accomplice, honest) = here.state(), here.parties[:2]
    true = e.AnchorHead(word("log"), 3, word("root"), (word("r"), word("s")))
    false = replace(true, signature=(word("false"), word("false")))
    assert await both(here, state, accomplice, [false]) == ["kept"]
    assert await both(here, state, honest, [true]) == ["kept"]
    assert await both(here, state, accomplice, [true]) == ["known"]
    told = [(one.sender, one.entry, one.result) for one in await events(here)]
    assert told == [(accomplice.key.hex(), false, "kept"), (honest.key.hex(), true, "kept")]
    assert len(await here.anchor(None).heads(true.log)) == 1


async def test_what_can_be_kept_ends_at_the_same_number(here: World) -> None:
    state, who = here.state(), here.parties[0]
    heads = [e.AnchorHead(word("log", 0), 3, word("root", i), HALVES) for i in range(66)]
    specs = [e.RegisterJob(word("job", 0), word("spec", i)) for i in range(66)]
    models = [e.CommitRound(word("job", 0), 1, word("m", i), word(1), word(2)) for i in range(10)]
    for batch in (heads[:60], heads[60:], specs[:60], specs[60:], models):
        said = await both(here, state, who, list(batch))
    assert said == ["kept", *["fork"] * 7, "refused", "refused"]
    assert len(rules.roots(state, word("log", 0), 3)) == 64


async def test_a_closed_place_takes_only_what_is_paid(here: World) -> None:
    state, payer = here.state(), here.parties[0]
    job, named = word("job", 0), tuple(sorted(one.key for one in here.parties))
    shares = e.SetContributions(job, 1, word(1), named, (2_500,) * 4, named[0])
    for one in here.parties[:3]:
        await both(here, state, one, [shares])
    await here.pass_time(60)
    for one in here.parties[:3]:
        await both(here, state, one, [e.Split(job, 1, payer.key, 4_003, EUR)])
    for one in here.parties[:3]:
        await both(here, state, one, [e.Upgrade(word("next")), e.RegisterJob(job, word(one.key))])
    payee = here.parties[1].key
    paid = e.Settle(payee, 1_000, EUR, word("payment"))
    assert await both(here, state, payer, [paid, paid, e.Remove(payee)]) == [
        "kept", "known", "refused",
    ]  # fmt: skip
    confirmed = [e.Confirm(payer.key, word("payment"))]
    assert await both(here, state, here.parties[1], confirmed) == ["kept"]
    await compare(here, state, [(one.sender, one.entry) for one in await events(here)])


async def events(here: World) -> Any:
    return (await here.anchor(None).happened(None)).events


def tree(leaves: list[bytes]) -> bytes:
    """RFC 9162, 2.1.1."""
    if len(leaves) == 1:
        return leaves[0]
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return node_hash(tree(leaves[:k]), tree(leaves[k:]))


def proof(leaves: list[bytes], index: int) -> list[bytes]:
    """RFC 9162, 2.1.3.1."""
    if len(leaves) == 1:
        return []
    k = 1 << (len(leaves) - 1).bit_length() - 1
    if index < k:
        return [*proof(leaves[:k], index), tree(leaves[k:])]
    return [*proof(leaves[k:], index - k), tree(leaves[:k])]


async def test_inclusion_is_verified_as_in_the_standard(here: World) -> None:
    node, drawn = here.anchor(None)._node, random.Random(1)
    longer = (word(1), 0, 1, [word(2)], node_hash(word(2), word(1)))  # a step above the root
    assert (await node.view("verify", *longer))[0] is rules.verify(*longer) is False
    for size in (1, 2, 3, 7, 8, 21):
        leaves = [leaf_hash(bytes([i])) for i in range(size)]
        root = tree(leaves)
        for index in {0, size - 1, drawn.randrange(size)}:
            path = proof(leaves, index)
            cases = [
                (leaves[index], index, size, path, root),
                (word(1), index, size, path, root),
                (leaves[index], size, size, path, root),
                (leaves[index], index, size, [*path, word(2)], root),
                (leaves[index], index, size + 1, path, root),
                (leaves[index], 0, 0, [], root),
                (leaves[index], index, size, [word(3)] * 65, root),
            ]
            for case in cases:
                assert (await node.view("verify", *case))[0] == rules.verify(*case), case
