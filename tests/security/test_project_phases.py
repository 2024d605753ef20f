"""Projects that are frozen, over or archived: every operation in a project × state × role.

The operations are derived from the rules of `test_authorisation`, the roles from the table of
actions. `CLOSED` says what each state stops; whatever is not named there goes on, so an operation
that somebody adds is tested without a line here, and fails if a state should stop it and does not.
Nobody whose role does not allow an operation learns the state from it: 403 in all of them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from secureflow.application.access import ACTIONS
from secureflow.domain.jobs import JobState
from secureflow.domain.projects import Freeze, ProjectRole
from secureflow.domain.users import Role
from tests.security.test_authorisation import (  # noqa: F401  fixtures
    FIRST,
    RULES,
    World,
    built,
    people,
    world,
)
from tests.security.test_project_roles import IN_PROJECTS, PLAIN, name, row
from tests.stage import NOW

STARTS = {"submit_job", "dry_run_job"}
CHANGES = {
    *("change_project", "freeze_project", "thaw_project", "set_project_person"),
    *("remove_project_person", "invite_member", "create_grant"),
    *("upload_model", "upload_bundle", "draft_revenue_agreement"),
}
CLOSED: dict[str, tuple[str, set[str]]] = {
    "frozen": ("project_frozen", STARTS),
    "ended": ("project_ended", STARTS),
    "archived": ("project_closed", STARTS | CHANGES),
}
"""State → the code of the refusal, and what it stops."""
CODES = {code for code, _ in CLOSED.values()}
OF_PROJECTS = sorted(
    operation
    for operation, rule in RULES.items()
    if rule.action in ACTIONS
    and (rule.noun == "project" or rule.noun == "job" or operation in CHANGES)
)


async def put(on: World, state: str) -> None:
    """Put bank-a's project into a state."""
    changes: dict[str, dict[str, Any]] = {
        "frozen": {"frozen": Freeze("bank-a", "usr_x", NOW)},
        "ended": {"ends": NOW - 1},
        "archived": {"closed": NOW},
    }
    async with on.stage.database.begin() as work:
        project = await work.projects.get(on.stage.ids["project"])
        await work.projects.save(replace(project, **changes[state]))
        await work.commit()


async def code_of(on: World, operation: str, who: Any) -> tuple[int, str]:
    """Return the status of a call in the project, and the code of its refusal."""
    rule = RULES[operation]
    answer = await on.call(operation, who, on.key(rule.noun, "own"))
    problem = answer.status_code >= 400
    return answer.status_code, answer.json()["code"] if problem else ""


@pytest.mark.parametrize("state", CLOSED)
async def test_a_state_stops_what_it_should_and_nothing_else(world: World, state: str) -> None:  # noqa: F811
    code, stopped = CLOSED[state]
    for operation in OF_PROJECTS:
        for role in [one for one in Role if one in ACTIONS[RULES[operation].action or ""]]:
            world.reset()
            who = people(world.stage)[role]
            if RULES[operation].first:
                await FIRST[RULES[operation].first](world.stage, who)
            await put(world, state)
            status, found = await code_of(world, operation, who)
            cell = operation, role, status, found
            assert status < 500, cell
            assert (found == code) is (operation in stopped), cell
            assert found in {code, *({found} - CODES)}, cell


@pytest.mark.parametrize("state", CLOSED)
async def test_a_role_in_the_project_is_stopped_alike(world: World, state: str) -> None:  # noqa: F811
    code, stopped = CLOSED[state]
    for operation in IN_PROJECTS:
        for project_role in ProjectRole:
            world.reset()
            await name(world, project_role)
            await put(world, state)
            who = world.stage.person("bank-a", PLAIN[0])
            status, found = await code_of(world, operation, who)
            cell = operation, project_role, status, found
            if project_role not in row(operation):
                assert (status, found) == (403, "forbidden"), cell
            else:
                assert (found == code) is (operation in stopped), cell


@pytest.mark.parametrize("state", CLOSED)
async def test_others_do_not_learn_the_state(world: World, state: str) -> None:  # noqa: F811
    for operation in OF_PROJECTS:
        for role in (Role.ORGANISATION_ADMIN, Role.DATA_SCIENTIST):
            told = []
            for phase in ("", state):
                world.reset()
                if phase:
                    await put(world, phase)
                who = world.stage.person("outsider", role)
                told.append(await code_of(world, operation, who))
            assert told[0] == told[1], (operation, role)


async def test_a_paused_job_is_not_resumed_in_a_project_that_lets_none_run(world: World) -> None:  # noqa: F811
    for state, (code, _) in CLOSED.items():
        world.reset()
        job = await world.stage.services.jobs.get(world.stage.operator, world.stage.ids["job"])
        await world.stage.finish(job, state=JobState.PAUSED)
        await put(world, state)
        who = world.stage.scientist("bank-a")
        assert await code_of(world, "resume_job", who) == (409, code)
