"""Code is shown and decided about before it runs, and noise is credited only outside of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from peers.accounting import Analytic
from peers.agent_world import ALLOW, JOB, NOW, World

from secureflow.agent.edge.bundlecommands import BundleCommands
from secureflow.agent.owner.bundles import named_code
from secureflow.agent.owner.environments import FOLDER, Environments
from secureflow.domain.specs.base import SpecBase, dump, parse, spec_digest
from secureflow.domain.specs.tensors import TensorSpec, layout_digest
from secureflow.domain.specs.training import TrainingSpec
from secureflow.domain.specs.training_rules import check
from secureflow.engines.bundles import Bundle, pack, unpack
from secureflow.engines.privacy.accounting import Mechanism
from secureflow.engines.training.private import charge, released
from secureflow.kit.canonical import b64decode
from secureflow.kit.errors import SecureFlowError

CODE = Bundle({"model.py": b"class Model:\n    rate = 0.1\n"})
NEWER = Bundle({"model.py": b"class Model:\n    rate = 0.2\n"})
ENVIRONMENT = "cd" * 32
W = (TensorSpec("w", (3,)),)
FEATURES = {
    "label": {"column": "income", "positive": "high"},
    "numeric": [{"column": "age", "bounds": [0, 100], "scale": "bounds"}],
}
PARTY = {
    "delta": 1e-6, "unit": "party", "mechanism": "central", "noise_multiplier": 5.0, "rows": 1,
    "clipping_norm": 2.0, "party_unit_acknowledged": True,
}  # fmt: skip


def part(code: Bundle = CODE, environment: str = ENVIRONMENT, **more: Any) -> dict[str, Any]:
    """Return the members of a spec that brings code."""
    ref = {"digest": code.digest, "entry": "model:Model", "environment": environment}
    weights = [{"name": "w", "shape": [3], "dtype": "float32"}]
    return {
        "model": {"family": "bundle", "bundle": ref, "weights": weights, **more},
        "initial": {"model": "ef" * 32, "layout": layout_digest(W)},
        "features": FEATURES,
        "plan": {"rounds": 3, "validation": 0.0},
    }


def private(privacy: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**part(seconds=30), "privacy": privacy, **more}


class Place(World):
    """An agent with an environment, and a centre that has both bundles."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.blobs |= {one.digest: pack(one) for one in (CODE, NEWER)}
        described = {"name": "numpy", "digest": ENVIRONMENT, "python": "3.11.7", "packages": [],
                     "home": "numpy." + "0" * 16, "created": NOW}  # fmt: skip
        (self.directory / FOLDER).mkdir()
        (self.directory / FOLDER / "numpy.json").write_text(json.dumps(described))

    async def consent(self) -> dict[str, Any]:
        return await self.ask("consent", self.consent_body())

    async def review(self, item: str) -> dict[str, Any]:
        """Return what the owner's command line asks for."""
        agent = self.assembly
        environments = Environments(self.directory)
        commands = BundleCommands(agent.inbox, self.store, agent.bundles, environments)
        return dict(await commands.table()["bundle.review"](item=item))

    def change(self, **changes: Any) -> None:
        """Ask for another job from now on."""
        self.spec = self.make_spec(**changes)
        self.digest = spec_digest(self.spec)


def world(tmp_path: Path, policy: str = "", *, confines: bool = True, **more: Any) -> Place:
    given = {"spec_changes": part(), **more}
    return Place(tmp_path / "agent", policy=policy, confines=confines, **given)


async def arrived(place: World, asking: asyncio.Task[Any]) -> Any:
    """Return the request that lies in the inbox, once it does."""
    while not place.assembly.inbox.list():
        assert not asking.done(), asking
        await asyncio.sleep(0.001)
    return place.assembly.inbox.list()[0]


async def refusal(place: Place) -> SecureFlowError:
    """Return why consent is refused: nobody was asked."""
    with pytest.raises(SecureFlowError) as caught:
        await place.consent()
    assert place.assembly.inbox.list(waiting=False) == []
    assert place.store.approved_bundles() == []
    return caught.value


