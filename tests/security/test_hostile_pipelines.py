"""A hostile centre and an approved pipeline: it gets the steps that were approved, and no other.

The owner has approved a preparation, a training on what it makes, and the model's evaluation. The
centre tries to have another model evaluated, another recipe applied, a step left out or run twice,
or more than was approved. None of it is approved here, and nobody is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from peers.agent_world import NOW, World

from secureflow.agent.record.records import RoundRecord
from secureflow.agent.record.stepmoments import keep_moments
from secureflow.agent.settings import AgentSettings, ConsentSettings
from secureflow.domain.ids import part_id
from secureflow.domain.specs.base import JobSpec, dump, parse, spec_digest
from secureflow.domain.specs.conditions import signed_metrics
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.domain.specs.outputs import Given, Outputs
from secureflow.domain.specs.partforms import Part
from secureflow.domain.specs.pipeline import PipelineSpec
from secureflow.domain.specs.provisional import provisional_recipe
from secureflow.domain.specs.signedoutputs import moments_digest
from secureflow.engines.ledger.ends import FINISHED
from secureflow.engines.ledger.leaves import leaf_from_json
from secureflow.kit.errors import SecureFlowError
from tests.unit.engines.pipeline.world import FIT, gated, steps_of

PIPELINE = "job_1m8nje847evwjh6gfj1c"
OTHER = "job_1m8nje847evwjh6gfj1d"
ASKS = 'permit(principal, action == Action::"pipeline", resource);'
"""Pipelines are allowed; each of their jobs alone waits for a person."""
MODEL = "ab" * 32
PREPARE, TRAIN, AGAIN, TEST, LAST = 1, 3, 4, 5, 7
"""Numbers of parts: there are two attempts at each step."""


class MaskedWorld(World):
    """Its owner lets sums be masked alone."""

    @property
    def settings(self) -> AgentSettings:
        consent = ConsentSettings(protections=("secagg", "sealed"))
        return super().settings.model_copy(update={"consent": consent})


class Centre:
    """What an honest centre does with the pipeline, one act at a time."""

    def __init__(self, world: World, **training: Any) -> None:
        self.world = world
        roster = [{"party": p, "key": k.public, "dataset": "customers"}
                  for p, k in world.keys.items()]  # fmt: skip
        head = {"project": "prj_0123456789", "name": "risk", "purpose": "testing",
                "submitter": "ann", "roster": roster}  # fmt: skip
        steps = steps_of(roster, **training)
        steps.append({"id": "again", "job": steps[0]["job"]})  # it takes nothing of others
        value = {**head, "steps": steps, "attempts": 2}
        self.spec = parse(PipelineSpec, value)
        SPEC_KINDS.check(self.spec)
        self.given: dict[str, Given] = {}

    @cached_property
    def recipe(self) -> Outputs:
        job, spec = part_id(PIPELINE, PREPARE), self.part(PREPARE)
        fitted = replace(provisional_recipe(spec), job=job, spec=spec_digest(spec), fits=(FIT,))
        return Outputs(recipe=fitted)

    def part(self, number: int) -> Any:
        return self.spec.derived(PIPELINE, number, self.given)

    def gave(self, number: int, outputs: Outputs) -> None:
        step = self.spec.steps[self.spec.place(number)[0] - 1].id
        self.given[step] = Given(self.part(number), part_id(PIPELINE, number), outputs)

    async def approve(self, number: int) -> Any:
        return await self.offer(part_id(PIPELINE, number), self.part(number))

    async def offer(self, job: str, spec: Any) -> Any:
        return await self.world.ask("consent", body(spec, job))

    async def end(self, number: int, model: str = "", outcome: str = "succeeded") -> None:
        """End a part here; this party has measured the model, or made the recipe's sums, itself."""
        job, digest = part_id(PIPELINE, number), spec_digest(self.part(number))
        if self.part(number).kind == "preparation" and outcome == "succeeded":
            self.fit(number, 1)
        stored = {"digest": model, "artifact": model, "size": 8} if model else None
        if model:
            with self.world.store.transaction():
                self.world.store.add_round(
                    RoundRecord(job, 3, "evaluate", model, "cd" * 32, 40, 0.1, 1, "ef" * 32)
                )
        asked = {"job": job, "digest": digest, "outcome": outcome, "model": stored}
        await self.world.ask("finish", {**asked, "head": self.world.head()})

    def fit(self, number: int, place: int) -> None:
        """Have this party make the sums of a round of a preparation."""
        job = part_id(PIPELINE, number)
        with self.world.store.transaction():
            self.world.store.add_round(
                RoundRecord(job, place, "fit", "ab" * 32, "cd" * 32, 0, 0.1, 1, "ef" * 32)
            )

    async def sign(self, number: int, outputs: Any, **more: Any) -> Any:
        signed = outputs.signed() if isinstance(outputs, Outputs) else outputs
        asked = {"job": PIPELINE, "digest": spec_digest(self.spec), "number": number}
        return await self.world.ask("step", {**asked, "outputs": signed, **more})

    async def end_unseen(self, number: int) -> None:
        """End a part here as a success of which this party has seen no round."""
        asked = {"job": part_id(PIPELINE, number), "digest": spec_digest(self.part(number))}
        ending = {"outcome": "succeeded", "model": None, "head": self.world.head()}
        await self.world.ask("finish", asked | ending)

    async def succeed(self, outcome: str = "succeeded") -> None:
        """End the pipeline itself."""
        asked = {"job": PIPELINE, "digest": spec_digest(self.spec), "outcome": outcome}
        await self.world.ask("finish", {**asked, "model": None, "head": self.world.head()})

    async def run(self, number: int, outputs: Outputs) -> None:
        await self.approve(number)
        await self.end(number, outputs.model)
        await self.sign(number, outputs)
        self.gave(number, outputs)

    async def begin(self) -> None:
        self.world.record(await self.offer(PIPELINE, self.spec))

    async def prepared(self) -> None:
        await self.begin()
        await self.run(PREPARE, self.recipe)

    async def trained(self) -> None:
        await self.prepared()
        await self.run(TRAIN, Outputs(MODEL, 2))


