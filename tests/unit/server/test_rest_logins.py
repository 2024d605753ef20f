"""Logins of programs over REST: refresh, device flow, second factor; what strangers may learn."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import get_args

import pytest

from secureflow.application.passwords import Passwords
from secureflow.application.refreshing import ACCESS_SECONDS
from secureflow.application.scopes import REQUESTABLE
from secureflow.kit.totp import code_at
from secureflow.server.rest.session import RequestableScope
from tests.stage import PASSWORD
from tests.unit.server.conftest import Api


async def with_password(api: Api) -> str:
    """Give a person a password; return their name."""
    ada = api.stage.scientist("bank-a")
    async with api.stage.services.begin() as work:
        user = await work.users.get(ada.user)
        await work.users.save(replace(user, password=await Passwords().hash(PASSWORD)))
        await work.commit()
    return ada.name


async def test_a_login_is_continued_and_ended_over_rest(api: Api) -> None:
    name = await with_password(api)
    body = {"name": name, "password": PASSWORD}
    plain = (await api.call("POST", "/login", json=body)).json()
    assert (plain["refresh"], plain["refresh_expires"]) == ("", 0)
    first = (await api.call("POST", "/login", json={**body, "refresh": True})).json()
    api.stage.now[0] += ACCESS_SECONDS
    headers = {"Authorization": f"Bearer {first['token']}"}
    assert (await api.call("GET", "/me", headers=headers)).json()["code"] == "token_expired"
    asked = {"refresh": first["refresh"]}
    second = (await api.call("POST", "/refresh", json=asked)).json()
    headers = {"Authorization": f"Bearer {second['token']}"}
    assert (await api.call("GET", "/me", headers=headers)).status_code == 200
    api.stage.now[0] += ACCESS_SECONDS  # its access token has expired, and it logs out
    ended = {"refresh": second["refresh"]}
    answer = await api.call("POST", "/logout", headers=headers, json=ended)
    assert answer.status_code == 204
    refused = await api.call("POST", "/refresh", json=ended)
    assert (refused.status_code, refused.json()["code"]) == (401, "refresh_ended")


async def test_a_device_is_logged_in_over_rest(api: Api) -> None:
    ada = api.stage.scientist("bank-a")
    asked = (await api.call("POST", "/devices", json={"client": "training-3"})).json()
    secret = {"device_code": asked["device_code"]}
    waiting = await api.call("POST", "/devices/login", json=secret)
    assert (waiting.status_code, waiting.json()["code"]) == (409, "authorization_pending")
    hasty = await api.call("POST", "/devices/login", json=secret)
    assert (hasty.status_code, hasty.json()["code"]) == (429, "slow_down")
    assert hasty.json()["details"]["interval"] == 10
    shown = await api.call("GET", f"/devices/{asked['user_code']}", ada)
    assert set(shown.json()) == {"id", "client", "address", "created", "expires"}
    await api.call("POST", f"/devices/{asked['user_code']}/approve", ada)
    session = (await api.call("POST", "/devices/login", json=secret)).json()
    assert session["user"]["id"] == ada.user
    assert session["refresh"]


@pytest.mark.parametrize(
    "client", ["", "x" * 65, "your bank\nsays: approve", "a\u202eb", "a\u200bb", "\x1b[2J"]
)
async def test_a_device_has_no_name_that_misleads_the_eye(api: Api, client: str) -> None:
    answer = await api.call("POST", "/devices", json={"client": client})
    assert answer.status_code == 422


async def test_a_token_is_offered_the_scopes_that_it_may_have(api: Api) -> None:
    assert get_args(RequestableScope) == REQUESTABLE
    ada = api.stage.scientist("bank-a")
    for scope in ("nonsense", "second-factor"):
        refused = await api.call("POST", "/tokens", ada, json={"scopes": [scope]})
        assert refused.status_code == 422
        assert "second-factor" not in refused.json()["detail"]
    made = await api.call("POST", "/tokens", ada, json={"scopes": ["jobs"]})
    assert made.json()["scopes"] == ["jobs"]


async def test_a_second_factor_is_used_over_rest(api: Api) -> None:
    name, ada = await with_password(api), api.stage.scientist("bank-a")
    made = (await api.call("POST", "/me/second-factor", ada)).json()
    secret, now = base64.b32decode(made["secret"]), api.stage.now
    body = {"code": code_at(secret, now[0])}
    confirmed = await api.call("POST", "/me/second-factor/confirm", ada, json=body)
    assert len(confirmed.json()["recovery"]) == 10
    assert confirmed.headers["Cache-Control"] == "no-store"
    login = {"name": name, "password": PASSWORD}
    wanting = await api.call("POST", "/login", json=login)
    assert (wanting.status_code, wanting.json()["code"]) == (401, "second_factor_required")
    wrong = await api.call("POST", "/login", json={**login, "code": "000000"})
    assert (wrong.status_code, wrong.json()["code"]) == (401, "bad_credentials")
    now[0] += 30
    given = {**login, "code": code_at(secret, now[0]), "refresh": True}
    assert (await api.call("POST", "/login", json=given)).status_code == 200
    again = await api.call("POST", "/login", json=given)
    assert again.json()["code"] == "bad_credentials"
    state = (await api.call("GET", "/me/second-factor", ada)).json()
    assert (state["enrolled"], state["recovery_left"]) == (True, 10)


async def test_strangers_learn_neither_names_nor_second_factors(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name without account, one with, and one with a second factor cost and answer alike."""
    name, ada = await with_password(api), api.stage.scientist("bank-a")
    factors, checked = api.stage.services.second_factors, list[str]()
    verify = Passwords._verify

    def counting(self: Passwords, stored: str, password: str) -> bool:
        checked.append(stored)
        return verify(self, stored, password)

    monkeypatch.setattr(Passwords, "_verify", counting)
    told = []
    for who, protected in (("nobody", False), (name, False), (name, True)):
        if protected:
            made = await factors.enrol(ada)
            await factors.confirm(ada, code_at(base64.b32decode(made.secret), api.stage.now[0]))
        body = {"name": who, "password": "wrong password!", "code": "123456", "refresh": True}
        answer = await api.call("POST", "/login", json=body)
        told.append((answer.status_code, answer.text))
    assert told[0] == told[1] == told[2]
    assert len(checked) == 3


async def test_a_logout_that_is_refused_has_ended_nothing(api: Api) -> None:
    name = await with_password(api)
    body = {"name": name, "password": PASSWORD, "refresh": True}
    first = (await api.call("POST", "/login", json=body)).json()
    kept = {"refresh": first["refresh"]}
    for header in ({}, {"Authorization": "Bearer no token"}):
        answer = await api.call("POST", "/logout", headers=header, json=kept)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert (await api.call("POST", "/refresh", json=kept)).status_code == 200
