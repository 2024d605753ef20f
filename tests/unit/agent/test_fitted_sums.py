"""An agent in a preparation: the same sums for the same totals, and one charge."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from blake3 import blake3
from peers.agent_world import JOB, ME
from peers.statistics_world import BUDGET, COLUMNS, Counting, StatisticsWorld

from secureflow.agent.compute import summedrows
from secureflow.agent.compute.jobfiles import held_folder
from secureflow.agent.compute.preparation import SUMS
from secureflow.agent.compute.preparation_rows import PreparationRows
from secureflow.agent.job.reading import unnamed_rows
from secureflow.agent.kinds.preparation import FittedSums, check_declared
from secureflow.domain.specs.base import dump, parse
from secureflow.domain.specs.passes import schedule
from secureflow.domain.specs.preparation import PreparationSpec
from secureflow.domain.specs.summed import LIMIT, MOST_ROWS, UNIT
from secureflow.engines.preparation.fitting import sigma_of, unit_of
from secureflow.engines.recipes.plan import noised, preparation_plan
from secureflow.engines.recipes.stage import STAGE
from secureflow.engines.secagg import MaskingPlan
from secureflow.kit.errors import SecureFlowError

STEPS = [
    {"step": "impute", "columns": ["age"], "by": "mean"},
    {"step": "standardise", "columns": ["age"]},
]


class Adding(Counting):
    """Stands in for the warm worker, with real rows; `other` makes its sums others."""

    def __init__(self, spec: PreparationSpec) -> None:
        super().__init__(schedule(spec).longest)
        columns: Any = {"age": np.array([30.0, 50.0, np.nan])}
        self.rows, self.other = PreparationRows(spec, columns, None), 0
        self.given: list[dict[str, Any]] = []

    async def compute(self, job: str, step: str, arguments: Any = None) -> dict[str, Any]:
        self.calls.append(step)
        self.given.append(arguments)
        asked = dict(arguments)
        totals = asked.pop("totals")
        found = self.rows.sums(
            None if totals is None else Path(totals),
            asked["number"],
            bytes.fromhex(asked["seed"]),
            bytes.fromhex(asked["key"]),
        )
        return {"sums": (found + self.other).tolist(), "seconds": 0.1}


class PreparedWorld(StatisticsWorld):
    stage: ClassVar = STAGE

    def make_spec(self, **changes: Any) -> Any:
        roster = [
            {"party": p, "key": k.public, "dataset": "customers"} for p, k in self.keys.items()
        ]
        value = {
            "project": "prj_0123456789", "name": "inputs", "purpose": "credit scoring",
            "submitter": "usr_alice", "roster": roster, "columns": COLUMNS[:1], "steps": STEPS,
            "privacy": {"delta": 1e-6, "noise_multiplier": 5.0},
        }  # fmt: skip
        return parse(PreparationSpec, {**value, **changes})

    def planned(self) -> MaskingPlan:
        return preparation_plan(self.spec, JOB, self.digest)

    def open_agent(self) -> None:
        if not hasattr(self, "counting"):
            self.counting: Any = Adding(self.spec)
        super().open_agent()


@pytest.fixture
def world(tmp_path: Path) -> PreparedWorld:
    return PreparedWorld(tmp_path / "agent")


def paid(world: PreparedWorld) -> list[str]:
    return [event["kind"] for event in world.store.budget_events("customers")]


async def refused(world: PreparedWorld, body: dict[str, Any]) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        await world.ask("mask", body)
    return caught.value


async def test_a_killed_agent_makes_the_same_sums_again_for_one_charge(
    world: PreparedWorld,
) -> None:
    await world.consented()
    body = world.mask_body(await world.met())
    world.vectors.lost = True
    with pytest.raises(KeyboardInterrupt):
        await world.ask("mask", body)
    world.vectors.lost = False
    for _ in range(2):
        world.reopen()
        await world.ask("mask", body)
    assert world.vectors.sent[0] == world.vectors.sent[1]
    assert len({str(one) for one in world.counting.given}) == 1  # seed, key, totals
    assert paid(world).count("commit") == 1


async def test_a_private_jobs_rows_are_read_once_by_each_agent_that_runs(
    world: PreparedWorld,
) -> None:
    """They stay in the worker, until the job is over; sums that are on record need none."""
    await world.consented()
    body = world.mask_body(await world.met())
    for _ in range(2):
        for _ in range(2):
            await world.ask("mask", body)
        held_folder(world.settings.models, JOB).joinpath("sums").unlink()
    assert [one for one in world.counting.calls if one != "check"] == ["prepare", SUMS, SUMS]
    world.reopen()
    await world.ask("mask", body)
    assert world.counting.calls.count("prepare") == 2


async def test_rounds_whose_totals_may_lack_a_party_are_refused_without_a_question(
    tmp_path: Path,
) -> None:
    """They are over the same rows: of two totals the difference would be that party's."""
    four, free = (ME, "bank-b", "bank-c", "bank-d"), {**BUDGET, "required": False}
    for least in (3, 4):
        exact = {"privacy": None, "min_contributors": least}
        world = PreparedWorld(tmp_path / str(least), parties=four, spec_changes=exact, privacy=free)
        assert len(schedule(world.spec).rounds) > 1
        if least == 4:
            assert await world.consented()
            continue
        with pytest.raises(SecureFlowError) as caught:
            await world.consented()
        assert caught.value.code == "contradictory_spec"
        assert caught.value.details["field"] == "min_contributors"
        assert world.assembly.inbox.list(waiting=False) == []
        assert world.store.job(JOB) is None


