"""Three parties that all learn what all have: what each gets, and what a party that lies brings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from peers.agent_world import JOB
from peers.psi_trio import PARTIES, A, B, C, Trio, column
from peers.psi_world import engine_keys

from secureflow.agent.kinds import psi_turns
from secureflow.engines.run.kept import KEPT
from secureflow.kit.canonical import canonical_bytes, parse_json
from secureflow.kit.errors import SecureFlowError
from secureflow.texts import chinese

KEYS = {A: 4, B: 4, C: 5}
SHARED = {A: [1, 3], B: [2, 3], C: [1, 3]}
"""Rows that all have."""


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psi_turns, "BEAT", 0.02)


async def trio(folder: Path, **changes: Any) -> Trio:
    return await Trio(folder, **changes).consented()


def left(three: Trio) -> dict[str, int]:
    """Return how many keys the owners still let others test, of a thousand."""
    return {
        one: agent.assembly.context.probing.left(agent.settings.datasets[0])
        for one, agent in three.agents.items()
    }


def kept(three: Trio) -> list[str]:
    return [one for one, agent in three.agents.items()
            if any(leaf.kind == KEPT for leaf in agent.store.leaves(JOB))]  # fmt: skip


def told_file(phones: tuple[str, ...], most: int = 4) -> bytes:
    """Return what a receiver sends that tells of these phones."""
    keys = sorted(engine_keys(phones))
    return len(keys).to_bytes(8, "big") + b"".join(keys) + bytes(16 * (most - len(keys)))


def telling(of: dict[str, bytes]) -> Callable[[str, bytes], bytes | None]:
    """Have the receiver send these files instead."""

    def altered(peer: str, message: bytes) -> bytes | None:
        return of.get(peer, message) if len(message) == 8 + 16 * 4 else message

    return altered


async def test_each_gets_its_own_rows_and_only_the_receiver_learns_of_pairs(tmp_path: Path) -> None:
    three = await trio(tmp_path)
    found = await three.run()
    for one in PARTIES:
        assert found[one]["figures"] == {"keys": KEYS[one], "matched": 2}, found[one]
        assert [row["row"] for row in three[one].rows()] == SHARED[one]
        assert {*three[one].rows()[0]} == {"row", "phone"}
    assert kept(three) == [*PARTIES]
    assert {job.receivers for one in PARTIES for job in three[one].engine.jobs} == {(A,)}
    pairs = [job.parties for one in PARTIES for job in three[one].engine.jobs]
    assert sorted(pairs) == [(A, B), (A, B), (A, C), (A, C)]
    assert left(three) == {one: 1000 - sum(KEYS.values()) + KEYS[one] for one in PARTIES}
    again = await three.run(2)
    assert again[B]["leaf"] == found[B]["leaf"], "a result is made once"
    assert left(three) == {one: 1000 - 2 * (13 - KEYS[one]) for one in PARTIES}, "tested anew"


async def test_what_is_told_has_one_length_whatever_matches(tmp_path: Path) -> None:
    sizes = set()
    for name, phones in (("some", None), ("none", ("13000130000",) * 4)):
        (tmp_path / name).mkdir()
        three = await trio(tmp_path / name)
        if phones is not None:
            three[A].engine.of = {B: phones, C: phones}
        seen: list[int] = []
        three[A].links_to.altered = lambda _, said, seen=seen: seen.append(len(said)) or said
        found = await three.run()
        assert found[C]["figures"]["matched"] == (0 if phones else 2), found[C]
        assert seen.count(8 + 16 * 4) == 2
        sizes.add(max(seen))
    assert len(sizes) == 1


async def test_columns_go_from_each_to_each_and_rows_stand_side_by_side(tmp_path: Path) -> None:
    three = await trio(tmp_path, granted=True)
    found = await three.run()
    assert [found[one]["figures"]["matched"] for one in PARTIES] == [2, 2, 2], found
    for one in PARTIES:
        others = [f"of_{other[-1]}" for other in PARTIES if other != one]
        assert [*three[one].rows()[0]] == ["row", "phone", f"of_{one[-1]}", *others]
        for row in three[one].rows():
            ends = {row[f"of_{other[-1]}"] for other in PARTIES}
            assert ends == {f"{other[-1]}{row['phone'][2]}" for other in PARTIES}
    ways = {(one, other) for one in PARTIES for other in found[one]["channels"]}
    assert ways == {*permutations(PARTIES, 2)}


async def test_a_difference_is_of_what_all_have(tmp_path: Path) -> None:
    three = await trio(tmp_path, join="difference")
    await three.run()
    assert [[row["row"] for row in three[one].rows()] for one in PARTIES] == [
        [2, 4],
        [1, 4],
        [2, 4, 5],
    ]


@pytest.mark.parametrize("minimum", [2, 3])
async def test_below_the_minimum_nobody_is_told(tmp_path: Path, minimum: int) -> None:
    three = await trio(tmp_path, minimum=minimum)
    seen: list[int] = []
    three[A].links_to.altered = lambda _, said: seen.append(len(said)) or said
    found = await three.run()
    if minimum == 2:
        assert kept(three) == [*PARTIES]
        return
    assert found[A].code == "intersection_too_small"
    assert kept(three) == []
    assert 8 + 16 * 4 not in seen


async def test_the_minimum_binds_each_agent_by_itself(tmp_path: Path) -> None:
    three = await trio(tmp_path, minimum=2)
    three[A].links_to.altered = telling(dict.fromkeys((B, C), told_file(("13700137000",))))
    found = await three.run()
    assert {found[B].code, found[C].code} <= {"intersection_too_small", "peer_broken"}
    assert "intersection_too_small" in {found[B].code, found[C].code}
    assert not {B, C} & {*kept(three)}


BOTH = ("13800138000", "13700137000")


@pytest.mark.parametrize(
    ("to_b", "to_c"),
    [
        (told_file((*BOTH, "13500135000")), told_file((*BOTH, "13500135000"))),
        (told_file(("13000130000",)), told_file(BOTH)),
        (told_file(BOTH)[:8] + told_file(BOTH)[8:40][::-1] + bytes(32), told_file(BOTH)),
        (b"\xff" * 72, told_file(BOTH)),
        (told_file(BOTH)[:8] + told_file(BOTH)[8:24] * 2 + bytes(32), told_file(BOTH)),
    ],
    ids=["of the other alone", "made up", "garbage", "endless", "one key twice"],
)
async def test_a_key_that_is_not_of_every_list_is_refused_by_name_and_nobody_keeps_it(
    tmp_path: Path, to_b: bytes, to_c: bytes
) -> None:
    three = await trio(tmp_path)
    three[A].links_to.altered = telling({B: to_b, C: to_c})
    found = await three.run()
    refused = [one for one in (found[B], found[C]) if one.code == "peer_result_malformed"]
    assert [one.details["party"] for one in refused] == [A], found
    assert chinese(refused[0].message)
    assert not {B, C} & {*kept(three)}, "whoever finds nothing wrong waits for the others"


@pytest.mark.parametrize(
    "to_b", [told_file(("13700137000",)), told_file((*BOTH, "13100131000"))], ids=["less", "more"]
)
async def test_others_that_are_told_otherwise_find_out(tmp_path: Path, to_b: bytes) -> None:
    three = await trio(tmp_path)
    three[A].links_to.altered = telling({B: to_b})
    found = await three.run()
    codes = {found[one].code for one in (B, C)}
    assert codes <= {"peer_result_malformed", "peer_broken"}
    error = next(found[one] for one in (B, C) if found[one].code == "peer_result_malformed")
    assert A in error.details["parties"]
    assert chinese(error.message)
    assert chinese(error.hint)
    assert not {B, C} & {*kept(three)}


async def test_leaving_keys_out_alike_is_not_noticed(tmp_path: Path) -> None:
    three = await trio(tmp_path)
    three[A].links_to.altered = telling(dict.fromkeys((B, C), told_file(("13700137000",))))
    found = await three.run()
    assert [found[one]["figures"]["matched"] for one in PARTIES] == [2, 1, 1], "as its label says"


async def test_a_key_that_the_receiver_did_not_bring_is_not_noticed(tmp_path: Path) -> None:
    three = await trio(tmp_path)
    theirs = told_file((*BOTH, "13100131000"))
    three[A].links_to.altered = telling({B: theirs, C: theirs})
    found = await three.run()
    assert [found[one]["figures"]["matched"] for one in PARTIES] == [2, 3, 3], "as its label says"
    assert left(three)[B] == 1000 - KEYS[A] - KEYS[C]


async def test_other_keys_than_in_an_attempt_before_are_refused_and_kept_by_nobody(
    tmp_path: Path,
) -> None:
    """The receiver hands its columns to one alone, and tells of fewer keys the next time."""
    sides = [{"party": one, "key": ["phone"], "most_rows": 100,
              "granted": [column(A)] if one == A else []} for one in PARTIES]  # fmt: skip
    three = await trio(tmp_path, sides=sides)
    three[A].links_to.cuts = three[C].links_to.cuts = False
    files: list[str] = []

    def altered(peer: str, said: bytes) -> bytes:
        files.extend([peer] if says("file", said) else [])
        none = says("file", said) and peer == C and files.count(C) == 2
        return canonical_bytes({"say": "file", "bytes": 0}) if none else said

    three[A].links_to.altered = altered
    await three.run()
    assert kept(three) == [A, B]
    fewer = told_file(("13700137000",))
    three[A].links_to.altered = telling({B: fewer, C: fewer})
    found = await three.run(2)
    assert (found[B].code, found[B].details["party"]) == ("peer_result_malformed", A)
    assert chinese(found[B].message)
    assert chinese(found[B].hint)
    assert kept(three) == [A, B]


@pytest.mark.parametrize("longer", [b"", b"x"], ids=["shorter", "longer"])
async def test_a_file_of_another_length_is_refused_before_it_is_written(
    tmp_path: Path, longer: bytes
) -> None:
    three = await trio(tmp_path)
    size = 8 + 16 * 4 + (1 if longer else -1)

    def altered(peer: str, message: bytes) -> bytes:
        if b'"file"' in message:
            return canonical_bytes({"say": "file", "bytes": size})
        return message[:size] + longer if len(message) == 72 else message

    three[A].links_to.altered = altered
    found = await three.run()
    assert (found[B].code, found[B].details["party"]) == ("peer_result_malformed", A)
    assert not list((tmp_path / B / "models").rglob("*.told"))


def says(word: str, said: bytes) -> bool:
    """Tell whether a message says a word."""
    if len(said) > 200 or not said.startswith(b"{"):
        return False
    told: Any = parse_json(said, 256)
    return bool(told["say"] == word)


@pytest.mark.parametrize(
    ("liar", "peer", "word", "code"),
    [(A, B, "compare", "peer_absent"), (B, C, "told", "peer_broken")],
)
async def test_whoever_falls_silent_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, liar: str, peer: str, word: str, code: str
) -> None:
    three = await trio(tmp_path)
    links, fallen = three[liar].links_to, asyncio.Event()

    def altered(to: str, said: bytes) -> bytes | None:
        if to == peer and (fallen.is_set() or says(word, said)):
            fallen.set()
            return None
        if says(word, said):
            monkeypatch.setattr(psi_turns, "PATIENCE", 0.3)  # of whoever begins to wait now
        return said

    links.altered, links.cuts = altered, False
    three[C].links_to.ends_all = True
    error = (await three.run())[C]
    assert error.code == code
    assert liar in (error.details.get("parties") or [error.details["party"]])
    assert not {B, C} - {liar} & {*kept(three)}
    assert chinese(error.message)
    assert chinese(error.hint)


async def test_a_word_that_comes_before_its_time_is_refused(tmp_path: Path) -> None:
    three = await trio(tmp_path)
    hold = asyncio.Event()
    computing = three[B].worker_here
    compute = computing.compute

    async def slow(job: str, step: str, arguments: Any = None) -> Any:
        if step == "psi_heard":
            await hold.wait()
        return await compute(job, step, arguments)

    computing.compute = slow  # type: ignore[method-assign]

    def altered(peer: str, said: bytes) -> bytes:
        early = peer == B and len(said) == 72
        three[A].links_to.altered = hasty if early else altered
        return said

    def hasty(peer: str, said: bytes) -> bytes:
        return canonical_bytes({"say": "compare"}) if peer == B else said

    three[A].links_to.altered = altered
    found = await three.run()
    assert (found[B].code, found[B].details["party"]) == ("peer_broken", A)


async def test_an_attempt_that_ended_in_the_middle_begins_again_and_all_have_it(
    tmp_path: Path,
) -> None:
    three = await trio(tmp_path)
    three[C].engine.fails = SecureFlowError("engine_failed", "it ended")
    found = await three.run()
    assert found[C].code == "engine_failed"
    assert {found[A].code, found[B].code} == {"peer_broken"}
    assert kept(three) == []
    three[C].engine.fails = None
    found = await three.run(2)
    assert [found[one]["figures"]["matched"] for one in PARTIES] == [2, 2, 2], found
    for agent in three.agents.values():
        await agent.finished()
        assert not list((agent.directory / "models").iterdir())
