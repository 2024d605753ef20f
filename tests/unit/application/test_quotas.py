"""Each quota refuses one more than it allows, gives the place back, and counts its owner alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from secureflow.application.quotas import Quotas
from secureflow.application.sweeping import sweep
from secureflow.domain.jobs import JobState
from secureflow.domain.users import Role
from tests.stage import PASSWORD, YEAR, Stage, two_worlds
from tests.unit.application.refusing import refused

# What the stage's two worlds take up already, and one more.
FEW = Quotas(
    projects=2, members=4, invitations=2, datasets=2, grants=2, jobs=2, users=5, enrolments=2,
    tokens=3,
)  # fmt: skip


@pytest.fixture
async def stage(tmp_path: Path) -> Stage:
    return await two_worlds(tmp_path, FEW)


async def found(stage: Stage, bank: str = "bank-a") -> str:
    admin = stage.admin(bank)
    return (await stage.services.projects.create(admin, name="P", purpose="p")).id


async def _datasets(stage: Stage, bank: str, n: int) -> None:
    await stage.publish(bank, f"more-{n}")


async def _grants(stage: Stage, bank: str, n: int) -> None:
    del n
    await stage.grant(bank, stage.ids[f"{bank}.dataset"], stage.ids["project"])


async def _projects(stage: Stage, bank: str, n: int) -> None:
    del n
    await found(stage, bank)


async def _jobs(stage: Stage, bank: str, n: int) -> None:
    del n
    await stage.services.jobs.submit(stage.scientist(bank), stage.wanted())


async def _users(stage: Stage, bank: str, n: int) -> None:
    await stage.services.users.create(
        stage.admin(bank), name=f"{bank}.{n}", password=PASSWORD, display="", organisation=bank,
        roles=[Role.AUDITOR],
    )  # fmt: skip


async def _enrolments(stage: Stage, bank: str, n: int) -> None:
    del n
    await stage.services.organisations.invite(stage.operator, "agent", bank)


@pytest.mark.parametrize(
    ("one_more", "code"),
    [
        (_projects, "quota_exceeded"),
        (_datasets, "quota_exceeded"),
        (_grants, "quota_exceeded"),
        (_jobs, "too_many_jobs"),
        (_users, "quota_exceeded"),
        (_enrolments, "quota_exceeded"),
    ],
)
async def test_one_member_takes_no_more_than_its_own_places(
    stage: Stage, one_more: Callable[[Stage, str, int], Awaitable[None]], code: str
) -> None:
    with refused(code):
        for n in range(6):
            await one_more(stage, "bank-a", n)
    assert n > 0  # one was free
    await one_more(stage, "bank-b", 0)  # another's places are its own


async def test_an_ended_thing_gives_its_place_back(stage: Stage) -> None:
    services = stage.services
    await _datasets(stage, "bank-a", 1)
    await services.datasets.unpublish("bank-a", "more-1")
    await _datasets(stage, "bank-a", 2)

    await _jobs(stage, "bank-a", 0)
    for job in stage.database.tables.rows["jobs"].values():
        await stage.finish(job, state=JobState.CANCELLED)
    await _jobs(stage, "bank-a", 0)

    grant = await stage.grant("bank-a", stage.ids["bank-a.dataset"], stage.ids["project"])
    await services.datasets.revoke(stage.owner("bank-a"), grant)
    await _grants(stage, "bank-a", 0)
    stage.now[0] += 2 * YEAR  # all have expired
    await _grants(stage, "bank-a", 0)


async def test_agents_that_were_revoked_are_counted_for_each_is_read_by_fellows(
    tmp_path: Path,
) -> None:
    stage = await two_worlds(tmp_path, Quotas(agents=3))  # one is enrolled
    with refused("quota_exceeded"):
        for n in range(2, 9):
            for agent in list(stage.database.tables.rows["agents"].values()):
                if agent.organisation == "bank-a":
                    await stage.services.organisations.revoke(stage.operator, agent.id)
            await stage.enrol("bank-a", f"agent-{n}")
    assert n == 4
    for agent in list(stage.database.tables.rows["agents"].values()):
        await stage.services.organisations.revoke(stage.operator, agent.id)
    await stage.enrol("bank-b", "agent-2")


async def test_invitations_are_counted_over_all_projects_and_answered_ones_are_not(
    stage: Stage,
) -> None:
    projects = stage.services.projects
    one = await found(stage)
    await projects.invite(stage.admin("bank-a"), one, "outsider")
    await projects.invite(stage.admin("bank-a"), one, "bank-b")
    with refused("quota_exceeded"):
        await projects.invite(stage.admin("bank-a"), one, "bank-c")
    await projects.accept(stage.admin("bank-b"), one)
    await projects.invite(stage.admin("bank-a"), one, "bank-c")


async def test_a_project_has_so_many_members_at_most(stage: Stage) -> None:
    one = stage.ids["project"]  # bank-a, bank-b, bank-c
    await stage.services.projects.invite(stage.admin("bank-a"), one, "outsider")
    await stage.services.organisations.create(stage.operator, "fifth", "Fifth")
    with refused("quota_exceeded"):
        await stage.services.projects.invite(stage.admin("bank-a"), one, "fifth")


async def test_login_forgets_the_oldest_token_and_keeps_no_dead_ones(stage: Stage) -> None:
    await _users(stage, "bank-a", 0)
    tokens = stage.services.tokens
    texts = []
    for _ in range(20):
        stage.now[0] += 1
        stage.ticks[0] += 60
        texts.append((await tokens.login("bank-a.0", PASSWORD, "10.0.0.1")).text)
    assert len(stage.database.tables.rows["tokens"]) == FEW.tokens
    await tokens.authenticate(texts[-FEW.tokens])
    with refused("unauthenticated"):
        await tokens.authenticate(texts[-FEW.tokens - 1])
    await tokens.logout(texts[-1])
    assert len(stage.database.tables.rows["tokens"]) == FEW.tokens - 1


async def test_what_nobody_can_use_is_swept(stage: Stage) -> None:
    await _users(stage, "bank-a", 0)
    issued: Any = await stage.services.tokens.login("bank-a.0", PASSWORD, "10.0.0.1")
    begin = stage.database.begin
    assert await sweep(begin, lambda: issued.token.expires - 1) == 0
    await stage.services.tokens.authenticate(issued.text)
    assert await sweep(begin, lambda: issued.token.expires) == 1
    assert stage.database.tables.rows["tokens"] == {}
