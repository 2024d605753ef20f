"""Organisations name their people in a project; roles there decide from the first one on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from secureflow.application.access import Principal
from secureflow.domain.projects import ProjectRole
from secureflow.domain.users import Role, Scope
from tests.stage import Stage
from tests.unit.application.refusing import refused

LEAD, SCIENTIST, AUDITOR = ProjectRole.LEAD, ProjectRole.SCIENTIST, ProjectRole.AUDITOR


async def test_roles_in_the_project_decide_from_the_first_person_on(stage: Stage) -> None:
    use, key = stage.services.project_people, stage.ids["project"]
    ana, owner = stage.scientist("bank-a"), stage.owner("bank-a")
    await stage.services.jobs.submit(ana, stage.wanted())
    await use.set(stage.admin("bank-a"), key, owner.user, [SCIENTIST])
    with refused("forbidden", "project people set"):
        await stage.services.jobs.submit(ana, stage.wanted())
    with refused("forbidden"):
        await stage.services.jobs.cancel(ana, stage.ids["job"])
    job = await stage.services.jobs.submit(owner, stage.wanted())
    await stage.services.jobs.submit(stage.scientist("bank-b"), stage.wanted())
    assert (await stage.services.jobs.get(ana, job.id)).id == job.id  # she looks on
    await use.remove(stage.admin("bank-a"), key, owner.user)
    await stage.services.jobs.submit(ana, stage.wanted())
    with refused("forbidden"):
        await stage.services.jobs.submit(owner, stage.wanted())


async def test_a_lead_names_people_of_the_own_organisation_only(stage: Stage) -> None:
    use, key = stage.services.project_people, stage.ids["project"]
    lead, other = stage.scientist("bank-a"), stage.scientist("bank-b")
    await use.set(stage.admin("bank-a"), key, lead.user, [LEAD, AUDITOR])
    project = await use.set(lead, key, stage.owner("bank-a").user, [AUDITOR, AUDITOR])
    assert [(one.user, one.roles) for one in project.people] == [
        (lead.user, (LEAD, AUDITOR)),
        (stage.owner("bank-a").user, (AUDITOR,)),
    ]
    with refused("not_found"):
        await use.set(lead, key, other.user, [LEAD])
    await use.set(stage.admin("bank-b"), key, other.user, [LEAD])
    project = await use.remove(lead, key, other.user)
    assert other.user in {one.user for one in project.people}
    with refused("forbidden"):
        await use.set(stage.owner("bank-a"), key, lead.user, [LEAD])
    with refused("not_found"):
        await use.set(stage.admin("outsider"), key, stage.owner("outsider").user, [LEAD])
    with refused("invalid_roles"):
        await use.set(lead, key, lead.user, [])


async def test_a_dismissed_person_is_not_named(stage: Stage) -> None:
    user = stage.scientist("bank-a").user
    await stage.services.users.update(stage.operator, user, disabled=True)
    with refused("not_found"):
        await stage.services.project_people.set(
            stage.admin("bank-a"), stage.ids["project"], user, [LEAD]
        )


async def test_the_ledger_names_people_by_pseudonymous_ids(stage: Stage) -> None:
    use, key, ana = stage.services.project_people, stage.ids["project"], stage.scientist("bank-a")
    await use.set(stage.admin("bank-a"), key, ana.user, [LEAD])
    await use.remove(stage.admin("bank-a"), key, ana.user)
    await use.remove(stage.admin("bank-a"), key, ana.user)
    assert stage.ledger.kinds[-2:] == ["person.named", "person.removed"]
    named = stage.ledger.log[-2].document
    assert named == {
        "project": key, "user": ana.user, "organisation": "bank-a",
        "by": stage.admin("bank-a").user, "roles": ["lead"],
    }  # fmt: skip
    assert ana.name not in str([one.document for one in stage.ledger.log[-2:]])


async def test_people_are_listed_with_their_names_and_leave_with_their_organisation(
    stage: Stage,
) -> None:
    use, key = stage.services.project_people, stage.ids["project"]
    for bank in ("bank-a", "bank-b"):
        await use.set(stage.admin(bank), key, stage.scientist(bank).user, [SCIENTIST])
    listed = await use.list(stage.person("bank-c", Role.AUDITOR), key)
    assert [(one.name, one.organisation) for one in listed] == [
        (stage.scientist(bank).name, bank) for bank in ("bank-a", "bank-b")
    ]
    await stage.services.projects.invite(stage.admin("bank-a"), key, "outsider")
    assert {one.name for one in await use.list(stage.admin("outsider"), key)} == {""}
    await stage.services.projects.leave(stage.admin("outsider"), key)
    await stage.services.projects.leave(stage.admin("bank-b"), key)
    assert [one.organisation for one in await use.list(stage.operator, key)] == ["bank-a"]
    with refused("not_found"):
        await use.list(stage.admin("outsider"), key)


async def test_a_restricted_project_is_seen_by_its_people(stage: Stage) -> None:
    lead, key = stage.scientist("bank-a"), stage.ids["project"]
    await stage.services.project_states.change(lead, key, restricted=True)
    await stage.services.jobs.submit(lead, stage.wanted())  # who restricts it leads it
    other = stage.owner("bank-a")
    with refused("forbidden"):
        await stage.services.jobs.cancel(other, stage.ids["job"])
    assert (await stage.services.jobs.list(other, project=key)).items == []
    with refused("not_found"):
        await stage.services.jobs.get(stage.scientist("bank-b"), stage.ids["job"])
    ana = stage.scientist("bank-b")
    await stage.services.project_people.set(stage.admin("bank-b"), key, ana.user, [SCIENTIST])
    await stage.services.jobs.submit(ana, stage.wanted())
    agent = Principal("spiffe://x", "bank-c", "bank-c", frozenset({Role.AUDITOR}), "")
    for of, seen in ((agent, False), (replace(agent, agent=True), True)):
        entries = await stage.services.audit.entries(of, start=0, limit=500)
        assert any(one.get("job") == stage.ids["job"] for one in entries) is seen


async def test_who_creates_a_restricted_project_leads_it(stage: Stage) -> None:
    ana = stage.scientist("bank-a")
    made = await stage.services.projects.create(ana, name="P", purpose="p", restricted=True)
    assert made.roles_of(ana.user) == {LEAD}
    await stage.services.projects.invite(ana, made.id, "bank-b")


@pytest.mark.parametrize("scope", [Scope.READ, Scope.SECOND_FACTOR])
async def test_a_role_in_the_project_widens_no_token(stage: Stage, scope: Scope) -> None:
    use, key, admin = stage.services, stage.ids["project"], stage.admin("bank-a")
    lead = stage.scientist("bank-a")
    await use.project_people.set(admin, key, lead.user, [LEAD])
    narrow = "second_factor_missing" if scope is Scope.SECOND_FACTOR else "scope_too_narrow"
    for one in (
        replace(lead, scopes=frozenset({scope})),
        replace(admin, scopes=frozenset({scope})),
    ):
        with refused(narrow):
            await use.jobs.submit(one, stage.wanted())
        with refused(narrow):
            await use.jobs.cancel(one, stage.ids["job"])
        with refused(narrow):
            await use.project_states.freeze(one, key)
        with refused(narrow):
            await use.projects.invite(one, key, "outsider")
        with refused(narrow):
            await use.project_people.set(one, key, lead.user, [SCIENTIST])
    await use.project_states.freeze(lead, key)
