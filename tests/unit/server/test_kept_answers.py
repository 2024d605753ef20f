"""A POST whose answer was lost, or whose commit nobody heard of: asked again, it is told the same.

The answer is kept in the transaction of what was done, so there is no moment at which the one
stands without the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from secureflow.application.access import Principal
from secureflow.application.membership import CANDIDATE
from secureflow.domain.jobs import JobState
from secureflow.domain.users import Role
from secureflow.engines.ledger.setback import Hold
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.server.rest import (
    audit,
    charter,
    datasets,
    jobs,
    models,
    organisations,
    projects,
    statistics,
    users,
)
from secureflow.server.rest.idempotency import OnceRoute
from tests.doubles import MemoryUnit, Tables
from tests.stage import BANKS, FEATURES, PASSWORD, Stage
from tests.unit.server.conftest import Api

KEY = {"Idempotency-Key": "key-9"}
AWAY = InfrastructureError("database_unavailable", "The database is away.", "Try again.")


@dataclass(frozen=True)
class Post:
    """A request, who sends it, and what must be there before."""

    path: str
    body: Any
    sender: Principal


def _plain(stage: Stage) -> dict[str, Post]:
    """Return the requests that need nothing to be there but the stage."""
    ids, operator, admin = stage.ids, stage.operator, stage.admin("bank-a")
    ada, project = stage.scientist("bank-a"), f"/projects/{ids['project']}"
    datasets = [ids[f"{bank}.dataset"] for bank in BANKS]
    asked = {"project": ids["project"], "name": "n", "purpose": "credit-scoring"}
    asked |= {"datasets": datasets}
    user = {"name": "ann", "password": PASSWORD, "organisation": "bank-a", "roles": ["auditor"]}
    grant = {"project": ids["project"], "columns": ["age"], "expires": stage.now[0] + 60}
    grants = f"/datasets/{ids['bank-a.dataset']}/grants"
    return {
        "create_user": Post("/users", user, admin),
        "create_organisation": Post("/organisations", {"id": "bank-e", "name": "E"}, operator),
        "revoke_agent": Post(f"/agents/{ids['bank-a.agent']}/revoke", {}, admin),
        "disable_organisation": Post("/organisations/outsider/disable", {}, operator),
        "enable_organisation": Post("/organisations/outsider/enable", {}, operator),
        "propose_charter": Post("/charter/candidate", {}, operator),
        "continue_log": Post("/charter/continuation", {}, operator),
        "create_project": Post("/projects", {"name": "p", "purpose": "x"}, ada),
        "invite_member": Post(f"{project}/members", {"organisation": "outsider"}, admin),
        "accept_invitation": Post(f"{project}/accept", {}, stage.admin("outsider")),
        "leave_project": Post(f"{project}/leave", {}, stage.admin("bank-c")),
        "create_grant": Post(grants, grant, stage.owner("bank-a")),
        "submit_job": Post("/jobs", {**asked, "features": FEATURES}, ada),
        "cancel_job": Post(f"/jobs/{ids['job']}/cancel", {}, ada),
        "resume_job": Post(f"/jobs/{ids['job']}/resume", {}, ada),
    }


async def _post(name: str, stage: Stage) -> Post:
    """Return a request, with what it needs made."""
    services, operator, admin = stage.services, stage.operator, stage.admin("bank-a")
    if name == "sign_charter":
        shown = await services.charters.propose(operator)
        signature = stage.keys["bank-a"].sign("charter", shown["charter"])
        body = {"organisation": "bank-a", "digest": shown["digest"], "signature": signature}
        return Post("/charter/signatures", body, admin)
    if name == "accept_invitation":
        await services.projects.invite(admin, stage.ids["project"], "outsider")
    if name == "enable_organisation":
        await services.organisations.set_disabled(operator, "outsider", True)
    if name == "continue_log":
        await stage.ledger.judge(lambda _, size: Hold("restored", stage.now[0], size))
    if name == "resume_job":
        job = await services.jobs.get(operator, stage.ids["job"])
        error = SecureFlowError("internal", "x").as_json()
        await stage.finish(job, state=JobState.PAUSED, error=error)
    return _plain(stage)[name]


MODULES = (audit, charter, datasets, jobs, models, organisations, projects, statistics, users)
SAME_USE_CASE = {"submit_statistics"}
"""Of `submit_job`."""
ONCE = sorted(
    route.name
    for module in MODULES
    for route in module.router.routes
    if isinstance(route, OnceRoute)
    and "POST" in (route.methods or ())
    and not getattr(route.endpoint, "changes_nothing", False)
    and route.name not in SAME_USE_CASE
)
DEEDS = [name for name in ONCE if name != "cancel_job"]


def test_the_list_is_whole() -> None:
    assert len(ONCE) > 10


def _done(tables: Tables) -> tuple[int, Any]:
    """Return what a deed changes: it is recorded, but for the draft that continues a held log."""
    return len(tables.pending), tables.settings.get(CANDIDATE)


@contextmanager
def unheard() -> Iterator[list[int]]:
    """Every commit that holds a deed stands, and nobody hears of it."""
    commit, lost = MemoryUnit.commit, [0]

    async def lose(self: MemoryUnit) -> None:
        deed = _done(self.tables) != _done(self._database.tables)
        await commit(self)
        if deed:
            lost[0] += 1
            raise AWAY

    MemoryUnit.commit = lose  # type: ignore[method-assign]
    try:
        yield lost
    finally:
        MemoryUnit.commit = commit  # type: ignore[method-assign]


@pytest.mark.parametrize("name", DEEDS)
async def test_a_commit_that_nobody_heard_of_is_told_when_asked_again(api: Api, name: str) -> None:
    post = await _post(name, api.stage)
    with unheard() as lost:
        first = await api.call("POST", post.path, post.sender, json=post.body, headers=KEY)
    assert (first.status_code, lost) == (503, [1]), first.text
    before = len(api.stage.database.tables.pending)
    again = await api.call("POST", post.path, post.sender, json=post.body, headers=KEY)
    assert again.status_code in {200, 201}, again.text
    assert again.headers["idempotent-replay"] == "true"
    assert len(api.stage.database.tables.pending) == before  # it was not done again
    if name == "revoke_agent":
        assert [agent.id for agent in api.stage.expelled] == [api.stage.ids["bank-a.agent"]]
    if name == "disable_organisation":
        assert api.stage.told_disabled == [["outsider"]]
    if name == "submit_job":
        assert len(api.stage.driver.started) == 2


@pytest.mark.parametrize("name", ONCE)
async def test_what_is_kept_is_what_was_answered(api: Api, name: str) -> None:
    post = await _post(name, api.stage)
    first = await api.call("POST", post.path, post.sender, json=post.body, headers=KEY)
    assert first.status_code in {200, 201}, first.text
    ((_, status, body),) = api.stage.database.tables.answers.values()
    assert (status, body) == (first.status_code, first.json())
    again = await api.call("POST", post.path, post.sender, json=post.body, headers=KEY)
    assert (again.status_code, again.json()) == (first.status_code, first.json())


async def test_a_deed_whose_number_is_owed_is_done(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is recorded with it, and gets its number with the next one: no failure of the caller's."""

    async def away(*_: object) -> None:
        raise AWAY

    post = await _post("create_organisation", api.stage)
    with monkeypatch.context() as patch:
        patch.setattr(api.stage.ledger, "sequenced", away)
        made = await api.call("POST", post.path, post.sender, json=post.body)
    assert made.status_code == 201, made.text
    await api.call("POST", "/organisations", api.stage.operator, json={"id": "bank-f", "name": "F"})
    documents = [one.document for one in await api.stage.ledger.entries()]
    named = [one["organisation"] for one in documents if one and "organisation" in one]
    assert sorted(named[-2:]) == ["bank-e", "bank-f"]  # the double numbers them in any order


