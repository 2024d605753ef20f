"""An agent in a computation by joint sums: the file of its worker, the same sums, one charge."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from peers.agent_world import JOB, ME
from peers.statistics_world import BUDGET, Counting, StatisticsWorld

from secureflow.agent.kinds.mpc import check_declared
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.mpc import MpcSpec
from secureflow.engines.mpc.places import length_of
from secureflow.engines.mpc.plan import mpc_plan
from secureflow.engines.mpc.stage import STAGE
from secureflow.engines.secagg import MaskingPlan
from secureflow.kit.errors import SecureFlowError

COLUMNS = [
    {"column": "age", "type": "number", "bounds": [0, 100]},
    {"column": "job", "type": "category", "categories": ["x", "y"]},
]
PROGRAM = {
    "name": "joint-sums",
    "queries": [{"name": "ages", "measure": "mean", "columns": ["age"], "by": "job"}],
}
FREE = {**BUDGET, "required": False}


class Writing(Counting):
    """Stands in for the warm worker, which writes what it adds up into a file."""

    def __init__(self, spec: MpcSpec) -> None:
        super().__init__(length_of(spec))
        self.given: list[dict[str, Any]] = []
        self.other, self.bytes, self.says = 0, 8, self.length

    async def compute(self, job: str, step: str, arguments: Any = None) -> dict[str, Any]:
        self.calls.append(step)
        self.given.append(arguments)
        path = Path(arguments["path"])
        size = await asyncio.to_thread(lambda: path.stat().st_size)
        assert size == 0  # made and emptied by the agent
        numbers = np.arange(self.length) % 7 + self.other
        await asyncio.to_thread(path.write_bytes, numbers.astype(f"<i{self.bytes}").tobytes())
        return {"sums": [self.says], "seconds": 0.1}


class JointWorld(StatisticsWorld):
    stage: ClassVar = STAGE

    def make_spec(self, **changes: Any) -> Any:
        roster = [
            {"party": p, "key": k.public, "dataset": "customers"} for p, k in self.keys.items()
        ]
        value = {
            "project": "prj_0123456789", "name": "sums", "purpose": "credit scoring",
            "submitter": "usr_alice", "roster": roster, "computation": PROGRAM,
            "protocol": "masked-sum", "columns": COLUMNS,
            "privacy": {"delta": 1e-6, "noise_multiplier": 5.0},
        }  # fmt: skip
        return parse(MpcSpec, {**value, **changes})

    def planned(self) -> MaskingPlan:
        return mpc_plan(self.spec, JOB, self.digest)

    def open_agent(self) -> None:
        if not hasattr(self, "counting"):
            self.counting: Any = Writing(self.spec)
        super().open_agent()


@pytest.fixture
def world(tmp_path: Path) -> JointWorld:
    return JointWorld(tmp_path / "agent")


async def refused(world: JointWorld, body: dict[str, Any]) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        await world.ask("mask", body)
    return caught.value


async def test_a_killed_agent_makes_the_same_sums_again_for_one_charge(world: JointWorld) -> None:
    await world.consented()
    body = world.mask_body(await world.met())
    world.vectors.lost = True
    with pytest.raises(KeyboardInterrupt):
        await world.ask("mask", body)
    world.vectors.lost = False
    held = world.settings.models / f"{JOB}.held"
    for _ in range(2):
        (held / "sums").unlink()  # a power cut, or they would be sent again
        world.reopen()
        await world.ask("mask", body)
    assert world.vectors.sent[0] == world.vectors.sent[1]
    assert len({str(one) for one in world.counting.given}) == 1  # path, seed, key
    kinds = [event["kind"] for event in world.store.budget_events("customers")]
    assert kinds.count("commit") == 1
    assert [path.name for path in held.iterdir()] == ["sums"]


async def test_what_the_worker_wrote_is_what_is_masked(tmp_path: Path) -> None:
    exact = {"privacy": None}
    world = JointWorld(tmp_path / "agent", spec_changes=exact, privacy=FREE)
    await world.consented()
    frames = await world.met()
    total = world.others_upload(frames)
    reply = await world.ask("mask", world.mask_body(frames))
    vector = np.frombuffer(world.vectors.sent[0], world.plan.ring)
    assert reply["vector"]
    assert len(vector) == world.plan.encoding.slots == len(total)
    assert world.counting.calls[:2] == ["prepare", "mpc_add"]


@pytest.mark.parametrize("wrong", ["length", "count", "large", "nothing"])
async def test_a_file_that_is_not_as_long_as_the_layout_is_refused(
    tmp_path: Path, wrong: str
) -> None:
    exact = {"privacy": None}
    world = JointWorld(tmp_path / "agent", spec_changes=exact, privacy=FREE)
    await world.consented()
    body = world.mask_body(await world.met())
    if wrong == "length":
        world.counting.bytes = 4
    if wrong == "count":
        world.counting.says += 1
    if wrong == "large":
        world.counting.other = 1 << 51
    if wrong == "nothing":
        world.counting.length = 0
    assert (await refused(world, body)).code == "update_length_wrong"
    assert world.vectors.sent == []


@pytest.mark.parametrize(
    "changes", [{"model": {"digest": "cd" * 32, "artifact": "cd" * 32, "size": 4}},
                {"moments": [1.0]}, {"round": 2}],
)  # fmt: skip
async def test_the_only_round_starts_from_the_spec(
    world: JointWorld, changes: dict[str, Any]
) -> None:
    await world.consented()
    body = world.mask_body(await world.met(), **changes)
    assert (await refused(world, body)).code in {"invalid_request", "stale_round", "unknown_round"}
    assert (world.vectors.sent, world.counting.given) == ([], [])


async def test_exact_sums_of_an_owner_who_demands_privacy_are_refused(tmp_path: Path) -> None:
    world = JointWorld(tmp_path / "agent", spec_changes={"privacy": None})
    with pytest.raises(SecureFlowError) as caught:
        await world.consented()
    assert caught.value.code == "privacy_required"
    assert world.assembly.inbox.list(waiting=False) == []


async def test_two_parties_need_each_owners_word_for_an_exact_sum(tmp_path: Path) -> None:
    two, exact = (ME, "bank-b"), {"privacy": None, "min_contributors": 2}
    world = JointWorld(tmp_path / "agent", parties=two, spec_changes=exact, privacy=FREE)
    with pytest.raises(SecureFlowError) as caught:
        await world.consented()
    assert "two_party" in caught.value.hint
    noised = JointWorld(tmp_path / "noised", parties=two, spec_changes={"min_contributors": 2})
    assert await noised.consented()


@pytest.mark.parametrize(
    ("columns", "code"),
    [
        ([{**COLUMNS[0], "bounds": [0, 99]}, COLUMNS[1]], "bounds_too_narrow"),
        ([{**COLUMNS[0], "bounds": [-1000, 100_001]}, COLUMNS[1]], "bounds_too_wide"),
        ([{**COLUMNS[0], "column": "height"}, COLUMNS[1]], "column_not_granted"),
        ([COLUMNS[0], {**COLUMNS[1], "categories": ["x"]}], "unknown_category"),
    ],
)
def test_an_owner_compares_columns_with_its_own_declaration(
    world: JointWorld, columns: list[dict[str, Any]], code: str
) -> None:
    spec = world.make_spec(columns=columns)
    with pytest.raises(SecureFlowError) as caught:
        check_declared(spec, world.settings.datasets[0])
    assert caught.value.code == code
