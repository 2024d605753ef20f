"""A restored agent: no older job, and no budget that fills itself again."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from peers.agent_world import JOB, ME, World

from secureflow.agent.owner.backup import _copy_record, _mark
from secureflow.agent.owner.budgetrecovery import BudgetRecovery
from secureflow.agent.owner.budgets import LEAF as BUDGET_LEAF
from secureflow.agent.record.records import JobRecord
from secureflow.agent.record.restored import ForgottenJobs, accept_rollback, check_unlocked
from secureflow.agent.record.restored import settle as settle_domain
from secureflow.agent.record.store import RecordStore
from secureflow.domain.specs.base import dump, spec_digest
from secureflow.engines.ledger.leaves import leaf_from_json, sign_leaf
from secureflow.engines.privacy.budget import check_sums
from secureflow.kit.errors import SecureFlowError
from tests.unit.agent.test_budgets import BUDGET, PRIVATE, events, finish, spent, world


def backed_up(agent: World) -> Path:
    """Copy the record as a backup does, running."""
    copy = agent.directory / "copy.db"
    _copy_record(agent.settings.record, copy)
    return copy


def put_back(agent: World, copy: Path) -> None:
    """Put the copy in the record's place as a restore does, and start the agent."""
    with closing(RecordStore(copy)) as store:
        _mark(store, 1)
    put_raw(agent, copy)


def put_raw(agent: World, copy: Path) -> None:
    """Put a copy in the record's place as a snapshot does, and start the agent."""
    agent.store.close()
    for suffix in ("-wal", "-shm"):
        agent.settings.record.with_name(agent.settings.record.name + suffix).unlink(missing_ok=True)
    copy.replace(agent.settings.record)
    agent.open_agent()


def logged(agent: World) -> list[dict[str, Any]]:
    """Return this agent's own leaves as an honest centre shows them."""
    kept = list(agent.store.every_leaf())
    return [{"index": n, "leaf": leaf.bundle["leaf"]} for n, leaf in enumerate(kept)]


def settling(agent: World) -> BudgetRecovery:
    context = agent.assembly.context
    return BudgetRecovery(
        context.budgets, agent.store, ME, context.key.public, agent.call, context.clock
    )


async def settle(agent: World, *bundles: dict[str, Any]) -> dict[str, Any]:
    return await settling(agent).settle("customers", bundles)


async def unsettled(agent: World, *bundles: dict[str, Any]) -> str:
    with pytest.raises(SecureFlowError) as refused:
        await settle(agent, *bundles)
    return refused.value.code


async def refusal(agent: World, call: Any) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as refused:
        await call
    return refused.value


def anew(agent: World, name: str) -> None:
    """Let another job be asked for."""
    agent.spec = agent.make_spec(**{**PRIVATE, "name": name})
    agent.digest = spec_digest(agent.spec)


@pytest.mark.parametrize("verb", ["consent", "challenge", "admit", "round"])
async def test_it_goes_on_in_no_job_of_the_backup(tmp_path: Path, verb: str) -> None:
    agent = World(tmp_path)
    await agent.admitted()
    copy = backed_up(agent)
    put_back(agent, copy)
    calls = {
        "consent": lambda: agent.ask("consent", agent.consent_body()),
        "challenge": lambda: agent.ask("challenge", agent.body(generation=1)),
        "admit": agent.admit,
        "round": lambda: agent.round(1),
    }
    error = await refusal(agent, calls[verb]())
    assert error.code == "restored_since"
    assert agent.uplink.sent == []
    before = [leaf.hash for leaf in agent.store.every_leaf()]
    await agent.ask("finish", agent.body(outcome="failed", model=None, head=agent.head()))
    assert [leaf.hash for leaf in agent.store.every_leaf()] == before


async def test_nor_in_one_that_was_approved_since(tmp_path: Path) -> None:
    """The record knows nothing of it; the log holds this organisation's own signature."""
    agent = World(tmp_path)
    copy = backed_up(agent)
    await agent.ask("consent", agent.consent_body())
    agent.entries = logged(agent)
    put_back(agent, copy)
    error = await refusal(agent, agent.ask("consent", agent.consent_body()))
    assert error.code == "restored_since"
    assert agent.store.job(JOB) is None