def body(spec: Any, job: str) -> dict[str, Any]:
    return {"job": job, "digest": spec_digest(spec), "spec": dump(spec), "expires": NOW + 86_400}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return MaskedWorld(tmp_path / "agent", policy=ASKS)


@pytest.fixture
def centre(world: World) -> Centre:
    return Centre(world)


async def refused(asking: Awaitable[Any], code: str) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        async with asyncio.timeout(20):
            await asking
    assert caught.value.code == code, caught.value
    return caught.value


async def test_one_approval_covers_every_step_and_nobody_is_asked_again(
    world: World, centre: Centre
) -> None:
    await centre.trained()
    await centre.approve(TEST)
    job = world.store.job(part_id(PIPELINE, TEST))
    assert job is not None
    assert job.spec["models"][0]["digest"] == MODEL
    assert job.spec["models"][0]["features"]["recipe"]["fits"] == [FIT]
    assert world.assembly.inbox.list(waiting=False) == []
    kinds = [leaf.kind for leaf in world.store.leaves(PIPELINE)]
    assert kinds == ["approval", "step", "step"]


async def test_a_killed_agent_goes_on_with_what_it_signed(world: World, centre: Centre) -> None:
    await centre.begin()
    await centre.approve(PREPARE)
    world.reopen()
    await centre.end(PREPARE)
    world.reopen()
    first = await centre.sign(PREPARE, centre.recipe)
    world.reopen()
    assert (await centre.sign(PREPARE, centre.recipe))["leaf"] == first["leaf"]
    centre.gave(PREPARE, centre.recipe)
    world.reopen()
    await centre.approve(TRAIN)


Attack = Callable[[World, Centre], Awaitable[tuple[str, JobSpec]]]
"""Prepares an attack; returns the job and the spec that the centre then asks about."""
ATTACKS: dict[str, Attack] = {}


def attack(one: Attack) -> Attack:
    ATTACKS[one.__name__] = one
    return one


@attack
async def another_model_is_evaluated(_: World, centre: Centre) -> tuple[str, JobSpec]:
    await centre.trained()
    centre.gave(TRAIN, Outputs("cd" * 32, 2))
    return part_id(PIPELINE, TEST), centre.part(TEST)


