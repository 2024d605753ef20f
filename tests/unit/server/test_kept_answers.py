"""A request whose answer or commit nobody heard of: asked again, it is told the same.

The answer is kept in the transaction of what was done, so there is no moment at which the one
stands without the other.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from blake3 import blake3
from peers.believing import BelievingProvider
from peers.settling import asked_of

from secureflow.application.access import Principal
from secureflow.application.identities import LoginProvider
from secureflow.application.membership import CANDIDATE
from secureflow.domain.deliveries import Delivery
from secureflow.domain.jobs import JobState
from secureflow.domain.notifications import Notification, Preferences
from secureflow.domain.oidc import ClaimMapping, identity_id
from secureflow.domain.projects import ProjectRole
from secureflow.domain.questions import Question
from secureflow.domain.users import Role, Scope
from secureflow.engines.bundles import Bundle, pack
from secureflow.engines.ledger.setback import Hold
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.totp import code_at
from secureflow.server.rest.app import described_app
from secureflow.server.rest.idempotency import CHANGING, OnceRoute
from tests.doubles import MemoryUnit, Tables
from tests.full import thinned
from tests.stage import BANKS, FEATURES, PASSWORD, Stage
from tests.unit.application.test_logkeychange import Keys
from tests.unit.server.conftest import Api

SSO = BelievingProvider()
CODE = Bundle({"model.py": b"x = 1"})
KEY = {"Idempotency-Key": "key-9"}
AWAY = InfrastructureError("database_unavailable", "The database is away.", "Try again.")


@dataclass(frozen=True)
class Post:
    """A request, who sends it, and what must be there before."""

    path: str
    body: Any
    sender: Principal
    method: str = "POST"

    async def to(self, api: Api) -> Any:
        """Send it, under the key."""
        body = {} if self.body is None else {"json": self.body}
        if isinstance(self.body, bytes):
            body = {"content": self.body}
        return await api.call(self.method, self.path, self.sender, headers=KEY, **body)


async def session_of(stage: Stage, person: Principal) -> str:
    """Open a browser session of somebody; return its id."""
    async with stage.database.begin() as work:
        user: Any = await work.users.get(person.user)  # type: ignore[attr-defined]
    opened = await stage.services.sessions.open(user, method="password", address="10.0.0.1")
    return opened.session.id


WEIGHTS = bytes(16)


def _weights(project: str) -> str:
    return f"project={project}&digest={blake3(WEIGHTS).hexdigest()}&layout={'0' * 64}"


def auditor(stage: Stage) -> str:
    """Return the id of bank-a's auditor."""
    return stage.person("bank-a", Role.AUDITOR).user


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
        "change_log_key": Post("/charter/log-key", {"reason": "yearly"}, operator),
        "give_up_log_key": Post("/charter/log-key", None, operator, "DELETE"),
        "create_project": Post("/projects", {"name": "p", "purpose": "x"}, ada),
        "invite_member": Post(f"{project}/members", {"organisation": "outsider"}, admin),
        "accept_invitation": Post(f"{project}/accept", {}, stage.admin("outsider")),
        "leave_project": Post(f"{project}/leave", {}, stage.admin("bank-c")),
        "change_project": Post(project, {"description": "D"}, ada, "PATCH"),
        "freeze_project": Post(f"{project}/freeze", {"reason": "why"}, admin),
        "thaw_project": Post(f"{project}/thaw", {}, admin),
        "archive_project": Post(f"{project}/archive", {}, admin),
        "set_project_person": Post(
            f"{project}/people", {"user": ada.user, "roles": ["lead"]}, admin
        ),
        "remove_project_person": Post(f"{project}/people/{ada.user}", None, admin, "DELETE"),
        "create_grant": Post(grants, grant, stage.owner("bank-a")),
        "submit_job": Post("/jobs", {**asked, "kind": "training", "features": FEATURES}, ada),
        "cancel_job": Post(f"/jobs/{ids['job']}/cancel", {}, ada),
        "erase_user": Post(f"/users/{ada.user}/erase", {}, admin),
        "update_user": Post(f"/users/{ada.user}", {"disabled": True}, admin, "PATCH"),
        "delete_dataset": Post(f"/datasets/{datasets[0]}", None, stage.owner("bank-a"), "DELETE"),
        "prioritise_job": Post(f"/jobs/{ids['job']}/priority", {"priority": 7}, admin),
        "resume_job": Post(f"/jobs/{ids['job']}/resume", {}, ada),
        "upload_model": Post(f"/models/uploads?{_weights(ids['project'])}", WEIGHTS, ada),
        "upload_bundle": Post(
            f"/bundles?project={ids['project']}&digest={CODE.digest}", pack(CODE), ada
        ),
    }


