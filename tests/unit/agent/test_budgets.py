"""Budgets at the agent: refuse before running, spend with the record, never refill."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any, cast

import pytest
from peers.agent_world import JOB, ME, NOW, ORIGIN, World

from secureflow.adapters.accounting import ProcessAccountant
from secureflow.agent.edge.commands import Commands
from secureflow.agent.owner.budgetcourse import course
from secureflow.domain.specs.base import dump, spec_digest
from secureflow.engines.ledger.leaves import Leaf, sign_leaf
from secureflow.engines.privacy import epsilon
from secureflow.engines.training.private import SEED_WORDS, charge
from secureflow.kit.errors import InfrastructureError, SecureFlowError

BUDGET = {"domain": "customers", "epsilon": 5.0, "delta": 1e-5}
PRIVATE = {
    "plan": {"rounds": 3, "validation": 0.0},
    "privacy": {"delta": 1e-6, "noise_multiplier": 5.0, "rows": 1000},
}


def world(directory: Path, budget: dict[str, Any] | None = BUDGET, **changes: Any) -> World:
    return World(directory, privacy=budget, spec_changes={**PRIVATE, **changes})


def events(of: World) -> list[str]:
    return [event["kind"] for event in of.store.budget_events("customers")]


async def spent(of: World) -> float:
    (domain,) = await of.assembly.context.budgets.report(exact=False)
    return float(domain["spent"])


async def finish(of: World, outcome: str = "failed") -> None:
    body = of.body(outcome=outcome, model=None, head=of.head())
    await of.ask("finish", body)


async def refused(of: World, code: str) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        await of.ask("consent", of.consent_body())
    assert caught.value.code == code
    return caught.value


async def test_a_charge_is_reserved_at_admission_and_spent_with_the_first_record(
    tmp_path: Path,
) -> None:
    agent = world(tmp_path)
    await agent.admitted()
    assert events(agent) == ["limit", "reserve"]
    await agent.round(1)
    assert events(agent) == ["limit", "reserve", "commit"]
    planned = await spent(agent)
    assert 0 < planned < 5.0
    await agent.round(2)
    assert (events(agent)[-1], await spent(agent)) == ("commit", planned)


async def test_the_course_of_a_budget_is_how_it_stood_after_each_event(tmp_path: Path) -> None:
    agent = world(tmp_path)
    context = agent.assembly.context
    await agent.admitted()
    await agent.round(1)
    await finish(agent)
    points = await course(context.budgets, agent.store, "customers")
    assert (points[0]["at"], points[0]["job"]) == (0, "")
    assert [one["state"] for one in points] == ["", "reserved", "committed", "committed"]
    assert points[0]["spent"] == points[0]["committed"] == points[1]["committed"] == 0.0
    assert points[1]["spent"] == points[2]["spent"] == points[2]["committed"] > 0.0
    assert points[3]["spent"] < points[2]["spent"]  # it stopped early
    assert points[3]["spent"] == await spent(agent)
    assert {one["limit"] for one in points} == {5.0}
    assert {one["at"] for one in points[1:]} == {agent.now}
    with pytest.raises(SecureFlowError) as unknown:
        await course(context.budgets, agent.store, "nobody")
    assert unknown.value.code == "budget_undeclared"


async def test_no_row_count_leaves_under_differential_privacy(tmp_path: Path) -> None:
    agent = world(tmp_path)
    await agent.admitted()
    trained, _ = await agent.round(1)
    assert trained["rows"] == 0
    assert all(leaf.get("document", {}).get("rows", 0) == 0 for leaf in trained["leaves"])
    (sealed, _) = agent.uplink.sent[-1]
    assert len(agent.enclave.opened[1, "train", agent.initial]) == 4 * 4 + 8 * (1 + SEED_WORDS)
    assert sealed.header.binding.party == ME


async def test_consent_is_refused_before_a_person_is_asked(tmp_path: Path) -> None:
    agent = world(tmp_path, {**BUDGET, "epsilon": 0.5})
    error = await refused(agent, "budget_exceeded")
    assert error.details["after"] > 0.5
    assert agent.store.job(JOB) is None
    assert agent.assembly.inbox.list() == []


@pytest.mark.parametrize(
    ("budget", "changes", "code"),
    [
        (None, {}, "budget_undeclared"),
        ({**BUDGET, "unit": "party"}, {}, "budget_unit_mismatch"),
        (BUDGET, {"privacy": None}, "privacy_required"),
        (
            BUDGET,
            {"privacy": {**PRIVATE["privacy"], "epsilon": 0.01}},
            "contradictory_spec",
        ),
    ],
)
async def test_what_no_budget_covers_is_refused(
    tmp_path: Path, budget: dict[str, Any] | None, changes: dict[str, Any], code: str
) -> None:
    error = await refused(world(tmp_path, budget, **changes), code)
    if code == "budget_undeclared":  # the submitter reads it, and has no such file
        assert error.hint.startswith("Ask bank-a to declare `privacy: {domain, unit")


async def test_a_dataset_may_allow_jobs_without_noise(tmp_path: Path) -> None:
    agent = world(tmp_path, {**BUDGET, "required": False}, privacy=None)
    await agent.admitted()
    assert events(agent) == []


async def test_policies_see_epsilon(tmp_path: Path) -> None:
    policy = (
        "permit(principal, action, resource) when { context has epsilon && "
        'context.epsilon.lessThan(decimal("3.0")) };'
    )
    agent = World(tmp_path, policy=policy, privacy=BUDGET, spec_changes=PRIVATE)
    assert (await agent.ask("consent", agent.consent_body()))["approval"]


async def test_noise_of_a_known_curve_is_priced_without_another_process(tmp_path: Path) -> None:
    """A process that loads the accounting library takes a second of every agent's processor."""
    nowhere = ProcessAccountant(str(tmp_path / "no-python"))
    agent = World(tmp_path, privacy=BUDGET, spec_changes=PRIVATE, accounting=nowhere)
    foreseen = await agent.assembly.context.budgets.expected_epsilon(JOB, agent.spec)
    assert foreseen == epsilon(charge(agent.spec), BUDGET["delta"])
    await agent.admitted()
    sampled = {**PRIVATE, "privacy": {**PRIVATE["privacy"], "sampling": 0.1}}
    with pytest.raises(FileNotFoundError):
        await agent.assembly.context.budgets.expected_epsilon(
            "job_other00000", agent.make_spec(**sampled)
        )