@attack
async def what_is_provisional_is_evaluated(_: World, centre: Centre) -> tuple[str, JobSpec]:
    await centre.trained()
    spec: Any = centre.spec.steps[2].job
    part = Part(PIPELINE, TEST, "test")
    return part_id(PIPELINE, TEST), replace(spec, name="risk: test", part_of=part)


@attack
async def another_recipe_is_applied(_: World, centre: Centre) -> tuple[str, JobSpec]:
    await centre.prepared()
    fit = {"columns": {"age": {"mean": 3.0, "std": 0.01}}}
    assert centre.recipe.recipe is not None
    centre.gave(PREPARE, Outputs(recipe=replace(centre.recipe.recipe, fits=(fit,))))
    return part_id(PIPELINE, TRAIN), centre.part(TRAIN)


@attack
async def the_recipe_of_another_job_is_applied(_: World, centre: Centre) -> tuple[str, JobSpec]:
    await centre.prepared()
    spec = centre.part(TRAIN)
    recipe = replace(spec.features.recipe, job=OTHER)
    return part_id(PIPELINE, TRAIN), replace(spec, features=replace(spec.features, recipe=recipe))


@attack
async def a_step_is_left_out(_: World, centre: Centre) -> tuple[str, JobSpec]:
    await centre.prepared()
    centre.gave(TRAIN, Outputs(MODEL, 2))
    return part_id(PIPELINE, TEST), centre.part(TEST)


@attack
async def a_step_is_left_out_before_one_that_takes_nothing(
    _: World, centre: Centre
) -> tuple[str, JobSpec]:
    await centre.trained()
    return part_id(PIPELINE, LAST), centre.part(LAST)


@attack
async def a_step_begins_before_its_outputs_were_signed(
    _: World, centre: Centre
) -> tuple[str, JobSpec]:
    await centre.begin()
    await centre.approve(PREPARE)
    await centre.end(PREPARE)
    centre.gave(PREPARE, centre.recipe)
    return part_id(PIPELINE, TRAIN), centre.part(TRAIN)


@attack
async def a_step_that_succeeded_is_repeated(_: World, centre: Centre) -> tuple[str, JobSpec]:
    await centre.prepared()
    return part_id(PIPELINE, PREPARE + 1), centre.part(PREPARE + 1)


@attack
async def a_step_that_succeeded_here_and_was_not_signed_is_repeated(
    _: World, centre: Centre
) -> tuple[str, JobSpec]:
    await centre.prepared()
    await centre.approve(TRAIN)
    await centre.end(TRAIN, MODEL)
    return part_id(PIPELINE, AGAIN), centre.part(AGAIN)


@attack
async def a_step_that_goes_on_is_begun_again(_: World, centre: Centre) -> tuple[str, JobSpec]:
    await centre.prepared()
    await centre.approve(TRAIN)
    return part_id(PIPELINE, AGAIN), centre.part(AGAIN)


@attack
async def more_attempts_than_were_approved(_: World, centre: Centre) -> tuple[str, JobSpec]:
    await centre.trained()
    spec = replace(centre.part(TEST), part_of=Part(PIPELINE, 9, "again"))
    return part_id(PIPELINE, 9), spec


@attack
async def a_step_that_is_wider(_: World, centre: Centre) -> tuple[str, JobSpec]:
    await centre.trained()
    return part_id(PIPELINE, TEST), replace(centre.part(TEST), per_party=True)


@attack
async def more_rounds(_: World, centre: Centre) -> tuple[str, JobSpec]:
    await centre.prepared()
    spec = centre.part(TRAIN)
    return part_id(PIPELINE, TRAIN), replace(spec, plan=replace(spec.plan, rounds=9))


class Gated(Centre):
    """It has a further training, if the model is good enough; that is for the evaluation to say."""

    def __init__(self, world: World, **when: Any) -> None:
        super().__init__(world)
        roster = dump(self.spec)["roster"]
        self.spec = parse(PipelineSpec, {**dump(self.spec), "steps": gated(roster, **when)})
        SPEC_KINDS.check(self.spec)

    async def tested(self, auc: float, **more: Any) -> Any:
        await self.trained()
        await self.approve(TEST)
        self.measure()
        await self.end(TEST)
        outputs = Outputs(metrics=tuple(signed_metrics([{"rows": 60.0, "auc": auc}])))
        self.gave(TEST, outputs)
        return await self.sign(TEST, outputs.signed() | more)

    def measure(self) -> None:
        """Have this party make the sums of the evaluation's round."""
        with self.world.store.transaction():
            self.world.store.add_round(
                RoundRecord(part_id(PIPELINE, TEST), 1, "measure", MODEL, "cd" * 32, 40, 0.1, 1,
                            "ef" * 32)
            )  # fmt: skip