TRAINING = 'permit(principal, action == Action::"training", resource)'
LOOKS: dict[str, str] = {
    "it names the code": f'{TRAINING} when {{ context.bundle_digest == "{CODE.digest}" }};',
    "it names none and this": f"""{TRAINING} when {{ context.bundle_digest == "" ||
        context.bundle_digest == "{CODE.digest}" }};""",
    "another allows data": f"""{TRAINING} when {{ context.bundle_digest == "" }};
        {TRAINING} when {{ ["{CODE.digest}"].contains(context.bundle_digest) }};""",
    "it allows all code of somebody": f"""{TRAINING} when {{ context.bundle_digest != "" &&
        context.submitter == "usr_alice" }};""",
}
OVERLOOKS: dict[str, str] = {
    "it allows everything": ALLOW,
    "it looks at the purpose": f'{TRAINING} when {{ context.purpose == "credit scoring" }};',
    "it looks at the submitter": f'{TRAINING} when {{ context.submitter == "usr_alice" }};',
    "it forbids other code": f"""{ALLOW} forbid(principal, action == Action::"training", resource)
        when {{ context.bundle_digest == "{NEWER.digest}" }};""",
    "it looks at the family": f'{TRAINING} when {{ context.family == "bundle" }};',
    "it names other code": f'{TRAINING} when {{ context.bundle_digest == "{NEWER.digest}" }};',
    "there is none": "",
}


@pytest.mark.parametrize("policy", LOOKS)
async def test_a_policy_that_looks_at_code_allows_it(tmp_path: Path, policy: str) -> None:
    place = world(tmp_path, LOOKS[policy])
    asking = asyncio.create_task(place.consent())
    while not asking.done():  # it would wait for a person
        assert place.assembly.inbox.list() == []
        await asyncio.sleep(0.001)
    assert (await asking)["approval"]
    assert place.assembly.inbox.list(waiting=False) == []
    kept = place.store.approved_bundle(CODE.digest)
    assert kept is not None
    assert (kept.submitter, kept.name, kept.job) == ("usr_alice", "credit", JOB)
    assert place.assembly.bundles.kept(CODE.digest) is not None


@pytest.mark.parametrize("policy", OVERLOOKS)
async def test_a_person_is_asked_where_no_policy_looks_at_the_code(
    tmp_path: Path, policy: str
) -> None:
    place = world(tmp_path, OVERLOOKS[policy])
    asking = asyncio.create_task(place.consent())
    item = await arrived(place, asking)
    assert item.request["bundle_digest"] == CODE.digest
    assert place.store.approved_bundles() == []
    told = await place.review(item.id)
    assert unpack(b64decode(told["packed"])).files == CODE.files
    assert told["environment"] == {"name": "numpy", "python": "3.11"}
    assert not asking.done()
    place.assembly.inbox.decide(item.id, "approved", "read it")
    place.assembly.inbox.wake(item.id)
    assert (await asking)["approval"]
    assert place.store.approved_bundle(CODE.digest) is not None


@pytest.mark.parametrize("policy", [ALLOW, LOOKS["another allows data"]])
async def test_the_same_policies_allow_a_job_without_code(tmp_path: Path, policy: str) -> None:
    place = world(tmp_path, policy, spec_changes={}, confines=False)
    assert (await place.consent())["approval"]


async def test_a_policy_that_forbids_refuses_and_keeps_no_code(tmp_path: Path) -> None:
    text = f"""{ALLOW} @id("no code") forbid(principal, action == Action::"training", resource)
        when {{ context.bundle_digest != "" }};"""
    place = world(tmp_path, text)
    error = await refusal(place)
    assert error.code == "consent_refused"
    assert "no code" in error.message
    assert list((place.directory / "bundles").iterdir()) == []


