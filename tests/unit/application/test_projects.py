from __future__ import annotations

from secureflow.domain.users import Role
from tests.stage import Stage
from tests.unit.application.refusing import refused


async def test_membership_runs_from_invitation_to_leave(stage: Stage) -> None:
    projects = stage.services.projects
    founder, guest = stage.scientist("bank-a"), stage.admin("outsider")
    project = await projects.create(founder, name="P", purpose="p")
    with refused("not_found"):
        await projects.get(guest, project.id)
    with refused("not_found"):
        await projects.accept(guest, project.id)
    await projects.invite(founder, project.id, "outsider")
    assert (await projects.get(guest, project.id)).id == project.id
    with refused("already_exists"):
        await projects.invite(founder, project.id, "outsider")
    await projects.accept(guest, project.id)
    await projects.accept(guest, project.id)
    await projects.leave(guest, project.id)
    with refused("not_found"):
        await projects.get(guest, project.id)
    assert stage.ledger.kinds[-4:] == [
        "project.created", "member.invited", "member.joined", "member.left",
    ]  # fmt: skip


async def test_an_invitation_shows_the_project_but_not_its_work(stage: Stage) -> None:
    guest = stage.admin("outsider")
    await stage.services.projects.invite(stage.admin("bank-a"), stage.ids["project"], "outsider")
    page = await stage.services.jobs.list(guest, project=stage.ids["project"])
    assert page.items == []
    with refused("not_found"):
        await stage.services.jobs.get(guest, stage.ids["job"])
    with refused("not_found"):
        await stage.services.models.get(guest, stage.ids["model"])
    with refused("not_found"):
        await stage.services.datasets.get(guest, stage.ids["bank-a.dataset"])
    with refused("not_a_member"):
        await stage.services.jobs.submit(stage.scientist("outsider"), stage.wanted())


async def test_only_the_founder_invites(stage: Stage) -> None:
    projects = stage.services.projects
    with refused("forbidden"):
        await projects.invite(stage.admin("bank-b"), stage.ids["project"], "outsider")
    with refused("not_found"):
        await projects.invite(stage.admin("bank-a"), stage.ids["outsider.project"], "bank-b")
    with refused("not_found"):
        await projects.invite(stage.admin("bank-a"), stage.ids["project"], "nobody")
    with refused("forbidden"):
        await projects.invite(stage.owner("bank-a"), stage.ids["project"], "outsider")


async def test_leaving_ends_grants(stage: Stage) -> None:
    await stage.services.projects.leave(stage.admin("bank-b"), stage.ids["project"])
    with refused("not_found"):
        await stage.services.datasets.get(stage.admin("bank-a"), stage.ids["bank-b.dataset"])
    with refused("column_not_granted", "bank-b"):
        await stage.services.jobs.submit(stage.scientist("bank-a"), stage.wanted())


async def test_lists_show_only_own_projects(stage: Stage) -> None:
    for organisation, count in (("bank-b", 1), ("outsider", 1)):
        page = await stage.services.projects.list(stage.person(organisation, Role.AUDITOR))
        assert len(page.items) == count
    assert len((await stage.services.projects.list(stage.operator)).items) == 2
