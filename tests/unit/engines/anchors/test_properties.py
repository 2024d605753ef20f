"""What holds for every sequence of deeds (hypothesis)."""

from __future__ import annotations

import copy
from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from secureflow.engines.anchors import entries as e
from secureflow.engines.anchors import money, rules
from secureflow.engines.anchors.state import restore, snapshot
from tests.peers.anchor_chain import word
from tests.unit.engines.anchors.parts import EUR, NAMES, World, admit, head, shared, split, who

FEW = st.integers(1, 3)
JOBS = FEW.map(lambda n: e.job_digest(f"job_{n}"))
PEOPLE = (*NAMES, "eve", "fay")
SOMEBODY = st.sampled_from(PEOPLE)
AMOUNTS = st.sampled_from([0, 1, 7, 1001, 99_999, 2**53 - 1])


@st.composite
def contributions(draw: st.DrawFn) -> e.SetContributions:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    cuts = sorted(draw(st.lists(st.integers(0, 10_000), min_size=len(names) - 1,
                                max_size=len(names) - 1)))  # fmt: skip
    parts = [high - low for low, high in zip([0, *cuts], [*cuts, 10_000], strict=True)]
    few = draw(st.sampled_from([None, dict(zip(names, parts, strict=True))]))
    return shared(draw(FEW), draw(JOBS), **(few or {"ann": 3333, "ben": 6667}))


ENTRIES = st.one_of(
    st.builds(head, FEW, st.sampled_from(["root", "other"])),
    st.builds(e.RegisterJob, JOBS, FEW.map(word)),
    st.builds(e.ApproveJob, JOBS, FEW.map(word)),
    st.builds(e.CommitRound, JOBS, FEW, FEW.map(word), st.just(bytes(32)), st.just(bytes(32))),
    st.builds(e.CommitDataset, FEW.map(word), FEW.map(word), st.integers(0, 10)),
    st.builds(e.Spend, FEW.map(word), JOBS, st.integers(0, 10)),
    contributions(),
    st.builds(e.Dispute, JOBS, FEW, FEW.map(word)),
    st.builds(e.Withdraw, JOBS, FEW),
    st.builds(split, SOMEBODY, AMOUNTS, FEW, JOBS),
    st.builds(e.Settle, SOMEBODY.map(lambda n: who(n).key), AMOUNTS, st.just(EUR), FEW.map(word)),
    st.builds(e.Confirm, SOMEBODY.map(lambda n: who(n).key), FEW.map(word)),
    st.builds(admit, SOMEBODY),
    st.builds(e.Remove, SOMEBODY.map(lambda n: who(n).key)),
    st.builds(e.Upgrade, FEW.map(word)),
)
STEPS = st.lists(
    st.tuples(
        st.lists(SOMEBODY, min_size=1, max_size=4), ENTRIES, st.sampled_from([0, 1, 60, 100])
    ),
    max_size=40,
)
Steps = list[tuple[list[str], e.Entry, int]]


def after(steps: Steps) -> World:
    """Return the place after everybody named sent these entries."""
    world = World()
    for names, entry, later in steps:
        world.now += later
        for name in names:
            world.send(name, entry)
    return world


@given(STEPS)
@settings(max_examples=60)
def test_what_was_kept_is_known_when_it_comes_again(steps: Steps) -> None:
    world = World()
    for names, entry, later in steps:
        world.now += later
        for name in names:
            first = world.send(name, entry)
            before = snapshot(world.state)
            again = world.send(name, entry)
            if first.result in ("kept", "fork") and not world.state.successor:
                gone = who(name).key.hex() not in world.state.members
                assert again.result == ("refused" if gone else "known")
            if again.result in ("known", "refused"):
                assert snapshot(world.state) == before