@pytest.mark.parametrize(("delta", "allowed"), [(1e-5, True), (1e-15, False)])
async def test_policies_see_epsilon_at_the_owners_delta(
    tmp_path: Path, delta: float, allowed: bool
) -> None:
    """At the job's own δ, 1e-6, it costs the same 1.72 in both cases."""
    policy = (
        "permit(principal, action, resource); forbid(principal, action, resource) when { "
        'context has epsilon && context.epsilon.greaterThan(decimal("2.0")) };'
    )
    budget = {**BUDGET, "delta": delta, "epsilon": 50.0}
    agent = World(tmp_path, policy=policy, privacy=budget, spec_changes=PRIVATE)
    if allowed:
        assert (await agent.ask("consent", agent.consent_body()))["approval"]
    else:
        await refused(agent, "consent_refused")


async def test_a_clean_end_before_any_update_gives_the_charge_back(tmp_path: Path) -> None:
    agent = world(tmp_path)
    await agent.admitted()
    await finish(agent)
    assert events(agent) == ["limit", "reserve", "void"]
    assert await spent(agent) == 0.0


async def test_after_a_restart_an_open_reservation_is_spent(tmp_path: Path) -> None:
    agent = world(tmp_path)
    await agent.admitted()
    planned = await spent(agent)
    agent.reopen()
    await finish(agent)
    assert events(agent) == ["limit", "reserve"]
    assert await spent(agent) == planned > 0


async def test_an_ended_job_costs_the_rounds_on_record(tmp_path: Path) -> None:
    agent = world(tmp_path)
    await agent.admitted()
    await agent.round(1)
    planned = await spent(agent)
    agent.reopen()  # the record, not memory, knows how many
    await finish(agent)
    assert events(agent) == ["limit", "reserve", "commit", "commit"]
    assert 0 < await spent(agent) < planned