@pytest.mark.parametrize("shown", [True, False])
async def test_it_signs_of_no_job_that_it_took_no_part_unless_it_was_asked_since(
    tmp_path: Path, shown: bool
) -> None:
    """A job that it approved after the backup: a centre may hide that, and have it signed away."""
    agent = World(tmp_path)
    copy = backed_up(agent)
    await agent.ask("consent", agent.consent_body())
    agent.entries = logged(agent) if shown else []
    put_back(agent, copy)
    failed = agent.body(outcome="failed", model=None, head=agent.head())
    assert not (await agent.ask("finish", failed)).get("leaf")
    with agent.store.transaction():
        agent.store.note(1, "job.refused", JOB, code="consent_refused")
    agent.reopen()
    ended = await agent.ask("finish", failed)
    assert bool(ended.get("leaf")) is not shown


@pytest.mark.parametrize("page", [None, [], {}, {"entries": None}, {"entries": {"a": 1}},
                                  {"entries": [3]}, {"entries": ["leaf"]}])  # fmt: skip
async def test_a_page_of_the_log_that_is_none_is_named(tmp_path: Path, page: Any) -> None:
    agent = World(tmp_path)
    put_back(agent, backed_up(agent))

    async def lying(kind: str, body: dict[str, Any]) -> Any:
        del kind, body
        return page

    context = agent.assembly.context
    floor = ForgottenJobs(agent.store, ME, context.key.public, lying)
    error = await refusal(agent, floor.check(JOB))
    assert error.code == "invalid_answer"


@pytest.mark.parametrize("what", ["forged", "another's", "hidden"])
async def test_only_own_signatures_say_so(tmp_path: Path, what: str) -> None:
    """Else whoever puts a leaf into the log could keep an organisation out of any job."""
    agent = World(tmp_path)
    copy = backed_up(agent)
    await agent.ask("consent", agent.consent_body())
    (entry,) = logged(agent)
    leaf = leaf_from_json(entry["leaf"]).leaf
    other = agent.keys["bank-c"]
    shown = {
        "forged": {"index": 0, "leaf": sign_leaf(leaf, other).json()},
        "another's": {"index": 0, "leaf": sign_leaf(_of(leaf, "bank-c"), other).json()},
        "hidden": {"index": 0, "hash": "00"},
    }
    agent.entries = [shown[what]]
    put_back(agent, copy)
    await agent.ask("consent", agent.consent_body())


def _of(leaf: Any, author: str) -> Any:
    return replace(leaf, author=author)


async def test_a_budget_does_not_refill_where_the_centre_was_restored_too(tmp_path: Path) -> None:
    """Nobody's record holds what was spent since: nothing is spent until the owner has spoken."""
    agent = world(tmp_path)
    copy = backed_up(agent)
    await agent.admitted()
    await agent.round(1)
    before, bundle = await spent(agent), {"job": JOB, "spec": dump(agent.spec)}
    put_back(agent, copy)
    agent.entries = []  # the centre has lost it as well
    anew(agent, "another")
    error = await refusal(agent, agent.ask("consent", agent.consent_body()))
    assert error.code == "budget_locked"
    assert "secureflow agent data settle customers" in error.hint
    assert agent.store.job(JOB) is None
    (shown,) = await agent.assembly.context.budgets.report(exact=False)
    assert shown["locked"]
    assert await settle(agent, bundle) == {"domain": "customers", "jobs": [JOB]}
    assert await spent(agent) == pytest.approx(before)
    assert await unsettled(agent) == "budget_not_locked"
    agent.reopen()
    assert await spent(agent) == pytest.approx(before)


async def test_after_the_owner_spoke_the_rest_of_the_budget_is_what_was_left(
    tmp_path: Path,
) -> None:
    agent = world(tmp_path, {**BUDGET, "epsilon": 2.0})  # one costs 1.7, two 2.4
    copy = backed_up(agent)
    await agent.admitted()
    await agent.round(1)
    bundle = {"job": "job_before12345", "spec": dump(agent.spec)}
    put_back(agent, copy)
    await settle(agent, bundle)
    anew(agent, "another")
    error = await refusal(agent, agent.ask("consent", agent.consent_body()))
    assert error.code == "budget_exceeded"