@given(STEPS)
@settings(max_examples=60)
def test_no_money_is_lost_or_made(steps: Steps) -> None:
    """Owed and confirmed together are what was split, but for what the payer owes itself."""
    world, split_off, confirmed = World(), 0, 0
    for names, entry, later in steps:
        world.now += later
        for name in names:
            standing = copy.deepcopy(money.standing(world.state, getattr(entry, "job", bytes(32))))
            payments = {at for at, one in world.state.payments.items() if one.confirmed}
            events = [one.name for one in world.send(name, entry).events]
            if "split" in events:
                assert standing is not None
                assert isinstance(entry, e.Split)
                parts = money.parts(standing, entry.amount)
                assert sum(parts.values()) == entry.amount
                assert min(parts.values()) >= 0
                split_off += entry.amount - parts.get(entry.payer.hex(), 0)
            confirmed += sum(
                one.amount
                for at, one in world.state.payments.items()
                if one.confirmed and at not in payments
            )
            assert sum(map(int, world.state.owed.values())) + confirmed == split_off
            assert all(int(one) >= 0 for one in world.state.owed.values())
            open_: dict[str, int] = defaultdict(int)
            for at, one in world.state.payments.items():
                if not one.confirmed:
                    open_[f"{at.split('/')[0]}/{one.payee}/{one.currency}"] += one.amount
            assert all(int(world.state.owed[at]) >= amount for at, amount in open_.items())


@given(STEPS)
@settings(max_examples=60)
def test_no_vote_counts_twice_and_none_of_who_is_no_member(steps: Steps) -> None:
    """Whatever is decided was wanted by k different ones who were members then."""
    world = World()
    wanted: dict[tuple[str, bytes], set[str]] = defaultdict(set)
    for names, entry, later in steps:
        world.now += later
        for name in names:
            members, k = set(world.state.members), world.k
            applied = world.send(name, entry)
            if applied.result == "kept":
                wanted[entry.kind, entry.digest].add(who(name).key.hex())
            if len(applied.events) > 1:
                assert len(wanted[entry.kind, entry.digest] & members) >= k
                if isinstance(entry, e.Admit | e.Remove):
                    wanted.pop((entry.kind, entry.digest))
            if applied.result in ("kept", "fork"):
                assert who(name).key.hex() in members


VOTES = st.permutations(["ann", "ben", "cy", "dee"])


@given(VOTES, VOTES)
def test_the_order_of_votes_does_not_matter(one: list[str], other: list[str]) -> None:
    vote = shared(ann=5000, ben=5000)
    first, second = World(), World()
    first.all(vote, *one)
    second.all(vote, *other)
    assert money.standing(first.state, vote.job) == money.standing(second.state, vote.job)
    first.now = second.now = 2000
    first.all(split("cy", 1001), *one)
    second.all(split("cy", 1001), *other)
    assert first.state.owed == second.state.owed


UNORDERED = st.one_of(
    st.builds(e.RegisterJob, JOBS, st.just(word(1))),
    st.builds(e.ApproveJob, JOBS, FEW.map(word)),
    st.builds(e.CommitRound, JOBS, FEW, st.just(word(1)), st.just(bytes(32)), st.just(bytes(32))),
    st.builds(e.CommitDataset, FEW.map(word), st.just(word(1)), st.just(10)),
)


@given(st.lists(st.tuples(st.sampled_from(NAMES), UNORDERED), max_size=12), st.randoms())
def test_the_order_of_what_does_not_touch_does_not_matter(
    sent: list[tuple[str, e.Entry]], dice: object
) -> None:
    other = list(sent)
    dice.shuffle(other)  # type: ignore[attr-defined]
    first, second = World(), World()
    for world, deeds in ((first, sent), (second, other)):
        for name, entry in deeds:
            world.send(name, entry)
    views = []
    for world in (first, second):
        for job in world.state.jobs.values():
            for approvals in job.approvals.values():
                approvals.sort()
        views.append((world.state.jobs, world.state.datasets))
    assert views[0] == views[1]


@given(STEPS)
@settings(max_examples=60)
def test_a_place_goes_on_from_its_snapshot(steps: Steps) -> None:
    world = after(steps)
    again = restore(snapshot(world.state))
    assert again == world.state
    for names, entry, _ in steps:
        for name in names:
            account = who(name).account
            assert rules.apply(again, entry, account, world.now) == rules.apply(
                world.state, entry, account, world.now
            )
