"""An agent in an evaluation: the approved models and no other, the same sums, one charge."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from blake3 import blake3
from peers.agent_world import JOB, ME
from peers.statistics_world import BUDGET, Counting, StatisticsWorld

from secureflow.agent.compute.derivation import derive
from secureflow.agent.compute.jobfiles import held_folder
from secureflow.agent.kinds.evaluation import check_declared
from secureflow.agent.owner.consent import check_request
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.evaluation import EvaluationSpec
from secureflow.engines.evaluation.plan import evaluation_plan, longest
from secureflow.engines.evaluation.stage import STAGE
from secureflow.engines.secagg import MaskingPlan
from secureflow.kit.errors import SecureFlowError

PARAMETERS = np.array([2.0, 0.5], "<f4").tobytes()
MODEL = blake3(PARAMETERS).hexdigest()
OTHER = "cd" * 32
WANTED = (MODEL, OTHER)
FEATURES: dict[str, Any] = {
    "label": {"column": "income", "positive": "high"},
    "numeric": [{"column": "age", "bounds": [0, 100], "scale": "bounds"}],
}


class Measuring(Counting):
    """Stands in for the warm worker; `other` makes its sums others."""

    def __init__(self, spec: EvaluationSpec) -> None:
        super().__init__(longest(spec))
        self.other, self.given = 0, list[dict[str, Any]]()

    async def compute(self, job: str, step: str, arguments: Any = None) -> dict[str, Any]:
        self.calls.append(step)
        self.given.append(arguments)
        assert np.fromfile(arguments["model"], np.uint8).tobytes() == PARAMETERS
        sums = np.arange(self.length) % 7 + self.other
        return {"sums": sums.tolist(), "seconds": 0.1}


class EvaluatedWorld(StatisticsWorld):
    stage: ClassVar = STAGE

    def make_spec(self, **changes: Any) -> Any:
        roster = [
            {"party": p, "key": k.public, "dataset": "customers"} for p, k in self.keys.items()
        ]
        models = [
            {"job": "job_aaaaaaaaaa", "digest": digest, "features": FEATURES,
             "model": {"family": "logistic_regression"}} for digest in WANTED
        ]  # fmt: skip
        value = {
            "project": "prj_0123456789", "name": "figures", "purpose": "credit scoring",
            "submitter": "usr_alice", "roster": roster, "models": models,
            "privacy": {"delta": 1e-6, "noise_multiplier": 5.0},
        }  # fmt: skip
        return parse(EvaluationSpec, {**value, **changes})

    @property
    def base(self) -> str:
        return MODEL

    def planned(self) -> MaskingPlan:
        return evaluation_plan(self.spec, JOB, self.digest)

    def open_agent(self) -> None:
        if not hasattr(self, "counting"):
            self.counting: Any = Measuring(self.spec)
        super().open_agent()


def shown(digest: str, **changes: Any) -> dict[str, Any]:
    return {"model": {"digest": digest, "artifact": digest, "size": len(PARAMETERS), **changes}}


@pytest.fixture
def world(tmp_path: Path) -> EvaluatedWorld:
    made = EvaluatedWorld(tmp_path / "agent")
    made.blobs[MODEL] = PARAMETERS
    return made


async def refused(world: EvaluatedWorld, body: dict[str, Any]) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        await world.ask("mask", body)
    return caught.value


async def test_a_killed_agent_makes_the_same_sums_again_for_one_charge(
    world: EvaluatedWorld,
) -> None:
    await world.consented()
    body = world.mask_body(await world.met(), **shown(MODEL))
    world.vectors.lost = True
    with pytest.raises(KeyboardInterrupt):
        await world.ask("mask", body)
    world.vectors.lost = False
    for _ in range(2):
        world.reopen()
        await world.ask("mask", body)
    assert world.vectors.sent[0] == world.vectors.sent[1]
    assert len({str(one) for one in world.counting.given}) == 1  # seed, key, model
    assert world.counting.given[0]["party"] == "bank-a"
    kinds = [event["kind"] for event in world.store.budget_events("customers")]
    assert kinds.count("commit") == 1


async def test_noise_is_drawn_from_a_seed_of_this_agent_this_job_and_this_model(
    tmp_path: Path,
) -> None:
    """Who knows the seed subtracts the noise; two models of one seed would share it."""
    given = []
    for name in ("one", "other"):
        world = EvaluatedWorld(tmp_path / name)
        world.blobs[MODEL] = PARAMETERS
        await world.consented()
        await world.ask("mask", world.mask_body(await world.met(), **shown(MODEL)))
        (asked,) = world.counting.given
        job = world.store.job(JOB)
        assert job
        own = [derive(job.secret, 32, "seed", stage=STAGE, model=one).hex() for one in WANTED]
        assert asked["seed"] == own[0] != own[1]
        assert asked["key"] == derive(job.secret, 32, "rows of a unit").hex()
        given += [asked["seed"], asked["key"]]
    assert len({*given, "00" * 32}) == 5


async def test_models_whose_totals_may_lack_a_party_are_refused_without_a_question(
    tmp_path: Path,
) -> None:
    """They are over the same rows: of two totals the difference would be that party's."""
    four, free = (ME, "bank-b", "bank-c", "bank-d"), {**BUDGET, "required": False}
    for least in (3, 4):
        exact = {"privacy": None, "min_contributors": least}
        world = EvaluatedWorld(
            tmp_path / str(least), parties=four, spec_changes=exact, privacy=free
        )
        if least == 4:
            assert await world.consented()
            continue
        with pytest.raises(SecureFlowError) as caught:
            await world.consented()
        assert caught.value.code == "contradictory_spec"
        assert caught.value.details["field"] == "min_contributors"
        assert world.assembly.inbox.list(waiting=False) == []
        assert world.store.job(JOB) is None


