"""Projects that are frozen, over or archived let nothing run; a member that leaves takes its jobs.

`stage.driver` notes what it is told to cancel; that a real runner does is in test_project_stops.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from secureflow.domain.jobs import JobState
from secureflow.domain.projects import Project, ProjectState
from secureflow.engines.ledger.setback import Hold
from secureflow.kit.errors import InfrastructureError
from tests.stage import NOW, Stage
from tests.unit.application.refusing import refused

DAY = 86_400


def states(stage: Stage) -> dict[str, str]:
    """Return why each job was cancelled, by job."""
    return {job: because["why"] for job, because in stage.driver.reasons.items()}


async def project(stage: Stage) -> Project:
    return await stage.services.projects.get(stage.operator, stage.ids["project"])


async def test_a_freeze_cancels_what_runs_and_lets_nothing_start(stage: Stage) -> None:
    use, admin, key = stage.services.project_states, stage.admin("bank-a"), stage.ids["project"]
    frozen = await use.freeze(admin, key, "a review")
    assert frozen.frozen is not None
    assert (frozen.frozen.organisation, frozen.frozen.reason) == ("bank-a", "a review")
    assert stage.driver.cancelled == [(stage.ids["job"], admin.name)]  # and no other project's
    assert states(stage) == {stage.ids["job"]: "frozen"}
    with refused("project_frozen", "bank-a"):
        await stage.services.jobs.submit(stage.scientist("bank-b"), stage.wanted())
    with refused("project_frozen", "bank-a"):
        await stage.services.jobs.dry_run(stage.scientist("bank-b"), stage.wanted())
    await use.freeze(admin, key)
    assert stage.ledger.kinds.count("project.frozen") == 1
    assert (await use.thaw(admin, key)).frozen is None
    await stage.services.jobs.submit(stage.scientist("bank-b"), stage.wanted())
    assert stage.ledger.kinds[-2:] == ["project.thawed", "job.proposed"]


async def test_only_the_founder_and_the_operator_freeze(stage: Stage) -> None:
    use, key = stage.services.project_states, stage.ids["project"]
    with refused("forbidden", "bank-b did not found"):
        await use.freeze(stage.admin("bank-b"), key)
    with refused("not_found"):
        await use.freeze(stage.admin("outsider"), key)
    await use.freeze(stage.operator, key)
    with refused("forbidden", "operator"):
        await use.thaw(stage.admin("bank-a"), key)
    assert (await use.thaw(stage.operator, key)).frozen is None


async def test_an_end_date_ends_what_runs_and_lets_nothing_start(stage: Stage) -> None:
    use, lead, key = stage.services.project_states, stage.scientist("bank-a"), stage.ids["project"]
    with refused("invalid_request"):
        await use.change(lead, key, ends=NOW)
    await use.change(lead, key, ends=NOW + DAY)
    assert await stage.services.project_stops.sweep() == 0
    stage.now[0] = NOW + DAY
    assert (await project(stage)).state_at(NOW + DAY) is ProjectState.ENDED
    with refused("project_ended"):
        await stage.services.jobs.submit(lead, stage.wanted())
    assert await stage.services.project_stops.sweep() == 1
    assert states(stage) == {stage.ids["job"]: "ended"}
    await use.change(lead, key, ends=0)
    await stage.services.jobs.submit(lead, stage.wanted())


async def test_an_archive_is_for_good(stage: Stage) -> None:
    use, admin, key = stage.services.project_states, stage.admin("bank-a"), stage.ids["project"]
    await use.archive(admin, key)
    assert states(stage) == {stage.ids["job"]: "archived"}
    grants = await stage.services.datasets.grants(admin, project=key)
    assert all(grant.revoked == NOW for grant in grants.items)
    assert len(grants.items) == 3
    for refusing in (
        use.thaw(admin, key),
        use.freeze(admin, key),
        use.change(admin, key, ends=NOW + DAY),
        stage.services.jobs.submit(stage.scientist("bank-a"), stage.wanted()),
        stage.services.projects.invite(admin, key, "outsider"),
        stage.services.project_people.set(admin, key, admin.user, []),
    ):
        with refused("project_closed"):
            await refusing
    assert (await stage.services.jobs.get(admin, stage.ids["job"])).id == stage.ids["job"]
    assert await stage.services.audit.bundle(admin, stage.ids["job"])
    assert (await use.archive(admin, key)).closed == NOW
    assert stage.ledger.kinds.count("project.archived") == 1


async def test_an_invitation_into_an_archive_is_not_accepted(stage: Stage) -> None:
    admin, key = stage.admin("bank-a"), stage.ids["project"]
    await stage.services.projects.invite(admin, key, "outsider")
    await stage.services.project_states.archive(admin, key)
    with refused("project_closed"):
        await stage.services.projects.accept(stage.admin("outsider"), key)


@pytest.mark.parametrize("left", ["bank-a", "bank-b"])  # who submitted it, who contributes
async def test_what_a_member_takes_part_in_ends_when_it_leaves(stage: Stage, left: str) -> None:
    await stage.services.projects.leave(stage.admin(left), stage.ids["project"])
    assert states(stage) == {stage.ids["job"]: "left"}
    assert stage.driver.reasons[stage.ids["job"]]["organisation"] == left


async def test_a_declined_invitation_ends_nothing(stage: Stage) -> None:
    await stage.services.projects.invite(stage.admin("bank-a"), stage.ids["project"], "outsider")
    await stage.services.projects.leave(stage.admin("outsider"), stage.ids["project"])
    assert stage.driver.cancelled == []


async def test_what_was_decided_is_done_later_if_it_cannot_be_done_now(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One job that cannot be cancelled now keeps no other from it; nor does a database away."""
    other = await stage.services.jobs.submit(stage.scientist("bank-a"), stage.wanted())
    cancel = stage.driver.cancel

    async def busy(job: str, *told: Any) -> None:
        if job == stage.ids["job"]:
            raise InfrastructureError("database_busy", "It is busy.")
        await cancel(job, *told)

    monkeypatch.setattr(stage.driver, "cancel", busy)
    await stage.services.project_states.freeze(stage.admin("bank-a"), stage.ids["project"])
    assert (await project(stage)).frozen is not None
    assert states(stage) == {other.id: "frozen"}
    monkeypatch.setattr(stage.driver, "cancel", cancel)
    await stage.finish(other, state=JobState.CANCELLED)
    assert await stage.services.project_stops.sweep() == 1
    assert states(stage) == {other.id: "frozen", stage.ids["job"]: "frozen"}


