"""Rows that match in a pipeline's intersection: what a hostile centre, or a hand on the disk, gets.

The agent runs its part of the intersection whole, keeps which of its rows match, and signs a digest
that nobody else can test guesses against. A later step computes on these rows, or on none.
"""

from __future__ import annotations

import asyncio
import hmac
import stat
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peers.agent_world import ME
from peers.psi_world import PEER, TABLE
from peers.rows_world import AGAIN, FIT, FIT_AGAIN, MATCH, THEIRS, RowsWorld

from secureflow.agent.compute.jobfiles import SELECTION
from secureflow.agent.job.selectedrows import SelectedRows
from secureflow.agent.owner.matchedrows import SELECTED
from secureflow.domain.ids import part_id
from secureflow.domain.specs.base import spec_digest
from secureflow.domain.specs.matchedrows import MatchedRows
from secureflow.engines.run.kept import KEPT
from secureflow.kit.errors import SecureFlowError

OTHER = "job_1m8nje847evwjh6gfj1d"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[RowsWorld]:
    made = RowsWorld(tmp_path / "agent")
    yield made
    made.worker_here.prepared.clear()  # with the lists of its keys


class Reader:
    """`Computing` that notes what its worker would read."""

    def __init__(self, world: RowsWorld) -> None:
        self.world = world
        self.rows: list[list[int]] = []

    async def check(self, *_: Any) -> None:
        """Nothing."""

    async def prepare(self, job: str, *_: Any) -> dict[str, Any]:
        path = self.world.settings.models / job / SELECTION
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        self.rows.append(np.fromfile(path, "<i8").tolist())
        return {"rows": 0, "validation": 0}

    async def compute(self, *_: Any) -> dict[str, Any]:
        raise AssertionError

    async def close(self, _: str) -> None:
        """Nothing."""


async def read(world: RowsWorld, number: int = FIT) -> list[int]:
    """Have an approved step's rows read; return their numbers, from 0."""
    context, reader = world.assembly.context, Reader(world)
    job, spec = context.approved(part_id(world.whole, number), spec_digest(world.part(number)))
    reading = context.reading(context.pinned(job, spec))
    await SelectedRows(context, reader).prepare(job.job, job.spec, *reading)
    return reader.rows[0]


async def refused(asking: Awaitable[Any], code: str) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        await asking
    assert caught.value.code == code, caught.value
    return caught.value


async def test_a_later_step_reads_the_rows_that_match_and_no_others(world: RowsWorld) -> None:
    rows = await world.matched()
    assert stat.S_IMODE(world.selection.stat().st_mode) == 0o600
    await world.approve(FIT)
    assert sorted(await read(world)) == [0, 3]
    (kept,) = [one for one in world.store.leaves(part_id(world.whole, MATCH)) if one.kind == KEPT]
    assert kept.bundle["document"][SELECTED] == rows[ME]
    assert world.store.fact(f"outputs/{world.whole}") == {"1": {"rows": rows}}