async def _of_people(name: str, stage: Stage) -> Post:
    """Return a request about tokens, sessions, programs that ask, or second factors."""
    services, ada, admin = stage.services, stage.scientist("bank-a"), stage.admin("bank-a")
    if name.endswith("_token"):
        issued = await services.tokens.create(admin, "", 60)
        of = "" if name == "delete_token" else f"/users/{admin.user}"
        return Post(f"{of}/tokens/{issued.token.id}", None, admin, "DELETE")
    if name.endswith(("_session", "_sessions")):
        key = await session_of(stage, admin)
        path = "/sessions" if name == "delete_other_sessions" else f"/sessions/{key}"
        return Post(path, None, admin, "DELETE")
    if name.endswith("_device"):
        asked = await services.devices.start("x", "192.0.2.1")
        return Post(f"/devices/{asked.code}/{name.split('_', maxsplit=1)[0]}", {}, admin)
    made = await services.second_factors.enrol(ada)
    code = code_at(base64.b32decode(made.secret), stage.now[0])
    recovery = await services.second_factors.confirm(ada, code)
    if name == "remove_second_factor":
        return Post("/me/second-factor/remove", {"code": recovery[0]}, ada)
    return Post(f"/users/{ada.user}/second-factor", None, admin, "DELETE")


async def _post(name: str, stage: Stage) -> Post:
    """Return a request, with what it needs made."""
    services, operator, admin = stage.services, stage.operator, stage.admin("bank-a")
    if name == "sign_charter":
        shown = await services.charters.propose(operator)
        signature = stage.keys["bank-a"].sign("charter", shown["charter"])
        body = {"organisation": "bank-a", "digest": shown["digest"], "signature": signature}
        return Post("/charter/signatures", body, admin)
    await _project(name, stage)
    if name == "enable_organisation":
        await services.organisations.set_disabled(operator, "outsider", True)
    if name == "continue_log":
        await stage.ledger.judge(lambda _, size: Hold("restored", stage.now[0], size))
    if name.endswith("_log_key"):
        services.log_key_change._keys = Keys()
    if name == "give_up_log_key":
        await services.log_key_change.propose(operator, "yearly")
    if name == "resume_job":
        job = await services.jobs.get(operator, stage.ids["job"])
        error = SecureFlowError("internal", "x").as_json()
        await stage.finish(job, state=JobState.PAUSED, error=error)
    if name.endswith(("_settlement", "_agreement")):
        return Post(*await asked_of(name, stage), admin)
    if name in _plain(stage):
        return _plain(stage)[name]
    return await _ended(name, stage)


async def _project(name: str, stage: Stage) -> None:
    """Bring the project into the state that a request changes."""
    services, admin, key = stage.services, stage.admin("bank-a"), stage.ids["project"]
    if name == "accept_invitation":
        await services.projects.invite(admin, key, "outsider")
    if name == "thaw_project":
        await services.project_states.freeze(admin, key, "")
    if name == "remove_project_person":
        who = (auditor(stage), stage.scientist("bank-a").user)
        for one in who:
            await services.project_people.set(admin, key, one, [ProjectRole.AUDITOR])


async def _identity(name: str, stage: Stage) -> Post:
    """Return a request about an identity at a provider."""
    operator, path = stage.operator, f"/users/{auditor(stage)}/identities"
    at_bank_a = ClaimMapping(organisation="bank-a", roles=(Role.AUDITOR,))
    stage.services.oidc.identities.providers = {SSO.name: LoginProvider(SSO, at_bank_a)}
    if name == "bind_identity":
        return Post(path, {"provider": SSO.name, "subject": "1"}, operator)
    await stage.services.oidc.identities.bind(operator, auditor(stage), SSO.name, "1")
    return Post(f"{path}/{identity_id(SSO.issuer, '1')}", None, operator, "DELETE")


