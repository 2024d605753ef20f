"""Authorisation, cell by cell: every operation of the API × every role × whose object.

The cells are generated from the OpenAPI description, so an operation that somebody adds without
saying who may call it fails here. For each operation the table below names the action whose roles
decide (`None`: anybody who is logged in, `OPEN`: anybody at all). Then it must hold that

- without a token nothing but the open operations answers;
- a role that the action does not allow is refused (403) whatever the object is, own, foreign or
  imagined: the refusal tells nothing;
- a role that it does allow gets 404 for another tenant's object, and exactly the same answer as
  for an object that does not exist;
- for an own object it gets neither 401 nor 403 nor 404.

A new operation is one line of `RULES` (and one of `ACTIONS`, if no action there fits). What people
with roles in a project may do is derived from both: `test_project_roles`. The links' verbs have
their own table: `test_link_verbs`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from peers.believing import BelievingProvider

from secureflow.application.access import ACTIONS, Principal
from secureflow.application.identities import LoginProvider
from secureflow.application.uploads import Weights
from secureflow.domain.deliveries import Delivery
from secureflow.domain.ids import new_id
from secureflow.domain.jobs import JobState
from secureflow.domain.notifications import Notification
from secureflow.domain.oidc import ClaimMapping, identity_id
from secureflow.domain.revenue import RevenueRecord
from secureflow.domain.users import Role
from secureflow.engines.bundles import Bundle, pack
from secureflow.engines.revenue.settlement import computed
from tests.doubles import Tables
from tests.stage import FEATURES, PASSWORD, Stage, two_worlds
from tests.unit.engines.revenue.parts import (
    agreement_of,
    evidence_of,
    measured,
    settlement_of,
    signed_by_all,
)
from tests.unit.server.conftest import Api

OPEN = "open"
UNKNOWN = {
    **{"job": "job_00000000000000000000", "project": "prj_00000000000000000000"},
    "notification": "4000000000",
}


@dataclass(frozen=True)
class Rule:
    """Who may call an operation, and how a call of it looks.

    `noun` names what stands in the path (or where `place` says: a query or body field); the ids
    are `own` (`bank-a`'s world), `outsider`'s, and unknown ones. `operator` tells whether the
    platform admin sees the objects of every tenant. Texts of `body` and parameters of `path` that
    begin with `$` are names of ids on the stage. `first` is done before the call by those who may:
    a deed's name in `FIRST`.
    """

    action: str | None
    noun: str = ""
    place: str = "path"
    body: dict[str, Any] | None = None
    operator: bool = True
    also: tuple[int, ...] = field(default=())
    path: dict[str, str] = field(default_factory=dict)
    query: str = ""
    first: str = ""


JOB_BODY = {
    **{"kind": "training", "name": "n", "purpose": "credit-scoring"},
    **{"datasets": [], "features": FEATURES},
}
USER_BODY = {"name": "new", "password": PASSWORD, "roles": ["auditor"]}
TERMS = {
    "weights": {"scores": 1}, "rounding": "bank-a", "currency": "EUR", "payer": "bank-a",
    "per_job": 5,
}  # fmt: skip
RULES: dict[str, Rule] = {
    "get_health": Rule(OPEN),
    "get_readiness": Rule(OPEN),
    "get_metrics": Rule(OPEN),
    "login": Rule(OPEN, body={"name": "nobody", "password": "x"}, also=(401, 429)),
    "enroll": Rule(OPEN, body={"token": "x", "csr": "x", "name": "x"}, also=(422,)),
    "create_challenge": Rule(OPEN, body={"agent": "x"}),
    "renew_certificate": Rule(
        OPEN, body={"agent": "x", "nonce": "x", "csr": "x", "signature": "x"}, also=(403, 429)
    ),
    "get_ca": Rule(OPEN),
    "refresh_login": Rule(OPEN, body={"refresh": "x"}, also=(401,)),
    "start_device": Rule(OPEN, body={"client": "x"}, also=(201,)),
    "poll_device": Rule(OPEN, body={"device_code": "x"}, also=(401,)),
    "get_device": Rule(None, also=(404,)),
    "approve_device": Rule(None, also=(404,)),
    "deny_device": Rule(None, also=(404,)),
    "get_second_factor": Rule(None),
    "enrol_second_factor": Rule(None),
    "confirm_second_factor": Rule(None, body={"code": "x"}, also=(401, 403)),
    "remove_second_factor": Rule(None, body={"code": "x"}, also=(401, 403)),
    "reset_second_factor": Rule("user.reset_second_factor", "user"),
    "logout": Rule(None),
    "open_session": Rule(OPEN, body={"name": "nobody", "password": "x"}, also=(403,)),
    "close_session": Rule(None, also=(401,)),
    "list_sessions": Rule(None),
    "delete_session": Rule(None, "session", operator=False, first="own_session"),
    "delete_other_sessions": Rule(None),
    "get_me": Rule(None),
    "change_password": Rule(None, body={"old": "x", "new": PASSWORD}, also=(401,)),
    "prove": Rule(None, body={"password": "x"}, also=(401, 429)),
    "list_tokens": Rule(None),
    "create_token": Rule(None, body={}),
    "delete_token": Rule(None, "token", operator=False, first="own_token"),
    "list_providers": Rule(OPEN),
    "start_oidc": Rule(OPEN, also=(302,)),
    "finish_oidc": Rule(OPEN, also=(401,)),
    "link_oidc": Rule(None, body={}),
    "list_identities": Rule("user.read", "user"),
    "bind_identity": Rule("user.update", "user", body={"provider": "sso", "subject": "1"}),
    "unbind_identity": Rule("user.update", "user"),
    "list_users": Rule("user.read"),
    "create_user": Rule("user.create", "organisation", "body", USER_BODY),
    "get_user": Rule("user.read", "user"),
    "update_user": Rule("user.update", "user", body={"display": "D"}),
    "erase_user": Rule("user.erase", "user"),
    "list_user_tokens": Rule("user.tokens", "user"),
    "delete_user_token": Rule("user.tokens", "user"),
    "list_organisations": Rule("organisation.read"),
    "create_organisation": Rule("organisation.create", body={"id": "new", "name": "New"}),
    "get_organisation": Rule("organisation.read", path={"key": "bank-b"}),
    "disable_organisation": Rule("organisation.disable", path={"key": "bank-b"}),
    "enable_organisation": Rule("organisation.disable", path={"key": "bank-b"}),
    "list_agents": Rule("agent.read"),
    "revoke_agent": Rule("agent.revoke", "agent"),
    "list_parties": Rule("agent.read"),
    "list_enrolments": Rule("enrolment.read"),
    "create_enrolment": Rule("enrolment.create", "organisation", "body", {"kind": "agent"}),
    "get_charter": Rule("charter.read"),
    "get_charter_candidate": Rule("charter.read", also=(404,)),
    "propose_charter": Rule("charter.propose", body={}),
    "continue_log": Rule("charter.propose", also=(409,)),
    "change_log_key": Rule("charter.propose", body={"reason": "x"}, also=(409,)),
    "give_up_log_key": Rule("charter.propose", also=(409,)),
    "sign_charter": Rule(
        "charter.sign", "organisation", "body", {"digest": "0" * 64, "signature": "x"}, also=(404,)
    ),
    "list_projects": Rule("project.read"),
    "create_project": Rule("project.create", body={"name": "n", "purpose": "p"}),
    "get_project": Rule("project.read", "project"),
    "change_project": Rule("project.change", "project", body={"description": "D"}),
    "freeze_project": Rule("project.freeze", "project", body={}),
    "thaw_project": Rule("project.freeze", "project"),
    "archive_project": Rule("project.archive", "project"),
    "get_project_activity": Rule("project.read", "project"),
    "get_project_received": Rule("project.read", "project"),
    "list_project_templates": Rule("project.read"),
    "get_project_template": Rule("project.read", path={"key": "credit-risk"}),
    "list_project_people": Rule("project.read", "project"),
    "set_project_person": Rule(
        "project.name", "project", body={"user": "$bank-a.auditor", "roles": ["auditor"]}
    ),
    "remove_project_person": Rule("project.name", "project", path={"user": "$bank-a.auditor"}),
    "invite_member": Rule(
        "project.invite", "project", body={"organisation": "bank-b"}, first="bank_b_left"
    ),
    "accept_invitation": Rule("project.join", "project"),
    "leave_project": Rule("project.join", "project"),
    "list_components": Rule("job.read"),
    "list_datasets": Rule("dataset.read", "project", "query"),
    "get_dataset": Rule("dataset.read", "dataset"),
    "delete_dataset": Rule("dataset.remove", "dataset"),
    "create_grant": Rule(
        "grant.create",
        "dataset",
        body={"columns": ["age"], "expires": 1_800_000_060, "project": "$project"},
    ),
    "list_grants": Rule("grant.read", "project", "query"),
    "delete_grant": Rule("grant.revoke", "grant"),
    "list_jobs": Rule("job.read", "project", "query"),
    "submit_job": Rule("job.submit", "project", "body", JOB_BODY),
    "dry_run_job": Rule("job.submit", "project", "body", JOB_BODY),
    "check_draft": Rule("job.submit", "project", "body", JOB_BODY),
    "list_job_templates": Rule("job.read"),
    "list_strategies": Rule("job.read"),
    "get_strategy": Rule("job.read", path={"key": "scaffold"}),
    "get_job_template": Rule("job.read", path={"key": "data-quality"}),
    "fill_job_template": Rule(
        "job.read",
        "project",
        "body",
        {"datasets": ["x"]},
        path={"key": "data-quality"},
        also=(404,),
    ),
    "get_job": Rule("job.read", "job"),
    "explain_job": Rule("job.read", "job"),
    "get_job_recipe": Rule("job.read", "job"),
    "get_job_totals": Rule("job.read", "job"),
    "list_questions": Rule("job.read", "job"),
    "get_revenue_agreement": Rule("revenue.read", "project"),
    "draft_revenue_agreement": Rule("revenue.draft", "project", body=TERMS),
    "list_anchors": Rule("audit.read", query="limit=5"),
    "list_settlements": Rule("revenue.read", "project"),
    "preview_settlement": Rule("revenue.read", "project", body={}),
    "open_settlement": Rule("settlement.open", "project", body={}),
    "get_settlement": Rule("revenue.read", "settlement"),
    "close_settlement": Rule("settlement.close", "settlement"),
    "get_settlement_statement": Rule("revenue.read", "settlement"),
    "get_settlement_table": Rule("revenue.read", "settlement"),
    "answer_question": Rule("job.answer", "job", body={"text": "x"}, operator=False, also=(409,)),
    "cancel_job": Rule("job.cancel", "job"),
    "resume_job": Rule("job.resume", "job", also=(409,)),
    "list_queue": Rule("job.read"),
    "list_timetables": Rule("job.read", "project", "query"),
    "get_timetable": Rule("job.read", "job", first="job_timed"),
    "pause_timetable": Rule("timetable.pause", "job", first="job_timed"),
    "resume_timetable": Rule("timetable.resume", "job", first="job_timed"),
    "prioritise_job": Rule("job.prioritise", "job", body={"priority": 5}, also=(403, 409)),
    "list_job_events": Rule("job.read", "job"),
    "watch_job": Rule("job.read", "job", first="job_ended"),
    "get_job_report": Rule("job.read", "job", first="job_ended"),
    "get_job_bundle": Rule("audit.read", "job"),
    "list_models": Rule("model.read", "project", "query"),
    "get_model": Rule("model.read", "model"),
    "get_model_content": Rule("model.download", "model"),
    "upload_model": Rule(
        "model.upload",
        "project",
        "query",
        {},
        also=(403, 422),
        query=f"digest={'0' * 64}&layout={'0' * 64}",
    ),
    "list_uploads": Rule("model.read", "project", "query"),
    "delete_upload": Rule("upload.remove", "upload"),
    "get_model_lineage": Rule("model.read", "model"),
    "get_model_card": Rule("model.read", "model"),
    "upload_bundle": Rule(
        "bundle.upload", "project", "query", also=(422,), query=f"digest={'0' * 64}"
    ),
    "list_bundles": Rule("bundle.read", "project", "query"),
    "get_bundle_description": Rule("bundle.read", "code"),
    "get_bundle_content": Rule("bundle.read", "code"),
    "delete_bundle": Rule("bundle.remove", "code"),
    "get_head": Rule("audit.read"),
    "list_entries": Rule("audit.read", "job", "query"),
    "search_entries": Rule("audit.read", "job", "query"),
    "export_entries": Rule("audit.read", "job", "query"),
    "get_inclusion": Rule("audit.read", query="index=0&size=1"),
    "get_consistency": Rule("audit.read", query="old=1&new=2"),
    "get_bundle": Rule("audit.read", "job", "query"),
    "list_notifications": Rule(None),
    "count_unread": Rule(None),
    "list_notification_kinds": Rule(None),
    "read_all_notifications": Rule(None),
    "read_notification": Rule(None, "notification", operator=False, first="own_notification"),
    "get_preferences": Rule(None),
    "update_preferences": Rule(None, body={"language": "zh"}),
    "confirm_address": Rule(None, body={"code": "00000000"}, also=(422,)),
    "watch_notifications": Rule(None, first="stopping"),
    "watch_events": Rule("job.read", first="stopping"),
    "get_overview": Rule("job.read"),
    "get_agent_link": Rule("agent.read", "agent"),
    "list_attestations": Rule("audit.read"),
    "get_limits": Rule("limit.read"),
    "list_webhooks": Rule("webhook.read"),
    "create_webhook": Rule("webhook.create", body={"url": "https://siem.example/"}),
    "delete_webhook": Rule("webhook.remove", "webhook"),
    "test_webhook": Rule("webhook.create", "webhook"),
    "list_deliveries": Rule("delivery.read"),
    "retry_delivery": Rule("delivery.retry", "delivery"),
}
REFUSALS = {401, 403, 404}
SSO = BelievingProvider()
IDENTITY = identity_id(SSO.issuer, "1")
OWN = {"get_user", "list_identities", "unbind_identity"}
"""Operations on oneself that need no role; the use cases' own tests cover them."""


@dataclass
class World:
    api: Api
    operations: dict[str, tuple[str, str]]
    tables: Tables
    ids: dict[str, str]
    blobs: dict[str, bytes]

    @property
    def stage(self) -> Stage:
        return self.api.stage

    def reset(self) -> None:
        """Undo what calls did: a unit of work changes copies, so the old tables are intact."""
        self.stage.database.tables = self.tables
        self.stage.uploads.blobs = dict(self.blobs)
        self.stage.ids = dict(self.ids)

    async def call(self, operation: str, principal: Principal | None, key: str) -> Any:
        """Call an operation with this object's id in its place."""
        method, path = self.operations[operation]
        rule = RULES[operation]
        body = None if rule.body is None else {n: self.filled(v) for n, v in rule.body.items()}
        query = rule.query
        for name, value in rule.path.items():
            path = path.replace(f"{{{name}}}", self.filled(value))
        path = path.replace("{token}", self.ids["audited.token"])
        path = path.replace("{name}", "sso").replace("{identity}", IDENTITY)
        if rule.place == "path":
            path = path.replace("{key}", key)
        elif rule.place == "query":
            query = "&".join(filter(None, (query, f"{rule.noun}={key}")))
        elif body is not None:
            body[rule.noun] = key
        headers = {}
        if principal is not None:
            headers["Authorization"] = f"Bearer {await self.stage.bearer(principal)}"
        return await self.api.http.request(
            method, path + (f"?{query}" if query else ""), headers=headers, json=body
        )

    def filled(self, value: Any) -> Any:
        """Return a value of a rule: `$name` is the id of that name on the stage."""
        named = isinstance(value, str) and value.startswith("$")
        return self.stage.ids[value[1:]] if named else value

    def key(self, noun: str, whose: str) -> str:
        """Return the id of an object: `own` (bank-a's), `foreign` (outsider's) or `unknown`."""
        owner = "bank-a" if whose == "own" else "outsider"
        prefix = "" if whose == "own" else "outsider."
        if noun == "":
            return ""
        if whose == "unknown":
            return UNKNOWN.get(noun, "unknown")
        if noun == "organisation":
            return owner
        if noun == "user":
            return self.stage.person(owner, Role.AUDITOR).user
        if noun in {"agent", "dataset", "grant"}:
            return self.stage.ids[f"{owner}.{noun}"]
        if noun in {"token", "session"}:
            return self.stage.ids[f"{owner}.{noun}"]
        return self.stage.ids[prefix + noun]


async def session_of(stage: Stage, principal: Principal) -> str:
    """Open a browser session of somebody; return its id."""
    async with stage.database.begin() as work:
        user: Any = await work.users.get(principal.user)  # type: ignore[attr-defined]
    opened = await stage.services.sessions.open(user, method="password", address="10.0.0.1")
    return opened.session.id


async def _told(stage: Stage, organisation: str, prefix: str) -> None:
    """Give an organisation a webhook, a failed delivery, and its administrator a notification."""
    admin = stage.admin(organisation)
    issued = await stage.services.webhooks.create(admin, "https://siem.example/")
    stage.ids[f"{prefix}webhook"] = hook = issued.webhook.id
    stage.ids[f"{prefix}delivery"] = key = new_id("dlv")
    failed = Delivery(
        key, key, "webhook", hook, organisation, "test", 1, {"webhook": hook}, 1, 1,
        state="failed", code="delivery_failed",
    )  # fmt: skip
    async with stage.database.begin() as work:
        await work.deliveries.add(failed)
        await work.notifications.add(key, [Notification(0, admin.user, "test", 1)])
        stage.ids[f"{prefix}notification"] = str(await work.notifications.newest(admin.user))
        await work.commit()


async def _settled(stage: Stage, organisation: str, prefix: str) -> None:
    """Give an organisation's project an agreement, and a settlement of its job."""
    project, job = stage.ids[f"{prefix}project"], stage.ids[f"{prefix}job"]
    parts = {"project": project, "rounding": organisation, "payer": organisation}
    agreement = agreement_of([organisation], **parts)
    settlement = settlement_of(agreement, job, project=project)
    records = [evidence_of(job, {organisation: measured(1)}, project=project)]
    body = {
        "settlement": settlement.json(),
        "computed": computed(agreement, settlement, records).json(),
        "by": stage.admin(organisation).user,
    }
    signed = signed_by_all(agreement).json()
    async with stage.database.begin() as work:
        for key, kind, told in (
            (agreement.digest, "agreement", signed), (settlement.id, "settlement", body)
        ):  # fmt: skip
            await work.revenue.add(RevenueRecord(key, project, kind, 1, told))  # type: ignore[arg-type]
        await work.commit()
    stage.ids[f"{prefix}settlement"] = settlement.id


async def _zeros() -> AsyncIterator[bytes]:
    yield bytes(4)


def operations_of(api: Api) -> dict[str, tuple[str, str]]:
    return {
        operation["operationId"]: (method.upper(), path)
        for path, methods in api.app.openapi()["paths"].items()
        for method, operation in methods.items()
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Build the stage and describe the app once: both are slow, and calls do not change them."""
    return build_world(tmp_path_factory.mktemp("stage"))


def build_world(directory: Path) -> World:
    """Build both worlds, with an object of every noun in each."""

    async def build() -> Stage:
        stage = await two_worlds(directory)
        for organisation in ("bank-a", "outsider"):
            issued = await stage.services.tokens.create(stage.admin(organisation), "", 60)
            stage.ids[f"{organisation}.token"] = issued.token.id
            stage.ids[f"{organisation}.session"] = await session_of(
                stage, stage.admin(organisation)
            )
            if organisation == "bank-a":
                audited = stage.person(organisation, Role.AUDITOR)
                issued = await stage.services.tokens.create(audited, "", 60)
                stage.ids["audited.token"] = issued.token.id
            prefix = "outsider." if organisation == "outsider" else ""
            code = Bundle({"model.py": organisation.encode()})
            stored = await stage.services.bundles.upload(
                stage.scientist(organisation), stage.ids[f"{prefix}project"], pack(code),
                digest=code.digest,
            )  # fmt: skip
            stage.ids[f"{prefix}code"] = stored.digest
            weights = Weights(blake3(bytes(4)).hexdigest(), "0" * 64, 4)
            upload = await stage.services.uploads.upload(
                stage.scientist(organisation), stage.ids[f"{prefix}project"], weights, _zeros()
            )
            stage.ids[f"{prefix}upload"] = upload.id
            for role in stage.people_of(organisation):
                stage.ids[f"{organisation}.{role}"] = stage.person(organisation, role).user
            await _told(stage, organisation, prefix)
            await _settled(stage, organisation, prefix)
        return stage

    api = Api(asyncio.run(build()))
    stage = api.stage
    at_bank_a = ClaimMapping(organisation="bank-a", roles=(Role.AUDITOR,))
    stage.services.oidc.identities.providers = {"sso": LoginProvider(SSO, at_bank_a)}
    blobs = dict(stage.uploads.blobs)
    return World(api, operations_of(api), stage.database.tables, dict(stage.ids), blobs)


@pytest.fixture
async def world(built: World) -> World:
    built.reset()
    for key in ("job", "outsider.job"):
        job = await built.stage.services.jobs.get(built.stage.operator, built.stage.ids[key])
        await built.stage.finish(job, state=JobState.SUCCEEDED, report={"rounds": 1})
    return built


async def bank_b_left(stage: Stage, _: Principal) -> None:
    await stage.services.projects.leave(stage.admin("bank-b"), stage.ids["project"])


async def job_ended(stage: Stage, _: Principal) -> None:
    job = await stage.services.jobs.get(stage.operator, stage.ids["job"])
    await stage.finish(job, state=JobState.SUCCEEDED, report={"rounds": 1})


async def own_token(stage: Stage, principal: Principal) -> None:
    issued = await stage.services.tokens.create(principal, "", 60)
    stage.ids["bank-a.token"] = issued.token.id


async def own_session(stage: Stage, principal: Principal) -> None:
    stage.ids["bank-a.session"] = await session_of(stage, principal)


async def own_notification(stage: Stage, principal: Principal) -> None:
    async with stage.database.begin() as work:
        await work.notifications.add("own", [Notification(0, principal.user, "test", 1)])
        newest = await work.notifications.newest(principal.user)
        await work.commit()
    stage.ids["notification"] = str(newest)


async def stopping(stage: Stage, _: Principal) -> None:
    stage.stopping[0] = True  # else it would watch for ever


async def job_timed(stage: Stage, principal: Principal) -> None:
    """Let the job run again and again."""
    del principal
    rows = stage.database.tables.rows["jobs"]
    job = rows[stage.ids["job"]]
    times = {"first": stage.now[0], "every": 86_400, "runs": 3, "window": 3600}
    spec = {**job.spec, "timetable": times, "job": {"kind": "training"}}
    rows[job.id] = replace(job, kind="timetable", spec=spec)


FIRST = {
    one.__name__: one
    for one in (
        bank_b_left,
        job_ended,
        job_timed,
        own_notification,
        own_session,
        own_token,
        stopping,
    )
}


def people(stage: Stage) -> dict[Role, Principal]:
    """Return one caller of each role: the operator, and bank-a's people."""
    return {
        role: stage.operator if role is Role.PLATFORM_ADMIN else stage.person("bank-a", role)
        for role in Role
    }


def roles_allowed(rule: Rule) -> list[Role]:
    """Return the roles of the platform that a rule's action allows."""
    return [role for role in Role if rule.action is None or role in ACTIONS[rule.action]]


async def test_every_operation_has_a_rule(world: World) -> None:
    assert world.operations.keys() == RULES.keys()
    assert {rule.action for rule in RULES.values()} - {None, OPEN} == ACTIONS.keys()
    assert {rule.first for rule in RULES.values()} - {""} == FIRST.keys()


async def test_the_description_says_which_operations_are_open(world: World) -> None:
    for path, methods in world.api.app.openapi()["paths"].items():
        for operation in methods.values():
            is_open = RULES[operation["operationId"]].action == OPEN
            assert ("security" not in operation) == is_open, path


@pytest.mark.parametrize("operation", sorted(RULES))
async def test_nobody_gets_in_without_a_token(world: World, operation: str) -> None:
    rule = RULES[operation]
    answer = await world.call(operation, None, world.key(rule.noun, "unknown"))
    if rule.action == OPEN:
        assert answer.status_code in {200, *rule.also}
        return
    for header in ("", "Bearer sft_00000000000000000000_" + "x" * 43):
        method, path = world.operations[operation]
        headers = {"Authorization": header} if header else {}
        # An invalid body must not be answered before the missing token is.
        forged = await world.api.http.request(method, path, headers=headers)
        # An ended session and one that never was look alike, and both are over: no oracle.
        over = operation == "logout" and header
        assert forged.status_code in ({204} if over else {401, 422})
    assert answer.status_code == 401, operation


@pytest.mark.parametrize("operation", sorted(op for op, r in RULES.items() if r.action in ACTIONS))
async def test_roles_that_may_not_are_refused_whatever_the_object_is(
    world: World, operation: str
) -> None:
    rule = RULES[operation]
    for role, principal in people(world.stage).items():
        if role in ACTIONS[rule.action or ""]:
            continue
        if operation in OWN:
            continue
        answers = []
        for whose in ("own", "foreign", "unknown"):
            answer = await world.call(operation, principal, world.key(rule.noun, whose))
            assert answer.status_code == 403, (operation, role, whose, answer.text)
            answers.append({**answer.json(), "instance": ""})
        assert answers[0] == answers[1] == answers[2]


@pytest.mark.parametrize("operation", sorted(op for op, rule in RULES.items() if rule.noun))
async def test_anothers_object_is_like_one_that_does_not_exist(
    world: World, operation: str
) -> None:
    rule = RULES[operation]
    for role, principal in people(world.stage).items():
        if rule.action and role not in ACTIONS[rule.action]:
            continue
        if role is Role.PLATFORM_ADMIN and rule.operator:
            continue
        told = []
        for whose in ("foreign", "unknown"):
            key = world.key(rule.noun, whose)
            answer = await world.call(operation, principal, key)
            assert answer.status_code == 404, (operation, role, whose, answer.text)
            told.append(answer.text.replace(key, "…"))
        assert told[0] == told[1]


@pytest.mark.parametrize("operation", sorted(op for op, r in RULES.items() if r.action != OPEN))
async def test_who_may_gets_through_to_their_own(world: World, operation: str) -> None:
    rule = RULES[operation]
    for role in roles_allowed(rule):
        world.reset()  # what one role removes is there again for the next
        stage, principal = world.stage, people(world.stage)[role]
        if rule.first:
            await FIRST[rule.first](stage, principal)
        key = world.key(rule.noun, "own")
        if operation == "unbind_identity":
            await stage.services.oidc.identities.bind(stage.operator, key, "sso", "1")
        if rule.noun == "organisation" and operation == "create_user" and principal.operator:
            key = "bank-b"
        answer = await world.call(operation, principal, key)
        if rule.action == "job.submit" and operation != "check_draft":
            assert answer.status_code == 422, answer.text  # let in; the body names no datasets
            continue
        assert answer.status_code not in REFUSALS - set(rule.also), (operation, role, answer.text)
        assert answer.status_code < 500