async def test_refused_code_stays_while_another_request_waits_for_it(tmp_path: Path) -> None:
    """And code that was approved before stays in any case."""
    place = world(tmp_path)
    first = asyncio.create_task(place.consent())
    item = await arrived(place, first)
    other = place.consent_body(job="job_another000")
    second = asyncio.create_task(place.ask("consent", other))
    while len(place.assembly.inbox.list()) < 2:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    assert named_code(place.assembly.inbox) == {CODE.digest}
    for waiting in (item, next(o for o in place.assembly.inbox.list() if o.id != item.id)):
        assert place.assembly.bundles.kept(CODE.digest) is not None
        place.assembly.inbox.decide(waiting.id, "rejected", "no")
        place.assembly.inbox.wake(waiting.id)
        with pytest.raises(SecureFlowError):
            await (first if waiting is item else second)
    assert place.assembly.bundles.kept(CODE.digest) is None


async def test_the_next_code_is_shown_beside_the_last_that_was_approved(tmp_path: Path) -> None:
    place = world(tmp_path, LOOKS["it names the code"])
    await place.consent()
    place.change(**part(NEWER))
    asking = asyncio.create_task(place.ask("consent", place.consent_body(job="job_another000")))
    item = await arrived(place, asking)
    told = await place.review(item.id)
    assert unpack(b64decode(told["packed"])).digest == NEWER.digest
    assert unpack(b64decode(told["before"])).digest == CODE.digest
    assert told["since"]["job"] == JOB
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def test_a_restarted_and_a_renewed_agent_keep_it(tmp_path: Path) -> None:
    place = world(tmp_path, LOOKS["it names the code"])
    first = await place.consent()
    place.reopen()
    place.assembly.bundles.sweep(named_code(place.assembly.inbox))  # as each start does
    assert await place.consent() == first
    place.assembly.code.write(CODE.digest, tmp_path / "run")
    assert (tmp_path / "run" / "model.py").exists()
    place.now += 60 * 86_400
    (place.directory / "bundles" / CODE.digest).unlink()
    body = place.consent_body(expires=place.now + 1000)
    renewed = await place.ask("consent", body)
    assert renewed["approval"]["body"]["expires"] == place.now + 1000
    assert place.assembly.bundles.kept(CODE.digest) is not None
    actions = [one["action"] for one in place.store.actions()]
    assert actions.count("bundle.approved") == 2


async def test_a_waiting_request_survives_the_agent_with_its_code(tmp_path: Path) -> None:
    place = world(tmp_path)
    asking = asyncio.create_task(place.consent())
    item = await arrived(place, asking)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    place.reopen()
    place.assembly.bundles.sweep(named_code(place.assembly.inbox))
    assert (await place.review(item.id))["digest"] == CODE.digest
    place.assembly.inbox.decide(item.id, "approved", "")
    assert (await place.consent())["approval"]
    assert place.store.approved_bundle(CODE.digest) is not None


async def test_a_job_whose_engine_is_not_here_is_refused_before_anybody_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SpecBase, "engine_needed", ("spu", "0.9.5"))
    place = world(tmp_path)
    error = await refusal(place)
    assert error.code == "engine_absent"
    assert error.details["party"] in error.message
    assert "secureflow engine install spu" in error.hint
    assert not (place.directory / "bundles").exists()  # nothing was fetched for it


async def test_what_cannot_run_here_is_refused_before_anybody_is_asked(tmp_path: Path) -> None:
    policies = ("", LOOKS["it names the code"])
    for at, policy in enumerate(policies):
        folder = tmp_path / str(at)
        folder.mkdir()
        place = world(folder, policy, confines=False)
        assert (await refusal(place)).code == "sandbox_missing"
        place.confines = True
        place.reopen()
        place.change(**part(environment="aa" * 32))
        error = await refusal(place)
        assert (error.code, "aa" * 8 in error.message) == ("environment_unknown", True)
        assert "Give that owner your lock.txt" in error.hint  # whoever submitted the job reads it
        assert not (place.directory / "bundles").exists()  # nothing was fetched for it
        place.change(**part())
        place.blobs[CODE.digest] = pack(NEWER)
        assert (await refusal(place)).code == "digest_mismatch"
        assert list((place.directory / "bundles").iterdir()) == []
        del place.blobs[CODE.digest]
        assert (await refusal(place)).code == "not_found"