async def _preferences(name: str, stage: Stage) -> Post:
    admin = stage.admin("bank-a")
    if name == "update_preferences":
        return Post("/notifications/preferences", {"language": "zh"}, admin, "PATCH")
    code = "12345678"
    waiting = Preferences(
        admin.user,
        email="ann@bank-a.example",
        code=stage.services.notifications._codes.digest(admin.user, code),
        tries=5,
    )
    async with stage.database.begin() as work:
        await work.preferences.add(waiting)
        await work.commit()
    return Post("/notifications/preferences/confirm", {"code": code}, admin)


async def _told(name: str, stage: Stage) -> Post:
    """Return a request about notifications or webhooks."""
    admin = stage.admin("bank-a")
    hook = (await stage.services.notices.webhooks.create(admin, "https://siem.example/")).webhook.id
    failed = Delivery(
        "dlv_1", "dlv_1", "webhook", hook, "bank-a", "test", 1, {"webhook": hook}, 1, 1,
        state="failed", code="delivery_failed",
    )  # fmt: skip
    async with stage.database.begin() as work:
        await work.deliveries.add(failed)
        await work.notifications.add("dlv_1", [Notification(0, admin.user, "test", 1)])
        key = await work.notifications.newest(admin.user)
        await work.commit()
    paths = {
        "read_all_notifications": "/notifications/read",
        "read_notification": f"/notifications/{key}/read",
        "retry_delivery": "/deliveries/dlv_1/retry",
    }
    if name == "delete_webhook":
        return Post(f"/webhooks/{hook}", None, admin, "DELETE")
    return Post(paths[name], {}, admin)


async def _timed(name: str, stage: Stage) -> Post:
    """Return a request about a question, or a timetable: a paused one, to be taken up again."""
    if name == "answer_question":
        asked = Question("q", stage.ids["job"], "bank-b", 1, "Why?", "ab" * 16, stage.now[0])
        async with stage.database.begin() as work:
            await work.questions.add(asked)
            await work.commit()
        path = f"/jobs/{stage.ids['job']}/answers"
        return Post(path, {"text": "Because."}, stage.scientist("bank-a"))
    admin, key = stage.admin("bank-a"), stage.ids["job"]
    job = await stage.services.jobs.get(stage.operator, key)
    times = {"first": stage.now[0], "every": 86_400, "runs": 3, "window": 3600}
    spec = {**job.spec, "timetable": times, "job": {"kind": "training"}}
    await stage.finish(job, kind="timetable", spec=spec, state=JobState.RUNNING)
    verb = name.removesuffix("_timetable")
    if verb == "resume":
        await stage.services.timetables.pause(admin, key)
    return Post(f"/timetables/{key}/{verb}", {}, admin)


async def _ended(name: str, stage: Stage) -> Post:
    """Return a request that ends or removes what is made for it."""
    services, admin = stage.services, stage.admin("bank-a")
    if name == "delete_grant":
        owner, key = stage.owner("bank-a"), stage.ids["bank-a.dataset"]
        grants = (await services.datasets.grants(owner)).items
        grant = next(one.id for one in grants if one.dataset == key)
        return Post(f"/grants/{grant}", None, owner, "DELETE")
    if name.endswith(("_token", "_device", "_second_factor")):
        return await _of_people(name, stage)
    if name in {"delete_session", "delete_other_sessions"}:
        opened = await services.sessions.open(
            await services.users.get(admin, admin.user), method="password", address="192.0.2.1"
        )
        named = f"/{opened.session.id}" if name == "delete_session" else ""
        return Post(f"/sessions{named}", None, admin, "DELETE")
    if name in {"update_preferences", "confirm_address"}:
        return await _preferences(name, stage)
    if name.endswith("_identity"):
        return await _identity(name, stage)
    if name in {"delete_webhook", "retry_delivery"} or "notification" in name:
        return await _told(name, stage)
    if name.endswith("_timetable") or name == "answer_question":
        return await _timed(name, stage)
    if name == "delete_upload":
        await _plain(stage)["upload_model"].to(Api(stage))
        ((key, _),) = stage.database.tables.rows["uploads"].items()
        stage.database.tables.answers.clear()
        return Post(f"/models/uploads/{key}", None, admin, "DELETE")
    if name == "delete_bundle":
        await _plain(stage)["upload_bundle"].to(Api(stage))
        stage.database.tables.answers.clear()
        return Post(f"/bundles/{CODE.digest}", None, admin, "DELETE")
    raise AssertionError(name)