async def test_an_evaluation_alone_is_charged(tmp_path: Path) -> None:
    """A party that missed every round but the evaluation released its noised metrics all the same.

    Else a centre could have models measured for nothing, job after job.
    """
    plan = {"rounds": 3, "validation": 0.2}
    agent = world(tmp_path, plan=plan, privacy={**PRIVATE["privacy"], "metrics_noise": 2.0})
    await agent.admitted()
    await agent.ask("train", agent.train_body(4, "evaluate"))
    await finish(agent)
    (domain,) = await agent.assembly.context.budgets.report(exact=False)
    (reservation,) = domain["reservations"]
    assert [(one["noise"], one["count"]) for one in reservation["charge"]] == [(2.0, 1)]
    assert domain["spent"] > 0


@pytest.mark.slow
async def test_without_the_exact_figure_the_others_are_the_same(tmp_path: Path) -> None:
    agent = world(tmp_path, privacy={**PRIVATE["privacy"], "sampling": 0.5})
    budgets = agent.assembly.context.budgets
    (nothing,) = await budgets.report(exact=False)
    assert (nothing["spent"], set(nothing["epsilon_spent"].values())) == (0.0, {0.0})
    await agent.admitted()
    (exact,), (quick,) = await budgets.report(), await budgets.report(exact=False)
    assert exact["epsilon_spent"].pop("pld") > 0
    assert quick == exact


async def test_a_restarted_job_goes_on_and_is_charged_once(tmp_path: Path) -> None:
    agent = world(tmp_path)
    await agent.admitted()
    await agent.round(1)
    once = await spent(agent)
    agent.reopen()
    await agent.round(2)
    await agent.round(3)
    assert await spent(agent) == once
    assert events(agent).count("reserve") == 1


async def test_what_was_settled_pays_for_no_further_round(tmp_path: Path) -> None:
    """A finished job is refused before; should that ever fail, the budget itself refuses."""
    agent = world(tmp_path)
    await agent.admitted()
    await agent.round(1)
    job = agent.store.job(JOB)
    assert job
    with agent.store.transaction():
        agent.assembly.context.budgets.settle(job)
    with pytest.raises(SecureFlowError) as caught:
        await agent.round(2)
    assert caught.value.code == "budget_conflict"
    assert len(agent.uplink.sent) == 1


async def test_a_record_that_does_not_commit_is_charged_for_its_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = world(tmp_path)
    await agent.admitted()

    def full(record: object) -> None:
        raise SecureFlowError("store_unreadable", "the disk is full")

    monkeypatch.setattr(agent.store, "add_round", full)
    with pytest.raises(SecureFlowError, match="full"):
        await agent.ask("train", agent.train_body())
    assert events(agent) == ["limit", "reserve", "commit"]  # before rows were read
    assert agent.store.rounds(JOB) == []
    assert agent.uplink.sent == []
    monkeypatch.undo()
    await agent.round(1)
    assert events(agent) == ["limit", "reserve", "commit"]
    agent.reopen()
    assert await spent(agent) > 0  # the chain of the record is complete


async def test_a_reservation_is_a_leaf_whose_words_stay_here(tmp_path: Path) -> None:
    agent = world(tmp_path)
    await agent.ask("consent", agent.consent_body())
    admitted = await agent.admit()
    sent = [leaf for leaf in admitted["leaves"] if leaf["leaf"]["leaf"]["kind"] == "budget"]
    assert [set(leaf) for leaf in sent] == [{"leaf"}]
    (own,) = agent.store.leaves_of("budget")
    assert own.bundle["document"]["events"] == 2


async def test_a_restored_backup_spends_nothing_any_more(tmp_path: Path) -> None:
    agent = world(tmp_path / "a")
    await agent.ask("consent", agent.consent_body())
    backup = tmp_path / "backup.db"
    agent.store.close()
    shutil.copy(agent.settings.record, backup)
    agent.open_agent()
    await agent.admit()
    (own,) = agent.store.leaves_of("budget")
    agent.entries = [{"index": 0, "hash": "00"}, {"index": 1, "leaf": own.bundle["leaf"]}]
    agent.store.close()
    for suffix in ("-wal", "-shm"):
        agent.settings.record.with_name(agent.settings.record.name + suffix).unlink(missing_ok=True)
    shutil.copy(backup, agent.settings.record)
    agent.open_agent()
    with pytest.raises(SecureFlowError) as caught:
        await agent.admit()
    assert caught.value.code == "budget_rolled_back"
    assert events(agent) == ["limit"]


