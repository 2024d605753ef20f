"""The agent shows the centre what it signed, and the owner what became of it."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from peers.agent_world import ORIGIN, World

from secureflow.agent.record.logstate import MAX_HEADS
from secureflow.agent.record.store import RecordStore
from secureflow.agent.witness.continuations import SET_BACK
from secureflow.agent.witness.headwatch import HeadWatch, describe_log
from secureflow.domain.charter import SignedCharter
from secureflow.engines.ledger.notes import Checkpoint, noted_size, parse_note, sign_checkpoint
from secureflow.engines.ledger.setback import MAX_SHOWN, Hold, set_back
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError


class Centre:
    """A link whose centre says what it is told to."""

    def __init__(self, note: str, held: Any = None) -> None:
        self.connected = asyncio.Event()
        self.welcomes = 1
        self.connected.set()
        self.answer: Any = {"note": note, "held": held}
        self.shown: list[dict[str, Any]] = []
        self.asked = asyncio.Event()
        self.taken: list[SignedCharter] = []
        self.refusal: SecureFlowError | None = None

    async def call(self, kind: str, body: dict[str, Any]) -> Any:
        if kind == "charter.take_over":
            if self.refusal is not None:
                raise self.refusal
            self.taken.append(SignedCharter.from_json(body["charter"]))
            self.answer = {**self.answer, "charter": self.taken[-1].charter.version}
            return {}
        assert kind == "log.show"
        self.shown.append(body)
        self.asked.set()
        return self.answer


async def seen(world: World, *sizes: int) -> None:
    """Have the agent cosign heads of these sizes, each holding what it signed."""
    for size in sizes:
        while world.tree.size < size:
            world.tree.append(b"an entry")
        await world.ask("cosign", {"head": world.head(), "job": ""})


def watch(world: World, centre: Centre) -> HeadWatch:
    made, context = world.assembly, world.assembly.context
    return HeadWatch(
        centre, context.witness, world.store, context.charter, made.continuations, context.clock
    )


async def test_a_log_that_is_intact_is_shown_the_newest_head(tmp_path: Path) -> None:
    world = World(tmp_path)
    await seen(world, 3, 7)
    centre = Centre(world.head())
    assert await watch(world, centre).check() is None
    assert [[noted_size(one) for one in told["heads"]] for told in centre.shown] == [[7]]
    assert world.store.fact(SET_BACK) is None
    assert world.store.actions()[0]["action"] != "log.whole"


async def test_a_log_that_shrank_is_told_at_once_and_shown_what_it_signed(tmp_path: Path) -> None:
    world = World(tmp_path)
    await seen(world, 3, 7, 11)
    centre = Centre(world.head(7))
    problem = await watch(world, centre).check()
    assert problem is not None
    assert (problem.code, problem.details["lost"]) == ("log_set_back", 4)
    assert "it has 7 entries" in problem.message
    heads = [noted_size(one) for one in centre.shown[1]["heads"]]
    assert heads == [11, 7, 3]  # the newest, and what may still be in it
    kept = world.store.fact(SET_BACK)
    assert kept["code"] == "log_set_back"
    assert [one["action"] for one in world.store.actions()].count("log.set_back") == 1
    await watch(world, centre).check()
    assert [one["action"] for one in world.store.actions()].count("log.set_back") == 1
    centre.answer = {"note": world.head(), "held": None}  # the newest database is back
    assert await watch(world, centre).check() is None
    assert world.store.fact(SET_BACK) is None


async def test_what_another_member_saw_is_told_in_the_centres_words(tmp_path: Path) -> None:
    world = World(tmp_path)
    await seen(world, 3)
    other = sign_checkpoint(Checkpoint(ORIGIN, 9, b"\x05" * 32), world.log_key)
    held = set_back(Hold("shown", 1, 3, head=other, by="bank-b"), ORIGIN).as_json()
    problem = await watch(world, Centre(world.head(), held)).check()
    assert problem is not None
    assert "bank-b holds its head of size 9" in problem.message


async def test_words_that_change_at_each_look_are_one_event(tmp_path: Path) -> None:
    """Else a centre could fill the owner's disk with them."""
    world = World(tmp_path)
    await seen(world, 3)
    for said in ("one", "two\x1b[31m\nthree", "x" * 900_000):
        held = {"code": "log_set_back", "message": said, "hint": 7, "details": []}
        problem = await watch(world, Centre(world.head(), held)).check()
        assert problem is not None
        assert problem.message.isprintable()
        assert len(problem.message) < 10_000
    assert [one["action"] for one in world.store.actions()].count("log.set_back") == 1
    assert world.store.fact(SET_BACK)["message"].startswith("xxx")


@pytest.mark.parametrize("answer", [None, [], {"note": 7}, {"note": "x"}, {"held": "y"}])
async def test_a_centre_that_answers_nonsense_breaks_nothing(tmp_path: Path, answer: Any) -> None:
    world = World(tmp_path)
    await seen(world, 3)
    centre = Centre("")
    centre.answer = answer
    with contextlib.suppress(SecureFlowError):
        assert await watch(world, centre).check() is None


def changed(world: World) -> list[SignedCharter]:
    """Pin two changes of the charter; return all three versions."""
    pinning, known = world.assembly.context.charter, [world.signed_charter]
    for _ in range(2):
        before = known[-1].charter
        signed = SignedCharter(replace(before, version=before.version + 1, previous=before.digest))
        for name, key in world.all_keys.items():
            signed = signed.sign(name, key)
        pinning.pin(signed)
        known.append(signed)
    return known


