"""What an agent in an intersection counts of its peers' lists, and holds them to."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from peers.agent_world import JOB
from peers.psi_world import PEER, PsiAgentWorld

from secureflow.agent.owner.peerentries import kept_under, peer_entries
from secureflow.agent.verbs.peers import PeerAttempts
from secureflow.engines.ledger.leaves import leaf_from_json
from secureflow.engines.privacy.probing import Probe
from secureflow.engines.run.kept import KEPT
from secureflow.kit.errors import SecureFlowError
from secureflow.texts import chinese
from tests.unit.agent.test_psi_agent import SENDER, leaves, ready, refused


async def test_a_list_is_counted_once_until_a_run_with_it_has_ended(tmp_path: Path) -> None:
    world = await ready(tmp_path, attempts=5, **SENDER)
    dataset = world.settings.datasets[0]
    probing = world.assembly.context.probing
    world.engine.fails = SecureFlowError("engine_failed", "it ended")
    for attempt in (1, 2):
        await world.offer(attempt)
        await refused(world.run(attempt, count=40))
        assert probing.left(dataset) == 960
    await world.offer(3)
    await refused(world.run(3, count=40, inputs="ef" * 32))  # another one
    assert probing.left(dataset) == 920
    world.engine.fails = None
    await world.offer(4)
    await world.run(4, count=40)
    assert probing.left(dataset) == 920
    await world.offer(5)
    await world.run(5, count=40)  # its party says that it is the same, and nothing else does
    assert probing.left(dataset) == 880


async def test_a_size_that_was_told_is_not_told_again_for_nothing(tmp_path: Path) -> None:
    """Of the receiver's keys the other party learns how many match, in each attempt."""
    world = await ready(tmp_path, minimum=2, size_first=True)
    dataset = world.settings.datasets[0]
    world.engine.fails = SecureFlowError("engine_failed", "it ended")
    for attempt in (1, 2):
        await world.offer(attempt)
        await refused(world.run(attempt, count=40))
        assert world.assembly.context.probing.left(dataset) == 1000 - 40 * attempt


@pytest.mark.parametrize(("told", "left"), [(True, 960), (False, 1000)])
async def test_whose_keys_are_told_how_many_match_has_tested_them(
    tmp_path: Path, *, told: bool, left: int
) -> None:
    """The party that does not receive reads it in the report: two jobs differ by one id."""
    world = await ready(tmp_path, tells_size=told)
    await world.offer()
    figures = (await world.run(count=40))["figures"]
    assert figures == ({"keys": 3, "matched": 2} if told else {"keys": 3})
    assert world.assembly.context.probing.left(world.settings.datasets[0]) == left


