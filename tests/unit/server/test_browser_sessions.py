"""Sessions in browsers, over REST: the cookie, and every way to abuse it that has a name."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher

from secureflow.domain.users import Role
from secureflow.server.rest.streams import while_let_in
from secureflow.server.settings import RestSettings
from tests.stage import PASSWORD, Stage, empty_stage, two_worlds
from tests.unit.server.conftest import FAST, Api
from tests.unit.server.test_streams import Watcher

OWN = {"Origin": "https://test"}
PLAIN = {"Content-Type": "text/plain"}
"""What a form of another site can send without asking first."""
HOST, PREFIXED = "__Host-secureflow", "__Secure-secureflow"
LOGIN = {"name": "root", "password": PASSWORD}


@pytest.fixture
async def founded(tmp_path: Path) -> Stage:
    stage = empty_stage(tmp_path)
    quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    stage.services.logins._passwords._hasher = quick  # the same that users have
    await stage.services.users.create_first("root", PASSWORD)
    return stage


@pytest.fixture
async def page(founded: Stage) -> AsyncIterator[Api]:
    """The API as a page speaks to it; cookies are sent by hand."""
    api = Api(founded)
    async with api.http:
        yield api


async def send(api: Api, method: str, path: str, cookie: str = "", **more: Any) -> httpx.Response:
    api.http.cookies.clear()
    headers = dict(more.pop("headers", {}))
    if cookie:
        headers["Cookie"] = f"{HOST}={cookie}"
    return await api.http.request(method, f"/api/v1{path}", headers=headers, **more)


async def log_in(api: Api, cookie: str = "") -> str:
    answer = await send(api, "POST", "/session", cookie, json=LOGIN, headers=OWN)
    assert answer.status_code == 200, answer.text
    return answer.headers["set-cookie"].partition("=")[2].partition(";")[0]


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


@pytest.mark.parametrize(
    ("prefix", "name", "path"), [("", HOST, "/"), ("/flow", PREFIXED, "/flow")]
)
async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(
    founded: Stage, prefix: str, name: str, path: str
) -> None:
    api = Api(founded, FAST.model_copy(update={"prefix": prefix}))
    answer = await send(api, "POST", "/session", json=LOGIN, headers=OWN)
    (cookie,) = answer.headers.get_list("set-cookie")
    pair, *attributes = cookie.split("; ")
    assert pair.partition("=")[0] == name
    assert set(map(str.lower, attributes)) == {
        *("httponly", "secure", "samesite=strict", f"path={path}"),
    }
    text = pair.partition("=")[2]
    headers = {**OWN, "Cookie": f"{name}={text}"}
    assert (await send(api, "GET", "/me", headers=headers)).json()["name"] == "root"
    out = await send(api, "DELETE", "/session", headers=headers)
    (cleared,) = out.headers.get_list("set-cookie")
    assert out.status_code == 204
    assert cleared.startswith(f'{name}="";')
    assert {"max-age=0", f"path={path}", "secure"} <= set(cleared.lower().split("; "))
    assert code(await send(api, "GET", "/me", headers=headers)) == (401, "unauthenticated")


async def test_a_login_answers_the_account_and_never_the_secret(page: Api) -> None:
    answer = await send(page, "POST", "/session", json=LOGIN, headers=OWN)
    text = answer.headers["set-cookie"].partition("=")[2].partition(";")[0]
    assert answer.json()["name"] == "root"
    assert answer.headers["cache-control"] == "no-store"
    listed = await send(page, "GET", "/sessions", text)
    (session,) = listed.json()["items"]
    assert session["current"]
    for told in (answer.text, listed.text):
        assert text not in told
        assert text.split("_", 2)[2] not in told
        assert "digest" not in told


async def test_wrong_passwords_set_no_cookie(page: Api) -> None:
    wrong = {**LOGIN, "password": "wrong password!"}
    answer = await send(page, "POST", "/session", json=wrong, headers=OWN)
    assert code(answer) == (401, "bad_credentials")
    assert "set-cookie" not in answer.headers


async def test_a_session_is_not_fixed_by_who_sets_the_cookie_beforehand(page: Api) -> None:
    """Session fixation: login rotates whatever the browser brought, known or made up."""
    attackers = await log_in(page)
    made_up = "sfs_" + "0" * 20 + "_" + "x" * 43
    for brought in (attackers, made_up):
        victims = await log_in(page, brought)
        assert victims[24:] not in brought
        assert code(await send(page, "GET", "/me", brought)) == (401, "unauthenticated")
        assert (await send(page, "GET", "/me", victims)).status_code == 200


FORGED: list[dict[str, str]] = [
    {},
    {"Origin": "https://evil.example"},
    {"Origin": "https://test.evil.example"},
    {"Origin": "http://test"},
    {"Origin": "https://test:8443"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "https://test"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
    {"Referer": "https://test/"},
]
GENUINE: list[dict[str, str]] = [
    {"Origin": "https://test"},
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "https://test"},
]


@pytest.mark.parametrize("headers", FORGED)
async def test_csrf_another_sites_page_changes_nothing(page: Api, headers: dict[str, str]) -> None:
    text = await log_in(page)
    user = {"name": "eve", "password": PASSWORD, "roles": ["platform-admin"]}
    tries = [
        ("POST", "/users", {"json": user}),
        ("POST", "/users", {"json": user, "headers": {"Idempotency-Key": "k"}}),
        (
            "POST",
            "/users",
            {"content": json.dumps(user), "headers": PLAIN},
        ),
        ("POST", "/tokens", {"json": {}}),
        ("POST", "/me/password", {"json": {"old": PASSWORD, "new": "another password"}}),
        ("DELETE", "/session", {}),
        ("DELETE", "/sessions", {}),
        ("PATCH", "/users/usr_1", {"json": {"display": "Eve"}}),
    ]
    before = page.stage.database.tables
    for method, path, more in tries:
        sent = {**headers, **more.get("headers", {})}
        answer = await send(page, method, path, text, **{**more, "headers": sent})
        assert code(answer) == (403, "cross_site_request"), (method, path)
        assert page.stage.database.tables is before
    assert (await send(page, "GET", "/me", text, headers=headers)).status_code == 200


@pytest.mark.parametrize("headers", GENUINE)
async def test_own_pages_change_things(page: Api, headers: dict[str, str]) -> None:
    text = await log_in(page)
    user = {"name": "ann", "password": PASSWORD, "roles": ["platform-admin"]}
    answer = await send(page, "POST", "/users", text, json=user, headers=headers)
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("headers", FORGED)
async def test_login_csrf_nobody_is_logged_in_by_another_sites_page(
    page: Api, headers: dict[str, str]
) -> None:
    answer = await send(page, "POST", "/session", json=LOGIN, headers=headers)
    assert code(answer) == (403, "cross_site_request")
    assert "set-cookie" not in answer.headers
    assert not page.stage.database.tables.rows["sessions"]


async def test_bearer_callers_need_no_origin(page: Api) -> None:
    answer = await send(page, "POST", "/login", json=LOGIN)
    bearer = {"Authorization": f"Bearer {answer.json()['token']}"}
    for headers in ({}, {"Origin": "https://evil.example"}, {"Cookie": "theme=dark"}):
        sent = {**bearer, **headers}
        assert (await send(page, "POST", "/tokens", json={}, headers=sent)).status_code == 201
    text = await log_in(page)  # with a cookie it is a browser's
    answer = await send(page, "POST", "/tokens", text, json={}, headers=bearer)
    assert code(answer) == (403, "cross_site_request")


async def test_configured_origins_replace_the_host(founded: Stage) -> None:
    settings = FAST.model_copy(update={"origins": ("https://flow.example",)})
    api = Api(founded, settings)
    for origin, status in (("https://flow.example", 200), ("https://test", 403)):
        answer = await send(api, "POST", "/session", json=LOGIN, headers={"Origin": origin})
        assert answer.status_code == status


async def test_a_token_and_a_session_are_of_one_user(page: Api) -> None:
    text = await log_in(page)
    stage = page.stage
    own = (await send(page, "POST", "/login", json=LOGIN)).json()["token"]
    other = await stage.services.users.create(
        await stage.services.sessions.authenticate(text), name="other", password=PASSWORD,
        display="", organisation="", roles=[Role.PLATFORM_ADMIN],
    )  # fmt: skip
    login = {"name": other.name, "password": PASSWORD}
    foreign = (await send(page, "POST", "/login", json=login)).json()["token"]
    for method, path, more in (("GET", "/me", {}), ("POST", "/tokens", {"json": {}})):
        headers = {**OWN, "Authorization": f"Bearer {foreign}"}
        answer = await send(page, method, path, text, headers=headers, **more)
        assert code(answer) == (403, "two_identities")
        headers = {**OWN, "Authorization": f"Bearer {own}"}
        assert (await send(page, method, path, text, headers=headers, **more)).status_code < 300
    headers = {"Authorization": "Bearer sft_" + "0" * 20 + "_" + "x" * 43}
    assert code(await send(page, "GET", "/me", text, headers=headers)) == (401, "unauthenticated")


async def test_two_different_cookies_are_none(page: Api) -> None:
    """Cookie tossing: a neighbouring subdomain adds its own session to the victim's."""
    mine, attackers = await log_in(page), await log_in(page)
    for header in (f"{HOST}={mine}; {HOST}={attackers}", f"{HOST}={attackers}; a=b; {HOST}={mine}"):
        answer = await send(page, "GET", "/me", headers={"Cookie": header})
        assert code(answer) == (401, "unauthenticated")
    twice = f"{HOST}={mine}; {HOST}={mine}"
    assert (await send(page, "GET", "/me", headers={"Cookie": twice})).status_code == 200