GATED, AFTER, OTHER_STEP = 7, 9, 11
"""Numbers of parts: the step on a condition, the one that needs it, one that needs nothing."""


async def test_a_step_whose_condition_does_not_hold_is_refused(world: World) -> None:
    """Its figure is the one that this party signed, whatever the centre says later."""
    centre = Gated(world)
    await centre.tested(0.799999)
    error = await refused(centre.approve(GATED), "signed_otherwise")
    assert "AUC of test is 0.799999, less than 0.8" in error.message
    accused(world, error, "consent")
    other = [{"rows": "60.000000", "auc": "0.900000"}]
    error = await refused(centre.sign(TEST, {"metrics": other}), "signed_otherwise")
    assert "other outputs of this step were signed before" in error.message
    await refused(centre.approve(GATED), "signed_otherwise")
    assert world.store.job(part_id(PIPELINE, GATED)) is None


async def test_who_says_something_else_of_a_step_than_was_signed_is_accused(world: World) -> None:
    """Each party signs alone: that the centre told another one else no party sees of itself."""
    centre = Gated(world)
    await centre.tested(0.9)
    other = [{"rows": "60.000000", "auc": "0.700000"}]
    error = await refused(centre.sign(TEST, {"metrics": other}), "signed_otherwise")
    accused(world, error, "step")
    await refused(centre.sign(TEST, {"metrics": other}), "signed_otherwise")
    kinds = [leaf.kind for leaf in world.store.leaves(PIPELINE)]
    assert kinds.count("accusation") == 1, "one refusal makes one leaf, however often"


def accused(world: World, error: SecureFlowError, verb: str) -> None:
    """The centre is accused in the pipeline's own record, and the request is kept."""
    told = error.details["accusation"]["document"]
    assert (told["code"], told["refused"], told["against"]) == (error.code, verb, ["server"])
    assert leaf_from_json(error.details["accusation"]["leaf"]).leaf.job == PIPELINE
    assert (world.settings.evidence / f"accusation-{told['evidence']}.json").is_file()


async def test_what_needs_a_skipped_step_is_refused_and_the_others_are_due(world: World) -> None:
    centre = Gated(world)
    await centre.tested(0.7)
    given = Given(centre.part(TRAIN), part_id(PIPELINE, GATED), Outputs("cd" * 32, 2))
    centre.given["again"] = given
    error = await refused(centre.approve(AFTER), "signed_otherwise")
    assert "it needs again, which is skipped" in error.message
    await centre.approve(OTHER_STEP)
    assert world.store.job(part_id(PIPELINE, OTHER_STEP)) is not None


async def test_a_step_whose_condition_holds_is_not_left_out(world: World) -> None:
    centre = Gated(world)
    await centre.tested(0.8)
    error = await refused(centre.approve(OTHER_STEP), "part_refused")
    assert "again has not ended here" in error.message
    await centre.approve(GATED)
    assert world.store.job(part_id(PIPELINE, GATED)) is not None


async def test_a_success_without_a_step_whose_condition_holds_is_not_witnessed(
    world: World,
) -> None:
    """Nobody signs a skip: a centre could leave out what no later step would miss."""
    centre = Gated(world)
    await centre.tested(0.8)
    error = await refused(centre.succeed(), "part_refused")
    assert "its step again has neither ended here nor is to be skipped" in error.message
    assert "accusation" not in error.details, "a restored record would lack it as well"
    record = world.store.job(PIPELINE)
    assert record is not None
    assert record.outcome == ""
    assert "finished" not in {leaf.kind for leaf in world.store.leaves(PIPELINE)}


async def test_a_success_with_every_step_that_is_due_is_witnessed(world: World) -> None:
    centre = Gated(world)
    await centre.tested(0.7)
    error = await refused(centre.succeed(), "part_refused")
    assert "its step other has neither ended" in error.message
    await centre.run(OTHER_STEP, Outputs())
    await centre.succeed()
    record = world.store.job(PIPELINE)
    assert record is not None
    assert record.outcome == "succeeded"