@pytest.mark.parametrize("version", [0, 1, 2])
async def test_a_centre_that_forgot_charters_is_handed_them_and_shown_the_head_again(
    tmp_path: Path, version: int
) -> None:
    world = World(tmp_path)
    await seen(world, 3)
    known = changed(world)
    centre = Centre(world.head())
    centre.answer["charter"] = version
    assert await watch(world, centre).check() is None
    assert centre.taken == known[version:]
    named = {"version": 3, "digest": known[-1].charter.digest}
    assert [one["charter"] for one in centre.shown] == [named, named]


@pytest.mark.parametrize("told", [3, 4, -1, True, "1", None, 1 << 60])
async def test_a_centre_that_knows_the_charter_or_says_nonsense_is_handed_none(
    tmp_path: Path, told: Any
) -> None:
    world = World(tmp_path)
    changed(world)
    centre = Centre(world.head())
    centre.answer["charter"] = told
    assert await watch(world, centre).check() is None
    assert centre.taken == []
    assert len(centre.shown) == 1


async def test_a_centre_that_takes_none_gains_nothing(tmp_path: Path) -> None:
    """Nor one that says each time that it has none: nothing is noted for it."""
    world = World(tmp_path)
    changed(world)
    noted = len(world.store.actions())
    centre = Centre(world.head())
    centre.refusal = SecureFlowError("charter_mismatch", "no")
    for _ in range(3):
        centre.answer["charter"] = 0
        assert await watch(world, centre).check() is None
    centre.refusal = None
    for _ in range(3):
        centre.answer["charter"] = 0
        assert await watch(world, centre).check() is None
    assert len(world.store.actions()) == noted


async def test_a_refused_head_is_looked_into_at_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    await seen(world, 5)
    other = sign_checkpoint(Checkpoint(ORIGIN, 5, b"\x05" * 32), world.log_key)
    with pytest.raises(SecureFlowError, match="ledger_inconsistent"):
        await world.assembly.agent.handle("cosign", {"head": other, "job": ""}, None)
    assert world.assembly.context.witness.troubled
    centre = Centre(world.head(3))
    task = asyncio.create_task(watch(world, centre).run())
    await asyncio.wait_for(centre.asked.wait(), 60)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not world.assembly.context.witness.troubled


async def test_a_break_that_is_shorter_than_a_look_at_the_link_is_none_that_is_missed(
    tmp_path: Path,
) -> None:
    """A centre that starts again within half a second may have an older log."""
    world = World(tmp_path)
    await seen(world, 5)
    centre = Centre(world.head(5))
    task = asyncio.create_task(watch(world, centre).run())
    await asyncio.wait_for(centre.asked.wait(), 60)
    centre.asked.clear()
    centre.answer = {"note": world.head(3), "held": None}
    centre.welcomes += 1
    await asyncio.wait_for(centre.asked.wait(), 60)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_kept_heads_are_many_and_bounded(tmp_path: Path) -> None:
    key, store = SigningKey.generate(), RecordStore(tmp_path / "agent.db")
    note = sign_checkpoint(Checkpoint(ORIGIN, 1, b"\x05" * 32), key)
    with store.transaction():
        for size in range(1, MAX_HEADS + 500):
            store.add_head(ORIGIN, size, note)
    kept = store.heads(ORIGIN, 1 << 40, 1 << 20)
    assert MAX_HEADS // 2 < len(kept) <= MAX_HEADS
    newest = store.heads(ORIGIN, 1 << 40, MAX_SHOWN)
    assert len(newest) == MAX_SHOWN
    assert store.heads("log.other", 1 << 40) == []
    store.close()


async def test_places_of_own_leaves_are_remembered(tmp_path: Path) -> None:
    world = World(tmp_path)
    with world.store.transaction():
        leaf = world.assembly.context.witness.leaf("noted", "", "", {"n": 1})
    world.tree.append(b"before")
    world.record({"leaves": [leaf.bundle]})
    await seen(world, world.tree.size)
    assert world.store.placed_leaves(9) == [(leaf.hash, 1)]
    assert parse_note(world.assembly.context.witness.newest).checkpoint.size == world.tree.size


def test_the_doctor_says_that_the_centre_was_restored() -> None:
    log = {"origin": ORIGIN, "size": 9, "restored": {"restored_at": 86_400, "taken_at": 0}}
    told = describe_log(log, {})
    assert "restored on 1970-01-02 00:00 UTC from a backup of 1970-01-01" in told
    assert "until that is repeated" in told


@pytest.mark.parametrize(
    "restored",
    [None, 7, [], {}, {"restored_at": 1}, {"restored_at": 1 << 80, "taken_at": 1},
     {"restored_at": -1, "taken_at": 1}, {"restored_at": True, "taken_at": "x"}],
)  # fmt: skip
def test_nonsense_of_a_restore_is_told_to_nobody(restored: Any) -> None:
    told = describe_log({"origin": ORIGIN, "size": 9, "restored": restored}, {})
    assert told == "0 of its 9 entries were seen"


def test_a_longer_log_of_an_earlier_name_is_not_taken_for_this_one() -> None:
    key = SigningKey.generate()
    kept = {"origin": ORIGIN, "note": sign_checkpoint(Checkpoint(ORIGIN, 330, b"r" * 32), key)}
    told = describe_log({"origin": f"{ORIGIN}~2", "size": 292}, kept)
    assert told == "0 of its 292 entries were seen"
