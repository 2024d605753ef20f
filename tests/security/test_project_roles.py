"""Authorisation inside a project: every action with roles there × project role × platform role.

The cells are derived from the table of actions (`application.access.ACTIONS`) and the rules of
`test_authorisation`: an action that somebody gives a project's role, and an operation that somebody
adds to it, are tested without a line here. In bank-a's project everybody of bank-a but the
administrator is given the role in question, in turns; then it must hold that

- one whose role in the project allows the action gets through, whatever their role of the platform;
- one whose role in the project does not is refused (403), whatever their role of the platform;
- an administrator of the organisation keeps what the platform's role allows;
- in a project of bank-a that names nobody the roles of the platform decide, as before;
- in another tenant's project, and in one that does not exist, a role in bank-a's project changes
  nothing: the answers are those of somebody without it;
- people of another member organisation, which has named nobody, are not affected.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from secureflow.application.access import ACTIONS, Principal
from secureflow.domain.projects import Membership, Project, ProjectPerson, ProjectRole
from secureflow.domain.users import Role
from tests.security.test_authorisation import (  # noqa: F401  fixtures
    FIRST,
    REFUSALS,
    RULES,
    World,
    built,
    world,
)
from tests.stage import NOW

PLAIN = (Role.DATA_OWNER, Role.DATA_SCIENTIST, Role.AUDITOR)
"""The platform's roles of people who are no administrators."""
IN_PROJECTS = sorted(
    operation
    for operation, rule in RULES.items()
    if rule.action in ACTIONS
    and any(isinstance(role, ProjectRole) for role in ACTIONS[rule.action or ""])
)
OTHER = "prj_0000000000000000000other"


def row(operation: str) -> frozenset[Role | ProjectRole]:
    return ACTIONS[RULES[operation].action or ""]


async def name(on: World, role: ProjectRole, organisation: str = "bank-a") -> None:
    """Give everybody of an organisation but its administrator one role in bank-a's project."""
    stage = on.stage
    async with stage.database.begin() as work:
        project: Project = await work.projects.get(stage.ids["project"])
        people = tuple(
            ProjectPerson(stage.person(organisation, one).user, organisation, (role,), NOW)
            for one in PLAIN
        )
        await work.projects.save(replace(project, people=people))
        await work.commit()


async def status(on: World, operation: str, who: Principal, key: str) -> tuple[int, str]:
    answer = await on.call(operation, who, key)
    return answer.status_code, answer.text


def gets_through(operation: str, code: int, text: str) -> bool:
    """Tell whether an answer is one to somebody who was let in."""
    if code in {403, 404}:
        return False
    return code not in REFUSALS - set(RULES[operation].also) and code < 500


async def test_the_table_has_roles_in_projects() -> None:
    assert {"submit_job", "cancel_job", "freeze_project", "invite_member"} <= set(IN_PROJECTS)
    for action, roles in ACTIONS.items():
        lead = ProjectRole.LEAD in roles
        assert lead or not any(isinstance(one, ProjectRole) for one in roles), action


@pytest.mark.parametrize("operation", IN_PROJECTS)
async def test_the_role_in_the_project_decides(world: World, operation: str) -> None:  # noqa: F811
    rule = RULES[operation]
    for project_role in ProjectRole:
        allowed = project_role in row(operation)
        for platform_role in PLAIN:
            world.reset()
            await name(world, project_role)
            who = world.stage.person("bank-a", platform_role)
            if rule.first and allowed:
                await FIRST[rule.first](world.stage, who)
            code, text = await status(world, operation, who, world.key(rule.noun, "own"))
            cell = operation, project_role, platform_role, text
            if allowed:
                assert gets_through(operation, code, text), cell
            else:
                assert code == 403, cell


@pytest.mark.parametrize("operation", IN_PROJECTS)
async def test_who_is_not_named_only_looks_on(world: World, operation: str) -> None:  # noqa: F811
    rule = RULES[operation]
    await name(world, ProjectRole.LEAD, "bank-a")
    stage = world.stage
    async with stage.database.begin() as work:
        project = await work.projects.get(stage.ids["project"])
        await work.projects.save(replace(project, people=project.people[:1]))
        await work.commit()
    for platform_role in PLAIN[1:]:
        who = stage.person("bank-a", platform_role)
        code, text = await status(world, operation, who, world.key(rule.noun, "own"))
        assert code == 403, (operation, platform_role, text)
    admin = stage.admin("bank-a")
    if rule.first:
        await FIRST[rule.first](stage, admin)
    code, text = await status(world, operation, admin, world.key(rule.noun, "own"))
    kept = Role.ORGANISATION_ADMIN in row(operation)
    assert gets_through(operation, code, text) if kept else code == 403, (operation, text)


