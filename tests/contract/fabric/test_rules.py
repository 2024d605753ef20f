"""The chaincode judges as `engines.anchors.rules` does, whatever comes."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import pytest

from secureflow.engines.anchors import entries as e
from secureflow.engines.anchors import money, rules
from secureflow.engines.anchors.state import Member as RuleMember
from secureflow.engines.anchors.state import State, found
from secureflow.engines.ledger.merkle import leaf_hash
from tests.peers.anchor_stories import FOUNDERS, JOB, STORIES, Story
from tests.peers.fabric_world import CONTRACT, PLACE, Authority, Member, Process, node

WINDOW = 100
EUR = e.currency_word("EUR")


def word(number: int) -> bytes:
    return bytes([number]) * 32


@pytest.fixture(scope="module")
def chaincode() -> Iterator[Process]:
    made = Process([node(), "test/replay.js"], cwd=CONTRACT, stderr=subprocess.DEVNULL)
    yield made
    made.end()


@pytest.fixture(scope="module")
def people() -> list[Member]:
    orgs = [Authority("Org1MSP"), Authority("Org2MSP")]
    return [Member(orgs[number % 2], f"user{number}") for number in range(8)]


class Drawn:
    """Entries from a world so small that they meet."""

    def __init__(self, seed: int, people: list[Member]) -> None:
        self.draw = random.Random(seed)
        self.people = people
        self.keys = sorted(one.public for one in people[:4])

    def entry(self) -> e.Entry:
        pick, word_ = self.draw.choice, self._word
        job, spec = word_(1, 3), word_(4, 6)
        kinds = [
            lambda: e.AnchorHead(
                word_(7, 9), pick(range(1, 5)), word_(10, 13), (word(0), word_(0, 3))
            ),
            lambda: e.RegisterJob(job, spec),
            lambda: e.ApproveJob(job, spec),
            lambda: e.CommitDataset(word_(20, 22), word_(23, 24), pick([0, 10])),
            lambda: e.CommitRound(job, pick([1, 2]), word_(10, 14), word(0), word(0)),
            lambda: e.Spend(word_(20, 22), job, pick([3, 4, 7])),
            *[lambda: self._contributions(job)] * 4,
            lambda: e.Dispute(job, pick([1, 2]), word(30 + self._seldom())),
            *[lambda: e.Withdraw(job, pick([1, 2]))] * 3,
            *[lambda: e.Split(job, 1, self.keys[0], self._amount(), EUR)] * 6,
            lambda: e.Settle(pick(self.keys), pick([0, 5, 10**13]), EUR, word_(40, 44)),
            lambda: e.Confirm(self.keys[0], word_(40, 44)),
            *[self._admit] * 3,
            *[lambda: e.Remove(self._person().public)] * 2,
        ]
        if self.draw.random() < 0.002:
            return e.Upgrade(word(50))
        return pick(kinds)()

    def _word(self, first: int, end: int) -> bytes:
        return word(self.draw.randrange(first, end))

    def _person(self) -> Member:
        return self.people[self.draw.choice([3, 4, 4, 5, 5])]

    def _contributions(self, job: bytes) -> e.SetContributions:
        shares = (2500, 2500, 2500, 2500) if self._seldom() else (3333, 3333, 3334, 0)
        version = 2 if self._seldom() else 1
        return e.SetContributions(job, version, word(6), tuple(self.keys), shares, self.keys[1])

    def _amount(self) -> int:
        return self.draw.choice([0, 1]) if self._seldom() else 10**15 + 7

    def _seldom(self) -> bool:
        return self.draw.random() < 0.06

    def _admit(self) -> e.Admit:
        made = self._person().admit()
        if self.draw.random() < 0.2:
            return e.Admit(made.member, self._person().account, made.signature)
        return made


def told(applied: tuple[rules.Applied, ...]) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return result, reason and what came about of each entry."""
    results = ("kept", "known", "fork", "refused")
    return [
        (one.result, one.reason, tuple(x.name for x in one.events if x.name not in results))
        for one in applied
    ]


def test_the_chaincode_judges_as_the_rules_do(chaincode: Process, people: list[Member]) -> None:
    seen = set[object]()
    for seed in range(3):
        seen |= judged_alike(chaincode, people, seed)
    # Else what was drawn shows little.
    assert seen >= {"fork", "stands", "split", "admitted", "removed", "different", "over_cap"}
    assert seen >= {"kept", "known", "disputed", "window_over", "window_open", "not_owed"}


def judged_alike(chaincode: Process, people: list[Member], seed: int) -> set[object]:
    """Compare one world; return every result, reason and event of it."""
    state = begun(chaincode, people, 4)
    drawn, now = Drawn(seed, people), 1_800_000_000
    seen: set[object] = set()
    for _ in range(140):
        now += drawn.draw.choice([0, 0, 1, 50])
        who = drawn.draw.choice([0, 0, 1, 1, 2, 2, 3, 4, 5])
        batch = [drawn.entry() for _ in range(drawn.draw.randrange(1, 8))]
        wanted = sent(chaincode, state, people, who, batch, now)
        seen |= {one for result, reason, brought in wanted for one in (result, reason, *brought)}
    _compare(chaincode, state, drawn)
    return seen