async def test_a_decision_stands_though_the_database_goes_away_after_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> Any:
        raise InfrastructureError("database_unavailable", "It is away.")

    monkeypatch.setattr(stage.services.project_stops, "_begin", away)
    use, key = stage.services.project_states, stage.ids["project"]
    assert (await use.freeze(stage.admin("bank-a"), key)).frozen is not None
    assert stage.driver.cancelled == []
    monkeypatch.undo()
    assert await stage.services.project_stops.sweep() == 1


async def test_nothing_is_cancelled_twice(stage: Stage) -> None:
    await stage.services.project_states.freeze(stage.admin("bank-a"), stage.ids["project"])
    job = await stage.services.jobs.get(stage.operator, stage.ids["job"])
    await stage.finish(job, progress={**job.progress, "cancel": "somebody"})
    assert await stage.services.project_stops.sweep() == 0
    await stage.finish(job, state=JobState.SUCCEEDED)
    assert await stage.services.project_stops.sweep() == 0


async def test_stopping_does_not_wait_for_a_held_log(stage: Stage) -> None:
    size = await stage.ledger.caught_up()
    await stage.ledger.judge(lambda _, __: Hold("restored", 1, size, kept=size))
    key = stage.ids["project"]
    await stage.services.project_states.freeze(stage.admin("bank-a"), key)
    with refused("log_set_back"):
        await stage.services.project_states.thaw(stage.admin("bank-a"), key)
    with refused("log_set_back"):
        await stage.services.project_states.change(stage.admin("bank-a"), key, ends=NOW + DAY)
    await stage.services.project_people.remove(stage.admin("bank-a"), key, "usr_nobody")
    await stage.services.projects.leave(stage.admin("bank-b"), key)
    await stage.services.project_states.archive(stage.admin("bank-a"), key)
    assert (await project(stage)).closed == NOW