@pytest.mark.parametrize("value", ["", "x", "sfs_" * 10_000, '"sfs_0"', "sfs_\u00e9", "=;=;;,"])
async def test_odd_cookies_are_refused(page: Api, value: str) -> None:
    cookie = f"{HOST}={value}".encode("latin-1", "replace")
    answer = await page.http.get("/api/v1/me", headers={b"Cookie": cookie})
    assert answer.status_code == 401


async def test_clickjacking_no_page_frames_an_answer(page: Api) -> None:
    text = await log_in(page)
    answers = [
        await send(page, "GET", "/me", text),
        await send(page, "GET", "/me"),
        await send(page, "POST", "/session", json=LOGIN, headers=OWN),
    ]
    for answer in answers:
        assert answer.headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in answer.headers


async def test_people_end_sessions_of_other_browsers(page: Api) -> None:
    here, there, elsewhere = [await log_in(page) for _ in range(3)]
    listed = (await send(page, "GET", "/sessions", here)).json()["items"]
    assert [one["current"] for one in listed].count(True) == 1
    key = next(one["id"] for one in listed if one["id"][4:] == there[4:24])
    assert (await send(page, "DELETE", f"/sessions/{key}", here, headers=OWN)).status_code == 204
    assert (await send(page, "GET", "/me", there)).status_code == 401
    assert (await send(page, "DELETE", "/sessions", here, headers=OWN)).status_code == 204
    assert (await send(page, "GET", "/me", elsewhere)).status_code == 401
    assert (await send(page, "GET", "/me", here)).status_code == 200
    answer = await send(page, "DELETE", "/sessions/ses_unknown", here, headers=OWN)
    assert code(answer) == (404, "not_found")