async def test_what_the_log_shows_is_not_left_to_the_owners_memory(tmp_path: Path) -> None:
    agent = world(tmp_path)
    copy = backed_up(agent)
    await agent.admitted()
    await agent.round(1)
    agent.entries = logged(agent)
    before, told = await spent(agent), dump(agent.spec)
    put_back(agent, copy)
    assert await unsettled(agent) == "bundle_missing"
    cheaper = dump(agent.make_spec(**{**PRIVATE, "plan": {"rounds": 1, "validation": 0.0}}))
    assert await unsettled(agent, {"job": JOB, "spec": cheaper}) == "spec_digest_mismatch"
    assert await unsettled(agent, {"job": JOB}) == "invalid_file"
    assert events(agent) == []
    others = [{"job": f"job_{n:020d}", "spec": told} for n in range(1000)]
    assert await unsettled(agent, *others, {"job": JOB, "spec": told}) == "budget_exceeded"  # all
    await settle(agent, {"job": JOB, "spec": told})
    assert await spent(agent) == pytest.approx(before)
    kept = [leaf_from_json(leaf.bundle["leaf"]) for leaf in agent.store.every_leaf()]
    assert [leaf.json() for leaf in kept] == [entry["leaf"] for entry in agent.entries]
    assert all(leaf.leaf.prev in {"", *(one.hash() for one in kept)} for leaf in kept)
    agent.reopen()  # what was taken from the log is no reason to refuse the next job
    await agent.assembly.context.budgets._reconciliation.ensure()


async def test_a_domain_that_the_backup_does_not_know_is_locked_too(tmp_path: Path) -> None:
    """It may have been declared, and spent, after the backup."""
    agent = world(tmp_path)
    assert agent.store.budget_domains() == ()
    put_back(agent, backed_up(agent))
    error = await refusal(agent, agent.ask("consent", agent.consent_body()))
    assert error.code == "budget_locked"
    with pytest.raises(SecureFlowError, match="budget_undeclared"):
        await settling(agent).settle("of no dataset", ())


async def test_a_record_that_was_set_back_is_settled_in_the_same_way(tmp_path: Path) -> None:
    """After `clear-alarm` its budget stood there as unspent, and every private job died of it."""
    agent, before, bundle = await set_back(tmp_path)
    told = {"leaves": agent.entries}
    rollback = agent.assembly.rollback

    async def call(kind: str, body: dict[str, Any]) -> Any:
        return told if kind == "log.mine" else await agent.call(kind, body)

    rollback._call = call
    await rollback.accept()
    (shown,) = await agent.assembly.context.budgets.report(exact=False)
    assert shown["locked"]
    assert await unsettled(agent) == "bundle_missing"
    assert await settle(agent, bundle) == {"domain": "customers", "jobs": [JOB]}
    assert await spent(agent) == pytest.approx(before)


async def test_what_the_log_alone_shows_to_be_spent_is_settled_too(tmp_path: Path) -> None:
    """Nobody saw that the record was set back, but its budget entry is in the log."""
    agent, before, bundle = await set_back(tmp_path)
    assert await unsettled(agent) == "bundle_missing"
    assert await settle(agent, bundle) == {"domain": "customers", "jobs": [JOB]}
    assert await spent(agent) == pytest.approx(before)
    # A leaf of another domain may have been taken in with it: that one waits for its own word.
    assert refused_domain(agent, "another") == "budget_locked"
    assert await unsettled(agent) == "budget_not_locked"


async def test_a_set_back_in_mid_job_gives_nothing_back(tmp_path: Path) -> None:
    """The copy knows of one round; what the owner lets it go on with is charged for all three."""
    agent = world(tmp_path)
    await agent.admitted()
    await agent.round(1)
    agent.store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    copy = agent.directory / "copy.db"
    shutil.copy(agent.settings.record, copy)
    await agent.round(2)
    await agent.round(3)
    planned, bundle = await spent(agent), {"job": JOB, "spec": dump(agent.spec)}
    agent.entries = logged(agent)
    put_raw(agent, copy)
    await agent.assembly.rollback.accept()
    assert await spent(agent) == pytest.approx(planned)
    assert await settle(agent, bundle) == {"domain": "customers", "jobs": [JOB]}
    assert await spent(agent) == pytest.approx(planned)


@pytest.mark.parametrize("rounds", [0, 1])
async def test_what_was_charged_for_less_is_charged_in_full_on_the_owners_word(
    tmp_path: Path, rounds: int
) -> None:
    """An older version lowered it, or a job was finished that nobody knew to be set back."""
    agent = world(tmp_path)
    await agent.admitted()
    for number in range(1, rounds + 1):
        await agent.round(number)
    planned, bundle = await spent(agent), {"job": JOB, "spec": dump(agent.spec)}
    await finish(agent)
    assert await spent(agent) < planned
    agent.entries = logged(agent)
    put_back(agent, backed_up(agent))
    assert await settle(agent, bundle) == {"domain": "customers", "jobs": [JOB]}
    assert await spent(agent) == pytest.approx(planned)
    agent.reopen()
    assert await spent(agent) == pytest.approx(planned)
    check_sums(agent.store.budget_events("customers"))


