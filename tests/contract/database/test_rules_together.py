"""Rules over several entities hold when two ask at once, over every database and two replicas."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.entities import EntityStore
from secureflow.adapters.database.log import SqlLedger
from secureflow.adapters.database.unit import SqlUnitOfWork
from secureflow.application.bundles import named_by_job
from secureflow.application.quotas import Quotas
from secureflow.application.running.publishing import publish
from secureflow.domain.bundles import FOR_EVER, StoredBundle, bundle_id
from secureflow.domain.jobs import Job, JobState
from secureflow.domain.organisations import Enrolment, Organisation
from secureflow.domain.users import Role, User
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.totp import code_at
from tests.contract.database.conftest import LOG_KEY
from tests.stage import PASSWORD, Stage, empty_stage

PATIENCE = 1.0
"""Seconds; without the lock the second one is there much sooner."""


@pytest.fixture
async def stages(
    database: Database, another: Callable[[], Database], ledger: SqlLedger, tmp_path: Path
) -> list[Stage]:
    """One platform, served by two replicas."""
    quotas = Quotas(projects=1, datasets=1)
    found = [
        empty_stage(tmp_path / str(n), LOG_KEY, base, ledger, quotas)
        for n, base in enumerate((database, another()))
    ]
    first, second = found
    await first.add_person("", Role.PLATFORM_ADMIN)
    await first.services.organisations.create(first.operator, "bank-a", "Bank A")
    await first.add_person("bank-a", Role.ORGANISATION_ADMIN)
    second.people, second.keys = first.people, first.keys
    return found


@pytest.fixture
def meeting(monkeypatch: pytest.MonkeyPatch, stages: list[Stage]) -> None:
    """Whoever is about to write waits a moment for the other: both have looked by then.

    With the lock the other one cannot come so far, and the wait runs out.
    """
    del stages  # they are made before anybody waits
    arrived: list[asyncio.Event] = []

    def waiting(method: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        @functools.wraps(method)
        async def wait(store: EntityStore[object], entity: object) -> None:
            if not isinstance(entity, Enrolment):  # the token of each; the rule comes after it
                arrived.append(asyncio.Event())
            if len(arrived) == 2:
                arrived[0].set()
            elif len(arrived) == 1:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(arrived[0].wait(), PATIENCE)
            await method(store, entity)

        return wait

    monkeypatch.setattr(EntityStore, "add", waiting(EntityStore.add))
    monkeypatch.setattr(EntityStore, "save", waiting(EntityStore.save))


async def together(*asked: Awaitable[object]) -> list[str]:
    """Run them at once; return the codes of those that were refused."""
    answers = await asyncio.gather(*asked, return_exceptions=True)
    codes = []
    for answer in answers:
        if isinstance(answer, SecureFlowError):
            codes.append(answer.code)
        elif isinstance(answer, BaseException):
            raise answer
    return codes


@pytest.mark.usefixtures("meeting")
async def test_an_organisation_gets_one_agent(stages: list[Stage]) -> None:
    """Both redeem a token of their own, with the same key, at the same time."""
    # The CA is one file of the platform; each replica of this test has its own.
    codes = await together(*(stage.enrol("bank-a", f"agent-{n}") for n, stage in enumerate(stages)))
    assert codes == ["already_exists"]
    async with stages[0].database.begin() as work:
        assert await work.agents.count(organisation="bank-a") == 1


async def test_an_administrator_stays(stages: list[Stage], request: pytest.FixtureRequest) -> None:
    first, second = stages
    other = await first.services.users.create(
        first.operator, name="second", password=PASSWORD, display="", organisation="",
        roles=[Role.PLATFORM_ADMIN],
    )  # fmt: skip
    request.getfixturevalue("meeting")
    them = replace(first.operator, user=other.id, name="second")
    codes = await together(
        first.services.users.update(first.operator, other.id, disabled=True),
        second.services.users.update(them, first.operator.user, disabled=True),
    )
    assert codes == ["last_administrator"]


@pytest.mark.usefixtures("meeting")
async def test_the_last_place_is_taken_once(stages: list[Stage]) -> None:
    admin = stages[0].admin("bank-a")
    codes = await together(
        *(stage.services.projects.create(admin, name="P", purpose="p") for stage in stages)
    )
    assert codes == ["quota_exceeded"]


@pytest.mark.usefixtures("meeting")
async def test_a_dataset_is_published_once(stages: list[Stage]) -> None:
    """The same agent's publication, come twice, is one dataset and one place."""
    assert await together(*(stage.publish("bank-a") for stage in stages)) == []
    async with stages[0].database.begin() as work:
        assert await work.datasets.count(organisation="bank-a") == 1


JOB = Job(
    id="job_1", project="prj_1", organisation="bank-a", name="risk", submitter="ada",
    kind="training", script="training/1", spec={}, digest="d" * 64, state=JobState.RUNNING,
    created=0, updated=0,
)  # fmt: skip