async def test_a_deed_that_was_not_committed_keeps_no_answer(api: Api) -> None:
    post = await _post("create_project", api.stage)
    commit = MemoryUnit.commit

    async def fail(self: MemoryUnit) -> None:
        if len(self.tables.pending) > len(self._database.tables.pending):
            raise AWAY
        await commit(self)

    MemoryUnit.commit = fail  # type: ignore[method-assign]
    try:
        first = await api.call("POST", post.path, post.sender, json=post.body, headers=KEY)
    finally:
        MemoryUnit.commit = commit  # type: ignore[method-assign]
    assert first.status_code == 503
    assert api.stage.database.tables.answers == {}
    again = await api.call("POST", post.path, post.sender, json=post.body, headers=KEY)
    assert again.status_code == 201
    assert "idempotent-replay" not in again.headers


async def test_whoever_cancelled_and_did_not_hear_it_is_told_so(api: Api) -> None:
    post = await _post("cancel_job", api.stage)
    job = await api.stage.services.jobs.get(api.stage.operator, api.stage.ids["job"])
    progress = {**job.progress, "cancel": post.sender.name}
    await api.stage.finish(job, state=JobState.CANCELLED, progress=progress)
    again = await api.call("POST", post.path, post.sender, json={})
    assert (again.status_code, again.json()["state"]) == (200, "cancelled")
    other = await api.call("POST", post.path, api.stage.person("bank-b", Role.DATA_OWNER), json={})
    assert (other.status_code, other.json()["code"]) == (409, "already_finished")