# --- noise ---------------------------------------------------------------------------------

RECORD = {**PARTY, "unit": "record", "mechanism": "dp-sgd", "rows": 1000}
CONTRADICT: dict[str, tuple[dict[str, Any], str]] = {
    "per record": (RECORD, "privacy.unit"),
    "per record, locally": (
        {**RECORD, "noise": "local", "local_steps": 3},
        "privacy.unit",
    ),
    "figures with noise": ({**PARTY, "metrics_noise": 5.0}, "privacy.metrics_noise"),
}


@pytest.mark.parametrize("name", CONTRADICT)
async def test_noise_within_the_code_is_credited_nowhere(tmp_path: Path, name: str) -> None:
    privacy, field = CONTRADICT[name]
    place = world(tmp_path, ALLOW)
    place.change(**private(privacy, plan={"rounds": 3, "validation": 0.2}))
    with pytest.raises(SecureFlowError) as caught:
        check(place.spec)  # at the submission
    assert (caught.value.code, caught.value.details["field"]) == ("contradictory_spec", field)
    assert (await refusal(place)).code == "contradictory_spec"
    assert not (place.directory / "bundles").exists()


BUDGET = {"domain": "customers", "epsilon": 50.0, "delta": 1e-5}


def budgeted(tmp_path: Path, unit: str, policy: str = LOOKS["it names the code"]) -> Place:
    return world(
        tmp_path, policy, privacy={**BUDGET, "unit": unit}, accounting=Analytic(),
        spec_changes=private(PARTY),
    )  # fmt: skip


async def test_a_budget_per_record_pays_for_no_code(tmp_path: Path) -> None:
    place = budgeted(tmp_path, "record")
    check(place.spec)
    told = await refusal(place)
    assert told.code == "budget_unit_mismatch"
    assert "`unit: party`" in told.hint  # code has no other unit: the owner's line is the only way


async def test_code_without_noise_gets_no_data_that_needs_some(tmp_path: Path) -> None:
    """Whatever library it imports: only the spec's own privacy part counts."""
    place = budgeted(tmp_path, "party")
    place.change(**part(settings={"epsilon": 0.1, "library": "opacus"}))
    assert (await refusal(place)).code == "privacy_required"


async def test_code_is_charged_for_the_whole_party(tmp_path: Path) -> None:
    place = budgeted(tmp_path, "party")
    await place.admitted()
    body = place.train_body()
    with pytest.raises(SecureFlowError):
        await place.ask("train", body)  # the double of the worker writes no lattice steps
    (budget,) = await place.assembly.context.budgets.report()
    (reserved,) = budget["reservations"]
    mechanism = Mechanism("gaussian", 5.0, 1.0, 3)
    assert [one["noise"] for one in reserved["charge"]] == [mechanism.noise]
    assert reserved["job"] == JOB


def test_what_is_released_of_code_under_noise() -> None:
    place = parse(TrainingSpec, {**_shared(), **private(PARTY)})
    assert charge(place) == (Mechanism("gaussian", 5.0, 1.0, 3),)
    told = {one["number"]: one["mechanism"] for one in released(place)}
    assert "changes" in told["model of each round"]
    assert told["metrics, row counts"] == "not released"


def _shared() -> dict[str, Any]:
    roster = [{"party": f"bank-{n}", "key": f"{n}" * 44, "dataset": "customers"} for n in "abc"]
    return {"project": "prj_0123456789", "name": "credit", "purpose": "credit scoring",
            "submitter": "usr_alice", "roster": roster}  # fmt: skip


def test_a_spec_says_what_is_asked() -> None:
    spec = parse(TrainingSpec, {**_shared(), **part()})
    check(spec)
    assert dump(spec)["model"]["bundle"]["digest"] == CODE.digest
    assert spec.facts()["bundle_digest"] == CODE.digest
