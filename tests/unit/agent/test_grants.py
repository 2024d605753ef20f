"""The owner's agent decides by its own grants: before policies and people, and at the end."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from peers.agent_people import waiting_item
from peers.agent_world import ALLOW, JOB, ME, NOW, World

from secureflow.agent.owner.acting import Actor, as_actor
from secureflow.agent.owner.stops import lifted
from secureflow.agent.record.grantrows import KeptGrant
from secureflow.agent.settings import AgentSettings
from secureflow.agent.verbs import stopping
from secureflow.agent.verbs.stopping import Cause
from secureflow.domain.grants import GrantTerms
from secureflow.domain.ids import part_id
from secureflow.domain.specs.base import dump, spec_digest
from secureflow.kit.errors import SecureFlowError
from tests.unit.agent.test_budgets import world as private
from tests.unit.agent.test_consent import arrived, decide
from tests.unit.agent.test_restored import backed_up, put_back

PROJECT = "prj_0123456789"
COLUMNS = ("age", "job", "income")


def terms(**changes: Any) -> GrantTerms:
    given: dict[str, Any] = {"expires": NOW + 1000, "columns": COLUMNS, **changes}
    return GrantTerms(dataset="customers", project=PROJECT, **given)


def grant(world: World, **changes: Any) -> KeptGrant:
    return world.assembly.grants.create(terms(**changes))


async def refusal(world: World, **changes: Any) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as refused:
        await world.ask("consent", world.consent_body(**changes))
    return refused.value


def another(world: World, number: int) -> dict[str, Any]:
    """Return a request for the same spec under another id."""
    return world.consent_body(job=f"job_{number:010d}")


class Required(World):
    """An owner that approves nothing without a grant."""

    @property
    def settings(self) -> AgentSettings:
        settings = super().settings
        consent = settings.consent.model_copy(update={"grants": "required"})
        return settings.model_copy(update={"consent": consent})


async def test_without_grants_policies_decide_as_before(tmp_path: Path) -> None:
    world = World(tmp_path / "agent")
    assert await world.ask("consent", world.consent_body())
    assert world.store.grant_use(JOB) is None


async def test_an_owner_may_require_a_grant(tmp_path: Path) -> None:
    world = Required(tmp_path / "agent")
    error = await refusal(world)
    assert error.code == "grant_missing"
    assert "none in force" in error.message
    made = grant(world)
    assert await world.ask("consent", world.consent_body())
    assert world.store.grant_use(JOB).grant == made.id  # type: ignore[union-attr]


class ByDataset(World):
    """An owner whose grants for data hold in whatever project."""

    @property
    def settings(self) -> AgentSettings:
        settings = super().settings
        consent = settings.consent.model_copy(update={"grants": "dataset"})
        return settings.model_copy(update={"consent": consent})


async def test_a_project_of_another_id_leads_round_no_grant(tmp_path: Path) -> None:
    """The centre chooses ids of projects: after a revocation it names the project anew."""
    for owner, allowed in ((World, True), (ByDataset, False)):
        world = owner(tmp_path / owner.__name__)
        assert await world.ask("consent", another(world, 1))  # no grant for the data at all
        elsewhere = GrantTerms("customers", "prj_elsewhere00", COLUMNS, NOW + 1000)
        made = world.assembly.grants.create(elsewhere)
        await world.assembly.stopping.stop(Cause("grant_revoked", made.id))
        if allowed:
            assert await world.ask("consent", world.consent_body())
        else:
            assert (await refusal(world)).code == "grant_missing"


async def test_an_approval_remembers_its_grant_and_ends_with_it(tmp_path: Path) -> None:
    world = World(tmp_path / "agent")
    made = grant(world)
    reply = await world.ask("consent", world.consent_body())
    assert reply["approval"]["body"]["expires"] == NOW + 1000
    action = next(d for d in world.store.actions() if d["action"] == "job.approved")
    assert action["facts"]["grant"] == made.id
    assert action["facts"]["by"].startswith("policy")


async def test_a_job_beyond_the_grant_is_refused_whatever_policies_allow(tmp_path: Path) -> None:
    world = World(tmp_path / "agent", policy=ALLOW)
    made = grant(world, columns=("age", "income"))
    error = await refusal(world)
    assert error.code == "grant_missing"
    assert "columns job" in error.message
    assert error.details["grants"][made.id]
    assert world.store.job(JOB) is None
    assert any(one["action"] == "job.refused" for one in world.store.actions())
    grant(world)  # the job has to fit one of them
    assert await world.ask("consent", world.consent_body())


async def test_a_grant_alone_asks_people_an_automatic_one_does_not(tmp_path: Path) -> None:
    world = World(tmp_path / "agent", policy="")
    made = grant(world)
    asking = asyncio.create_task(world.ask("consent", world.consent_body()))
    item = await arrived(world)
    assert item.request["grant"] == made.id
    decide(world, item.id, "approved")
    await asking
    await asyncio.to_thread(grant, world, automatic=True, purposes=("credit scoring",))
    world.assembly.grants.create(terms(columns=("age",)))
    assert await world.ask("consent", another(world, 1))


async def test_an_automatic_grant_overrules_no_policy(tmp_path: Path) -> None:
    world = World(tmp_path / "agent", policy="forbid(principal, action, resource);")
    grant(world, automatic=True)
    assert (await refusal(world)).code == "consent_refused"


async def test_an_automatic_grant_stands_for_no_policy_that_broke(tmp_path: Path) -> None:
    """Whoever makes a `forbid` overflow must not be let in by the grant: a person decides."""
    broken = (
        "forbid(principal, action, resource) when { context.group_size * 9223372036854775807 > 0 };"
    )
    world = World(tmp_path / "agent", policy=broken)
    grant(world, automatic=True)
    asking, item = await waiting_item(world)
    assert item is not None, "nobody was asked"
    assert item.reasons[0] == "a policy could not be evaluated"
    decide(world, item.id, "rejected")
    with pytest.raises(SecureFlowError):
        await asking


async def test_uses_are_counted_and_never_come_back(tmp_path: Path) -> None:
    world = World(tmp_path / "agent")
    made = grant(world, uses=1)
    assert await world.ask("consent", world.consent_body())
    again = await world.ask("consent", world.consent_body())
    assert again, "the same request is the same approval"
    assert world.assembly.grants.used(made.id).uses == 1
    world.record()
    await world.ask("finish", world.body(outcome="cancelled", model=None, head=world.head()))
    with pytest.raises(SecureFlowError) as refused:
        await world.ask("consent", another(world, 1))
    assert "1 uses" in refused.value.message
    world.reopen()
    with pytest.raises(SecureFlowError):
        await world.ask("consent", another(world, 2))


async def test_a_renewal_is_under_the_same_grant_and_no_further_use(tmp_path: Path) -> None:
    world = World(tmp_path / "agent")
    first = grant(world, uses=1, expires=NOW + 10_000)
    body = world.consent_body(expires=NOW + 100)
    await world.ask("consent", body)
    grant(world, automatic=True)
    world.now = NOW + 200
    assert await world.ask("consent", world.consent_body(expires=NOW + 5000))
    use = world.store.grant_use(JOB)
    assert use is not None
    assert use.grant == first.id
    assert world.assembly.grants.used(first.id).uses == 1
    await world.assembly.stopping.stop(Cause("grant_revoked", first.id))
    assert (await refusal(world)).code == "grant_revoked"


async def test_concurrent_jobs_cannot_exceed_a_ceiling(tmp_path: Path) -> None:
    world = World(tmp_path / "agent", policy="")
    made = grant(world, uses=2)
    asking = [asyncio.create_task(world.ask("consent", another(world, n))) for n in range(5)]
    while len(world.assembly.inbox.list()) < 5:  # noqa: ASYNC110  a commit tells nobody
        await asyncio.sleep(0.001)
    for item in world.assembly.inbox.list():
        decide(world, item.id, "approved")
    found = await asyncio.gather(*asking, return_exceptions=True)
    codes = [one.code for one in found if isinstance(one, SecureFlowError)]
    assert codes == ["grant_missing"] * 3
    assert world.assembly.grants.used(made.id).uses == 2


async def test_a_grant_that_was_revoked_while_a_person_was_asked(tmp_path: Path) -> None:
    world = World(tmp_path / "agent", policy="")
    made = grant(world)
    asking = asyncio.create_task(world.ask("consent", world.consent_body()))
    item = await arrived(world)
    await world.assembly.stopping.stop(Cause("grant_revoked", made.id))
    decide(world, item.id, "approved")
    with pytest.raises(SecureFlowError) as refused:
        await asking
    assert refused.value.code == "grant_missing"
    assert world.store.job(JOB) is None
    assert (await refusal(world)).code == "grant_missing", "a revoked grant is no missing one"


async def test_who_stops_a_job_is_answered_though_its_end_takes_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, gone = World(tmp_path / "agent"), asyncio.Event()
    made = grant(world)
    await world.ask("consent", world.consent_body())
    real = world.worker.close

    async def slow(job: str) -> None:
        await gone.wait()
        await real(job)

    monkeypatch.setattr(world.worker, "close", slow)
    monkeypatch.setattr(stopping, "ANSWERED_WITHIN", 0.0)
    stopped = await world.assembly.stopping.stop(Cause("grant_revoked", made.id))
    assert [one.job for one in stopped] == [JOB], "it is on record, and answered"
    assert world.worker.closed == []
    gone.set()
    await asyncio.gather(*world.assembly.stopping._ending)
    assert set(world.worker.closed) == {JOB}, "what took longer went on"


async def test_a_first_grant_that_came_while_a_person_was_asked(tmp_path: Path) -> None:
    world = World(tmp_path / "agent", policy="")
    asking = asyncio.create_task(world.ask("consent", world.consent_body()))
    item = await arrived(world)
    grant(world, columns=("age",))
    decide(world, item.id, "approved")
    with pytest.raises(SecureFlowError) as refused:
        await asking
    assert refused.value.code == "grant_missing"


async def test_a_row_that_somebody_changed_is_no_grant(tmp_path: Path) -> None:
    world = World(tmp_path / "agent")
    made = grant(world, columns=("age", "income"))
    world.store.close()
    with closing(sqlite3.connect(world.settings.record)) as record:
        wider = {**made.body, "terms": {**made.body["terms"], "columns": list(COLUMNS)}}
        record.execute("UPDATE grants SET body = ?", (json.dumps(wider),))
        record.commit()
    world.open_agent()
    error = await refusal(world)
    assert error.code == "grant_forged"
    assert world.store.job(JOB) is None


async def test_a_restored_backup_gives_back_no_use_and_no_revoked_grant(tmp_path: Path) -> None:
    world = World(tmp_path / "agent")
    made = grant(world, uses=2)
    copy = backed_up(world)
    assert await world.ask("consent", another(world, 1))
    await world.assembly.stopping.stop(Cause("grant_revoked", made.id))
    put_back(world, copy)
    assert world.assembly.grants.get(made.id).state == "granted", "the backup knows no better"
    with pytest.raises(SecureFlowError) as refused:
        await world.ask("consent", another(world, 2))
    assert refused.value.code == "grant_locked"
    world.assembly.grants.unlock(made.id, uses=1, epsilon=0.0)
    with pytest.raises(SecureFlowError) as refused:
        world.assembly.grants.unlock(made.id, uses=0, epsilon=0.0)
    assert refused.value.code == "grant_not_locked"
    assert await world.ask("consent", another(world, 2))
    with pytest.raises(SecureFlowError) as refused:
        await world.ask("consent", another(world, 3))
    assert refused.value.code == "grant_missing"


async def test_a_grant_made_after_a_restore_is_not_locked(tmp_path: Path) -> None:
    world = World(tmp_path / "agent")
    put_back(world, backed_up(world))
    grant(world)
    assert await world.ask("consent", another(world, 1))


async def test_epsilon_is_reserved_with_the_approval_and_given_back_with_the_budget(
    tmp_path: Path,
) -> None:
    world = private(tmp_path / "agent")
    cost = await world.assembly.context.budgets.expected_epsilon(JOB, world.spec)
    assert cost
    made = grant(world, epsilon=1.5 * cost)
    assert await world.ask("consent", world.consent_body())
    used = world.assembly.grants.used(made.id)
    assert (used.uses, used.epsilon) == (1, pytest.approx(cost))
    with pytest.raises(SecureFlowError) as refused:
        await world.ask("consent", another(world, 1))
    assert "in all" in refused.value.message
    world.record()
    await world.ask("finish", world.body(outcome="cancelled", model=None, head=world.head()))
    used = world.assembly.grants.used(made.id)
    assert (used.uses, used.epsilon) == (1, 0.0), "no row was read; the use stays"
    assert await world.ask("consent", another(world, 1))


async def test_epsilon_of_rows_that_were_read_stays(tmp_path: Path) -> None:
    world = private(tmp_path / "agent")
    made = grant(world, epsilon=40.0, epsilon_per_job=40.0)
    await world.admitted()
    before = world.assembly.grants.used(made.id).epsilon
    await world.ask("train", world.train_body())
    await world.assembly.stopping.stop(Cause("grant_revoked", made.id))
    after = world.assembly.grants.used(made.id).epsilon
    assert 0.0 < after < before


async def test_a_job_without_privacy_does_not_fit_a_grant_with_a_ceiling(tmp_path: Path) -> None:
    world = World(tmp_path / "agent")
    grant(world, epsilon=1.0)
    assert "differential privacy" in (await refusal(world)).message


def test_a_grant_is_signed_by_the_organisation(tmp_path: Path) -> None:
    world = World(tmp_path / "agent")
    made = grant(world)
    assert world.assembly.grants.terms_of(made) == terms()
    assert made.body["organisation"] == ME
    assert len(made.id) == 64
    assert [one.id for one in world.assembly.grants.every()] == [made.id]


def test_a_proposal_is_confirmed_once(tmp_path: Path) -> None:
    world = World(tmp_path / "agent")
    world.assembly.grants.create(terms(), "grt_0123456789")
    with pytest.raises(SecureFlowError) as refused:
        world.assembly.grants.create(terms(), "grt_0123456789")
    assert refused.value.code == "already_exists"


async def test_the_record_says_who_granted_stopped_and_let_go_again(tmp_path: Path) -> None:
    world = World(tmp_path / "agent")
    with as_actor(Actor("psn_one", 1000)):
        made = grant(world)
        for cause in (Cause("grant_revoked", made.id), Cause("project_stopped", PROJECT)):
            await world.assembly.stopping.stop(cause)
        lifted(world.store, "project", PROJECT, NOW)
    await world.assembly.stopping.stop(Cause("requester_blocked", "usr_1", "centre"))
    newest, *older = world.store.actions()
    noted = {one["action"]: one["facts"].get("person") for one in older}
    for action in ("grant.created", "grant.revoked", "stop.set", "stop.lifted"):
        assert noted[action] == "psn_one"
    assert (newest["facts"]["name"], newest["facts"].get("person")) == ("usr_1", None)


@pytest.mark.parametrize(
    "damage", ["spec = '{'", "spec = '7'", "spec = '{\"roster\": 7}'", "digest = x'00'"]
)
async def test_a_row_that_cannot_be_read_lets_no_other_job_go_on(
    tmp_path: Path, damage: str
) -> None:
    world = World(tmp_path / "agent")
    made = grant(world)
    await world.ask("consent", world.consent_body())
    broken = another(world, 1)["job"]
    await world.ask("consent", another(world, 1))
    await world.ask("consent", another(world, 2))
    with world.store.transaction():
        world.store._write(f"UPDATE jobs SET {damage} WHERE job = ?", broken)
    stopped = await world.assembly.stopping.stop(Cause("grant_revoked", made.id))
    assert {one.job: one.unreadable for one in stopped} == {
        JOB: False, broken: True, another(world, 2)["job"]: False,
    }  # fmt: skip
    assert world.store.open_jobs() == []
    assert world.assembly.grants.get(made.id).state == "revoked"
    (named,) = [one for one in stopped if one.unreadable]
    assert "secureflow agent check" in named.told()[0]
    assert [one["job"] for one in world.store.actions() if one["action"] == "job.unreadable"] == [
        broken
    ]
    assert await world.assembly.stopping.stop(Cause("grant_revoked", made.id)) == []


async def test_a_row_that_cannot_be_read_is_named_where_a_project_is_stopped(
    tmp_path: Path,
) -> None:
    world = World(tmp_path / "agent")
    await world.ask("consent", world.consent_body())
    await world.ask("consent", another(world, 1))
    broken = another(world, 1)["job"]
    with world.store.transaction():
        world.store._write("UPDATE jobs SET spec = '{' WHERE job = ?", broken)
    stopped = await world.assembly.stopping.stop(Cause("project_stopped", PROJECT))
    assert {one.job: one.unreadable for one in stopped} == {JOB: False, broken: True}
    assert world.store.stop("project", PROJECT) is not None
    assert world.store.open_jobs() == [broken]  # nobody knows whether it was of the project


async def test_what_fails_at_the_end_of_a_job_hinders_nothing_else(tmp_path: Path) -> None:
    world = World(tmp_path / "agent")
    made = grant(world)
    await world.ask("consent", world.consent_body())
    stopping, ended = world.assembly.stopping, []

    async def end_run(job: str) -> None:
        raise SecureFlowError("engine_failed", job)

    async def close(job: str) -> None:
        ended.append("closed")
        raise OSError(job)

    async def forget(job: str) -> None:
        ended.append("forgotten")

    stopping._end_run, stopping._forget = end_run, forget
    stopping._computing.close = close  # type: ignore[method-assign]
    assert len(await stopping.stop(Cause("grant_revoked", made.id))) == 1
    assert ended == ["closed", "forgotten"]


def test_ids_of_parts_are_under_the_grant_of_their_whole(tmp_path: Path) -> None:
    world = World(tmp_path / "agent")
    made = grant(world)
    digest = spec_digest(world.spec)
    assert digest == world.digest
    part = part_id(JOB, 1)
    with world.store.transaction():
        world.assembly.grants.take(JOB, world.spec, _asked(world), _under(world))
        world.assembly.grants.take_part(part, JOB)
    use = world.store.grant_use(part)
    assert use is not None
    assert (use.grant, use.counted, use.epsilon) == (made.id, 0, 0.0)
    assert dump(terms())["bundles"] == "none"


def _asked(world: World) -> dict[str, Any]:
    return {"dataset": "customers", "columns": COLUMNS, "epsilon": None}


def _under(world: World) -> Any:
    return world.assembly.grants.under(JOB, world.spec, _asked(world))
