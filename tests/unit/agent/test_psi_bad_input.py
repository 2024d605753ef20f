"""Lists that do not fit: nothing in common, nothing to bring, too much, or other columns than said.

Whatever ends a job names the party, the phase and the next step, and no row or cell.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from peers.agent_world import JOB, ME
from peers.psi_world import PEER, PsiAgentWorld
from unit.engines.psi.world import specified

from secureflow.agent.compute.worker_process import WorkerConfig
from secureflow.agent.kinds.kinds import AGENT_KINDS
from secureflow.domain.specs.psi import MATCHED
from secureflow.kit.errors import SecureFlowError
from secureflow.texts import chinese
from tests.unit.agent.test_psi_agent import BOTH, exchanged, ready, refused

OPENMINED = {"protocol": "openmined", "engine": {"name": "openmined", "version": "2.0.6"}}
CELLS = ("13800138000", "138 0013 9000", "+86 13700137000", "gold", "not a phone")


def plain(error: SecureFlowError, party: str, phase: str) -> None:
    """Check that an error says who, when and what next, in both languages, and nothing of rows."""
    assert (error.details["party"], error.details["phase"]) == (party, phase)
    assert party in error.message
    assert error.hint
    assert chinese(error.message)
    assert chinese(error.hint)
    told = f"{error.message} {error.hint} {error.details}"
    assert not [cell for cell in CELLS if cell in told]


@pytest.mark.parametrize(
    ("join", "rows"),
    [("inner", []), ("left", [1, 2, 4]), ("difference", [1, 2, 4])],
)
async def test_nothing_in_common_is_a_result(tmp_path: Path, join: str, rows: list[int]) -> None:
    world = await ready(tmp_path, join=join)
    world.engine.theirs = ("13600136000",)
    await world.offer()
    assert (await world.run())["figures"] == {"keys": 3, "matched": 0}
    table = pq.read_table(world.file)
    assert table.column("row").to_pylist() == rows
    assert table.column("phone").type in {pa.string(), pa.large_string()}


async def test_nothing_in_common_is_a_size(tmp_path: Path) -> None:
    world = await ready(tmp_path, learns="size", **OPENMINED)
    world.more_ports["engines"].ready("openmined").theirs = ()
    await world.offer()
    assert (await world.run())["figures"] == {"keys": 3, "matched": 0}


async def test_nothing_in_common_is_handed_over(tmp_path: Path) -> None:
    world = await ready(tmp_path, **BOTH)
    world.engine.theirs = ()
    empty = pa.table({MATCHED: pa.array([], pa.bool_()), "city": pa.array([], pa.string())})
    await exchanged(world, empty)
    assert pq.read_table(world.file).num_rows == 0
    assert world.got.num_rows == 0  # type: ignore[attr-defined]


async def test_nothing_in_common_is_less_than_any_minimum(tmp_path: Path) -> None:
    world = await ready(tmp_path, minimum=1)
    world.engine.theirs = ()
    await world.offer()
    error = await refused(world.run())
    assert error.code == "intersection_too_small"
    assert error.hint
    assert not world.file.exists()


@pytest.mark.parametrize(
    ("rows", "counts"),
    [
        (",a,1\n,b,2\n", {"missing": 2, "malformed": 0}),
        ("not a phone,a,1\nnot a phone,b,2\n", {"missing": 0, "malformed": 2}),
    ],
    ids=["empty cells", "malformed cells"],
)
async def test_a_party_without_a_key_is_named_and_told_alone_which_rows(
    tmp_path: Path, rows: str, counts: dict[str, int]
) -> None:
    world = PsiAgentWorld(tmp_path / "agent")
    world.publish(f"phone,segment,age\n{rows}")
    await world.consented()
    error = await refused(world.offer())
    assert error.code == "empty_dataset"
    plain(error, ME, "keys")
    (noted,) = [one for one in world.store.actions(job=JOB) if one["action"] == "psi.keys"]
    for name, count in counts.items():
        first = [1, 2] if count else []
        assert noted["facts"][name] == {"rows": count, "first": first}


async def test_rows_that_repeat_a_key_count_once(tmp_path: Path) -> None:
    world = PsiAgentWorld(tmp_path / "agent")
    world.publish("phone,segment,age\n" + "13800138000,a,1\n+86 138 0013 8000,b,2\n" * 3)
    await world.consented()
    assert (await world.offer())["document"]["count"] == 1
    await world.run()
    assert pq.read_table(world.file).column("row").to_pylist() == [1]
    (noted,) = [one for one in world.store.actions(job=JOB) if one["action"] == "psi.keys"]
    assert noted["facts"]["repeated"] == {"rows": 5, "first": [2, 3, 4, 5, 6]}


@pytest.mark.parametrize("count", [0, 101])
async def test_a_peers_list_that_does_not_fit_is_named(tmp_path: Path, count: int) -> None:
    world = await ready(tmp_path)
    await world.offer()
    plain(await refused(world.run(count=count)), PEER, "keys")


async def test_an_own_list_that_is_too_long_is_named(tmp_path: Path) -> None:
    sides = [
        {"party": ME, "key": ["phone"], "most_rows": 2},
        {"party": PEER, "key": ["phone"], "most_rows": 100},
    ]
    world = await ready(tmp_path, sides=sides)
    error = await refused(world.offer())
    assert error.code == "keys_too_many"
    plain(error, ME, "keys")


async def test_another_list_in_the_engine_than_was_named_is_named(tmp_path: Path) -> None:
    world = await ready(tmp_path)
    world.engine.told = 90
    await world.offer()
    plain(await refused(world.run()), PEER, "compute")


async def test_a_file_with_other_columns_than_declared_is_named(tmp_path: Path) -> None:
    """Whoever changed the file has to publish it anew: what was approved is what is read."""
    world = PsiAgentWorld(tmp_path / "agent")
    world.publish("telephone,segment,age\n13800138000,a,1\n")
    await world.consented()
    error = await refused(world.offer())
    assert error.code == "schema_mismatch"
    assert "phone" in error.message
    assert error.hint
    assert chinese(error.message)


@pytest.mark.parametrize(
    "change", [{"type": "number", "name": "phone"}, {"type": "text", "name": "telephone"}]
)
async def test_a_key_that_is_no_declared_text_is_refused_before_consent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    whole = PsiAgentWorld.declared.fget  # type: ignore[attr-defined]
    columns = [change, {"name": "segment", "type": "text"}]
    monkeypatch.setattr(
        PsiAgentWorld, "declared", property(lambda self: {**whole(self), "columns": columns})
    )
    world = PsiAgentWorld(tmp_path / "agent")
    error = await refused(world.consented())
    assert (error.code, error.details["column"]) == ("column_not_granted", "phone")
    assert "The declared columns are" in error.hint


def test_a_worker_has_room_for_the_longest_list() -> None:
    """However small the owner's `scratch_mb` is; with as many rows again that have no key."""
    roster = [{"party": f"bank-{one}", "key": one * 44, "dataset": one} for one in "ab"]
    spec = specified(roster)
    needed = AGENT_KINDS.scratch(spec)
    config = WorkerConfig(scratch=1 << 20, listed=lambda _: needed)
    assert config.of({}).scratch == needed > 2 * 32 * max(one.most_rows for one in spec.sides)
    assert replace(config, scratch=1 << 40).of({}).scratch == 1 << 40
