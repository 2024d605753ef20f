"""Each rule of a place by itself (`engines.anchors.rules`, `money`)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from secureflow.engines.anchors import entries as e
from secureflow.engines.anchors import money, rules
from secureflow.engines.anchors.judged import REASONS
from secureflow.engines.anchors.state import found, quorum, restore, snapshot
from secureflow.engines.ledger.merkle import inclusion_proof, leaf_hash, new_nodes, root
from secureflow.kit import canonical
from secureflow.kit.errors import SecureFlowError
from tests.peers.anchor_chain import word
from tests.unit.engines.anchors.parts import (
    EUR,
    JOB,
    PLACE,
    World,
    admit,
    head,
    shared,
    split,
    who,
)

ZERO = bytes(32)


@pytest.fixture
def world() -> World:
    return World()


def outcome(applied: rules.Applied) -> str:
    """Return the result, or why it is refused."""
    assert (applied.result == "refused") == (applied.reason in REASONS)
    return applied.reason or applied.result


def test_more_than_two_thirds_decide() -> None:
    assert [quorum(n) for n in range(1, 11)] == [1, 2, 3, 3, 4, 5, 5, 6, 7, 7]


def test_a_head_is_known_a_fork_is_kept_and_a_senders_log_never_shrinks(world: World) -> None:
    assert outcome(world.send("ann", head(5))) == "kept"
    assert outcome(world.send("ben", head(5))) == "known"
    assert outcome(world.send("ben", head(5, "other"))) == "fork"
    assert outcome(world.send("ann", head(8))) == "kept"
    assert outcome(world.send("ann", head(5))) == "known"  # a repetition, however late
    assert outcome(world.send("ann", head(6))) == "smaller"
    assert outcome(world.send("ben", head(6))) == "kept"
    assert rules.head(world.state, word("log")) == (8, word("root", 8).hex())
    assert rules.roots(world.state, word("log"), 5) == (
        word("root", 5).hex(), word("other", 5).hex(),
    )  # fmt: skip


def test_a_false_signature_keeps_the_logs_own_one_not_away(world: World) -> None:
    """An accomplice anchors a head first, with a signature that the place cannot check."""
    true = replace(head(5), signature=(word("r"), word("s")))
    assert outcome(world.send("ann", head(5))) == "kept"
    applied = world.send("ben", true)
    assert outcome(applied) == "kept"
    (event,) = applied.events
    assert event.entry == true
    assert [outcome(world.send(one, true)) for one in ("ben", "cy", "ann")] == ["known"] * 3
    assert outcome(world.send("ann", replace(true, signature=(word(1), ZERO)))) == "kept"
    assert outcome(world.send("ann", replace(true, signature=(word(2), ZERO)))) == "other_signature"
    assert outcome(world.send("cy", replace(true, signature=(word(2), ZERO)))) == "kept"
    assert rules.roots(world.state, word("log"), 5) == (word("root", 5).hex(),)
    assert outcome(world.send("ben", head(6))) == "kept"
    assert outcome(world.send("ben", replace(true, signature=(word(3), ZERO)))) == "smaller"
    assert restore(snapshot(world.state)) == world.state


def test_false_roots_keep_nobodys_head_away(world: World) -> None:
    for number in range(64):
        world.send("ann", head(5, f"root{number}"))
    true = replace(head(5, "root7"), signature=(word("r"), word("s")))
    assert outcome(world.send("ben", true)) == "kept"
    assert outcome(world.send("ben", head(5, "ben's"))) == "full"
    assert outcome(world.send("cy", head(5, "cy's"))) == "fork"
    assert outcome(world.send("cy", head(5, "cy's too"))) == "full"
    assert outcome(world.send("cy", replace(true, signature=(word("c"), ZERO)))) == "kept"
    assert outcome(world.send("dee", replace(head(5, "cy's"), signature=true.signature))) == "kept"
    assert len(rules.roots(world.state, word("log"), 5)) == 65


def test_contradictions_of_one_thing_are_kept_up_to_a_bound(world: World) -> None:
    roots = [outcome(world.send("ann", head(5, f"root{n}"))) for n in range(66)]
    assert roots == ["kept"] + ["fork"] * 63 + ["full"] * 2
    specs = [outcome(world.send("ann", e.RegisterJob(JOB, word(n)))) for n in range(66)]
    assert specs == ["kept"] + ["fork"] * 63 + ["full"] * 2
    said = [
        outcome(world.send("ann", e.CommitRound(JOB, 1, word(n), ZERO, ZERO))) for n in range(9)
    ]
    assert said == ["kept"] + ["fork"] * 7 + ["full"]


def test_a_job_is_registered_by_anybody_and_approved_by_each(world: World) -> None:
    assert world.all(e.RegisterJob(JOB, word(1)), "ann", "ben") == ["kept", "known"]
    assert world.all(e.ApproveJob(JOB, word(1)), "ann", "ann", "ben") == ["kept", "known", "kept"]
    assert len(rules.approvals(world.state, JOB, word(1))) == 2
    assert world.all(e.Remove(who("ben").key), "ann", "cy", "dee") == ["kept"] * 3
    assert rules.approvals(world.state, JOB, word(1)) == (who("ann").key.hex(),)


def test_members_agree_on_a_round(world: World) -> None:
    said = e.CommitRound(JOB, 3, word("model"), ZERO, ZERO)
    assert world.all(said, "ann", "ben", "ben") == ["kept", "kept", "known"]
    assert outcome(world.send("cy", replace(said, aggregate=word("other")))) == "kept"
    assert rules.agreed(world.state, said) == 2


def test_a_dataset_is_spent_up_to_its_cap_by_its_owner(world: World) -> None:
    own, other = e.CommitDataset(word("d"), word("about"), 100), word("other job")
    assert outcome(world.send("ann", e.Spend(word("d"), JOB, 40))) == "not_committed"
    assert world.all(own, "ann", "ann") == ["kept", "known"]
    assert outcome(world.send("ann", replace(own, cap=200))) == "different"
    assert outcome(world.send("ben", e.Spend(word("d"), JOB, 40))) == "not_committed"
    assert outcome(world.send("ann", e.Spend(word("d"), JOB, 60))) == "kept"
    assert outcome(world.send("ann", e.Spend(word("d"), JOB, 60))) == "known"
    assert outcome(world.send("ann", e.Spend(word("d"), JOB, 61))) == "different"
    assert outcome(world.send("ann", e.Spend(word("d"), other, 41))) == "over_cap"
    assert outcome(world.send("ann", e.Spend(word("d"), other, 40))) == "kept"


def test_contributions_stand_with_k_equal_votes(world: World) -> None:
    vote = shared(ann=5000, ben=5000)
    assert world.all(vote, "ann", "ann", "ben") == ["kept", "known", "kept"]
    assert outcome(world.send("cy", shared(ann=4000, ben=6000))) == "kept"
    assert money.standing(world.state, JOB) is None
    assert outcome(world.send("cy", vote)) == "different"
    last = world.send("dee", vote)
    assert [one.name for one in last.events] == ["kept", "stands"]
    standing = money.standing(world.state, JOB)
    assert standing is not None
    assert (standing.version, standing.since) == (1, 1000)
    assert outcome(world.send("ann", shared(0, ann=10_000))) == "old_version"
    assert outcome(world.send("ann", shared(2, ann=5000, eve=5000))) == "no_member"


def test_a_dispute_stops_a_split_until_it_is_withdrawn(world: World) -> None:
    world.stand()
    dispute, withdraw = e.Dispute(JOB, 1, word("why")), e.Withdraw(JOB, 1)
    assert outcome(world.send("ann", e.Dispute(JOB, 2, word("why")))) == "not_standing"
    assert outcome(world.send("ann", withdraw)) == "no_dispute"
    assert world.all(dispute, "ann", "ann") == ["kept", "known"]
    assert outcome(world.send("ann", e.Dispute(JOB, 1, word("more")))) == "different"
    assert outcome(world.send("ben", split("ann", 100))) == "window_open"
    world.now += 100
    assert outcome(world.send("ben", dispute)) == "window_over"
    assert outcome(world.send("ben", split("ann", 100))) == "disputed"
    assert world.all(withdraw, "ann", "ann") == ["kept", "known"]
    assert outcome(world.send("ann", dispute)) == "known"  # taken back, and not opened anew
    assert world.all(split("ann", 100), "ben", "cy", "dee") == ["kept"] * 3
    assert outcome(world.send("ann", split("ann", 100))) == "known"
    assert outcome(world.send("ann", split("ann", 101))) == "already_split"


def test_a_higher_version_is_disputed_anew(world: World) -> None:
    world.stand()
    world.send("ann", e.Dispute(JOB, 1, word("why")))
    second = shared(2, ann=10_000)
    assert world.all(second, "ben", "cy", "dee") == ["kept"] * 3
    world.now += 99
    assert outcome(world.send("ann", e.Dispute(JOB, 2, word("why")))) == "kept"
    world.send("ann", e.Withdraw(JOB, 2))
    world.now += 1
    assert outcome(world.send("ann", split("ben", 5, version=1))) == "not_standing"
    assert outcome(world.send("ann", split("ben", 5, version=2))) == "kept"


def test_a_split_is_owed_and_ends_with_the_payees_word(world: World) -> None:
    world.stand(ann=3333, ben=3333, cy=3334)
    world.now += 100
    vote = split("dee", 1001)
    assert outcome(world.send("ann", split("dee", 0))) == "no_amount"
    assert outcome(world.send("ann", split("eve", 5))) == "no_member"
    assert world.all(vote, "ann", "ann", "ben") == ["kept", "known", "kept"]
    assert outcome(world.send("ann", split("dee", 1002))) == "different"
    assert [one.name for one in world.send("cy", vote).events] == ["kept", "split"]
    owed = {
        name: money.owed(world.state, who("dee").key, who(name).key, EUR)
        for name in ("ann", "ben", "cy")
    }
    assert owed == {"ann": 335, "ben": 333, "cy": 333}
    paid = e.Settle(who("ben").key, 300, EUR, word("iban"))
    assert outcome(world.send("dee", replace(paid, amount=0))) == "no_amount"
    assert outcome(world.send("dee", replace(paid, amount=334))) == "not_owed"
    assert outcome(world.send("ann", paid)) == "not_owed"
    assert world.all(paid, "dee", "dee") == ["kept", "known"]
    assert outcome(world.send("dee", replace(paid, amount=1))) == "different"
    more = replace(paid, amount=34, reference=word("second"))
    assert outcome(world.send("dee", more)) == "not_owed"  # 300 of 333 are stated
    assert outcome(world.send("dee", replace(more, amount=33))) == "kept"
    confirm = e.Confirm(who("dee").key, word("iban"))
    assert outcome(world.send("dee", confirm)) == "no_payment"
    assert outcome(world.send("cy", confirm)) == "no_payment"
    assert money.owed(world.state, who("dee").key, who("ben").key, EUR) == 333
    assert world.all(confirm, "ben", "ben") == ["kept", "known"]
    assert money.owed(world.state, who("dee").key, who("ben").key, EUR) == 33


def test_what_the_payer_would_owe_itself_is_nobodys_debt(world: World) -> None:
    world.stand(ann=5000, ben=5000)
    world.now += 100
    world.all(split("ann", 7), "ann", "ben", "cy")
    assert world.state.owed == {f"{who('ann').key.hex()}/{who('ben').key.hex()}/{EUR.hex()}": "3"}


def test_members_come_and_go_by_votes(world: World) -> None:
    eve = admit("eve")
    assert world.all(eve, "ann", "ann", "ben") == ["kept", "known", "kept"]
    assert outcome(world.send("eve", head(1))) == "stranger"
    assert [one.name for one in world.send("cy", eve).events] == ["kept", "admitted"]
    assert outcome(world.send("dee", eve)) == "known"
    again = e.Admit(who("eve").key, word("another account"), who("eve").signature)
    assert outcome(world.send("dee", again)) == "in_use"
    assert outcome(world.send("eve", head(1))) == "kept"
    forged = replace(admit("fay"), signature=(bytes(32), bytes(32)))
    assert outcome(world.send("ann", forged)) == "not_bound"
    taken = e.Admit(who("fay").key, who("ben").account, who("fay").signature)
    assert outcome(world.send("ann", taken)) == "in_use"
    out = e.Remove(who("eve").key)
    assert world.all(out, "ann", "ann", "ben", "cy", "dee") == [
        "kept", "known", "kept", "kept", "kept",
    ]  # fmt: skip
    assert outcome(world.send("eve", head(2))) == "stranger"
    assert outcome(world.send("ann", e.Remove(who("fay").key))) == "no_member"


def test_votes_that_were_carried_out_count_for_nothing_later(world: World) -> None:
    """Three admitted eve, who was removed: one of them alone does not bring her back."""
    eve, out = admit("eve"), e.Remove(who("eve").key)
    world.all(eve, "ann", "ben", "cy")
    world.all(out, "ann", "ben", "cy", "dee")
    assert who("eve").key.hex() not in world.state.members
    assert world.all(eve, "dee") == ["kept"]
    assert who("eve").key.hex() not in world.state.members
    world.all(eve, "ann", "ben")
    assert who("eve").key.hex() in world.state.members
    assert world.all(out, "dee") == ["kept"]
    assert who("eve").key.hex() in world.state.members


def test_the_votes_of_a_removed_member_do_not_count(world: World) -> None:
    vote = shared(ann=10_000)
    assert world.all(vote, "ben", "cy") == ["kept"] * 2
    assert world.all(e.Remove(who("cy").key), "ann", "ben", "dee") == ["kept"] * 3
    assert world.k == 3
    assert outcome(world.send("ann", vote)) == "kept"
    assert money.standing(world.state, JOB) is None  # ann, ben, and cy who left
    assert outcome(world.send("dee", vote)) == "kept"
    assert money.standing(world.state, JOB) is not None


SIX = ("ann", "ben", "cy", "dee", "eve", "fay")
VOTES: dict[str, tuple[e.Entry, str]] = {
    "setContributions": (shared(ann=10_000), "stands"),
    "split": (split("ann", 100, job=word("stood")), "split"),
    "admit": (admit("gus"), "admitted"),
    "remove": (e.Remove(who("eve").key), "removed"),
    "upgrade": (e.Upgrade(word("next")), "closed"),
}


@pytest.fixture
def six() -> World:
    """Six of whom five decide; shares stand that can be split."""
    world = World(SIX)
    world.all(shared(job=word("stood"), ben=10_000), *SIX[:5])
    world.now += world.window
    return world


def first_four(world: World, vote: e.Entry) -> None:
    assert world.all(vote, "ann", "ben", "cy", "dee") == ["kept"] * 4


def fay_leaves(world: World) -> None:
    world.all(e.Remove(who("fay").key), *SIX[:5])
    assert (len(world.state.members), world.k) == (5, 4)


@pytest.mark.parametrize("kind", VOTES)
def test_votes_that_are_enough_by_now_are_counted_when_one_is_repeated(
    six: World, kind: str
) -> None:
    vote, brought = VOTES[kind]
    first_four(six, vote)
    assert outcome(six.send("ann", vote)) == "known"  # four of six are not enough
    fay_leaves(six)
    again = six.send("ann", vote)
    assert [one.name for one in again.events] == ["kept", brought]
    assert outcome(six.send("ann", vote)) == "known"


@pytest.mark.parametrize("kind", VOTES)
def test_a_late_vote_for_what_was_carried_is_known(six: World, kind: str) -> None:
    vote, brought = VOTES[kind]
    first_four(six, vote)
    last = six.send("fay", vote)
    assert [one.name for one in last.events] == ["kept", brought]
    late = six.send("eve", vote)
    assert outcome(late) == ("stranger" if kind == "remove" else "known")
    assert late.result == "refused" or not late.events
    before = snapshot(six.state)
    assert six.all(vote, "ann", "fay") == ["known"] * 2
    assert snapshot(six.state) == before


def test_a_late_vote_to_remove_who_left_is_known_until_it_comes_back() -> None:
    world = World((*SIX, "gus"))
    out, five = e.Remove(who("fay").key), SIX[:5]
    assert world.all(out, *five) == ["kept"] * 5
    assert outcome(world.send("ann", e.Remove(who("hal").key))) == "no_member"
    assert world.all(out, "ann", "gus") == ["known"] * 2  # who voted, and who did not
    world.all(admit("fay"), *five)
    assert world.all(out, "gus", "gus") == ["kept", "known"]
    assert who("fay").key.hex() in world.state.members


def test_a_repeated_vote_on_shares_needs_what_a_first_one_needs(six: World) -> None:
    low, of_fay = shared(ann=10_000), shared(2, ann=5_000, fay=5_000)
    first_four(six, low)
    first_four(six, of_fay)
    fay_leaves(six)
    assert outcome(six.send("ann", of_fay)) == "known"  # shares of who left
    assert money.standing(six.state, JOB) is None
    six.all(shared(3, ann=10_000), "ann", "ben", "cy", "dee")
    assert outcome(six.send("ann", low)) == "known"  # a higher version stands
    assert (now := money.standing(six.state, JOB)) is not None
    assert now.version == 3


@pytest.mark.parametrize("why", ["disputed", "window_open", "not_standing", "no_member"])
def test_a_repeated_vote_to_split_needs_what_a_first_one_needs(six: World, why: str) -> None:
    stood = word("stood")
    vote = split("fay" if why == "no_member" else "ann", 100, job=stood)
    first_four(six, vote)
    fay_leaves(six)
    six.now -= why in ("disputed", "window_open")
    if why == "disputed":
        six.send("ben", e.Dispute(stood, 1, word("why")))
        six.now += 1
    if why == "not_standing":
        six.all(shared(2, stood, ben=10_000), "ann", "ben", "cy", "dee")
        six.now += six.window
    assert outcome(six.send("ann", vote)) == "known"
    assert not six.state.owed
    if why == "window_open":
        six.now += 1
        assert [one.name for one in six.send("ann", vote).events] == ["kept", "split"]


def test_a_repeated_vote_admits_nobody_with_an_account_that_is_used_by_now(six: World) -> None:
    six.state.checks = False  # as on a chain: two are to be admitted with one account
    elsewhere = e.Admit(who("hal").key, who("gus").account, who("hal").signature)
    first_four(six, elsewhere)
    six.all(admit("gus"), *SIX[:5])
    six.all(e.Remove(who("fay").key), *SIX[:5])
    six.all(e.Remove(who("eve").key), *SIX[:5])
    assert (len(six.state.members), six.k) == (5, 4)
    assert outcome(six.send("ann", elsewhere)) == "known"
    assert who("hal").key.hex() not in six.state.members


def test_the_last_one_of_a_split_job_changes_nothing_of_it(six: World) -> None:
    """Whoever is left alone decides alone from then on, but not what was decided before."""
    stood = word("stood")
    other, second = split("ben", 7, job=stood), shared(2, stood, ann=10_000)
    assert six.all(other, "ann") == six.all(second, "ann") == ["kept"]
    six.all(split("ann", 100, job=stood), *SIX[1:])
    own = e.Remove(who("ann").key)
    assert six.all(own, "ann") == ["kept"]
    for name in reversed(SIX[1:]):
        six.all(e.Remove(who(name).key), *SIX)
    assert list(six.state.members) == [who("ann").key.hex()]
    before = snapshot(six.state)
    assert six.all(other, "ann") == six.all(second, "ann") == six.all(own, "ann") == ["known"]
    assert snapshot(six.state) == before


def test_the_last_member_stays() -> None:
    world = World(("ann",))
    assert outcome(world.send("ann", e.Remove(who("ann").key))) == "last_member"


def test_a_closed_place_takes_only_what_ends_debts(world: World) -> None:
    world.stand(ann=10_000)
    world.now += 100
    world.all(split("dee", 50), "ann", "ben", "cy")
    closing = e.Upgrade(word("next"))
    assert world.all(closing, "ann", "ben") == ["kept"] * 2
    assert [one.name for one in world.send("cy", closing).events] == ["kept", "closed"]
    assert world.state.successor == word("next").hex()
    assert outcome(world.send("ann", head(1))) == "closed"
    assert outcome(world.send("dee", closing)) == "known"
    assert outcome(world.send("dee", e.Upgrade(word("elsewhere")))) == "closed"
    assert outcome(world.send("eve", closing)) == "stranger"
    paid = e.Settle(who("ann").key, 50, EUR, word("r"))
    assert outcome(world.send("dee", paid)) == "kept"
    assert outcome(world.send("ann", e.Confirm(who("dee").key, word("r")))) == "kept"


def test_of_a_batch_the_others_go_on(world: World) -> None:
    batch = [head(5), head(4), head(6)]
    applied = rules.apply_batch(world.state, batch, who("ann").account, 7)
    assert [outcome(one) for one in applied] == ["kept", "smaller", "kept"]
    assert [one.events[0].name for one in applied] == ["kept", "refused", "kept"]
    assert applied[0].events[0].sender == who("ann").key.hex()
    assert applied[0].events[0].at == 7


def test_what_is_refused_leaves_nothing(world: World) -> None:
    before = snapshot(world.state)
    for number in range(20):
        job = word("job", number)
        for name in ("ann", "eve"):
            world.send(name, e.Dispute(job, 1, word("why")))
            world.send(name, e.Withdraw(job, 1))
            world.send(name, split("ann", 5, job=job))
            world.send(name, shared(job=job, eve=10_000))
            world.send(name, e.Spend(word(number), job, 1))
            world.send(name, e.Confirm(who("ben").key, word(number)))
    assert snapshot(world.state) == before


def test_a_member_fills_its_own_part_of_a_place_only() -> None:
    world = World()
    world.state.most = 3
    assert [outcome(world.send("ann", head(n))) for n in range(1, 5)] == ["kept"] * 3 + ["full"]
    assert outcome(world.send("ben", head(9))) == "kept"


def test_a_leaf_is_in_a_tree_by_its_path() -> None:
    leaves = [leaf_hash(bytes([n])) for n in range(7)]
    nodes = {(level, at): one for level, at, one in new_nodes(0, lambda *_: b"", leaves)}
    top = root(7, lambda *at: nodes[at])
    path = inclusion_proof(4, 7, lambda *at: nodes[at])
    assert rules.verify(leaves[4], 4, 7, path, top)
    assert not rules.verify(leaves[3], 4, 7, path, top)
    assert not rules.verify(leaves[4], 4, 7, [*path, top] * 40, top)


def test_nanoseconds_are_brought_to_seconds(world: World) -> None:
    assert rules.seconds(1_800_000_000_123_456_789) == rules.seconds(1_800_000_000) == 1_800_000_000
    applied = rules.apply(world.state, head(1), who("ann").account, 1_800_000_000_999_999_999)
    assert applied.events[0].at == 1_800_000_000


def test_a_snapshot_is_json_and_comes_back(world: World) -> None:
    world.stand()
    world.send("ann", head(3))
    world.send("ann", e.Dispute(JOB, 1, word("why")))
    kept = snapshot(world.state)
    assert restore(canonical.parse_json(canonical.canonical_bytes(kept))) == world.state
    for broken in (
        {}, None, [], {**kept, "version": 2}, {**kept, "members": 3}, {**kept, "more": 1},
        {**kept, "jobs": {"x": {"standing": {"version": "1"}}}},
    ):  # fmt: skip
        with pytest.raises(SecureFlowError, match="anchor_refused"):
            restore(broken)


@pytest.mark.parametrize(
    "names", [(), ("ann", "ann"), tuple(f"member {n}" for n in range(1001))], ids=len
)
def test_a_place_without_or_with_doubled_members_is_none(names: tuple[str, ...]) -> None:
    one = who("ann")
    members = [who(name) for name in names] if len(names) < 10 else [one] * 1001
    with pytest.raises(SecureFlowError, match="anchor_refused"):
        found(PLACE, members, 10)


def test_a_place_checks_the_accounts_of_its_first_members() -> None:
    stolen = replace(who("ann"), account=who("eve").account)
    with pytest.raises(SecureFlowError, match="anchor_refused"):
        found(PLACE, [stolen], 10)
    assert found(PLACE, [stolen], 10, checks=False).members
    with pytest.raises(SecureFlowError, match="anchor_refused"):
        found("file:elsewhere", [who("ann")], 10)
