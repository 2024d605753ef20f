"""Code that computes a released model is decided about as code that trains one is."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, ClassVar

import pytest
from peers.accounting import Analytic
from peers.agent_world import ALLOW

from secureflow.agent.settings import AgentSettings
from secureflow.domain.specs.base import parse, spec_digest
from secureflow.domain.specs.evaluation import EvaluationSpec
from secureflow.domain.specs.prediction import PredictionSpec
from secureflow.engines.bundles import Bundle, pack, unpack
from secureflow.kit.canonical import b64decode
from secureflow.kit.errors import SecureFlowError
from tests.unit.agent.test_bundle_consent import (
    BUDGET,
    CODE,
    ENVIRONMENT,
    FEATURES,
    LOOKS,
    NEWER,
    Place,
    arrived,
    part,
    refusal,
)

MODEL = "12" * 32
SPECS: dict[str, Any] = {"evaluation": EvaluationSpec, "prediction": PredictionSpec}
PRIVATE = {"delta": 1e-6, "noise_multiplier": 5.0}


class Applied(Place):
    """An agent that is asked to apply a model of code."""

    kind: ClassVar[str]

    @property
    def settings(self) -> AgentSettings:
        found = super().settings
        protections = (*found.consent.protections, "secagg")
        consent = found.consent.model_copy(update={"protections": protections})
        return found.model_copy(update={"consent": consent})

    def make_spec(self, **changes: Any) -> Any:
        code = changes.pop("code", CODE)
        environment = changes.pop("environment", ENVIRONMENT)
        if "features" in changes:  # of a training, in the same world
            return super().make_spec(**changes)
        family = part(code, environment)["model"]
        model = {"job": "job_aaaaaaaaaa", "digest": MODEL, "features": FEATURES, "model": family,
                 "seed": 7}  # fmt: skip
        roster = [
            {"party": p, "key": k.public, "dataset": "customers"} for p, k in self.keys.items()
        ]
        named = {"model": model} if self.kind == "prediction" else {"models": [model]}
        value = {"project": "prj_0123456789", "name": "figures", "purpose": "credit scoring",
                 "submitter": "usr_alice", "roster": roster, **named}  # fmt: skip
        return parse(SPECS[self.kind], {**value, **changes})


class Evaluated(Applied):
    kind = "evaluation"


class Predicted(Applied):
    kind = "prediction"


KINDS: list[type[Applied]] = [Evaluated, Predicted]


def place(kind: type[Applied], tmp_path: Path, policy: str = "", **more: Any) -> Applied:
    return kind(tmp_path / "agent", policy=policy, **{"confines": True, "spec_changes": {}, **more})


async def approved(here: Applied) -> Any:
    """Ask for consent that no person has to give."""
    async with asyncio.timeout(30):
        return (await here.consent())["approval"]


def permit(kind: type[Applied], when: str = "true") -> str:
    return f"""permit(principal, action == Action::"{kind.kind}", resource) when {{ {when} }};"""


NAMED = f'context.bundle_digest == "{CODE.digest}"'
GIVEN = [
    'context.purpose == "credit scoring"',
    'context.submitter == "usr_alice"',
    f'context.starts_from == "{MODEL}"',
    'context.settings_digest != ""',
    "!context.dp",
]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_policy_about_data_or_the_model_allows_no_code(
    kind: type[Applied], tmp_path: Path
) -> None:
    model = f'context.model == "{MODEL}"'
    if kind is Evaluated:
        model = f'["{MODEL}"].containsAll(context.models)'
    other = f'context.bundle_digest == "{NEWER.digest}"'
    training = LOOKS["it names the code"]  # which is about another deed
    texts = ["", ALLOW, training, *(permit(kind, one) for one in (*GIVEN, model, other))]
    for at, text in enumerate(texts):
        (tmp_path / str(at)).mkdir()
        here = place(kind, tmp_path / str(at), text)
        asking = asyncio.create_task(here.consent())
        item = await arrived(here, asking)
        assert item.request["bundle_digest"] == CODE.digest, text
        told = await here.review(item.id)
        assert unpack(b64decode(told["packed"])).files == CODE.files
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_policy_that_names_the_code_allows_it(kind: type[Applied], tmp_path: Path) -> None:
    here = place(kind, tmp_path, permit(kind, f'{NAMED} && context.starts_from == "{MODEL}"'))
    assert await approved(here)
    assert here.store.approved_bundle(CODE.digest) is not None
    assert here.assembly.bundles.kept(CODE.digest) is not None


async def test_code_whose_predictions_go_to_somebody_needs_both_looked_at(tmp_path: Path) -> None:
    goes = 'context.deliver == "bank-b"'
    one_each = (NAMED, goes)  # neither was written about this code's predictions going to anybody
    for at, (whens, asks) in enumerate(
        (((NAMED,), True), ((goes,), True), (one_each, True), ((f"{NAMED} && {goes}",), False))
    ):
        (tmp_path / str(at)).mkdir()
        delivered = {"deliver": {"to": "bank-b"}}
        policy = "\n".join(permit(Predicted, when) for when in whens)
        here = place(Predicted, tmp_path / str(at), policy, spec_changes=delivered)
        asking = asyncio.create_task(here.consent())
        if asks:
            await arrived(here, asking)
        else:
            assert (await asyncio.wait_for(asking, 30))["approval"]
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


@pytest.mark.parametrize("kind", KINDS)
async def test_what_an_owner_approved_for_a_training_is_compared_with(
    kind: type[Applied], tmp_path: Path
) -> None:
    """The same code is known, and what it is given is not the same; other code is shown beside."""
    here = place(kind, tmp_path, LOOKS["it names the code"])
    scoring = here.spec
    here.change(**part(settings={"k": 1}))
    await approved(here)
    here.spec, here.digest = scoring, spec_digest(scoring)
    asking = asyncio.create_task(here.ask("consent", here.consent_body(job="job_another000")))
    told_of = await arrived(here, asking)
    told = await here.review(told_of.id)
    assert told["approved_job"]
    assert told["given"]["settings"] == {"k": 1}
    here.assembly.inbox.decide(told_of.id, "approved", "")
    here.assembly.inbox.wake(told_of.id)
    assert (await asyncio.wait_for(asking, 30))["approval"]
    again = asyncio.create_task(here.ask("consent", here.consent_body(job="job_another002")))
    told = await here.review((await arrived(here, again)).id)
    assert told["given"]["job"] == "job_another000"
    assert told["given"]["others"]["model.digest"] == MODEL
    here.change(code=NEWER)
    newer = asyncio.create_task(here.ask("consent", here.consent_body(job="job_another001")))
    while len(here.assembly.inbox.list()) < 2:
        assert not newer.done(), newer
        await asyncio.sleep(0.001)
    item = next(o for o in here.assembly.inbox.list() if o.job == "job_another001")
    told = await here.review(item.id)
    assert unpack(b64decode(told["before"])).digest == CODE.digest
    newer.cancel()
    again.cancel()
    await asyncio.gather(again, newer, return_exceptions=True)


@pytest.mark.parametrize("kind", KINDS)
async def test_what_cannot_run_here_is_refused_before_anybody_is_asked(
    kind: type[Applied], tmp_path: Path
) -> None:
    here = place(kind, tmp_path, permit(kind, NAMED), confines=False)
    assert (await refusal(here)).code == "sandbox_missing"
    here.confines = True
    here.reopen()
    here.change(environment="aa" * 32)
    assert (await refusal(here)).code == "environment_unknown"
    here.change()
    here.blobs[CODE.digest] = pack(Bundle({"model.py": b"x = 1\n"}))
    assert (await refusal(here)).code == "digest_mismatch"


async def test_noise_for_what_code_computes_is_refused(tmp_path: Path) -> None:
    changes = {"privacy": PRIVATE}
    here = place(Evaluated, tmp_path, permit(Evaluated, NAMED), spec_changes=changes,
                 privacy={**BUDGET, "unit": "record"}, accounting=Analytic())  # fmt: skip
    error = await refusal(here)
    assert error.code == "contradictory_spec"
    assert "one row moves its sums without bound" in error.message
    assert not (here.directory / "bundles").exists()


@pytest.mark.parametrize("kind", KINDS)
async def test_an_owner_that_demands_privacy_gives_code_nothing(
    kind: type[Applied], tmp_path: Path
) -> None:
    """Not even where its predictions stay with it: a failure, or the time, tells something."""
    given = {"accounting": Analytic(), "privacy": {**BUDGET, "unit": "record"}}
    here = place(kind, tmp_path, permit(kind, NAMED), **given)
    error = await refusal(here)
    assert error.code == "privacy_required"
    assert "by failing, or by the time" in error.message
    assert "built-in family" in error.hint
    free = {"unit": "record", "required": False}
    (tmp_path / "free").mkdir()
    here = place(kind, tmp_path / "free", permit(kind, NAMED), accounting=Analytic(),
                 privacy={**BUDGET, **free})  # fmt: skip
    assert await approved(here)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_spec_that_contradicts_itself_is_refused_by_the_agent(
    kind: type[Applied], tmp_path: Path
) -> None:
    """Whatever the centre let through."""
    here = place(kind, tmp_path, permit(kind, NAMED))
    family = part()["model"]
    bare = {"job": "job_aaaaaaaaaa", "digest": MODEL, "features": FEATURES, "model": family}
    named = {"model": bare} if kind is Predicted else {"models": [bare]}
    here.change(**named)
    with pytest.raises(SecureFlowError, match="made with one") as caught:
        await here.consent()
    assert caught.value.code == "contradictory_spec"
