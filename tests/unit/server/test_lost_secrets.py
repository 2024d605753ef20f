"""Answers that hold a secret and were lost: asked again, a new one takes the lost one's place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from secureflow.application.access import Principal
from secureflow.domain.users import Role
from tests.stage import PASSWORD, Stage
from tests.unit.application.refusing import refused
from tests.unit.server.conftest import Api
from tests.unit.server.test_kept_answers import KEY

TOKEN = ("/tokens", {"label": "nightly", "days": 3})
ENROLMENT = ("/enrolments", {"kind": "agent", "organisation": "bank-a"})


async def asked(
    api: Api, what: tuple[str, Any], who: Principal, key: dict[str, str] = KEY
) -> dict[str, Any]:
    path, body = what
    answer = await api.call("POST", path, who, json=body, headers=key)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def test_a_token_that_nobody_heard_of_ends_when_it_is_asked_for_again(api: Api) -> None:
    admin, other = api.stage.admin("bank-a"), api.stage.admin("bank-b")
    beside = await asked(api, TOKEN, admin, {})
    lost = await asked(api, TOKEN, admin)
    told = await asked(api, TOKEN, admin)
    assert told["token"] != lost["token"]
    tokens = api.stage.services.tokens
    with refused("unauthenticated"):
        await tokens.authenticate(lost["token"])
    for stands in (told, beside, await asked(api, TOKEN, other)):
        await tokens.authenticate(stands["token"])
    ids = {one.id for one in await tokens.list(admin)}
    assert {told["id"], beside["id"]} <= ids
    assert lost["id"] not in ids
    another = await api.call(
        "POST", "/tokens", admin, json={"label": "other", "days": 3}, headers=KEY
    )
    assert (another.status_code, another.json()["code"]) == (409, "idempotency_conflict")
    await tokens.authenticate(told["token"])
    secret = told["token"].split("_", 2)[-1]  # which may hold underscores
    assert secret not in str(api.stage.database.tables)


async def test_an_enrolment_that_nobody_heard_of_ends_and_counts_no_more(api: Api) -> None:
    operator, stage = api.stage.operator, api.stage
    lost = await asked(api, ENROLMENT, operator)
    for _ in range(30):  # more than the quota of unused ones
        told = await asked(api, ENROLMENT, operator)
    async with stage.database.begin() as work:
        listed = {one.id: one for one in (await work.enrolments.list(limit=1000)).items}
    assert lost["id"] not in listed
    unused = [one.id for one in listed.values() if one.organisation == "bank-a" and not one.used]
    assert unused == [told["id"]]
    assert sorted(stage.ledger.kinds[-2:]) == ["enrolment.created", "enrolment.ended"]
    await asked(api, ENROLMENT, stage.admin("bank-a"))  # somebody else's key of the same name
    async with stage.database.begin() as work:
        assert await work.enrolments.find(told["id"]) is not None


async def test_a_used_enrolment_is_not_made_again(api: Api) -> None:
    stage = api.stage
    told = await asked(api, ENROLMENT, stage.operator)
    async with stage.database.begin() as work:
        enrolment = await work.enrolments.get(told["id"])
        await work.enrolments.save(replace(enrolment, used=stage.now[0]))
        await work.commit()
    path, body = ENROLMENT
    again = await api.call("POST", path, stage.operator, json=body, headers=KEY)
    assert (again.status_code, again.json()["code"]) == (409, "idempotency_conflict")


@pytest.mark.parametrize("what", [TOKEN, ENROLMENT])
async def test_a_key_of_another_shape_is_refused(api: Api, what: tuple[str, Any]) -> None:
    path, body = what
    headers = {"Idempotency-Key": "with space"}
    answer = await api.call("POST", path, api.stage.operator, json=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_a_password_that_was_changed_unheard_is_not_called_wrong(stage: Stage) -> None:
    users, fresh = stage.services.users, "another horse battery"
    who = {"name": "ann", "display": "", "organisation": "bank-a", "roles": [Role.AUDITOR]}
    ann = await users.create(stage.admin("bank-a"), password=PASSWORD, **who)
    principal = Principal(ann.id, ann.name, "bank-a", frozenset(ann.roles), "")
    await users.change_password(principal, PASSWORD, fresh)
    before = stage.ledger.kinds
    await users.change_password(principal, PASSWORD, fresh)  # its answer was lost
    assert stage.ledger.kinds == before
    with refused("bad_credentials"):
        await users.change_password(principal, PASSWORD, "yet another horse")
    await stage.services.tokens.login("ann", fresh, "10.0.0.9")