def begun(chaincode: Process, people: list[Member], founders: int) -> State:
    """Begin a place of the first of them at the chaincode, and by the rules."""
    first = people[:founders]
    members = [RuleMember(one.public, one.account, one.admit().signature) for one in first]
    named = [_plain(one.admit().json()) for one in first]
    begin = {"place": PLACE, "window": WINDOW, "members": named}
    creators = [[one.authority.msp, one.certificate.decode()] for one in people]
    assert chaincode.ask({"begin": begin, "creators": creators}) == {"result": "kept"}
    return found(PLACE, members, WINDOW)


def sent(
    chaincode: Process, state: State, people: list[Member], who: int, batch: list[e.Entry], now: int
) -> list[tuple[str, str, tuple[str, ...]]]:
    """Send the same to both; return what each entry came to, after comparing that."""
    asked = {"send": [one.json() for one in batch], "who": who, "at": now}
    answer = chaincode.ask(asked)
    member = rules.sender_of(state, people[who].account) is not None
    wanted = told(rules.apply_batch(state, batch, people[who].account, now))
    if not member:
        assert answer == {"refused": "refused: stranger"}
        return []
    got = [(one["result"], one.get("reason", ""), tuple(one.get("brought", ()))) for one in answer]
    assert got == wanted, asked
    return wanted


@pytest.mark.parametrize("tell", STORIES, ids=lambda one: one.__name__)
def test_votes_are_counted_the_same(
    chaincode: Process, people: list[Member], tell: Callable[[Story], None]
) -> None:
    state, now = begun(chaincode, people, FOUNDERS), 1_800_000_000
    story = Story([one.admit() for one in people], WINDOW)
    tell(story)
    for step in story.steps:
        if isinstance(step, int):
            now += step
        else:
            sent(chaincode, state, people, *step, now)
    assert set(chaincode.ask({"ask": "members", "parameters": {}})) == set(state.members)
    standing = chaincode.ask({"ask": "standing", "parameters": {"job": JOB.hex()}})
    stands = money.standing(state, JOB)
    assert standing == (None if stands is None else vars(stands))
    assert chaincode.ask({"ask": "successor", "parameters": {}}) == state.successor


def _plain(one: dict[str, Any]) -> dict[str, Any]:
    return {key: one[key] for key in ("member", "account", "signature")}


def _compare(chaincode: Process, state: State, drawn: Drawn) -> None:
    """Every view says the same in the end."""

    def ask(view: str, **parameters: Any) -> Any:
        return chaincode.ask({"ask": view, "parameters": parameters})

    for log in (word(7), word(8)):
        wanted = rules.head(state, log)
        told_ = None if wanted is None else {"size": wanted[0], "root": wanted[1]}
        assert ask("head", log=log.hex()) == told_
        for size in range(1, 5):
            assert ask("roots", log=log.hex(), size=size) == list(rules.roots(state, log, size))
    for job in (word(1), word(2)):
        for spec in (word(4), word(5)):
            got = ask("approvals", job=job.hex(), spec=spec.hex())
            assert got == sorted(rules.approvals(state, job, spec))
        standing = money.standing(state, job)
        assert ask("standing", job=job.hex()) == (None if standing is None else vars(standing))
        for number in (1, 2):
            said = e.CommitRound(job, number, word(10), word(0), word(0))
            assert ask("agreed", entry=said.json()) == rules.agreed(state, said)
    for payer in drawn.keys:
        for payee in drawn.keys:
            got = ask("owed", payer=payer.hex(), payee=payee.hex(), currency=EUR.hex())
            assert int(got) == money.owed(state, payer, payee, EUR)
    assert set(ask("members")) == set(state.members)
    assert ask("successor") == state.successor


def test_inclusion_is_verified_as_the_log_does(chaincode: Process) -> None:
    # RFC 9162, section 2.1.3.2, over a tree of five made here by its definition.
    leaves = [leaf_hash(bytes([number])) for number in range(5)]
    root, paths = _tree(leaves)
    for index, path in enumerate(paths):
        for size in (4, 5, 6):
            asked = {
                "leaf": leaves[index].hex(),
                "index": index,
                "size": size,
                "path": [one.hex() for one in path],
                "root": root.hex(),
            }
            wanted = rules.verify(leaves[index], index, size, path, root)
            assert wanted or size != 5
            assert chaincode.ask({"ask": "verify", "parameters": asked}) is wanted


def _tree(leaves: list[bytes]) -> tuple[bytes, list[list[bytes]]]:
    if len(leaves) == 1:
        return leaves[0], [[]]
    middle = 1
    while middle * 2 < len(leaves):
        middle *= 2
    left, left_paths = _tree(leaves[:middle])
    right, right_paths = _tree(leaves[middle:])
    paths = [[*one, right] for one in left_paths] + [[*one, left] for one in right_paths]
    return sha256(b"\1" + left + right).digest(), paths