@pytest.mark.parametrize("operation", IN_PROJECTS)
async def test_a_role_in_one_project_is_none_in_another(
    world: World,  # noqa: F811
    operation: str,
) -> None:
    """Neither in another one of the own organisation, nor in another tenant's, nor in no one's."""
    rule, stage = RULES[operation], world.stage
    for platform_role in PLAIN:
        who = stage.person("bank-a", platform_role)
        for whose in ("foreign", "unknown"):
            key = world.key(rule.noun, whose)
            world.reset()
            before = await status(world, operation, who, key)
            world.reset()
            await name(world, ProjectRole.LEAD)
            after = await status(world, operation, who, key)
            assert before == after, (operation, platform_role, whose)
            assert before[0] in {403, 404}
        if rule.noun != "project":
            continue
        world.reset()
        await name(world, ProjectRole.LEAD)
        members = (Membership("bank-a", "active", NOW), Membership("bank-b", "left", NOW))
        other = Project(OTHER, "Other", "p", "bank-a", members, NOW)
        async with stage.database.begin() as work:
            await work.projects.add(other)
            await work.commit()
        code, text = await status(world, operation, who, OTHER)
        allowed = platform_role in row(operation)
        cell = operation, platform_role, text
        assert gets_through(operation, code, text) if allowed else code == 403, cell


@pytest.mark.parametrize("operation", IN_PROJECTS)
async def test_anothers_restricted_project_is_like_one_that_does_not_exist(
    world: World,  # noqa: F811
    operation: str,
) -> None:
    """In it, roles there would decide: the refusal must not be the one of a member."""
    rule, stage = RULES[operation], world.stage
    async with stage.database.begin() as work:
        project = await work.projects.get(stage.ids["outsider.project"])
        await work.projects.save(replace(project, restricted=True))
        await work.commit()
    for platform_role in PLAIN:
        who = stage.person("bank-a", platform_role)
        told = []
        for whose in ("foreign", "unknown"):
            key = world.key(rule.noun, whose)
            code, text = await status(world, operation, who, key)
            told.append((code, text.replace(key, "…")))
        assert told[0] == told[1], platform_role
        assert told[0][0] == (404 if platform_role in row(operation) else 403)


@pytest.mark.parametrize("operation", IN_PROJECTS)
async def test_a_member_that_named_nobody_is_not_affected(
    world: World,  # noqa: F811
    operation: str,
) -> None:
    rule, stage = RULES[operation], world.stage
    for platform_role in PLAIN:
        who = stage.person("bank-c", platform_role)
        world.reset()
        before = await status(world, operation, who, world.key(rule.noun, "own"))
        world.reset()
        await name(world, ProjectRole.AUDITOR)
        after = await status(world, operation, who, world.key(rule.noun, "own"))
        assert before[0] == after[0], (operation, platform_role, before, after)


async def test_a_refusal_says_who_gives_the_role(world: World) -> None:  # noqa: F811
    await name(world, ProjectRole.AUDITOR)
    who = world.stage.scientist("bank-a")
    answer = await world.call("submit_job", who, world.stage.ids["project"])
    problem = answer.json()
    assert "lead, scientist" in problem["hint"]
    assert "administrator of bank-a" in problem["hint"]


SHOWN = sorted(
    operation
    for operation, rule in RULES.items()
    if rule.noun in {"job", "model", "project"}
    and rule.place == "path"
    and rule.action in {"job.read", "model.read", "audit.read"}
)


@pytest.mark.parametrize("operation", SHOWN)
async def test_the_work_of_a_restricted_project_is_shown_to_its_people(
    world: World,  # noqa: F811
    operation: str,
) -> None:
    """To the others of a member's people it does not exist; its administrator sees it."""
    rule, stage = RULES[operation], world.stage
    async with stage.database.begin() as work:
        project = await work.projects.get(stage.ids["project"])
        auditor = ProjectPerson(
            stage.person("bank-a", Role.AUDITOR).user, "bank-a", (ProjectRole.AUDITOR,), NOW
        )
        await work.projects.save(replace(project, restricted=True, people=(auditor,)))
        await work.commit()
    key = world.key(rule.noun, "own")
    for organisation in ("bank-a", "bank-b"):
        for role in (Role.ORGANISATION_ADMIN, *PLAIN):
            if role not in row(operation):
                continue
            if rule.first:
                await FIRST[rule.first](stage, stage.operator)
            who = stage.person(organisation, role)
            shown = role is Role.ORGANISATION_ADMIN or who.user == auditor.user
            code, text = await status(world, operation, who, key)
            assert code not in {401, 403}, (role, text)
            assert (code == 404 and ":not_found" in text) is not shown, (role, text)