async def test_the_rows_stand_in_the_order_of_their_keys(world: RowsWorld) -> None:
    await world.matched()
    own = await _order(world)
    other = RowsWorld(world.directory.parent / "other")
    lines = TABLE.splitlines()
    other.publish("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    await other.matched()
    turned = {0: 4, 3: 1, 4: 0}  # where the same rows lie in the other file
    phones = [line.split(",")[0] for line in lines[1:]]
    theirs = [phones[4 - row][-4:] for row in await _order(other)]
    assert [phones[row][-4:] for row in own] == theirs
    assert set(turned.values()) >= set(await _order(other))


async def _order(world: RowsWorld) -> list[int]:
    found: list[int] = np.fromfile(world.selection, "<i8").tolist()
    return found


async def test_a_killed_agent_reads_them_again(world: RowsWorld) -> None:
    rows = await world.matched()
    world.reopen()
    await world.approve(FIT)
    world.reopen()
    assert sorted(await read(world)) == [0, 3]
    assert (await world.sign(MATCH, rows))["leaf"]


async def test_a_digest_tells_nothing_that_can_be_guessed(world: RowsWorld) -> None:
    """It differs in every pipeline, though data and matches are the same: its key is a secret."""
    rows = await world.matched()
    other = RowsWorld(world.directory.parent / "other")
    assert (await other.matched())[ME] != rows[ME]
    content = world.selection.read_bytes()
    assert rows[ME] not in {sha256(content).hexdigest(), hmac.digest(b"", content, "sha256").hex()}


async def test_nothing_is_kept_where_no_later_step_takes_it(world: RowsWorld) -> None:
    fit = world.pipeline.steps[1]
    alone = replace(fit, job=replace(fit.job, rows=None), takes=())
    world.pipeline = replace(world.pipeline, steps=(world.pipeline.steps[0], alone))
    await world.begin()
    assert SELECTED not in (await world.intersect())["figures"]
    assert not world.selection.exists()


# --- the centre ------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [None, {PEER: THEIRS}, {ME: THEIRS, PEER: THEIRS}], ids=str)
async def test_a_party_signs_its_own_rows_and_no_others(world: RowsWorld, rows: Any) -> None:
    await world.begin()
    await world.intersect()
    await world.end(MATCH)
    error = await refused(world.sign(MATCH, rows), "part_refused")
    assert "other rows matched" in error.message


@pytest.mark.parametrize("rows", [{"bank a": THEIRS}, {ME: "x"}, {ME: 5}, [], "x", {}], ids=str)
async def test_what_is_no_digest_is_not_signed(world: RowsWorld, rows: Any) -> None:
    await world.begin()
    await world.intersect()
    await world.end(MATCH)
    assert "no outputs" in (await refused(world.sign(MATCH, rows), "part_refused")).message


async def test_rows_of_a_step_that_failed_are_not_signed(world: RowsWorld) -> None:
    await world.begin()
    told = await world.intersect()
    await world.end(MATCH, "failed")
    await refused(world.sign(MATCH, {ME: told["figures"]["selected"], PEER: THEIRS}),
                  "part_refused")  # fmt: skip
    world.gave(MATCH, {ME: told["figures"]["selected"], PEER: THEIRS})
    await refused(world.approve(FIT), "part_refused")


def _swapped(rows: dict[str, str]) -> MatchedRows:
    return MatchedRows.of(part_id(RowsWorld.job, MATCH), {**rows, ME: "ab" * 32})


HERE = part_id(RowsWorld.job, MATCH)
LIES: dict[str, Callable[[dict[str, str]], MatchedRows | None]] = {
    "another digest of this party": _swapped,
    "another digest of a peer": lambda rows: MatchedRows.of(HERE, {**rows, PEER: "ab" * 32}),
    "rows of another job": lambda rows: MatchedRows.of(OTHER, rows),
    "rows of another attempt": lambda rows: MatchedRows.of(part_id(RowsWorld.job, AGAIN), rows),
    "this party left out": lambda rows: MatchedRows.of(HERE, {PEER: rows[PEER]}),
    "every row": lambda _: None,
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_step_takes_the_rows_that_were_signed(world: RowsWorld, lie: str) -> None:
    rows = await world.matched()
    spec = replace(world.part(FIT), rows=LIES[lie](rows))
    code = "part_refused" if spec.rows is not None else "step_output_missing"
    await refused(world.consent(part_id(world.whole, FIT), spec), code)
    assert world.store.job(part_id(world.whole, FIT)) is None
    await world.approve(FIT)  # the honest one


async def test_rows_of_another_pipeline_are_not_taken(world: RowsWorld) -> None:
    """Its own digest, of the same data and the same matches, signed in another pipeline."""
    other = RowsWorld(world.directory.parent / "other")
    theirs = await other.matched()
    rows = await world.matched()
    spec = replace(
        world.part(FIT), rows=MatchedRows.of(part_id(world.whole, MATCH), {**rows, **theirs})
    )
    await refused(world.consent(part_id(world.whole, FIT), spec), "part_refused")
    world.selection.write_bytes(other.selection.read_bytes())
    await world.approve(FIT)
    assert sorted(await read(world)) == [0, 3], "the file is the same, its digest is not"


async def test_a_step_takes_no_rows_outside_of_its_pipeline(world: RowsWorld) -> None:
    rows = await world.matched()
    alone = replace(world.part(FIT), part_of=None, rows=MatchedRows.of(OTHER, rows))
    error = await refused(world.consent(OTHER, alone), "contradictory_spec")
    assert "rows" in error.message


async def test_nothing_is_read_when_the_pipeline_is_over(world: RowsWorld) -> None:
    await world.matched()
    await world.approve(FIT)
    assert sorted(await read(world)) == [0, 3]
    kept = world.selection.read_bytes()
    await world.over("failed")
    assert not world.selection.exists()
    world.selection.parent.mkdir(exist_ok=True)
    world.selection.write_bytes(kept)  # somebody has put it back
    await refused(read(world), "matched_rows_missing")
    world.reopen()
    await refused(world.approve(FIT_AGAIN), "job_finished")


# --- the disk --------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [[0, 1], [3, 0], [0, 3, 4], [0], []], ids=str)
async def test_a_selection_that_somebody_changed_is_not_used(
    world: RowsWorld, content: list[int]
) -> None:
    await world.matched()
    own = await _order(world)
    changed = content if content != own else own[::-1]
    await world.approve(FIT)
    world.selection.write_bytes(np.array(changed, "<i8").tobytes())
    error = await refused(read(world), "matched_rows_altered")
    assert ME in error.message
    assert not (world.settings.models / part_id(world.whole, FIT) / SELECTION).exists()


async def test_a_selection_that_is_gone_is_named(world: RowsWorld) -> None:
    await world.matched()
    await world.approve(FIT)
    world.selection.unlink()
    assert ME in (await refused(read(world), "matched_rows_missing")).message


async def test_rows_of_an_older_version_of_the_data_are_not_read(world: RowsWorld) -> None:
    await world.matched()
    await world.approve(FIT)
    world.publish("phone,segment,age\n" + "".join(f"1380013800{n},x,40\n" for n in range(5)))
    context, reader = world.assembly.context, Reader(world)
    job, spec = context.approved(part_id(world.whole, FIT), spec_digest(world.part(FIT)))
    newer = context.reading(context.publication(spec))
    asked = SelectedRows(context, reader).prepare(job.job, job.spec, *newer)
    await refused(asked, "matched_rows_altered")
    assert reader.rows == []


async def test_a_step_on_data_that_was_published_again_is_not_approved(world: RowsWorld) -> None:
    await world.matched()
    world.publish("phone,segment,age\n13800138000,x,40\n")
    await refused(world.approve(FIT), "declaration_changed")


# --- the ids that intersections test -----------------------------------------------------------


async def left(world: RowsWorld) -> int:
    (row,) = await world.assembly.context.probing.report()
    return int(str(row["remaining"]))


async def test_the_ids_of_all_attempts_are_set_aside_before_the_first_step(
    world: RowsWorld,
) -> None:
    """The peer may bring 100 in each of two attempts, and brings 3."""
    await world.begin()
    assert await left(world) == 1000 - 2 * 100
    await world.intersect()
    assert await left(world) == 1000 - 2 * 100
    world.reopen()
    await world.end(MATCH)
    await world.over("failed")
    assert await left(world) == 1000 - 3


async def test_what_does_not_fit_is_refused_before_anything_runs(tmp_path: Path) -> None:
    """Nobody is asked, either: no policy permits it, and a person would have to."""
    world = RowsWorld(tmp_path / "agent", policy="")
    world.limit = 199
    world.reopen()
    async with asyncio.timeout(10):
        await refused(world.begin(), "probing_exceeded")
    assert world.store.job(world.whole) is None
    assert world.assembly.inbox.list(waiting=False) == []


async def test_a_step_that_never_ran_gives_its_ids_back(world: RowsWorld) -> None:
    await world.begin()
    world.reopen()
    await world.over("cancelled")
    assert await left(world) == 1000


async def test_an_approval_that_is_asked_for_again_sets_nothing_more_aside(
    world: RowsWorld,
) -> None:
    await world.begin()
    await world.intersect()
    world.now += 86_400 * 3  # it has expired
    await world.consent(world.whole, world.pipeline)
    assert await left(world) == 1000 - 2 * 100
