"""Attacks on logins at identity providers, over REST and real providers on loopback ports.

Open redirect, login CSRF, replay, mix-up (RFC 9207), session fixation: none of them may open a
session, or send a code to somebody whom it was not given for.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import httpx
import pytest
from peers.oidcprovider import CLIENT, NOW, SECRET, Provider, running, signed

from secureflow.adapters.identity import Client, Fetcher, OidcProvider
from secureflow.application.identities import LoginProvider
from secureflow.domain.oidc import ClaimMapping
from secureflow.domain.users import Role
from tests.stage import two_worlds
from tests.unit.server.conftest import FAST, Api

MAPPING = ClaimMapping(organisation="bank-a", roles=(Role.DATA_SCIENTIST,))
COOKIE, SESSION = "__Host-secureflow-oidc", "__Host-secureflow"


class Site:
    """The centre with two providers: `sso`, and `evil`, which its operator should not trust."""

    def __init__(self, api: Api, sso: Provider, evil: Provider) -> None:
        self.api, self.sso, self.evil = api, sso, evil
        self.api.stage.services.oidc.identities.providers = {
            name: self._provider(name, one) for name, one in (("sso", sso), ("evil", evil))
        }

    def _provider(self, name: str, provider: Provider) -> LoginProvider:
        fetcher = Fetcher(name, frozenset({"127.0.0.1"}), loopback_http=True)
        client = Client(CLIENT, SECRET, f"https://test/api/v1/oidc/{name}/callback", ("openid",))
        port = OidcProvider(name, provider.issuer, client, fetcher, lambda: NOW)
        return LoginProvider(port, MAPPING, provision=True)

    async def start(self, browser: httpx.AsyncClient, name: str = "sso", to: str = "/jobs") -> str:
        """Start a login in a browser; return where the provider is asked."""
        answer = await browser.get(f"/api/v1/oidc/{name}/start?next={quote(to, safe='')}")
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]

    async def back(
        self, browser: httpx.AsyncClient, told: dict[str, str], name: str = "sso"
    ) -> httpx.Response:
        return await browser.get(f"/api/v1/oidc/{name}/callback", params=told)

    def browser(self) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.api.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="https://test")

    @property
    def sessions(self) -> dict[str, Any]:
        return self.api.stage.database.tables.rows["sessions"]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    api = Api(await two_worlds(tmp_path), FAST)
    async with api.http, running() as sso, running() as evil:
        yield Site(api, sso, evil)


async def test_a_person_logs_in_and_out(site: Site) -> None:
    async with site.browser() as browser:
        listed = (await browser.get("/api/v1/oidc")).json()["items"]
        assert [(one["name"], one["issuer"]) for one in listed] == [
            ("sso", site.sso.issuer),
            ("evil", site.evil.issuer),
        ]
        url = await site.start(browser)
        answer = await site.back(browser, site.sso.login(url))
        assert (answer.status_code, answer.headers["location"]) == (302, "/jobs")
        cookies = answer.headers.get_list("set-cookie")
        (session,) = [one for one in cookies if one.startswith(f"{SESSION}=")]
        assert {"HttpOnly", "Secure", "SameSite=strict", "Path=/"} <= set(session.split("; "))
        assert COOKIE not in browser.cookies  # it is gone with the login
        me = (await browser.get("/api/v1/me")).json()
        assert (me["organisation"], me["roles"]) == ("bank-a", ["data-scientist"])
        out = await browser.delete("/api/v1/session", headers={"Origin": "https://test"})
        assert out.status_code == 204
        assert not site.sessions


async def test_the_request_names_what_the_answer_must_match(site: Site) -> None:
    async with site.browser() as browser:
        url = await site.start(browser)
        cookie = browser.cookies.get(COOKIE)
        asked = dict(parse_qsl(urlsplit(url).query))
    assert asked["redirect_uri"] == "https://test/api/v1/oidc/sso/callback"
    assert asked["scope"].split() == ["openid"]
    assert len({asked["state"], asked["nonce"], asked["code_challenge"], cookie}) == 4


@pytest.mark.parametrize(
    "to",
    ["//evil.example", "/\\evil.example", "https:evil.example", "https://evil.example",
     "/%2fevil.example", "/%252fevil.example", "/%5cevil.example", "/.//evil.example",
     "javascript:alert(1)", "", "/\u3000//evil.example"],
)  # fmt: skip
async def test_open_redirect(site: Site, to: str) -> None:
    async with site.browser() as browser:
        answer = await browser.get(f"/api/v1/oidc/sso/start?next={quote(to, safe='')}")
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_next")
        twice = await browser.get(f"/api/v1/oidc/sso/start?next=/jobs&next={quote(to, safe='')}")
        if twice.status_code == 302:  # then the harmless one was taken
            told = site.sso.login(twice.headers["location"])
            assert (await site.back(browser, told)).headers["location"] == "/jobs"


async def test_login_csrf_by_a_link_with_the_attackers_code(site: Site) -> None:
    async with site.browser() as attacker, site.browser() as victim:
        told = site.sso.login(await site.start(attacker))
        answer = await site.back(victim, told)
        assert (answer.status_code, answer.json()["code"]) == (401, "login_not_pending")
        await site.start(victim)  # a login that the victim has just started changes nothing
        answer = await site.back(victim, told)
        assert answer.status_code == 401
    assert not site.sessions
    assert "/token" not in site.sso.asked


async def test_replay_of_the_callback(site: Site) -> None:
    async with site.browser() as browser:
        told = site.sso.login(await site.start(browser))
        cookie = browser.cookies.get(COOKIE)
        await site.back(browser, told)
        browser.cookies.set(COOKIE, cookie or "")
        site.sso.reuse = True
        answer = await site.back(browser, told)
    assert (answer.status_code, answer.json()["code"]) == (401, "login_not_pending")
    assert len(site.sessions) == 1
    assert site.sso.asked.count("/token") == 1


async def test_replay_of_a_code_in_another_login(site: Site) -> None:
    async with site.browser() as browser:
        first = site.sso.login(await site.start(browser))
        second = site.sso.login(await site.start(browser))
        answer = await site.back(browser, {**second, "code": first["code"]})
    assert (answer.status_code, answer.json()["code"]) == (403, "login_denied")  # by its challenge
    assert not site.sessions


async def test_mix_up_an_honest_providers_code_does_not_reach_the_evil_one(site: Site) -> None:
    async with site.browser() as browser:
        # The user chose `evil`, which sends the browser on to the honest provider with its state.
        asked = dict(parse_qsl(urlsplit(await site.start(browser, "evil")).query))
        honest = site.sso.login(f"{site.sso.issuer}/authorize?{urlencode(asked)}")
        for name in ("evil", "sso"):
            answer = await site.back(browser, {**honest, "state": asked["state"]}, name)
            assert answer.json()["code"] in {"provider_untrusted", "login_not_pending"}
    assert "/token" not in site.evil.asked
    assert "/token" not in site.sso.asked
    assert not site.sessions


async def test_mix_up_one_providers_id_token_is_not_anothers(site: Site) -> None:
    site.evil.token = lambda claims: signed({**claims, "iss": site.sso.issuer, "sub": "victim"})
    async with site.browser() as browser:
        told = site.evil.login(await site.start(browser, "evil"))
        answer = await site.back(browser, told, "evil")
    assert (answer.status_code, answer.json()["code"]) == (403, "id_token_refused")


async def test_the_same_subject_at_the_evil_provider_is_nobody_elses_account(site: Site) -> None:
    users = []
    for name, provider in (("sso", site.sso), ("evil", site.evil)):
        async with site.browser() as browser:
            await site.back(browser, provider.login(await site.start(browser, name)), name)
            users.append((await browser.get("/api/v1/me")).json()["id"])
    assert users[0] != users[1]


async def test_session_fixation(site: Site) -> None:
    async with site.browser() as attacker, site.browser() as victim:
        await site.back(attacker, site.sso.login(await site.start(attacker)))
        planted = attacker.cookies.get(SESSION)
        assert planted
        jar = {"Cookie": f"{SESSION}={planted}; {COOKIE}=" + "x" * 43}
        site.sso.claims = {"sub": "victim"}
        started = await victim.get("/api/v1/oidc/sso/start", headers=jar)
        told = site.sso.login(started.headers["location"])
        kept = f"{SESSION}={planted}; {COOKIE}={victim.cookies.get(COOKIE)}"
        path = "/api/v1/oidc/sso/callback"
        answer = await victim.get(path, params=told, headers={"Cookie": kept})
        assert answer.status_code == 302, answer.text
        fresh = victim.cookies.get(SESSION)
        assert fresh not in {None, planted}
        assert (await attacker.get("/api/v1/me")).status_code == 401  # the planted one ended


async def test_the_session_before_ends_though_the_provider_sends_no_strict_cookie(
    site: Site,
) -> None:
    """Browsers keep a SameSite=Strict cookie back on the way from another site."""
    async with site.browser() as browser:
        await site.back(browser, site.sso.login(await site.start(browser)))
        before = browser.cookies.get(SESSION)
        told = site.sso.login(await site.start(browser))
        binding, path = browser.cookies.get(COOKIE), "/api/v1/oidc/sso/callback"
        told["error_description"] = '"><b>'
        headers = {"Sec-Fetch-Site": "cross-site", "Cookie": f"{COOKIE}={binding}"}
        browser.cookies.clear()
        page = await browser.get(path, params=told, headers=headers)
        assert (page.status_code, page.headers.get_list("set-cookie")) == (200, [])
        assert len(site.sessions) == 1
        (leads,) = re.findall(r'content="0;url=([^"]*)"', page.text)
        assert "<b>" not in page.text
        there = f"{path}{unescape(leads)}"
        for site_of_page in ("same-origin", "cross-site"):  # at most one page stands between
            kept = f"{SESSION}={before}; {COOKIE}={binding}"
            headers = {"Sec-Fetch-Site": site_of_page, "Cookie": kept}
            answer = await browser.get(there, headers=headers)
            assert answer.status_code == (302 if site_of_page == "same-origin" else 401)
    assert len(site.sessions) == 1
    assert f"ses_{before.split('_')[1]}" not in site.sessions


@pytest.mark.parametrize("where", ["cross-site", "same-site"])
async def test_another_site_starts_no_login_that_a_hostile_provider_could_answer(
    site: Site, where: str
) -> None:
    """It would end the session that the browser has, and log it in as somebody else."""
    async with site.browser() as browser:
        await site.back(browser, site.sso.login(await site.start(browser)))
        path, query = "/api/v1/oidc/evil/start", "next=/jobs&x=%22%3E%3Cb%3E"
        page = await browser.get(f"{path}?{query}", headers={"Sec-Fetch-Site": where})
        assert (page.status_code, page.headers.get_list("set-cookie")) == (200, [])
        assert "refresh" not in page.text  # it waits for a click
        assert COOKIE not in browser.cookies
        (leads,) = re.findall(r'href="([^"]*)"', page.text)
        there, own = f"{path}{unescape(leads)}", {"Sec-Fetch-Site": "same-origin"}
        assert there == f"{path}?{query}"
        assert (await browser.get(there, headers=own)).status_code == 302
        nobody = await browser.get("/api/v1/oidc/no/start", headers={"Sec-Fetch-Site": where})
        assert nobody.json()["code"] == "not_found"
    assert len(site.sessions) == 1


async def test_a_neighbouring_subdomain_binds_no_login_under_a_prefix(site: Site) -> None:
    """It can set every cookie but those whose name begins with `__Host-` (RFC 6265bis, 4.1.3)."""
    site.api.app.state.settings = site.api.app.state.settings.model_copy(
        update={"prefix": "/secureflow"}
    )
    async with site.browser() as attacker, site.browser() as victim:
        started = await attacker.get("/api/v1/oidc/sso/start")
        (cookie,) = started.headers.get_list("set-cookie")
        name, _, value = cookie.partition(";")[0].partition("=")
        assert name.startswith(f"{COOKIE}-")
        assert {"Secure", "HttpOnly", "Path=/"} <= set(cookie.split("; "))
        assert "Domain" not in cookie
        told = site.sso.login(started.headers["location"])
        path = "/api/v1/oidc/sso/callback"
        for tossed in (name.replace("__Host-", "__Secure-"), "__Secure-secureflow-oidc"):
            headers = {"Cookie": f"{tossed}={value}"}
            answer = await victim.get(path, params=told, headers=headers)
            assert answer.json()["code"] == "login_not_pending"
        finished = await attacker.get(path, params=told)
        assert finished.status_code == 302


async def test_a_refusal_by_the_provider_is_told_plainly(site: Site) -> None:
    async with site.browser() as browser:
        state = dict(parse_qsl(urlsplit(await site.start(browser)).query))["state"]
        told = {"state": state, "error": "access_denied", "error_description": "<script>"}
        answer = await site.back(browser, told)
    assert (answer.status_code, answer.json()["code"]) == (403, "login_denied")
    assert "script" not in answer.text


@pytest.mark.parametrize("name", ["", "nobody", "..", "sso%00", "x" * 600])
async def test_unknown_providers(site: Site, name: str) -> None:
    async with site.browser() as browser:
        answer = await browser.get(f"/api/v1/oidc/{name}/start")
        assert answer.status_code in {400, 404, 422}


async def test_an_identity_is_bound_by_its_owner_only(site: Site) -> None:
    owner = site.api.stage.scientist("bank-a")
    bearer = await site.api.stage.bearer(owner)
    async with site.browser() as browser, site.browser() as other:
        path = "/api/v1/oidc/sso/link"
        assert (await browser.post(path, json={})).status_code == 401
        begun = await browser.post(path, json={}, headers={"Authorization": f"Bearer {bearer}"})
        told = site.sso.login(begun.json()["location"])
        assert (await site.back(other, told)).status_code == 401
        answer = await site.back(browser, told)
        assert (answer.status_code, answer.headers["location"]) == (302, "/")
        assert SESSION not in browser.cookies
        path = f"/users/{owner.user}/identities"
        listed = (await site.api.call("GET", path, owner)).json()["items"]
        assert [one["subject"] for one in listed] == ["248289761001"]
        gone = await site.api.call("DELETE", f"{path}/{listed[0]['id']}", owner)
        assert gone.status_code == 204


async def test_a_person_is_told_on_a_page_what_went_wrong(site: Site) -> None:
    html = {"Accept": "text/html,*/*;q=0.8", "Accept-Language": "zh-CN,zh;q=0.9"}
    async with site.browser() as browser:
        answer = await browser.get("/api/v1/oidc/<b>x</start", headers=html)
        assert answer.status_code == 404
        answer = await browser.get("/api/v1/oidc/%3Cb%3Ex/start", headers=html)
        assert (answer.status_code, answer.headers["content-language"]) == (404, "zh")
        assert answer.headers["content-type"].startswith("text/html")
        assert "<b>" not in answer.text
        assert "&lt;b&gt;" in answer.text
        assert '<a href="/login">去登录</a>' in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        answer = await site.back(browser, {"state": "x" * 43, "code": "x"})
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_provider_that_is_down_is_told_so(site: Site) -> None:
    async with running() as gone:
        site.api.stage.services.oidc.identities.providers = {"sso": site._provider("sso", gone)}
    async with site.browser() as browser:
        answer = await browser.get("/api/v1/oidc/sso/start")
    assert (answer.status_code, answer.json()["code"]) == (503, "provider_unreachable")