async def test_other_sums_than_those_on_record_are_not_sent(world: EvaluatedWorld) -> None:
    await world.consented()
    body = world.mask_body(await world.met(), **shown(MODEL))
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
        {"model": None},
        shown(OTHER),  # the second round's
        shown(MODEL, artifact=OTHER),
        {**shown(MODEL), "moments": [1.0]},
        {**shown(MODEL), "round": 2},
        {**shown(MODEL), "round": 3},
    ],
)
async def test_a_round_measures_the_approved_model_and_no_other(
    world: EvaluatedWorld, changes: dict[str, Any]
) -> None:
    world.blobs[OTHER] = PARAMETERS
    await world.consented()
    body = world.mask_body(await world.met(), **changes)
    assert (await refused(world, body)).code in {"invalid_request", "stale_round", "unknown_round"}
    assert (world.vectors.sent, world.counting.given) == ([], [])


async def test_a_model_that_is_not_its_digest_is_not_computed_with(world: EvaluatedWorld) -> None:
    """A file that a power cut left half is fetched again; what the centre sends is checked."""
    await world.consented()
    path = world.settings.models / JOB / f"{MODEL}.blob"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half")
    await world.ask("mask", world.mask_body(await world.met(), **shown(MODEL)))
    assert path.read_bytes() == PARAMETERS


@pytest.mark.parametrize(
    ("features", "code"),
    [
        ({**FEATURES, "numeric": [{**FEATURES["numeric"][0], "column": "height"}]},
         "column_not_granted"),
        ({**FEATURES, "label": {"column": "job", "positive": "z"}}, "unknown_category"),
        ({**FEATURES, "categorical": [{"column": "job", "categories": ["x"]}]},
         "unknown_category"),
    ],
)  # fmt: skip
def test_an_owner_checks_what_each_model_reads(
    world: EvaluatedWorld, features: dict[str, Any], code: str
) -> None:
    models = [
        {"job": "job_aaaaaaaaaa", "digest": MODEL, "features": features,
         "model": {"family": "logistic_regression"}}
    ]  # fmt: skip
    spec = world.make_spec(models=models)
    with pytest.raises(SecureFlowError) as caught:
        check_declared(spec, world.settings.datasets[0])
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("bounds", "code"),
    [
        ([0, 100], ""),
        ([-10, 200], ""),
        ([0, 99], "bounds_too_narrow"),
        ([-1000, 100_001], "bounds_too_wide"),
    ],
)
@pytest.mark.parametrize("noised", [True, False])
def test_a_number_that_models_predict_has_its_owners_bounds(
    world: EvaluatedWorld, bounds: list[float], code: str, noised: bool
) -> None:
    features = {"label": {"column": "age", "bounds": bounds}, "categorical": [
        {"column": "job", "categories": ["x", "y"]}
    ]}  # fmt: skip
    models = [
        {"job": "job_aaaaaaaaaa", "digest": MODEL, "features": features,
         "model": {"family": "linear"}}
    ]  # fmt: skip
    spec = world.make_spec(models=models, **({} if noised else {"privacy": None}))
    if not code:
        check_declared(spec, world.settings.datasets[0])
        return
    with pytest.raises(SecureFlowError) as caught:
        check_declared(spec, world.settings.datasets[0])
    assert caught.value.code == code


def test_the_noise_hides_as_many_rows_of_a_unit_as_its_owner_counts(world: EvaluatedWorld) -> None:
    dataset = world.settings.datasets[0]
    assert dataset.privacy is not None
    repeated = replace(dataset, privacy=replace(dataset.privacy, rows_per_person=3))
    with pytest.raises(SecureFlowError) as caught:
        check_declared(world.make_spec(contributions=2), repeated)
    assert caught.value.code == "bounds_too_narrow"
    assert caught.value.details["field"] == "contributions"
    check_declared(world.make_spec(contributions=3), repeated)
    check_declared(world.make_spec(contributions=2, privacy=None), repeated)


def test_rows_are_held_out_by_a_key_that_the_owner_declares(world: EvaluatedWorld) -> None:
    """It is refused before anybody is asked, and policies see which column it is."""
    spec = world.make_spec(held_out={"share": 0.2})
    dataset = replace(world.settings.datasets[0], privacy=None)
    with pytest.raises(SecureFlowError) as caught:
        check_declared(spec, dataset)
    assert caught.value.code == "key_undeclared"
    settings = world.settings.model_copy(update={"datasets": (replace(dataset, key="customer"),)})
    for one, seen in ((spec, {"key": "customer"}), (world.make_spec(), {})):
        asked = check_request(
            one,
            party="bank-a",
            key=one.keys["bank-a"],
            charter=world.charter,
            settings=settings,
            check_columns=lambda *_: None,
        )
        assert {name: value for name, value in asked.items() if name == "key"} == seen


def test_weights_of_the_training_need_no_column_where_a_model_is_applied(
    world: EvaluatedWorld,
) -> None:
    weighted = {**FEATURES, "weight": {"column": "exposure", "bounds": [0, 1]}}
    models = [
        {"job": "job_aaaaaaaaaa", "digest": MODEL, "features": weighted,
         "model": {"family": "logistic_regression"}}
    ]  # fmt: skip
    spec = world.make_spec(models=models)
    assert "exposure" not in spec.column_names
    check_declared(spec, world.settings.datasets[0])