ONCE = sorted(
    route.name
    for route in described_app().routes
    if isinstance(route, OnceRoute)
    and CHANGING & set(route.methods or ())
    and not getattr(route.endpoint, "changes_nothing", False)
)
CHANGES = [name for name in ONCE if name != "cancel_job"]


ONLY_ASK = {
    *("check_draft", "dry_run_job", "fill_job_template", "test_webhook"),
    "preview_settlement",
}
NOT_KEPT = {
    *("login", "create_token", "create_enrolment"),  # their answers hold a secret
    *("enroll", "create_challenge", "renew_certificate"),  # nobody is logged in
    *("refresh_login", "start_device", "poll_device"),
    *("enrol_second_factor", "confirm_second_factor"),
    *("logout", "change_password", "prove"),  # done already, they do nothing
    *("open_session", "close_session"),  # their answers set a cookie
    "link_oidc",  # and this one's
    "create_webhook",  # its answer holds a secret
}


async def test_the_list_is_complete(api: Api) -> None:
    """All that changes something bears a repeat, and the description says which takes a key."""
    with_key, without = set[str](), set[str]()
    for path in api.app.openapi()["paths"].values():
        for method, operation in path.items():
            if method.upper() in CHANGING:
                names = [one["name"] for one in operation.get("parameters", ())]
                kept = "Idempotency-Key" in names
                (with_key if kept else without).add(operation["operationId"])
    assert without == NOT_KEPT
    assert with_key == {*ONCE, *ONLY_ASK}


def _recorded(tables: Tables) -> int:
    """Return how much is recorded, but for the tokens by which the tests come in."""
    return sum(leaf.kind != "token.created" for leaf in tables.pending.values())


def _done(tables: Tables) -> tuple[Any, ...]:
    """Return what a use case changes: a record, the draft that continues a held log, or what is not
    recorded: what a person wants to be told, and has read."""
    told = tables.rows["preferences"], tables.rows["deliveries"], list(tables.told)
    return _recorded(tables), tables.settings.get(CANDIDATE), *told


@contextmanager
def unheard() -> Iterator[list[int]]:
    """Every commit of a change stands, and nobody hears of it."""
    commit, lost = MemoryUnit.commit, [0]

    async def lose(self: MemoryUnit) -> None:
        before = self._database.tables
        changed = _done(self.tables) != _done(before)
        changed |= len(self.tables.rows["tokens"]) < len(before.rows["tokens"])
        await commit(self)
        if changed:
            lost[0] += 1
            raise AWAY

    MemoryUnit.commit = lose  # type: ignore[method-assign]
    try:
        yield lost
    finally:
        MemoryUnit.commit = commit  # type: ignore[method-assign]


@pytest.mark.parametrize("name", thinned(CHANGES, 3, pytest.mark.full))
async def test_a_commit_that_nobody_heard_of_is_told_when_asked_again(api: Api, name: str) -> None:
    post = await _post(name, api.stage)
    with unheard() as lost:
        first = await post.to(api)
    assert (first.status_code, lost) == (503, [1]), first.text
    before = _recorded(api.stage.database.tables)
    again = await post.to(api)
    assert again.status_code in {200, 201, 204}, again.text
    assert again.headers["idempotent-replay"] == "true"
    assert _recorded(api.stage.database.tables) == before  # it was not done again
    if name == "revoke_agent":
        assert [agent.id for agent in api.stage.expelled] == [api.stage.ids["bank-a.agent"]]
    if name == "disable_organisation":
        assert api.stage.told_disabled == [["outsider"]]
    if name == "submit_job":
        assert len(api.stage.driver.started) == 2


@pytest.mark.parametrize("name", thinned(ONCE, 3, pytest.mark.full))
async def test_what_is_kept_is_what_was_answered(api: Api, name: str) -> None:
    post = await _post(name, api.stage)
    first = await post.to(api)
    assert first.status_code in {200, 201, 204}, first.text
    ((_, status, body),) = api.stage.database.tables.answers.values()
    assert (status, body) == (first.status_code, first.json() if first.content else None)
    again = await post.to(api)
    assert (again.status_code, again.content) == (first.status_code, first.content)