@pytest.mark.parametrize("meanwhile", ["a job names it", "it is removed", "nothing"])
async def test_a_bundle_that_a_job_names_while_it_is_looked_at_is_kept(
    stages: list[Stage], monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    """The job comes when the sweep has seen that none names it, and has the lock first."""
    first, second = stages
    code = "c" * 64
    stored = StoredBundle(
        id=bundle_id(JOB.project, code), digest=code, project=JOB.project, organisation="bank-a",
        uploader="ada", name="mine", size=1, files=1, lines=1, created=0, expires=FOR_EVER,
    )  # fmt: skip
    async with first.database.begin() as work:
        await work.bundles.add(stored)
        await work.commit()
    lock = SqlUnitOfWork.lock

    async def late(unit: SqlUnitOfWork, name: str) -> None:
        monkeypatch.setattr(SqlUnitOfWork, "lock", lock)
        async with second.database.begin() as work:
            if meanwhile == "a job names it":
                await named_by_job(work, JOB.project, code)
                spec = {"model": {"bundle": {"digest": code}}}
                await work.jobs.add(replace(JOB, spec=spec))
            elif meanwhile == "it is removed":
                await work.lock(name)
                await work.bundles.remove(stored.id)
            await work.commit()
        await lock(unit, name)

    monkeypatch.setattr(SqlUnitOfWork, "lock", late)
    assert await first.services.bundles.sweep() == 0
    assert SqlUnitOfWork.lock is lock  # it came so far
    async with second.database.begin() as work:
        kept = await work.bundles.find(stored.id)
    if meanwhile == "it is removed":
        assert kept is None
    else:
        assert kept is not None
        assert (kept.expires == FOR_EVER) == (meanwhile == "a job names it")


@pytest.mark.usefixtures("meeting")
async def test_two_jobs_that_end_at_once_publish_two_versions(stages: list[Stage]) -> None:
    for n, stage in enumerate(stages):
        async with stage.database.begin() as work:
            await EntityStore.add.__wrapped__(work.jobs, replace(JOB, id=f"job_{n}"))  # type: ignore[attr-defined]
            await work.commit()
    model = {"digest": "a" * 64, "artifact": "a" * 64, "family": "rehearsal", "metrics": {}}

    async def end(n: int) -> int:
        work: Any = stages[n].database.begin()
        async with work:
            told: Any = await publish(work, f"job_{n}", model, 0)
            await work.commit()
        return int(told["version"])

    assert sorted(await asyncio.gather(end(0), end(1))) == [1, 2]


@pytest.mark.usefixtures("meeting")
async def test_two_that_are_disabled_at_once_are_both_shut_out(stages: list[Stage]) -> None:
    """The link takes the last list that it is told for the whole truth."""
    stage, told = stages[0], list[list[str]]()
    use = stage.services.organisations
    use._notify_disabled = lambda slugs: told.append(sorted(slugs))
    async with stage.database.begin() as work:
        for slug in ("bank-x", "bank-y"):
            made = Organisation(slug, slug, 0)
            await EntityStore.add.__wrapped__(work.organisations, made)  # type: ignore[attr-defined]
        await work.commit()
    both = (use.set_disabled(stage.operator, slug, True) for slug in ("bank-x", "bank-y"))
    assert await together(*both) == []
    assert told[-1] == ["bank-x", "bank-y"]


async def _login(stages: list[Stage]) -> tuple[User, bytes]:
    """Return a user with a confirmed second factor, and its secret."""
    admin, use = stages[0].admin("bank-a"), stages[0].services
    made = await use.second_factors.enrol(admin)
    secret = base64.b32decode(made.secret)
    await use.second_factors.confirm(admin, code_at(secret, stages[0].now[0]))
    for stage in stages:
        stage.now[0] += 60
    async with use.begin() as work:
        return await work.users.get(admin.user), secret


async def test_a_code_that_two_show_at_once_lets_one_in(
    stages: list[Stage], request: pytest.FixtureRequest
) -> None:
    user, secret = await _login(stages)
    code = code_at(secret, stages[0].now[0])

    async def show(stage: Stage) -> None:
        async with stage.services.begin() as work:
            await stage.services.second_factors.require(work, user, code)
            await work.commit()

    request.getfixturevalue("meeting")
    assert await together(*(show(stage) for stage in stages)) == ["bad_credentials"]


async def test_a_refresh_token_that_two_show_at_once_is_turned_once(
    stages: list[Stage], request: pytest.FixtureRequest
) -> None:
    """The second one gets the answer again: it may be the owner, whose first answer was lost."""
    async with stages[0].services.begin() as work:
        user = await work.users.get(stages[0].admin("bank-a").user)
    issued = await stages[0].services.refreshing.begin(user, "password")
    request.getfixturevalue("meeting")
    them = await asyncio.gather(
        *(stage.services.refreshing.refresh(issued.refresh) for stage in stages)
    )
    assert len({one.refresh for one in them}) == 1
    async with stages[0].services.begin() as work:
        (family,) = (await work.families.list()).items
    assert family.turn == 2


async def test_an_approved_device_that_two_fetch_at_once_is_logged_in_once(
    stages: list[Stage], request: pytest.FixtureRequest
) -> None:
    admin, use = stages[0].admin("bank-a"), stages[0].services.devices
    asked = await use.start("laptop", "192.0.2.7")
    await use.decide(admin, asked.code, "10.0.0.1", approve=True)
    request.getfixturevalue("meeting")
    codes = await together(*(one.services.devices.poll(asked.secret) for one in stages))
    assert codes == ["device_code_expired"]
