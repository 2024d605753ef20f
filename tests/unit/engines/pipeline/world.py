"""Honest parties that consent to a pipeline, and a centre that runs its steps, without a network.

`fail` are the numbers of parts that fail; a paused script is resumed at once.
"""

from __future__ import annotations

from typing import Any

from secureflow.domain.specs.base import dump, parse, spec_digest
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.domain.specs.outputs import provisional_model
from secureflow.domain.specs.pipeline import PipelineSpec
from secureflow.domain.specs.preparation import PreparationSpec
from secureflow.domain.specs.provisional import provisional_recipe
from secureflow.domain.specs.recipe_rules import with_inputs
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.kinds import PIPELINE_ENGINE
from secureflow.engines.run.run import JobContext
from secureflow.engines.script import AwaitResume, Effect, RunJob, Script
from secureflow.kit.errors import SecureFlowError
from tests.unit.engines.training.world import JOB, World

FAILED = {"code": "party_silent", "message": "bank-b is silent", "hint": "Start its agent."}
COLUMNS = [{"column": "age", "type": "number", "bounds": [0, 100]}]
STEPS = [{"step": "standardise", "columns": ["age"]}]
FIT = {"columns": {"age": {"mean": 41.5, "std": 12.25}}}
LABEL = {"column": "income", "positive": "high"}


def head_of(roster: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "project": "prj_0123456789", "name": "risk", "purpose": "testing",
        "submitter": "ann", "roster": roster,
    }  # fmt: skip


def steps_of(roster: list[dict[str, str]], **training: Any) -> list[dict[str, Any]]:
    """Return a preparation, the training that takes its recipe, and the model's evaluation."""
    head = head_of(roster)
    every = {"min_contributors": len(roster)}
    prepared = {**head, "kind": "preparation", "columns": COLUMNS, "steps": STEPS, **every}
    recipe = dump(provisional_recipe(parse(PreparationSpec, prepared)))
    features = with_inputs({"label": LABEL, "recipe": recipe})
    plan = {"rounds": 2, "draws": "words", "validation": 0.2}
    trained = {**head, "kind": "training", "features": features, "plan": plan, **every, **training}
    spec = parse(TrainingSpec, trained)
    model = dump(provisional_model("train", spec, spec.parties, None))
    tested = {**head, "kind": "evaluation", "models": [model], **every}
    return [
        {"id": "prepare", "job": prepared},
        {"id": "train", "job": trained,
         "takes": [{"input": "recipe", "step": "prepare", "output": "recipe"}]},
        {"id": "test", "job": tested,
         "takes": [{"input": "models", "step": "train", "output": "model"}]},
    ]  # fmt: skip


WHEN = {"step": "test", "metric": "auc", "at_least": 0.8}


def gated(roster: list[dict[str, str]], **when: Any) -> list[dict[str, Any]]:
    """Return the same, and a further training and its evaluation if the model is good enough."""
    steps = steps_of(roster)
    trained = parse(TrainingSpec, steps[1]["job"])
    model = dump(provisional_model("again", trained, trained.parties, None))
    takes = {"input": "models", "step": "again", "output": "model"}
    again = {**steps[1], "id": "again", "when": WHEN | when}
    last = {"id": "last", "job": {**steps[2]["job"], "models": [model]}, "takes": [takes]}
    return [*steps, again, last, {"id": "other", "job": steps[0]["job"]}]


def specified(roster: list[dict[str, str]], **changes: Any) -> PipelineSpec:
    value = {**head_of(roster), "kind": "pipeline", "steps": steps_of(roster), "attempts": 2}
    return parse(PipelineSpec, {**value, **changes})


def gave(effect: RunJob) -> dict[str, Any]:
    """Return what the job of a step gives, as its centre reports it."""
    spec: Any = SPEC_KINDS.parse(effect.spec)
    if spec.kind == "preparation":
        recipe = dump(provisional_recipe(spec))
        return {"recipe": {**recipe, "job": effect.job, "spec": effect.digest, "fits": [FIT]}}
    return {"model": f"{7:064x}", "round": 2} if spec.kind == "training" else {}


class PipelineWorld(World):
    """A preparation, a training, an evaluation."""

    fail: frozenset[int] = frozenset()
    ends: tuple[dict[str, Any], ...] = ()
    """Signed ends that the centre has of a training whose model not all parties compared."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.rounds = 0
        roster = [{"party": p, "key": k.public, "dataset": "d"} for p, k in self.keys.items()]
        self.spec: Any = specified(roster)
        SPEC_KINDS.check(self.spec)
        self.digest = spec_digest(self.spec)
        members = self._public(self.everybody)
        self.context: Any = JobContext(
            JOB, self.spec, self.digest, members, 2_000_000_000, "", None, facts=True
        )
        self.measured: list[dict[str, Any]] = []
        self.ran: list[tuple[str, Any]] = []
        self.paused: list[SecureFlowError] = []
        self.signed: dict[tuple[str, int], dict[str, Any]] = {}
        self.shown: dict[tuple[str, int], Any] = {}

    def script(self) -> Script[dict[str, Any]]:
        return PIPELINE_ENGINE.script("pipeline/1", self.context)

    def _perform(self, effect: Effect) -> Any:
        if isinstance(effect, AwaitResume):
            self.paused.append(SecureFlowError.from_json(dict(effect.error)))
            return {"by": "ann"}
        return self.run(effect) if isinstance(effect, RunJob) else super()._perform(effect)

    def run(self, effect: RunJob) -> dict[str, Any]:
        """End a part as its number says: once; a journal that lost the answer asks again."""
        spec = SPEC_KINDS.parse(effect.spec)
        SPEC_KINDS.check(spec)
        assert spec_digest(spec) == effect.digest
        if effect.job not in [job for job, _ in self.ran]:
            self.ran.append((effect.job, spec))
        if effect.spec["part_of"]["number"] in self.fail:
            return {"job": effect.job, "state": "failed", "error": FAILED}
        told = {"job": effect.job, "state": "succeeded", "report": {"rounds": 2}}
        if self.measured and spec.kind == "evaluation":
            told["report"] = {**told["report"], "measured": self.measured}
        ends = {"ends": list(self.ends)} if self.ends and spec.kind == "training" else {}
        return {**told, "outputs": gave(effect), **ends}

    def party_step(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        known = self.signed.setdefault((party, body["number"]), body["outputs"])
        assert known == body["outputs"], "a party was shown two outputs of a step"
        self.shown[party, body["number"]] = body.get("ends")
        document = {"number": body["number"], "outputs": body["outputs"]}
        return self._leaf(party, "step", document)