async def test_logging_out_twice_is_no_error(page: Api) -> None:
    text = await log_in(page)
    for _ in range(2):
        assert (await send(page, "DELETE", "/session", text, headers=OWN)).status_code == 204
    assert code(await send(page, "DELETE", "/session", headers=OWN)) == (401, "unauthenticated")


async def test_requests_with_a_session_count_for_its_user(founded: Stage) -> None:
    api = Api(founded, RestSettings(rate_per_second=0.001, burst=4))
    text = await log_in(api)
    while (await send(api, "GET", "/ca")).status_code == 200:
        pass  # strangers have used up the address
    assert (await send(api, "GET", "/me", text)).status_code == 200


@pytest.mark.parametrize("how", ["revoked", "logout", "disabled", "idle"])
async def test_a_stream_ends_with_its_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(while_let_in, "__defaults__", (0.01,))
    stage = await two_worlds(tmp_path)
    scientist, sessions = stage.scientist("bank-a"), stage.services.sessions
    async with stage.database.begin() as work:
        user: Any = await work.users.get(scientist.user)  # type: ignore[attr-defined]
    mine, kept = [await sessions.open(user, method="password", address="h") for _ in range(2)]
    watchers = [
        Watcher(Api(stage), "", stage.ids["job"], cookie=f"{HOST}={one.text}")
        for one in (mine, kept)
    ]
    for one in watchers:
        await one.begun.wait()
        assert one.status == 200
    if how == "revoked":
        await sessions.revoke(await sessions.authenticate(kept.text), mine.session.id)
    elif how == "logout":
        await sessions.close(mine.text)
    elif how == "disabled":
        await stage.services.users.update(stage.operator, user.id, disabled=True)
    else:
        stage.now[0] += 1700
        await sessions.authenticate(kept.text)
        stage.now[0] += 100
    await watchers[0].task
    if how != "disabled":
        assert not watchers[1].task.done()
    await watchers[1].go()
