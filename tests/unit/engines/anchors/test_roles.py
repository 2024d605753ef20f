"""Every deed by every role: who may do what, and why the others may not.

Whoever created the place is nobody in it, unless a member; so is the centre's operator.
"""

from __future__ import annotations

import pytest

from secureflow.engines.anchors import entries as e
from tests.peers.anchor_chain import word
from tests.unit.engines.anchors.parts import (
    EUR,
    JOB,
    World,
    admit,
    head,
    shared,
    split,
    who,
)

OTHER, DISPUTED = e.job_digest("job_2"), e.job_digest("job_3")
ROLES = {
    "owner of the dataset": "ann",
    "payee": "ben",
    "member": "cy",
    "payer": "dee",
    "removed member": "fay",
    "creator, no member": "operator",
    "stranger": "eve",
}
MEMBERS = {"owner of the dataset", "payee", "member", "payer"}
ZERO = bytes(32)
DEEDS: dict[str, tuple[e.Entry, set[str]]] = {
    "anchor": (head(9), MEMBERS),
    "registerJob": (e.RegisterJob(word("new"), word("spec")), MEMBERS),
    "approveJob": (e.ApproveJob(JOB, word("spec")), MEMBERS),
    "commitDataset": (e.CommitDataset(word("new"), word("about"), 1), MEMBERS),
    "commitRound": (e.CommitRound(JOB, 1, word("model"), ZERO, ZERO), MEMBERS),
    "spend": (e.Spend(word("d"), JOB, 5), {"owner of the dataset"}),
    "setContributions": (shared(2, DISPUTED, ann=10_000), MEMBERS),
    "dispute": (e.Dispute(DISPUTED, 1, word("why")), MEMBERS - {"member"}),
    "withdraw": (e.Withdraw(DISPUTED, 1), {"member"}),
    "split": (split("dee", 10, job=OTHER), MEMBERS),
    "settle": (e.Settle(who("ben").key, 5, EUR, word("new")), {"payer"}),
    "confirm": (e.Confirm(who("dee").key, word("paid")), {"payee"}),
    "admit": (admit("new"), MEMBERS),
    "remove": (e.Remove(who("cy").key), MEMBERS),
    "upgrade": (e.Upgrade(word("next")), MEMBERS),
}
WHY = {
    "spend": "not_committed",
    "dispute": "different",
    "withdraw": "no_dispute",
    "settle": "not_owed",
    "confirm": "no_payment",
}
"""Why members may not whose role it is not."""


@pytest.fixture
def world() -> World:
    """A place where each of the deeds can be done by somebody."""
    world = World()
    world.all(admit("fay"), "ann", "ben", "cy")
    world.all(e.Remove(who("fay").key), "ann", "ben", "cy", "dee")
    world.send("ann", e.CommitDataset(word("d"), word("about"), 10))
    for job in (JOB, OTHER):
        world.all(shared(1, job, ben=10_000), "ann", "ben", "cy")
    world.now += 100
    world.all(split("dee", 10), "ann", "ben", "cy")
    world.send("dee", e.Settle(who("ben").key, 5, EUR, word("paid")))
    world.all(shared(1, DISPUTED, ben=10_000), "ann", "ben", "cy")
    world.send("cy", e.Dispute(DISPUTED, 1, word("before")))
    return world


def test_every_deed_is_listed() -> None:
    assert set(DEEDS) == set(e.KINDS)
    assert all(entry.kind == name for name, (entry, _) in DEEDS.items())


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("deed", DEEDS)
def test_a_deed_by_a_role(world: World, deed: str, role: str) -> None:
    entry, may = DEEDS[deed]
    applied = world.send(ROLES[role], entry)
    if role in may:
        assert (applied.result, applied.reason) == ("kept", "")
        assert world.send(ROLES[role], entry).result == "known"
    elif role in MEMBERS:
        assert applied.reason == WHY[deed]
    else:
        assert applied.reason == "stranger"
        assert applied.events[0].sender == ""