async def test_a_pipeline_that_failed_ends_with_what_it_has(world: World) -> None:
    centre = Gated(world)
    await centre.tested(0.8)
    await centre.succeed(outcome="failed")
    record = world.store.job(PIPELINE)
    assert record is not None
    assert record.outcome == "failed"


async def test_a_step_is_not_begun_before_the_figures_were_signed(world: World) -> None:
    centre = Gated(world)
    await centre.trained()
    await refused(centre.approve(GATED), "part_refused")


async def test_figures_of_an_evaluation_that_never_ran_are_not_signed(world: World) -> None:
    """A centre that ends it without a round could say that any model is good enough."""
    centre = Gated(world)
    centre.measure = lambda: None  # type: ignore[method-assign]
    error = await refused(centre.tested(0.9), "part_refused")
    assert "made the sums of 0 of the 1 rounds" in error.message


@pytest.mark.parametrize("figures", [
    None, [], [{"auc": 0.9}], [{"auc": "0.9"}], [{"auc": "1e3"}], [{"AUC": "0.900000"}], "x",
    [{"auc": "0.900000"}] * 2, [{f"m{n}": "0.000000" for n in range(65)}],
])  # fmt: skip
async def test_figures_of_another_form_are_not_signed(world: World, figures: Any) -> None:
    centre = Gated(world)
    await refused(centre.tested(0.9, metrics=figures), "part_refused")


async def test_figures_that_decide_are_told_and_no_others(world: World, tmp_path: Path) -> None:
    centre = Gated(world)
    await centre.trained()
    await centre.approve(TEST)
    centre.measure()
    await centre.end(TEST)
    await refused(centre.sign(TEST, {}), "part_refused")
    plain = Centre(MaskedWorld(tmp_path / "other", policy=ASKS))
    await plain.trained()
    await plain.approve(TEST)
    await plain.end(TEST)
    await refused(plain.sign(TEST, {"metrics": [{"auc": "0.900000"}]}), "part_refused")


@attack
async def the_same_step_as_another_job(_: World, centre: Centre) -> tuple[str, JobSpec]:
    await centre.prepared()
    return OTHER, centre.part(TRAIN)


@attack
async def another_kind_in_the_place_of_a_step(_: World, centre: Centre) -> tuple[str, JobSpec]:
    await centre.trained()
    spec = replace(centre.part(TRAIN), part_of=Part(PIPELINE, TEST, "test"))
    return part_id(PIPELINE, TEST), spec


@pytest.mark.parametrize("name", ATTACKS)
async def test_what_is_not_due_is_refused(world: World, centre: Centre, name: str) -> None:
    job, spec = await ATTACKS[name](world, centre)
    approved = world.store.job(job)
    error = await refused(centre.offer(job, spec), "part_refused")
    assert PIPELINE in error.message
    assert world.store.job(job) == approved
    assert world.assembly.inbox.list(waiting=False) == []


async def test_a_step_that_failed_is_tried_again_as_often_as_was_approved(
    world: World, centre: Centre
) -> None:
    await centre.prepared()
    await centre.approve(TRAIN)
    await centre.end(TRAIN, outcome="failed")
    assert await centre.approve(AGAIN)
    await centre.end(AGAIN, MODEL)
    await centre.sign(AGAIN, Outputs(MODEL, 2))
    centre.gave(AGAIN, Outputs(MODEL, 2))
    assert await centre.approve(TEST)


@pytest.mark.parametrize(
    ("outputs", "reason"),
    [
        (Outputs("cd" * 32, 2), "another model"),
        (Outputs(), "another model"),
        ({"model": MODEL, "round": 2, "rows": 5}, "no outputs"),
        ({"model": MODEL, "round": True}, "no outputs"),
        (Outputs(MODEL, 2, moments=(2.0, 3.0)), "other sums"),
    ],
)
async def test_a_party_signs_only_what_its_own_record_says(
    world: World, centre: Centre, outputs: Any, reason: str
) -> None:
    await centre.prepared()
    await centre.approve(TRAIN)
    await centre.end(TRAIN, MODEL)
    keep_moments(world.store, PIPELINE, part_id(PIPELINE, TRAIN), moments_digest((1.0, 2.0)))
    error = await refused(centre.sign(TRAIN, outputs), "part_refused")
    assert reason in error.message
    assert [leaf.kind for leaf in world.store.leaves(PIPELINE)].count("step") == 1