@pytest.mark.parametrize("what", ["forged", "of another kind", "another's"])
async def test_only_an_own_budget_leaf_says_that_the_record_is_old(
    tmp_path: Path, what: str
) -> None:
    """Else whoever puts a leaf into the log stops an organisation's private jobs for good."""
    agent = world(tmp_path)
    await agent.ask("consent", agent.consent_body())
    party = "bank-b" if what == "another's" else ME
    kind = "update" if what == "of another kind" else "budget"
    leaf = Leaf(kind, ORIGIN, party, NOW, "ab" * 32, job="job_another123", spec=agent.digest)
    key = agent.keys["bank-c"] if what == "forged" else agent.keys[party]
    agent.entries = [{"index": 0, "leaf": sign_leaf(leaf, key).json()}]
    assert (await agent.admit())["verdict"]
    assert events(agent) == ["limit", "reserve"]


async def test_a_shortened_list_of_events_is_noticed(tmp_path: Path) -> None:
    agent = world(tmp_path)
    await agent.admitted()
    with agent.store.transaction():
        agent.store._write("DELETE FROM budget_events WHERE number > 1")
    agent.reopen()
    with pytest.raises(SecureFlowError) as caught:
        await agent.round(1)
    assert caught.value.code == "budget_rolled_back"
    assert agent.uplink.sent == []


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("why", ["dataset_unknown", "budget_rolled_back"])
async def test_a_job_whose_budget_cannot_be_settled_ends_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str, *, lost: bool
) -> None:
    """It ran here for ever, and its end was never signed; its whole charge stands."""
    agent = world(tmp_path)
    await agent.admitted()
    agent.record((await agent.round(1))[0])
    planned, settings = await spent(agent), agent.settings
    with agent.store.transaction():
        agent.store._write("UPDATE jobs SET declared = 'null'")  # as an older version wrote them
        if why == "budget_rolled_back":
            agent.store._write("DELETE FROM budget_events WHERE number > 1")
    with monkeypatch.context() as patched:
        if why == "dataset_unknown":
            gone = settings.model_copy(update={"datasets": ()})
            patched.setattr(World, "settings", property(lambda of: gone))
        agent.reopen()
        if lost:
            await agent.assembly.agent.end(JOB, "failed")
        else:
            ending = agent.body(outcome="failed", model=None, head=agent.head())
            assert {"cosignature", "leaf"} <= set(await agent.ask("finish", ending))
    job = agent.store.job(JOB)
    assert job is not None
    assert (job.outcome, job.secret) == ("failed", b"")
    (told,) = [one for one in agent.store.actions() if one["action"] == "budget.not_settled"]
    assert (told["job"], told["facts"]["code"]) == (JOB, why)
    if why == "dataset_unknown":
        agent.reopen()  # its owner declares it again
        assert await spent(agent) == pytest.approx(planned)