async def test_other_sums_than_those_on_record_are_not_sent(world: PreparedWorld) -> None:
    await world.consented()
    body = world.mask_body(await world.met())
    await world.ask("mask", body)
    world.counting.other = 1
    world.reopen()
    await world.ask("mask", body)  # those on record are, however they would be made now
    assert len(world.vectors.sent) == 2
    assert world.vectors.sent[1] == world.vectors.sent[0]
    held_folder(world.settings.models, JOB).joinpath("sums").write_bytes(b"")  # a power cut
    world.reopen()
    assert (await refused(world, body)).code in {"state_unreadable", "private_step_failed"}
    assert len(world.vectors.sent) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"moments": [1.0]},
        {"model": {"digest": "ab" * 32, "artifact": "ab" * 32, "size": 16}},
        {"round": 2},
    ],
)
async def test_a_round_starts_from_the_totals_before_it_and_from_nothing_else(
    world: PreparedWorld, changes: dict[str, Any]
) -> None:
    await world.consented()
    body = world.mask_body(await world.met(), **changes)
    assert (await refused(world, body)).code in {"invalid_request", "stale_round", "unknown_round"}
    assert (world.vectors.sent, world.counting.given) == ([], [])


async def test_totals_that_are_not_their_digest_are_not_computed_with(
    world: PreparedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that a power cut left half is fetched again before anything is made of it."""
    await world.consented()
    await world.met()
    from secureflow.agent.kinds import blobs

    path = world.settings.models / JOB / f"{'0' * 64}.blob"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half")
    assert not blobs._is_sound(path, blake3(b"whole").hexdigest())
    assert not path.exists()
    path.write_bytes(b"whole")
    assert blobs._is_sound(path, blake3(b"whole").hexdigest())


def test_bounds_that_are_not_the_owners_are_refused(world: PreparedWorld) -> None:
    dataset = world.settings.dataset("customers")
    check_declared(world.spec, dataset)
    narrow = world.make_spec(columns=[{**COLUMNS[0], "bounds": [0, 1]}])
    with pytest.raises(SecureFlowError, match="bounds_too_narrow"):
        check_declared(narrow, dataset)


@pytest.mark.parametrize("positive", ["c", "1"])
def test_a_label_that_the_owner_does_not_declare_is_refused(
    world: PreparedWorld, positive: str
) -> None:
    """All its rows would be of the other class."""
    dataset = world.settings.dataset("customers")
    label = {"column": COLUMNS[1]["column"], "positive": positive}
    steps = [{"step": "width_bins", "columns": ["age"]}, {"step": "woe", "columns": ["age"]}]
    wrong = world.make_spec(steps=steps, label=label)
    with pytest.raises(SecureFlowError, match="unknown_category"):
        check_declared(wrong, dataset)
    first = COLUMNS[1]["categories"][0]
    check_declared(world.make_spec(steps=steps, label={**label, "positive": first}), dataset)


@pytest.mark.parametrize("private", [True, False])
def test_more_rows_than_sums_hold_are_refused(
    world: PreparedWorld, monkeypatch: pytest.MonkeyPatch, private: bool
) -> None:
    """What they add up to would wrap around, or be cut off."""
    spec = world.spec if private else world.make_spec(privacy=None)
    assert MOST_ROWS * UNIT <= LIMIT
    monkeypatch.setattr(summedrows, "MOST_ROWS", 3)
    PreparationRows(spec, {"age": np.arange(3.0)}, None)
    with pytest.raises(SecureFlowError, match="dataset_too_large"):
        PreparationRows(spec, {"age": np.arange(4.0)}, None)


async def test_a_cell_that_does_not_fit_a_step_leaves_with_its_step_and_not_its_row(
    world: PreparedWorld,
) -> None:
    dates = {"step": "date_parts", "columns": ["opened"], "formats": ["%Y-%m-%d"]}
    spec = parse(PreparationSpec, {
        **dump(world.make_spec(privacy=None)),
        "columns": [{"column": "opened", "type": "text"}], "steps": [dates],
    })  # fmt: skip
    rows = PreparationRows(spec, {"opened": np.array(["2001-01-02", "SECRET"], object)}, None)
    job: Any = SimpleNamespace(job=JOB)
    with pytest.raises(SecureFlowError) as caught:
        async with unnamed_rows(world.assembly.context, job):
            rows.sums(None, 1, bytes(32), bytes(32))
    error = caught.value
    assert error.details == {"column": "opened", "step": "date_parts"}
    assert "step date_parts in column 'opened'" in error.message
    assert "SECRET" not in str(error)
    (facts,) = [o["facts"] for o in world.store.actions() if o["action"] == "job.row_refused"]
    assert "Row 2" in facts["message"]


async def test_totals_are_removed_by_an_agent_that_was_started_again(world: PreparedWorld) -> None:
    """It has read no rows of the job since."""
    folder = world.settings.models / JOB
    folder.mkdir(parents=True)
    (folder / f"{'0' * 64}.totals").write_bytes(b"x")
    fitting = FittedSums(world.assembly.context, world.counting, world.counting)
    await fitting.forget(JOB)
    assert not folder.exists()


def test_private_sums_have_the_noise_of_their_seed(world: PreparedWorld) -> None:
    spec, seeds = world.spec, (b"\x01" * 32, b"\x02" * 32)
    rows = PreparationRows(spec, {"age": np.array([30.0, 50.0, np.nan])}, None)
    found = [rows.sums(None, 1, seed, bytes(32)) for seed in seeds]
    noise = [noised(spec, 1, np.zeros_like(found[0]), seed) for seed in seeds]
    (query,) = schedule(spec).rounds[0]
    assert all(one[: query.slots].all() for one in noise)
    exact = [one - other for one, other in zip(found, noise, strict=True)]
    assert (exact[0] == exact[1]).all()
    assert exact[0][1] == 2 * unit_of(spec, query)  # ages that are known


def by_persons(world: PreparedWorld) -> PreparationSpec:
    noise = {"delta": 1e-6, "noise_multiplier": 0.1, "unit": "person"}
    spec: PreparationSpec = world.make_spec(privacy=noise, contributions=2, steps=STEPS[:1])
    return spec


def test_no_more_rows_of_a_person_count_than_the_noise_hides(world: PreparedWorld) -> None:
    spec = by_persons(world)
    columns: Any = {
        "age": np.array([100.0] * 9 + [0.0, np.nan, 50.0]),
        "person": np.array(["ann"] * 9 + ["bob", "bob", None], object),
    }
    (query,) = schedule(spec).rounds[0]
    sums = [
        PreparationRows(spec, part, "person").sums(None, 1, bytes(32), bytes(32)) / unit_of(
            spec, query
        )
        for part in (columns, {name: held[2:] for name, held in columns.items()})
    ]  # fmt: skip
    # Two rows of Ann at the upper bound, one of Bob at the lower one; his other one is missing, and
    # the row without a person would be bounded by nothing.
    slack = 6 * sigma_of(spec, query) / unit_of(spec, query)
    for found in sums:
        assert abs(found[0] - (2 - 1)) <= slack
        assert abs(found[1] - 3) <= slack
    assert (sums[0] == sums[1]).all()


def test_a_job_that_protects_persons_needs_to_know_them(world: PreparedWorld) -> None:
    with pytest.raises(SecureFlowError, match="no column says whose each row is"):
        PreparationRows(by_persons(world), {"age": np.array([1.0])}, None)