@pytest.mark.parametrize("first", ["clear-alarm", "data settle"])
async def test_no_job_goes_on_whichever_word_the_owner_says_first(
    tmp_path: Path, first: str
) -> None:
    """Settling completed the record before its jobs were over; then no alarm knew of them."""
    agent, before, bundle = await set_back(tmp_path)
    with agent.store.transaction():
        agent.store.add_job(JobRecord("job_running", "ab" * 32, {}, b"\x01" * 32, 1, 1 << 40))
    if first == "clear-alarm":
        await agent.assembly.rollback.accept()
    await settle(agent, bundle)
    await agent.assembly.rollback.accept()
    outcomes = {one.job: one.outcome for one in agent.store.jobs()}
    assert outcomes == {JOB: "record_set_back", "job_running": "record_set_back"}
    assert await spent(agent) == pytest.approx(before)
    check_unlocked(agent.store, "customers")


@pytest.mark.parametrize("first", ["restore", "data settle", "clear-alarm", "set back"])
async def test_what_the_log_showed_once_is_settled_also_where_it_is_hidden(
    tmp_path: Path, first: str
) -> None:
    """The centre can lose it as well, or lie: the record had it, and the budget was new again."""
    if first in {"restore", "data settle"}:
        agent, before, bundle = await restored_since(tmp_path)
    else:
        agent, before, bundle = await set_back(tmp_path)
    if first == "restore":  # the first request looks back over the log
        await refusal(agent, agent.ask("consent", agent.consent_body()))
    if first == "clear-alarm":
        await agent.assembly.rollback.accept()
    assert await unsettled(agent) == "bundle_missing"
    assert refused_domain(agent, "customers") == "budget_locked"
    agent.entries = []
    assert await unsettled(agent) == "bundle_missing"
    agent.reopen()
    assert await unsettled(agent) == "bundle_missing"
    assert refused_domain(agent, "customers") == "budget_locked"
    cheaper = dump(agent.make_spec(**{**PRIVATE, "plan": {"rounds": 1, "validation": 0.0}}))
    assert await unsettled(agent, {"job": JOB, "spec": cheaper}) == "spec_digest_mismatch"
    assert await settle(agent, bundle) == {"domain": "customers", "jobs": [JOB]}
    assert await spent(agent) == pytest.approx(before)


@pytest.mark.parametrize("hidden", ["everything", "the budget entry"])
async def test_a_job_that_the_alarm_named_is_settled_also_where_the_log_unsays_it(
    tmp_path: Path, hidden: str
) -> None:
    agent, before, bundle = await set_back(tmp_path)
    shown = agent.entries
    rollback, answered = agent.assembly.rollback, agent.call

    async def call(kind: str, body: dict[str, Any]) -> Any:
        return {"leaves": agent.entries} if kind == "log.mine" else await answered(kind, body)

    rollback._call = call
    error = await refusal(agent, agent.ask("challenge", agent.body(generation=1)))
    assert error.code == "record_set_back"
    agent.entries = [] if hidden == "everything" else without(BUDGET_LEAF, shown)
    await rollback.accept()
    assert await unsettled(agent) == "bundle_missing"
    with agent.store.transaction():
        accept_rollback(agent.store, 1, ())  # a second set-back forgets nothing of the first
    assert await unsettled(agent) == "bundle_missing"
    cheaper = dump(agent.make_spec(**{**PRIVATE, "plan": {"rounds": 1, "validation": 0.0}}))
    assert await unsettled(agent, {"job": JOB, "spec": cheaper}) == "spec_digest_mismatch"
    assert await settle(agent, bundle) == {"domain": "customers", "jobs": [JOB]}
    assert await spent(agent) == pytest.approx(before)


async def test_what_a_private_job_found_in_the_log_is_not_forgotten_where_it_is_hidden(
    tmp_path: Path,
) -> None:
    """The job was refused (`budget_rolled_back`); the next one had the whole budget."""
    agent, before, bundle = await set_back(tmp_path)
    budgets, shown = agent.assembly.context.budgets, agent.entries
    for entries in (shown, []):
        agent.entries = entries
        assert (await refusal(agent, budgets._reconciliation.ensure())).code == "budget_rolled_back"
    agent.reopen()
    budgets = agent.assembly.context.budgets
    assert (await refusal(agent, budgets._reconciliation.ensure())).code == "budget_rolled_back"
    error = await refusal(agent, agent.ask("challenge", agent.body(generation=1)))
    assert error.code == "record_set_back"
    assert await unsettled(agent) == "bundle_missing"
    assert refused_domain(agent, "customers") == "budget_locked"
    assert await settle(agent, bundle) == {"domain": "customers", "jobs": [JOB]}
    assert await spent(agent) == pytest.approx(before)
    await budgets._reconciliation.ensure()