async def test_a_disk_that_is_full_settles_no_budget_and_ends_no_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It passes: then the job costs what it read, and no more."""
    agent = world(tmp_path)
    await agent.admitted()
    agent.record((await agent.round(1))[0])

    def full(job: Any) -> None:
        raise InfrastructureError("disk_full", "full")

    with monkeypatch.context() as patched:
        patched.setattr(agent.assembly.context.budgets, "settle", full)
        with pytest.raises(InfrastructureError):
            await finish(agent)
    assert agent.store.unended() == [JOB]
    await finish(agent)
    assert events(agent)[-1] == "commit"


async def test_a_text_that_is_refused_today_keeps_no_older_job_from_its_end(
    tmp_path: Path,
) -> None:
    agent = world(tmp_path)
    await agent.admitted()
    agent.record((await agent.round(1))[0])
    planned = await spent(agent)
    spec = {**dump(agent.spec), "purpose": "credit\u202escoring"}
    with agent.store.transaction():
        agent.store._write("UPDATE jobs SET spec = ?", json.dumps(spec))
    await finish(agent)
    assert 0 < await spent(agent) < planned


async def test_a_second_job_is_refused_when_the_first_took_the_rest(tmp_path: Path) -> None:
    agent = world(tmp_path, {**BUDGET, "epsilon": 2.0})  # one costs 1.7, two 2.4
    await agent.admitted()
    agent.spec = agent.make_spec(**{**PRIVATE, "name": "another"})
    agent.digest = spec_digest(agent.spec)
    with pytest.raises(SecureFlowError) as caught:
        await agent.assembly.context.budgets.expected_epsilon("job_other00000", agent.spec)
    assert caught.value.code == "budget_exceeded"


async def asked_person(directory: Path) -> tuple[World, Commands, str, asyncio.Task[Any]]:
    """Return an agent whose owner is asked about a private job, and the item in the inbox."""
    agent = World(directory, policy="", privacy=BUDGET, spec_changes=PRIVATE)
    commands = Commands(agent.assembly, *4 * [cast("Any", None)])
    asked = asyncio.create_task(agent.ask("consent", agent.consent_body()))
    while not (waiting := agent.assembly.inbox.list()):  # noqa: ASYNC110  a thread tells nobody
        await asyncio.sleep(0.005)
    (item,) = waiting
    return agent, commands, item.id, asked


async def test_who_decides_is_told_what_the_budget_will_be(tmp_path: Path) -> None:
    """The figure by which budgets are charged, which is more than the job's own ε."""
    agent, commands, item, asked = await asked_person(tmp_path)
    budget = (await commands.inbox_show(item))["here"]["budget"]
    foreseen = budget["after"]
    assert (budget["spent"], foreseen > agent.assembly.inbox.get(item).request["epsilon"]) == (
        0.0,
        True,
    )
    await commands.inbox_approve(item)
    await asked
    await agent.admitted()
    assert await spent(agent) == foreseen
    budget = (await commands.inbox_show(item))["here"]["budget"]
    assert budget["after"] == foreseen  # the job itself is not counted twice


async def test_who_looks_at_a_job_whose_charge_was_given_back_is_told_that_it_is_refused(
    tmp_path: Path,
) -> None:
    agent, commands, item, asked = await asked_person(tmp_path)
    await commands.inbox_approve(item)
    await asked
    await agent.admitted()
    await finish(agent)
    assert events(agent) == ["limit", "reserve", "void"]
    budget = (await commands.inbox_show(item))["here"]["budget"]
    assert (budget["spent"], budget["refused"], "after" in budget) == (0.0, True, False)


async def test_who_decides_is_told_of_approved_jobs_that_have_not_started(tmp_path: Path) -> None:
    """Their charge is reserved when they start: until then it is in no figure."""
    agent, commands, item, asked = await asked_person(tmp_path)
    await commands.inbox_approve(item)
    first = agent.assembly.inbox.get(item)
    inbox = agent.assembly.inbox
    expires = first.expires
    other = inbox.put("job_other00000", first.digest, first.spec, first.request, (), expires)
    budget = (await commands.inbox_show(other))["here"]["budget"]
    assert (budget["spent"], budget["approved"]) == (0.0, 1)  # decided, not yet answered
    await asked
    assert (await commands.inbox_show(other))["here"]["budget"]["approved"] == 1
    await agent.admitted()
    budget = (await commands.inbox_show(other))["here"]["budget"]
    assert (budget["approved"], budget["after"] > budget["spent"] > 0.0) == (0, True)


async def test_a_request_that_expired_is_shown_without_its_spec(tmp_path: Path) -> None:
    agent, commands, item, asked = await asked_person(tmp_path)
    agent.assembly.inbox.withdraw(agent.assembly.inbox.get(item).job)
    shown = await commands.inbox_show(item)
    assert (shown["state"], shown["spec"], shown["here"]["budget"]) == ("withdrawn", {}, None)
    with pytest.raises(SecureFlowError):
        await asked


def test_one_domain_has_one_budget(tmp_path: Path) -> None:
    agent = world(tmp_path)
    settings = agent.settings.model_dump()
    first = settings["datasets"][0]
    other = {**first, "name": "copy", "privacy": {**BUDGET, "epsilon": 9.0}}
    with pytest.raises(ValueError, match="different budgets"):
        type(agent.settings)(**{**settings, "datasets": [first, other]})