async def test_archived_projects_do_not_count_towards_the_quota(stage: Stage) -> None:
    quotas = replace(stage.services.projects._quotas, projects=1)
    stage.services.projects._quotas = quotas
    lead = stage.scientist("bank-a")
    with refused("quota_exceeded"):
        await stage.services.projects.create(lead, name="P", purpose="p")
    await stage.services.project_states.archive(stage.admin("bank-a"), stage.ids["project"])
    await stage.services.projects.create(lead, name="P", purpose="p")


async def test_a_project_keeps_the_rules_of_its_template(stage: Stage) -> None:
    lead = stage.scientist("bank-a")
    made = await stage.services.projects.create(
        lead, name="P", purpose="p", template="clinical-research"
    )
    assert made.template == "clinical-research"
    assert made.restricted
    assert made.rules is not None
    with refused("not_found", "template"):
        await stage.services.projects.create(lead, name="P", purpose="p", template="x")
    async with stage.database.begin() as work:
        project = await work.projects.get(stage.ids["project"])
        await work.projects.save(replace(project, rules=replace(made.rules, epsilon=None)))
        await work.commit()
    await stage.services.jobs.dry_run(lead, stage.wanted())
    async with stage.database.begin() as work:
        await work.projects.save(replace(project, rules=replace(made.rules, kinds=("psi",))))
        await work.commit()
    with refused("project_rule_broken", "psi"):
        await stage.services.jobs.dry_run(lead, stage.wanted())
    with refused("project_rule_broken"):
        await stage.services.jobs.submit(lead, stage.wanted())


@pytest.mark.parametrize("stopped", ["freeze", "end", "leave"])
async def test_what_had_to_end_ends_before_the_decision_is_undone(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, stopped: str
) -> None:
    """The centre crashed between decision and stop, and was asked for the opposite at once."""
    use, admin, key = stage.services.project_states, stage.admin("bank-a"), stage.ids["project"]
    cancel = stage.driver.cancel

    async def away(*_: Any) -> None:
        raise InfrastructureError("database_unavailable", "It is away.")

    monkeypatch.setattr(stage.driver, "cancel", away)
    if stopped == "freeze":
        await use.freeze(admin, key)
    elif stopped == "end":
        await use.change(admin, key, ends=NOW + 1)
        stage.now[0] = NOW + 1
    else:
        await stage.services.projects.leave(stage.admin("bank-b"), key)

    async def undo() -> None:
        if stopped == "freeze":
            await use.thaw(admin, key)
        elif stopped == "end":
            await use.change(admin, key, ends=0)
        else:
            await stage.services.projects.invite(admin, key, "bank-b")

    before = await project(stage)
    with refused("database_unavailable"):
        await undo()
    assert await project(stage) == before
    monkeypatch.setattr(stage.driver, "cancel", cancel)
    await undo()
    assert list(states(stage)) == [stage.ids["job"]]
    assert await project(stage) != before


async def test_why_it_is_frozen_can_be_erased(stage: Stage) -> None:
    """The ledger, which nobody can erase, has a commitment that says nothing without its salt."""
    use, admin, key = stage.services.project_states, stage.admin("bank-a"), stage.ids["project"]
    frozen = (await use.freeze(admin, key, "Ada copied rows")).frozen
    assert frozen is not None
    await stage.ledger.caught_up()
    document = next(one.document for one in stage.ledger.log if one.kind == "project.frozen")
    assert document["reason_commitment"] == frozen.commitment
    assert "Ada" not in str(document)
    commitment = hashlib.sha256(bytes.fromhex(frozen.salt) + b"Ada copied rows").hexdigest()
    assert frozen.commitment == commitment
    await use.thaw(admin, key)
    assert "Ada" not in str(stage.database.tables.rows["projects"])
    await use.freeze(admin, key, "Ada copied rows")
    await use.archive(admin, key)
    assert "Ada" not in str(stage.database.tables.rows["projects"])
    await stage.ledger.caught_up()
    told = [one.document for one in stage.ledger.log if one.kind == "project.frozen"]
    assert len({one["reason_commitment"] for one in told}) == 2