async def test_a_change_whose_number_is_owed_is_done(
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
    named = [one["organisation"] for one in documents if one and one.get("organisation")]
    assert named[-2:] == ["bank-e", "bank-f"]


async def test_a_change_that_was_not_committed_keeps_no_answer(api: Api) -> None:
    post = await _post("create_project", api.stage)
    commit = MemoryUnit.commit

    async def fail(self: MemoryUnit) -> None:
        if _recorded(self.tables) > _recorded(self._database.tables):
            raise AWAY
        await commit(self)

    MemoryUnit.commit = fail  # type: ignore[method-assign]
    try:
        first = await post.to(api)
    finally:
        MemoryUnit.commit = commit  # type: ignore[method-assign]
    assert first.status_code == 503
    assert api.stage.database.tables.answers == {}
    again = await post.to(api)
    assert again.status_code == 201
    assert "idempotent-replay" not in again.headers


async def test_a_logout_whose_answer_was_lost_is_no_error(api: Api) -> None:
    token = await api.stage.bearer(api.stage.scientist("bank-a"))
    headers = {**KEY, "Authorization": f"Bearer {token}"}
    for _ in range(2):
        answer = await api.http.post("/api/v1/logout", json={}, headers=headers)
        assert answer.status_code == 204
    assert (await api.http.get("/api/v1/me", headers=headers)).status_code == 401


async def test_what_is_kept_of_a_request_says_nothing_of_its_password(api: Api) -> None:
    """Neither the key nor a digest of the body alone, by which words could be tried."""
    post = await _post("create_user", api.stage)
    assert (await post.to(api)).status_code == 201
    (((_, place), (digest, _, _)),) = api.stage.database.tables.answers.items()
    asked = json.dumps(post.body, separators=(",", ":"), ensure_ascii=False).encode()
    request = b"POST /api/v1/users\n" + asked
    assert digest == hmac.digest(b"key-9", request, "sha256").hex()
    assert place == hashlib.sha256(b"key-9").hexdigest()
    # An answer that was kept before this was so is still found.
    before = hashlib.sha256(request).hexdigest()
    user = next(iter(api.stage.database.tables.answers))[0]
    api.stage.database.tables.answers = {(user, "key-9"): (before, 201, {"id": "usr_before"})}
    assert (await post.to(api)).json() == {"id": "usr_before"}
    other = Post(post.path, {**post.body, "name": "eve"}, post.sender)
    assert (await other.to(api)).json()["code"] == "idempotency_conflict"


async def test_whoever_cancelled_and_did_not_hear_it_is_told_so(api: Api) -> None:
    post = await _post("cancel_job", api.stage)
    job = await api.stage.services.jobs.get(api.stage.operator, api.stage.ids["job"])
    progress = {**job.progress, "cancel": post.sender.name}
    await api.stage.finish(job, state=JobState.CANCELLED, progress=progress)
    again = await api.call("POST", post.path, post.sender, json={})
    assert (again.status_code, again.json()["state"]) == (200, "cancelled")
    other = await api.call("POST", post.path, api.stage.person("bank-b", Role.DATA_OWNER), json={})
    assert (other.status_code, other.json()["code"]) == (409, "already_finished")


async def test_a_token_of_other_scopes_is_not_told_a_kept_answer(api: Api) -> None:
    """Whoever knows key and body of a request has not read its answer by that."""
    post = await _post("create_user", api.stage)
    assert (await post.to(api)).status_code == 201
    reader = replace(post, sender=replace(post.sender, scopes=frozenset({Scope.READ})))
    refused = await reader.to(api)
    assert refused.json()["code"] == "idempotency_conflict", refused.text
    # Nor what earlier versions kept for the user.
    asked = json.dumps(post.body, separators=(",", ":"), ensure_ascii=False).encode()
    digest = hashlib.sha256(b"POST /api/v1/users\n" + asked).hexdigest()
    before = {(post.sender.user, "key-9"): (digest, 201, {"id": "usr_before"})}
    api.stage.database.tables.answers = before
    assert (await reader.to(api)).json()["code"] == "scope_too_narrow"
    people = replace(post.sender, scopes=frozenset({Scope.PEOPLE}))
    again = replace(post, sender=people, body={**post.body, "name": "eve"})
    made = await again.to(api)
    assert made.status_code == 201, made.text
    assert (await again.to(api)).json() == made.json()
