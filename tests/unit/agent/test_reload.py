"""Settings that are edited while the agent runs: what comes into force, and what never does."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from peers.agent_world import ALLOW, JOB, ME, World

from secureflow.adapters.datasources import formats
from secureflow.adapters.policy import CedarPolicies
from secureflow.agent.edge import reload
from secureflow.agent.edge.commands import Commands
from secureflow.agent.edge.reload import Reload, Rules
from secureflow.agent.owner.publications import check_lineage
from secureflow.agent.settings import AgentSettings
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.process import Hangup

BUDGET = {"domain": "customers", "epsilon": 5.0, "delta": 1e-5}
PRIVATE = {
    "plan": {"rounds": 3, "validation": 0.0},
    "privacy": {"delta": 1e-6, "noise_multiplier": 5.0, "rows": 1000},
}
OTHER = "job_9876543210"
FORBID = "forbid(principal, action, resource);"


class Owner(World):
    """An agent whose settings stand in a file, which its owner edits."""

    @property
    def config(self) -> Path:
        return self.directory / "agent.yaml"

    @property
    def settings(self) -> AgentSettings:
        if not self.config.exists():
            self.write()
        return AgentSettings.load(self.config)

    def written(self) -> dict[str, Any]:
        return {
            "directory": ".",
            "organisation": ME,
            "server": "https://centre.example",
            "link": "centre.example:1",
            "trust_domain": "example.org",
            "datasets": [self.declared],
            "consent": {"protections": ["sealed", "sealed+secagg"]},
            "attestation": {"allow_simulated": True, "measurements": ["ab" * 32]},
        }

    def write(self, **changes: Any) -> None:
        self.config.write_text(yaml.safe_dump({**self.written(), **changes}))

    def edit(self, column: int | None = None, **changes: Any) -> None:
        """Change the dataset, or one of its columns."""
        if column is None:
            dataset = {**self.declared, **changes}
        else:
            columns = [dict(one) for one in self.declared["columns"]]
            columns[column] |= changes
            dataset = {**self.declared, "columns": columns}
        self.write(datasets=[dataset])

    def open_agent(self) -> None:
        super().open_agent()
        self.reload = Reload(self.config, self.assembly, self.rules)

    def rules(self, settings: AgentSettings) -> Rules:
        policies = CedarPolicies.load(settings.consent.policies)
        attestation = self.assembly.attestation
        if not settings.consent.policies:
            policies = self.assembly.consent.decisions.policies  # type: ignore[assignment]
        return Rules(policies, attestation._verifier, attestation._policy)

    @property
    def active(self) -> AgentSettings:
        return self.assembly.context.settings

    async def refused(self, **more: Any) -> str:
        """A reload that is refused changes nothing at all."""
        before, events = self.active, self.store.budget_events("customers")
        with pytest.raises(SecureFlowError) as caught:
            await self.reload.apply(**more)
        assert self.active is before
        assert self.store.budget_events("customers") == events
        assert not self.actions("settings.reloaded")
        return caught.value.code

    def actions(self, action: str) -> list[dict[str, Any]]:
        return [one["facts"] for one in self.store.actions() if one["action"] == action]


async def test_an_edit_comes_into_force_and_is_noted(tmp_path: Path) -> None:
    owner = Owner(tmp_path)
    same = {"state": "same", "changed": [], "restart": [], "problem": None}
    assert await owner.reload.difference() == same
    other = {**owner.declared, "name": "more"}
    consent = {"protections": ["sealed"], "max_age": 60}
    owner.write(datasets=[owner.declared, other], consent=consent, link="centre.example:2")
    found = await owner.reload.difference()
    changed = ["datasets.more", "consent.protections", "consent.max_age"]
    assert (found["state"], found["changed"], found["restart"]) == ("edited", changed, ["link"])
    await owner.reload.apply()
    assert owner.active.dataset("more").name == "more"
    assert owner.active.consent.max_age == 60
    assert owner.active.link == "centre.example:1"  # needs a restart, and is not half in force
    assert owner.actions("settings.reloaded") == [{"changed": changed, "restart": ["link"]}]
    found = await owner.reload.difference()
    assert (found["state"], found["changed"], found["restart"]) == ("edited", [], ["link"])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"datasets": "none"}, "invalid_settings"),
        ({"consent": {"min_contributors": 1}}, "invalid_settings"),
        ({"consent": {"policies": ["gone.cedar"], "max_age": 60}}, "policy_unreadable"),
        ({"organisation": "bank-b"}, "invalid_settings"),
        ({"directory": ".."}, "invalid_settings"),
        ({"misspelt": 1}, "invalid_settings"),
    ],
)
async def test_an_invalid_file_changes_nothing(
    tmp_path: Path, change: dict[str, Any], code: str
) -> None:
    owner = Owner(tmp_path / "a")
    owner.write(**change)
    assert await owner.refused() == code
    found = await owner.reload.difference()
    assert (found["state"], found["problem"]["code"]) == ("invalid", code)
    with pytest.raises(SecureFlowError) as caught:
        await owner.reload.check_read("customers")
    assert caught.value.code == "settings_edited"


@pytest.mark.parametrize(
    "privacy",
    [
        {**BUDGET, "domain": "fresh"},
        {**BUDGET, "unit": "person", "person": "customer"},
        None,
    ],
)
async def test_domain_and_unit_of_a_known_dataset_stay(
    tmp_path: Path, privacy: dict[str, Any] | None
) -> None:
    owner = Owner(tmp_path, privacy=BUDGET)
    owner.edit(privacy=privacy)
    assert await owner.refused() == "privacy_fixed"
    owner.write(datasets=[])
    await owner.reload.apply()
    with owner.store.transaction():
        owner.store.set_fact("dataset/customers", None)  # as a withdrawal does
    owner.edit(privacy=privacy)
    with pytest.raises(SecureFlowError) as caught:
        await owner.reload.apply()
    assert caught.value.code == "privacy_fixed"
    with pytest.raises(SecureFlowError) as caught:  # what a start looks at
        check_lineage(owner.store, AgentSettings.load(owner.config).datasets[0])
    assert caught.value.code == "privacy_fixed"


async def test_a_dataset_that_was_not_published_yet_is_known_too(tmp_path: Path) -> None:
    owner = Owner(tmp_path, privacy=BUDGET)
    with owner.store.transaction():
        owner.store.set_fact("lineage/customers", None)
    owner.edit(privacy={**BUDGET, "domain": "fresh"})
    assert await owner.refused() == "privacy_fixed"


async def test_a_domain_that_another_dataset_joins_keeps_its_unit(tmp_path: Path) -> None:
    owner = Owner(tmp_path, privacy=BUDGET, spec_changes=PRIVATE)
    await owner.admitted()
    privacy = {**BUDGET, "unit": "person", "person": "customer"}
    owner.write(datasets=[{**owner.declared, "name": "joined", "privacy": privacy}])
    assert await owner.refused() == "budget_unit_fixed"


async def test_a_budget_grows_only_with_the_owners_word(tmp_path: Path) -> None:
    owner = Owner(tmp_path, privacy=BUDGET, spec_changes=PRIVATE)
    await owner.admitted()
    owner.edit(privacy={**BUDGET, "epsilon": 8.0})
    assert await owner.refused() == "budget_grows"
    preview = await owner.reload.preview()
    (change,) = preview["budgets"]
    assert (change["before"]["epsilon"], change["after"]["epsilon"]) == (5.0, 8.0)
    owner.edit(privacy={**BUDGET, "epsilon": 9.0})  # after the owner saw the preview
    assert await owner.refused(agreed=preview["budgets"]) == "budget_grows"
    owner.edit(privacy={**BUDGET, "epsilon": 8.0})
    await owner.reload.apply(preview["budgets"])
    assert owner.store.budget_events("customers")[-1]["epsilon"] == 8.0
    assert owner.actions("budget.limit") == [change]


async def test_a_probing_limit_grows_only_with_the_owners_word(tmp_path: Path) -> None:
    owner = Owner(tmp_path)
    owner.edit(probing={"limit": 100})
    await owner.reload.apply()  # a first limit allows what nothing allowed
    assert (await owner.assembly.context.probing.report())[0]["remaining"] == 100
    for grown in ({"limit": 101}, {"limit": 100, "window": 30}):
        owner.edit(probing=grown)
        with pytest.raises(SecureFlowError) as caught:
            await owner.reload.apply()
        assert caught.value.code == "budget_grows"
        assert "probing limit of customers" in caught.value.message
    preview = await owner.reload.preview()
    await owner.reload.apply(preview["probing"])
    assert owner.actions("probing.limit") == preview["probing"]
    owner.edit(probing={"limit": 10})
    await owner.reload.apply()
    assert (await owner.assembly.context.probing.report())[0]["remaining"] == 10
    owner.edit(probing={"limit": 10, "domain": "fresh"})
    with pytest.raises(SecureFlowError) as caught:
        await owner.reload.apply()
    assert caught.value.code == "privacy_fixed"


async def test_a_budget_that_was_never_charged_grows_no_more_silently(tmp_path: Path) -> None:
    owner = Owner(tmp_path, privacy=BUDGET)
    owner.edit(privacy={**BUDGET, "delta": 1e-4})
    assert await owner.refused() == "budget_grows"
    await owner.reload.apply((await owner.reload.preview())["budgets"])
    (limit,) = owner.store.budget_events("customers")
    assert limit["delta"] == 1e-4


async def test_a_lower_budget_counts_at_once_and_no_running_job_raises_it_again(
    tmp_path: Path,
) -> None:
    owner = Owner(tmp_path, privacy=BUDGET, spec_changes=PRIVATE)
    await owner.admitted()
    owner.edit(privacy={**BUDGET, "epsilon": 0.5})
    await owner.reload.apply()
    await owner.round(1)  # approved under the larger one, reserved, and spent
    limits = [e["epsilon"] for e in owner.store.budget_events("customers") if e["kind"] == "limit"]
    assert limits == [5.0, 0.5]
    with pytest.raises(SecureFlowError) as caught:
        await owner.ask("consent", {**owner.consent_body(), "job": OTHER})
    assert caught.value.code == "budget_exceeded"
    owner.write(datasets=[])  # also where nothing declares the domain any more
    await owner.reload.apply()
    await owner.round(2)
    kinds = [event["kind"] for event in owner.store.budget_events("customers")]
    assert kinds == ["limit", "reserve", "limit", "commit"]


async def test_an_approved_job_keeps_its_declaration(tmp_path: Path) -> None:
    owner = Owner(tmp_path)
    owner.record(await owner.ask("consent", owner.consent_body()))
    asked: list[Any] = []
    prepare = owner.worker.prepare

    async def prepared(job: str, spec: Any, dataset: Any, *rest: Any) -> dict[str, Any]:
        asked.append(dataset)
        return await prepare(job, spec, dataset, *rest)

    owner.worker.prepare = prepared  # type: ignore[method-assign]
    owner.edit(0, bounds=[0, 50])
    await owner.reload.apply()
    owner.write(datasets=[])
    await owner.reload.apply()
    await owner.admit()
    assert [one.column("age").bounds for one in asked] == [(0.0, 100.0)]


async def test_what_was_edited_is_asked_for_only_when_it_is_published(tmp_path: Path) -> None:
    owner = Owner(tmp_path)
    for column, change in ((0, {"bounds": [0, 50]}), (1, {"sensitive": False})):
        owner.edit(column, **change)
        await owner.reload.apply()
        with pytest.raises(SecureFlowError) as caught:
            await owner.ask("consent", owner.consent_body())
        assert caught.value.code == "declaration_changed"
    owner.edit()
    await owner.reload.apply()
    await owner.ask("consent", owner.consent_body())


async def waiting(owner: Owner) -> tuple[asyncio.Task[Any], str]:
    asking = asyncio.create_task(owner.ask("consent", owner.consent_body()))
    while not owner.assembly.inbox.list():  # noqa: ASYNC110  a commit in a thread tells nobody
        await asyncio.sleep(0.001)
    return asking, owner.assembly.inbox.list()[0].id


async def approve(owner: Owner, asking: asyncio.Task[Any], item: str) -> str:
    owner.assembly.inbox.decide(item, "approved", "")
    owner.assembly.inbox.wake(item)
    with pytest.raises(SecureFlowError) as caught:
        await asking
    assert owner.store.job(JOB) is None
    return caught.value.code


async def test_a_person_who_approves_what_was_edited_meanwhile_approves_nothing(
    tmp_path: Path,
) -> None:
    owner = Owner(tmp_path, policy="")
    asking, item = await waiting(owner)
    owner.edit(0, sensitive=True)
    await owner.reload.apply()
    owner.publish()
    assert await approve(owner, asking, item) == "declaration_changed"


def commands_of(owner: Owner) -> Commands:
    nothing: Any = None
    return Commands(owner.assembly, owner.link, nothing, owner.reload, nothing)


async def test_who_approves_what_was_edited_meanwhile_is_told_that_nothing_is_signed(
    tmp_path: Path,
) -> None:
    owner = Owner(tmp_path, policy="")
    asking, item = await waiting(owner)
    owner.edit(0, sensitive=True)
    await owner.reload.apply()
    owner.publish()
    told: Any = await commands_of(owner).inbox_approve(item)
    assert (told["state"], told["signed"]) == ("approved", False)
    assert told["refused"]["code"] == "declaration_changed"
    with pytest.raises(SecureFlowError):
        await asking


async def test_a_question_that_ends_otherwise_is_not_what_came_of_an_approval(
    tmp_path: Path,
) -> None:
    owner = Owner(tmp_path, policy="")
    asking, item = await waiting(owner)
    inbox, body = owner.assembly.inbox, owner.consent_body()

    async def again() -> None:
        with inbox.answering(str(body["job"]), inbox.get(item).digest):
            while inbox.get(item).state == "waiting":  # noqa: ASYNC110  in the same turn
                await asyncio.sleep(0)
            raise SecureFlowError("approval_expired", "The centre asked with another expiry.")

    same = asyncio.create_task(again())
    await asyncio.sleep(0)
    told: Any = await commands_of(owner).inbox_approve(item)
    assert (told["signed"], "refused" in told) == (True, False)
    assert (await asking)["approval"]
    assert isinstance((await asyncio.gather(same, return_exceptions=True))[0], SecureFlowError)


async def test_who_approves_is_told_when_it_is_signed_and_when_it_is_not_yet(
    tmp_path: Path,
) -> None:
    owner = Owner(tmp_path, policy="")
    asking, item = await waiting(owner)
    told: Any = await commands_of(owner).inbox_approve(item)
    assert (told["signed"], "refused" in told) == (True, False)
    assert asking.done() or (await asking)["approval"]

    other = Owner(tmp_path / "other", policy="")
    asking, item = await waiting(other)
    asking.cancel()  # the link broke: the centre asks again later
    await asyncio.gather(asking, return_exceptions=True)
    told = await commands_of(other).inbox_approve(item)
    assert (told["signed"], "refused" in told) == (False, False)
    assert (await other.ask("consent", other.consent_body()))["approval"]


async def test_a_withdrawal_refuses_what_waits_and_lets_approved_jobs_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = Owner(tmp_path, policy="")
    asking, item = await waiting(owner)
    nothing: Any = None
    commands = Commands(owner.assembly, owner.link, nothing, owner.reload, nothing)

    async def call(kind: str, body: dict[str, Any]) -> Any:
        return {"grants": 3, "projects": 2}

    monkeypatch.setattr(owner, "call", call)
    uses = {"grants": 3, "projects": 2, "waiting": 1, "approved": 0, "unsaid": None}
    assert await commands.data_uses("customers") == uses
    await commands.data_remove("customers")
    with pytest.raises(SecureFlowError, match="withdrawn"):
        await asyncio.wait_for(asking, 60)
    assert owner.assembly.inbox.get(item).state == "rejected"
    owner.publish()
    asking = asyncio.create_task(owner.ask("consent", {**owner.consent_body(), "job": OTHER}))
    while not owner.assembly.inbox.list():  # noqa: ASYNC110  a commit in a thread tells nobody
        await asyncio.sleep(0.001)
    await commands.inbox_approve(owner.assembly.inbox.list()[0].id)
    await asking
    assert (await commands.data_uses("customers"))["approved"] == 1
    await commands.data_remove("customers")
    job = owner.store.job(OTHER)
    assert job is not None
    pinned = await owner.assembly.context.unchanged(job, owner.spec)
    assert pinned is not None
    assert pinned.dataset.name == "customers"


@pytest.mark.parametrize("code", ["link_broken", "not_found", "log_set_back", "silent"])
async def test_a_withdrawal_is_in_force_here_whatever_the_centre_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """Its answer was lost; it was set back or is held; it lies, or says nothing at all."""
    owner = Owner(tmp_path)  # its policy permits everything
    nothing: Any = None
    commands = Commands(owner.assembly, owner.link, nothing, owner.reload, nothing)
    monkeypatch.setattr("secureflow.agent.edge.datacommands.PATIENCE", 0.01)

    async def call(kind: str, body: dict[str, Any]) -> Any:
        if code == "silent":
            await asyncio.Event().wait()
        raise SecureFlowError(code, "What the centre says.")

    with monkeypatch.context() as patch:
        patch.setattr(owner, "call", call)
        uses = await commands.data_uses("customers")
        told = "link_broken" if code == "silent" else code
        assert (uses["grants"], uses["unsaid"]["code"]) == (0, told)
        if code == "not_found":
            await commands.data_remove("customers")
        else:
            with pytest.raises(SecureFlowError, match="withdrawn here") as caught:
                await commands.data_remove("customers")
            assert caught.value.code == told
        assert owner.store.fact("dataset/customers") is None
        with pytest.raises(SecureFlowError):  # nothing of it is here any more: the centre's word
            await commands.data_uses("customers")
        with pytest.raises(SecureFlowError, match=r"What the centre|does not answer"):
            await commands.data_remove("customers")
    with pytest.raises(SecureFlowError) as caught:
        await owner.ask("consent", owner.consent_body())
    assert caught.value.code == "dataset_not_published"
    assert len(owner.actions("dataset.removed")) == 1


async def test_a_policy_that_forbids_meanwhile_stands_above_a_person(tmp_path: Path) -> None:
    owner = Owner(tmp_path, policy="")
    asking, item = await waiting(owner)
    (tmp_path / "no.cedar").write_text(FORBID)
    owner.write(consent={**owner.written()["consent"], "policies": ["no.cedar"]})
    await owner.reload.apply()
    assert await approve(owner, asking, item) == "consent_refused"


async def test_the_text_of_a_policy_file_is_part_of_the_settings(tmp_path: Path) -> None:
    owner = Owner(tmp_path, policy="")
    rules = tmp_path / "rules.cedar"
    rules.write_text(FORBID)
    owner.write(consent={**owner.written()["consent"], "policies": ["rules.cedar"]})
    await owner.reload.apply()
    with pytest.raises(SecureFlowError) as caught:
        await owner.ask("consent", owner.consent_body())
    assert caught.value.code == "consent_refused"
    rules.write_text(ALLOW)
    assert (await owner.reload.difference())["changed"] == [str(rules)]
    await owner.reload.apply()
    await owner.ask("consent", owner.consent_body())


def note(log: list[Any]) -> Any:
    return lambda event, **facts: log.append((event, facts))


async def test_hangup_reloads_and_a_refusal_is_told_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = Owner(tmp_path, privacy=BUDGET, spec_changes=PRIVATE)
    await owner.admitted()
    log: list[Any] = []
    monkeypatch.setattr(reload, "_log", SimpleNamespace(error=note(log), info=note(log)))
    hangup = Hangup()
    owner.reload.listen(hangup)

    async def hang_up() -> None:
        hangup.received(lambda: None)
        while owner.reload._tasks:  # noqa: ASYNC110  it is over when it says so
            await asyncio.sleep(0)

    owner.edit(privacy={**BUDGET, "epsilon": 8.0})
    await hang_up()
    assert "budget of customers would grow" in str(log)
    assert owner.active.datasets[0].privacy.epsilon == 5.0  # type: ignore[union-attr]
    owner.edit(0, bounds=[0, 50])
    await hang_up()
    assert owner.active.dataset("customers").column("age").bounds == (0.0, 50.0)
    assert [event for event, _ in log] == ["settings_refused", "settings_reloaded"]


async def test_images_without_their_library_are_not_taken_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = Owner(tmp_path)
    scans = {"name": "scans", "path": "scans", "format": "images",
             "columns": [{"name": "scan", "type": "image", "shape": [8, 8, 1]}]}  # fmt: skip
    owner.write(datasets=[owner.declared, scans])
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    assert await owner.refused() == "library_missing"
    monkeypatch.undo()
    await owner.reload.apply()
    assert owner.active.dataset("scans").decodes