async def test_the_alarm_of_an_older_version_names_no_specs(tmp_path: Path) -> None:
    agent, before, bundle = await set_back(tmp_path)
    named = {"jobs": [JOB], "leaves": [leaf_from_json(agent.entries[-1]["leaf"]).hash()]}
    with agent.store.transaction():
        agent.store.set_fact("alarm", {"code": "record_set_back", "details": named})
    agent.entries = []
    await agent.assembly.rollback.accept()
    assert await unsettled(agent) == "bundle_missing"
    assert await settle(agent, bundle) == {"domain": "customers", "jobs": [JOB]}
    assert await spent(agent) == pytest.approx(before)


async def test_a_settlement_given_twice_at_once_ends_nothing_that_came_after_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or after the command line gave up waiting, and its owner gave the command again."""
    monkeypatch.setattr("secureflow.agent.record.ownleaves._PAGE", 1)
    agent, _, bundle = await set_back(tmp_path)
    context, reading, first_is_through = agent.assembly.context, asyncio.Event(), asyncio.Event()

    async def slow(kind: str, body: dict[str, Any]) -> Any:
        answer = await agent.call(kind, body)
        if body.get("start") == len(agent.listed()) - 1:  # the last page comes late
            reading.set()
            await first_is_through.wait()
        return answer

    late = BudgetRecovery(context.budgets, agent.store, ME, context.key.public, slow, context.clock)
    second = asyncio.create_task(late.settle("customers", [bundle]))
    await reading.wait()
    await settle(agent, bundle)
    with agent.store.transaction():
        settle_domain(agent.store, "another")
        agent.store.add_job(JobRecord("job_today", "ab" * 32, {}, b"\x01" * 32, 1, 1 << 40))
    first_is_through.set()
    assert (await refusal(agent, second)).code == "budget_not_locked"
    check_unlocked(agent.store, "another")
    assert {one.job: one.outcome for one in agent.store.jobs()} == {
        JOB: "record_set_back",
        "job_today": "",
    }


async def test_what_a_restore_was_expected_to_lack_ends_no_job_of_today(tmp_path: Path) -> None:
    agent = world(tmp_path)
    copy = backed_up(agent)
    await agent.admitted()
    await agent.round(1)
    bundle = {"job": JOB, "spec": dump(agent.spec)}
    agent.entries = logged(agent)
    put_back(agent, copy)
    with agent.store.transaction():
        agent.store.add_job(JobRecord("job_today", "ab" * 32, {}, b"\x01" * 32, 1, 1 << 40))
    await settle(agent, bundle)
    assert {one.job: one.outcome for one in agent.store.jobs()} == {"job_today": ""}


async def restored_since(tmp_path: Path) -> tuple[World, float, dict[str, Any]]:
    """Return an agent that was restored from before a job, what it spent, and the bundle.

    The log shows what was signed since.
    """
    agent = world(tmp_path)
    copy = backed_up(agent)
    await agent.admitted()
    await agent.round(1)
    before, bundle = await spent(agent), {"job": JOB, "spec": dump(agent.spec)}
    agent.entries = logged(agent)
    put_back(agent, copy)
    return agent, before, bundle


def without(kind: str, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in entries if leaf_from_json(one["leaf"]).leaf.kind != kind]


async def set_back(tmp_path: Path) -> tuple[World, float, dict[str, Any]]:
    """Return an agent on a copy of its record from before a job, what it spent, and the bundle.

    The log shows what was signed since.
    """
    agent = world(tmp_path)
    agent.store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    copy = agent.directory / "copy.db"
    shutil.copy(agent.settings.record, copy)
    await agent.admitted()
    await agent.round(1)
    before, bundle = await spent(agent), {"job": JOB, "spec": dump(agent.spec)}
    agent.entries = logged(agent)
    put_raw(agent, copy)
    return agent, before, bundle


def refused_domain(agent: World, domain: str) -> str:
    with pytest.raises(SecureFlowError) as refused:
        check_unlocked(agent.store, domain)
    return refused.value.code