async def test_a_receiver_without_a_limit_tells_nobody_how_many_match(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = PsiAgentWorld.declared.fget  # type: ignore[attr-defined]
    free = property(lambda self: {**whole(self), "probing": None})
    monkeypatch.setattr(PsiAgentWorld, "declared", free)
    world = PsiAgentWorld(tmp_path / "told", tells_size=True)
    assert (await refused(world.consented())).code == "probing_undeclared"
    await ready(tmp_path, tells_size=False)


async def test_a_refusal_of_another_job_makes_no_reservation_final(tmp_path: Path) -> None:
    world = await ready(tmp_path, **SENDER)
    dataset = world.settings.datasets[0]
    probing = world.assembly.context.probing
    await world.offer()
    world.links_to.absent = True
    assert (await refused(world.run(count=90))).code == "peer_absent"
    large = Probe("bank-c", 5000, "ee" * 32)
    assert (await refused(probing.check("job_other", dataset, [large]))).code == "probing_exceeded"
    await world.finished("failed")
    assert probing.left(dataset) == 1000


async def test_a_list_that_is_longer_in_the_engine_counts_with_its_length(tmp_path: Path) -> None:
    world = await ready(tmp_path, **SENDER)
    world.engine.told = 90
    await world.offer()
    error = await refused(world.run(count=3))
    assert (error.code, error.details["party"]) == ("peer_result_malformed", PEER)
    assert chinese(error.message)
    assert world.assembly.context.probing.left(world.settings.datasets[0]) == 910
    assert [one["facts"]["ids"] for one in world.store.actions(job=JOB)
            if one["action"] == "probing.longer"] == [90]  # fmt: skip


async def test_a_list_that_is_shorter_in_the_engine_is_not_what_was_named(tmp_path: Path) -> None:
    world = await ready(tmp_path)
    world.engine.told = 2
    await world.offer()
    assert (await refused(world.run(count=3))).code == "peer_result_malformed"
    assert not world.file.exists()


@pytest.mark.parametrize("told", [-1, True, "3"])
async def test_an_engine_says_how_many_keys_the_peer_brought(tmp_path: Path, told: Any) -> None:
    world = await ready(tmp_path)
    world.engine.told = told
    await world.offer()
    assert (await refused(world.run())).code == "engine_output_refused"


@pytest.mark.parametrize("changes", [{}, SENDER])
async def test_a_peer_brings_a_key_at_least(tmp_path: Path, changes: dict[str, Any]) -> None:
    world = await ready(tmp_path, **changes)
    await world.offer()
    error = await refused(world.run(count=0))
    assert (error.code, error.details["party"]) == ("empty_dataset", PEER)
    assert world.engine.jobs == []


@pytest.mark.parametrize("learns", ["one", "size"])
async def test_no_more_match_than_the_shorter_list_has(tmp_path: Path, learns: str) -> None:
    small = {"engine": {"name": "openmined", "version": "2.0.6"}, "protocol": "openmined"}
    world = await ready(tmp_path, learns=learns, **(small if learns == "size" else {}))
    await world.offer()
    assert (await refused(world.run(count=1))).code == "engine_output_refused"
    assert not world.file.exists()


@pytest.mark.parametrize(("minimum", "shown"), [(2, True), (3, False)])
async def test_a_minimum_binds_a_difference_too(
    tmp_path: Path, minimum: int, *, shown: bool
) -> None:
    """The rows that a difference leaves out are those that match."""
    world = await ready(tmp_path, join="difference", minimum=minimum)
    await world.offer()
    if not shown:
        assert (await refused(world.run())).code == "intersection_too_small"
        assert not world.file.exists()
        return
    reply = await world.run()
    assert reply["figures"]["matched"] == 2
    (kept,) = leaves(world, KEPT)
    assert kept.bundle["document"]["matched"] == 2
    assert pq.read_table(world.file).num_rows == 1


async def test_a_job_ends_after_what_it_commits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A result that the record commits to is there; one that came too late is in neither."""
    world = await ready(tmp_path)
    await world.offer()
    commit, began, go = PeerAttempts._commit_run, threading.Event(), threading.Event()

    def slow(*given: Any) -> Any:
        began.set()
        go.wait(60)
        return commit(*given)

    monkeypatch.setattr(PeerAttempts, "_commit_run", slow)
    running = asyncio.ensure_future(world.run())
    await asyncio.to_thread(began.wait, 60)
    ending = asyncio.ensure_future(world.finished("cancelled"))
    for _ in range(50):
        await asyncio.sleep(0.01)
    assert not ending.done()
    go.set()
    await asyncio.gather(running, ending, return_exceptions=True)
    assert not ending.exception()
    assert bool(leaves(world, KEPT)) == world.file.exists()


@pytest.mark.parametrize("changes", [{}, SENDER], ids=["receiver", "tested"])
async def test_what_a_peer_signed_is_kept_before_a_channel_opens(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    world = await ready(tmp_path, **changes)
    await world.offer()
    world.links_to.absent = True
    assert (await refused(world.run())).code == "peer_absent"
    world.reopen()
    kept = world.store.answer(f"peer_entries/{JOB}/1")
    assert kept == world.peers_entry(1)["offers"]


async def test_what_peers_signed_is_shown_with_whether_it_holds(tmp_path: Path) -> None:
    world = await ready(tmp_path, **SENDER)
    world.links_to.absent = True
    for attempt, inputs in ((1, "cd"), (2, "ef")):
        await world.offer(attempt)
        await refused(world.run(attempt, inputs=inputs * 32, count=40 + attempt))
    await world.finished("failed")
    found = peer_entries(world.store, JOB)
    assert [(one["attempt"], one["party"], one["count"], one["holds"]) for one in found] == [
        (1, PEER, 41, True), (2, PEER, 42, True),
    ]  # fmt: skip
    assert found[1]["inputs"] == "ef" * 32
    assert found[0]["key"] == world.keys[PEER].public
    entry: Any = found[0]["entry"]
    assert leaf_from_json(entry["leaf"]).hash() == found[0]["leaf"]
    assert {*entry} == {"leaf", "document", "salt"}
    with pytest.raises(SecureFlowError, match="has approved no job"):
        peer_entries(world.store, "job_00000000")


@pytest.mark.parametrize("part", ["document", "salt", "leaf"])
async def test_an_entry_that_was_altered_in_the_record_does_not_hold(
    tmp_path: Path, part: str
) -> None:
    world = await ready(tmp_path, **SENDER)
    other = world.peers_entry(1, count=9)["offers"][PEER]
    own = world.peers_entry(1)["offers"][PEER]
    altered = {**own, part: "00" * 32 if part == "salt" else other[part]}
    with world.store.transaction():
        world.store.keep_answer(kept_under(JOB, 1), JOB, {PEER: altered})
    assert [one["holds"] for one in peer_entries(world.store, JOB)] == [False]