async def test_a_model_of_the_centres_own_is_no_output_of_a_training_that_never_ran(
    world: World, centre: Centre
) -> None:
    """Its end at every party names no model: whatever was said would be evaluated on their rows."""
    await centre.prepared()
    await centre.approve(TRAIN)
    asked = {"job": part_id(PIPELINE, TRAIN), "digest": spec_digest(centre.part(TRAIN))}
    ending = {"outcome": "succeeded", "model": None, "head": world.head()}
    assert (await world.ask("finish", asked | ending))["document"]["outcome"] == "succeeded"
    error = await refused(centre.sign(TRAIN, Outputs("cd" * 32, 2)), "part_refused")
    assert "cannot tell which model" in error.message
    centre.gave(TRAIN, Outputs("cd" * 32, 2))
    await refused(centre.approve(TEST), "part_refused")
    assert world.store.job(part_id(PIPELINE, TEST)) is None


async def test_a_party_signs_the_outputs_of_a_step_once(world: World, centre: Centre) -> None:
    await centre.prepared()
    assert centre.recipe.recipe is not None
    other = Outputs(recipe=replace(centre.recipe.recipe, rows=7.0))
    error = await refused(centre.sign(PREPARE, other), "signed_otherwise")
    assert "signed before" in error.message


async def test_outputs_of_a_step_that_goes_on_or_failed_are_not_signed(
    world: World, centre: Centre
) -> None:
    await centre.begin()
    await refused(centre.sign(PREPARE, centre.recipe), "not_finished")
    await centre.approve(PREPARE)
    await refused(centre.sign(PREPARE, centre.recipe), "not_finished")
    await centre.end(PREPARE, outcome="failed")
    await refused(centre.sign(PREPARE, centre.recipe), "part_refused")


async def test_sums_that_change_between_rounds_are_refused(world: World) -> None:
    keep_moments(world.store, PIPELINE, OTHER, moments_digest((1.0, 2.0)))
    keep_moments(world.store, PIPELINE, OTHER, moments_digest((1.0, 2.0)))
    with pytest.raises(SecureFlowError) as caught:
        keep_moments(world.store, PIPELINE, OTHER, moments_digest((1.0, 3.0)))
    assert caught.value.code == "model_inconsistent"


async def test_nothing_is_signed_of_a_job_without_steps(tmp_path: Path) -> None:
    world = World(tmp_path / "agent")
    world.record(await world.ask("consent", world.consent_body()))
    asked = world.body(number=1, outputs={})
    await refused(world.ask("step", asked), "not_finished")


async def test_the_record_forgets_what_was_signed_when_the_pipeline_is_over(
    world: World, centre: Centre
) -> None:
    await centre.trained()
    assert world.store.fact(f"outputs/{PIPELINE}") == {
        "1": centre.recipe.signed(), "3": {"model": MODEL, "round": 2},
    }  # fmt: skip
    for number in (TEST, LAST):
        await centre.run(number, Outputs())
    await centre.succeed()
    assert world.store.fact(f"outputs/{PIPELINE}") is None
    await refused(centre.approve(AGAIN), "job_finished")


def test_this_partys_end_of_a_step_names_the_model(tmp_path: Path) -> None:
    """What `sign` compares is a leaf of this party, not a word of the centre."""
    world = MaskedWorld(tmp_path / "agent", policy=ASKS)
    centre = Centre(world)
    asyncio.run(centre.trained())
    leaf = world.store.leaf_of(part_id(PIPELINE, TRAIN), FINISHED)
    assert leaf is not None
    assert leaf.bundle["document"]["model"] == MODEL


def test_a_policy_that_forbids_a_step_forbids_the_pipeline(tmp_path: Path) -> None:
    none = 'forbid(principal, action == Action::"evaluation", resource);'
    world = MaskedWorld(tmp_path / "agent", policy=ASKS + none)
    centre = Centre(world)

    async def run() -> None:
        await refused(centre.begin(), "consent_refused")

    asyncio.run(run())
    assert world.store.job(PIPELINE) is None
