"""Logins at identity providers on the owner's page, against other sites, providers and strangers.

The page, the agent's socket and its accounts are real; the provider is one that believes everybody.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from peers.agent_people import OTHER
from peers.owner_page import OWN, PORT, Browser
from peers.owner_provider import AtProviders, at_providers, led, login_cookies

from secureflow.agent.console.addresses import API
from secureflow.agent.console.attempts import STARTS, STRANGERS_STARTS
from secureflow.agent.console.guards import MAX_CALLBACK
from secureflow.agent.console.loginstates import MOST
from secureflow.agent.consolesettings import ConsoleSettings
from secureflow.agent.owner.providerlogins import STARTS as AGENT_STARTS
from secureflow.kit.errors import SecureFlowError

EVIL = "https://evil.example"
START = f"{API}/providers/sso/start"
OLD = "sfa_" + "A" * 43


@pytest.fixture(name="desk")
async def _desk(tmp_path: Path) -> AsyncIterator[AtProviders]:
    async with at_providers(tmp_path) as made:
        yield made


async def whose(desk: AtProviders, browser: Browser) -> str:
    """Return whose session a browser holds, or the code with which the agent refuses it."""
    try:
        return str((await desk.team.give("people.me", browser.session or OLD))["name"])
    except SecureFlowError as error:
        return error.code


# --- how it goes ---------------------------------------------------------------------------------


async def test_a_login_at_a_provider_leads_back_to_the_request(desk: AtProviders) -> None:
    browser, path = desk.page.browser(), f"/app/r/{'a' * 64}"
    offered = (await browser.get("/session")).json()["providers"]
    assert [one["name"] for one in offered] == ["sso", "other"]  # `device` knows no way back
    state = await desk.begun(browser, back=path)
    answer = await desk.came_back(
        browser, {"state": state, "code": "c", "iss": "https://sso.example", "session_state": "1"}
    )
    assert led(answer) == path
    assert await whose(desk, browser) == "ben"
    assert (await browser.get("/inbox")).status_code == 200
    assert (desk.sso.answers[0].code, desk.sso.answers[0].issuer) == ("c", "https://sso.example")
    assert login_cookies(browser) == []


async def test_two_tabs_do_not_disturb_each_other(desk: AtProviders) -> None:
    browser = desk.page.browser()
    first = await desk.begun(browser, back="/app/account")
    second = await desk.begun(browser, "other")
    answer = await desk.came_back(browser, {"state": second, "code": "c"}, "other")
    assert led(answer) == "/app/"
    desk.sso.requests.append(desk.sso.requests[0])
    assert led(await desk.came_back(browser, {"state": first, "code": "c"})) == "/app/account"


async def test_without_an_issuer_none_is_passed(desk: AtProviders) -> None:
    await desk.logged_in()
    assert desk.sso.answers[0].issuer is None


async def test_a_failure_says_what_it_was_and_leads_to_the_login(desk: AtProviders) -> None:
    browser = desk.page.browser()
    state = await desk.begun(browser, back="/app/inbox")
    chinese = {"Accept-Language": "zh"}
    answer = await desk.came_back(browser, {"state": state, "error": "access_denied"}, **chinese)
    assert answer.status_code == 403, answer.text
    assert 'href="/app/login"' in answer.text
    assert 'lang="zh"' in answer.text
    assert "login_denied" in answer.text
    assert "<form" not in answer.text
    assert browser.session == ""


# --- whose login it is ---------------------------------------------------------------------------


async def test_mix_up_the_state_of_one_provider_is_none_at_anothers_address(
    desk: AtProviders,
) -> None:
    browser = desk.page.browser()
    state = await desk.begun(browser)
    answer = await desk.came_back(browser, {"state": state, "code": "c"}, "other")
    assert answer.status_code == 401
    assert "login_not_pending" in answer.text
    assert desk.sso.answers == desk.other.answers == []
    assert browser.session == ""
    assert led(await desk.came_back(browser, {"state": state, "code": "c"})) == "/app/"


async def test_replay_a_callback_is_good_once(desk: AtProviders) -> None:
    browser = desk.page.browser()
    state = await desk.begun(browser)
    cookies = "; ".join(f"{one.name}={one.value}" for one in browser.client.cookies.jar)
    told = {"state": state, "code": "c"}
    await desk.came_back(browser, told)
    session = browser.session
    for again in ("", cookies):  # as the browser is now, and with the cookie that it had
        answer = await desk.came_back(desk.page.browser(), told, Cookie=again)
        assert answer.status_code == 401
        assert "login_not_pending" in answer.text
        assert "secureflow-owner" not in str(answer.headers)
    assert len(desk.sso.answers) == 1
    assert browser.session == session


async def test_another_browser_finishes_nothing(desk: AtProviders) -> None:
    browser = desk.page.browser()
    state = await desk.begun(browser)
    name = login_cookies(browser)[0]
    for cookie in (
        "", f"{name}=", f"{name}={'A' * 43}.%2Finbox", f"{name}={'A' * 400}",
        f"{name}={browser.client.cookies[name]}; {name}={'A' * 43}.",
    ):  # fmt: skip
        other = desk.page.browser()
        answer = await desk.came_back(other, {"state": state, "code": "c"}, Cookie=cookie)
        assert answer.status_code == 401, cookie
        assert "login_not_pending" in answer.text
        assert other.session == ""
    assert led(await desk.came_back(browser, {"state": state, "code": "c"})) == "/app/"


async def test_login_csrf_an_attackers_state_logs_nobody_in_as_the_attacker(
    desk: AtProviders,
) -> None:
    attacker, victim = desk.page.browser(), desk.page.browser()
    state = await desk.begun(attacker)
    await desk.begun(victim)
    answer = await desk.came_back(victim, {"state": state, "code": "the attacker's"})
    assert answer.status_code == 401
    assert victim.session == ""
    assert len(login_cookies(victim)) == 1  # the victim's own login goes on
    assert desk.sso.answers == []


async def test_csrf_no_other_site_begins_a_login(desk: AtProviders) -> None:
    for sent in ({"Origin": EVIL, "Sec-Fetch-Site": "cross-site"}, {}, {"Origin": "null"}):
        answer = await desk.page.browser().client.post(START, json={}, headers=sent)
        assert answer.status_code == 403
        assert "cross_site_request" in answer.text
    assert (await desk.page.browser().open(START)).status_code == 405
    assert desk.sso.requests == []


async def test_session_fixation_the_session_is_new_and_the_old_one_ends(desk: AtProviders) -> None:
    ada = await desk.page.of("ada")
    planted, victim = ada.session, desk.page.browser()
    victim.client.cookies.set(f"secureflow-owner-{PORT}", planted, domain="127.0.0.1")
    state = await desk.begun(victim)
    # From here on the browser would not show it: it is Strict.
    assert await desk.team.refusal("people.me", planted) == "session_expired"
    await desk.came_back(victim, {"state": state, "code": "c"})
    assert victim.session not in ("", planted)
    assert await whose(desk, victim) == "ben"


async def test_a_session_that_the_way_back_brings_ends(desk: AtProviders) -> None:
    """A provider of a neighbouring name is the same site: Strict cookies come along."""
    browser = desk.page.browser()
    state = await desk.begun(browser)
    ada = await desk.page.of("ada")
    held = f"{login_cookies(browser)[0]}={browser.client.cookies[login_cookies(browser)[0]]}"
    both = f"{held}; secureflow-owner-{PORT}={ada.session}"
    await desk.came_back(browser, {"state": state, "code": "c"}, Cookie=both)
    assert await desk.team.refusal("people.me", ada.session) == "session_expired"
    assert await whose(desk, browser) == "ben"


async def test_the_callback_answers_get_alone(desk: AtProviders) -> None:
    browser = desk.page.browser()
    state = await desk.begun(browser)
    path = f"/oidc/sso/callback?state={state}&code=c"
    own = {"Origin": OWN, "Sec-Fetch-Site": "same-origin"}
    for method in ("HEAD", "POST", "PUT", "OPTIONS"):
        answer = await browser.client.request(method, path, headers=own)
        assert answer.status_code == 405, method
    assert led(await desk.came_back(browser, {"state": state, "code": "c"})) == "/app/"


# --- where it leads ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "back",
    [EVIL, "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a\r\nSet-Cookie: a=b"],
)
async def test_open_redirect_a_login_leads_to_our_own_pages_alone(
    desk: AtProviders, back: str
) -> None:
    browser = desk.page.browser()
    state = await desk.begun(browser, back=back)
    # Nor does a cookie that a neighbour changed, or one of another version.
    name = login_cookies(browser)[0]
    secret = browser.client.cookies[name].partition(".")[0]
    tossed = f"{name}={secret}.{quote(back, safe='')[:200]}"
    answer = await desk.came_back(browser, {"state": state, "code": "c"}, Cookie=tossed)
    assert led(answer) == "/app/"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("javascript:alert(1)", "provider_untrusted"),
        ("http://sso.example/", "provider_untrusted"),
        ("https:///a", "provider_untrusted"),
        ("https://sso.example/\u202e", "provider_untrusted"),
        ("https://sso.example/ 0; url=x", "provider_untrusted"),
        ("https://[sso.example/", "provider_untrusted"),
        ("https://sso.example/" + "a" * 5000, "provider_untrusted"),
        ("https://sso.example/?redirect_uri=https%3A%2F%2Fagent.example%2Fx", "host_refused"),
        (f"https://sso.example/?redirect_uri=http%3A%2F%2Flocalhost%3A{PORT}%2F", "host_refused"),
        (f"https://sso.example/?redirect_uri=http%3A%2F%2F127.0.0.1%3A{PORT}%2Foidc", ""),
        ("http://127.0.0.1:9000/a", ""),
        ("https://sso.example/?a=\"'><script>alert(1)</script>", ""),
    ],
)
async def test_only_an_address_of_the_web_is_led_to_and_as_it_is(
    desk: AtProviders, url: str, code: str
) -> None:
    async def there(_: Any) -> str:
        return url

    desk.sso.authorization_url = there  # type: ignore[method-assign,assignment]
    browser = desk.page.browser()
    answer = await desk.begin(browser, "sso")
    if code:
        assert answer.json()["code"] == code
        assert login_cookies(browser) == []
    else:
        assert answer.json()["url"] == url


# --- what a browser keeps ------------------------------------------------------------------------


@pytest.mark.parametrize("encrypted", [False, True])
async def test_the_cookie_of_a_login_is_for_the_way_back_alone(
    tmp_path: Path, encrypted: bool
) -> None:
    files = {"tls_certificate": tmp_path / "c", "tls_key": tmp_path / "k"} if encrypted else {}
    async with at_providers(tmp_path, settings=ConsoleSettings(**files)) as desk:
        base = f"{'https' if encrypted else 'http'}://127.0.0.1:{PORT}"
        answer = await desk.begin(desk.page.browser(base=base))
        (one,) = answer.headers.get_list("set-cookie")
        for part in ("HttpOnly", "SameSite=lax", "Path=/", "Max-Age=600"):
            assert part in one
        assert "Domain" not in one
        assert one.startswith("__Host-") is encrypted
        assert ("Secure" in one) is encrypted
        assert one.partition("=")[2].partition(".")[0] not in answer.text  # it is no page's


async def test_the_session_stays_strict_and_the_page_leads_on_by_itself(desk: AtProviders) -> None:
    browser = desk.page.browser()
    state = await desk.begun(browser)
    answer = await desk.came_back(browser, {"state": state, "code": "c"})
    cookies = answer.headers.get_list("set-cookie")
    session = next(one for one in cookies if f"secureflow-owner-{PORT}=" in one)
    assert "SameSite=strict" in session
    assert browser.session not in answer.text
    assert led(answer) == "/app/"


async def test_what_came_back_is_written_into_no_page(desk: AtProviders) -> None:
    """Not for the language's way back, either: it is secret, and good once."""
    browser = desk.page.browser()
    state = await desk.begun(browser)
    for told in ({"state": state, "code": "very-secret"}, {"state": "x", "code": "very-secret"}):
        answer = await desk.came_back(browser, told)
        assert "very-secret" not in answer.text
        assert state not in answer.text
        assert str(answer.headers).count("very-secret") == 0


async def test_logins_that_are_begun_and_left_do_not_fill_the_browsers_headers(
    desk: AtProviders,
) -> None:
    browser = desk.page.browser()
    for _ in range(3 * MOST):
        desk.team.ticks += 60
        state = await desk.begun(browser, back=f"/r/{'a' * 64}")
        assert len(login_cookies(browser)) <= MOST
    assert led(await desk.came_back(browser, {"state": state, "code": "c"})) == f"/r/{'a' * 64}"


# --- what comes back -----------------------------------------------------------------------------

ODD: tuple[str, ...] = (
    "", "state=", "code=c", "state={s}&state={s}&code=c", "state={s}&code=c&code=d",
    "state={s}&code=c&iss=a&iss=b", "state={s}&code=%ff", "state={s}&code=" + "a" * 4097,
    "state={s}&iss=" + "a" * 513, "state=" + "a" * 129,
    "state={s}&" + "&".join(f"a{one}=b" for one in range(40)),
)  # fmt: skip


async def test_huge_and_odd_parameters_are_refused_and_use_nothing_up(desk: AtProviders) -> None:
    browser = desk.page.browser()
    state = await desk.begun(browser)
    for query in ODD:
        answer = await browser.open(f"/oidc/sso/callback?{query.replace('{s}', state)}")
        assert answer.status_code == 400, query
        assert "malformed_request" in answer.text
    long = await browser.open("/oidc/sso/callback?state=a&x=" + "a" * MAX_CALLBACK)
    assert long.status_code == 413
    assert (await browser.open("/app/login?x=" + "a" * 3000)).status_code == 413
    for name in ("nobody", "SSO", "a" * 64, "%2e%2e", "sso%00"):
        answer = await browser.open(f"/oidc/{name}/callback?state={state}&code=c")
        assert answer.status_code in (400, 401, 404), name
    for odd, status in (("'--", 401), ("A" * 43, 401), ("\x00", 400), ("\u0430", 400)):
        answer = await desk.came_back(browser, {"state": odd, "code": "c"})
        assert answer.status_code == status, odd
        for told in ({"code": odd}, {"code": "c", "iss": odd}) if status == 400 else ():
            assert (await desk.came_back(browser, {"state": state, **told})).status_code == 400
    code = "a" * 4000  # as some providers' are
    assert led(await desk.came_back(browser, {"state": state, "code": code})) == "/app/"
    assert desk.sso.answers[0].code == code


@pytest.mark.parametrize(
    "error", ["access_denied", "<script>alert(1)</script>\u202e\x1b[31mcall", "a" * 3000, " 555"]
)
async def test_what_a_provider_says_of_its_refusal_is_not_shown(
    desk: AtProviders, error: str
) -> None:
    browser = desk.page.browser()
    state = await desk.begun(browser, back="/app/account")
    told = {"state": state, "error": error, "error_description": "Call 555 and tell the password"}
    answer = await desk.came_back(browser, told)
    assert answer.status_code == 403
    assert "login_denied" in answer.text
    for hostile in ("555", "script>", "\u202e", "\x1b", "[31m"):
        assert hostile not in answer.text
    assert 'href="/app/login"' in answer.text  # to begin again
    assert login_cookies(browser) == []  # it is over
    assert desk.sso.answers == []


async def test_an_error_is_a_page_with_a_hint_and_a_code(desk: AtProviders) -> None:
    await desk.team.give("people.unbind", "ada", name="ben", provider="sso")
    browser = desk.page.browser()
    state = await desk.begun(browser)
    answer = await desk.came_back(browser, {"state": state, "code": "c"})
    assert answer.status_code == 403
    for part in ("<h1>", "identity_refused", 'href="/app/login"'):
        assert part in answer.text
    assert browser.session == ""
    nobody = await desk.begin(browser, "nobody")
    assert (nobody.status_code, "not_found" in nobody.text) == (404, True)
    nobody = await desk.begin(browser, "device")
    assert (nobody.status_code, "not_found" in nobody.text) == (404, True)


async def test_a_hostile_title_is_text(desk: AtProviders) -> None:
    known = desk.logins._providers
    known["sso"] = replace(known["sso"], title="</button><script>alert(1)</script>\u202e")
    offered = (await desk.page.browser().get("/session")).json()["providers"]
    assert offered[0]["title"] == "</button><script>alert(1)</script>\\u202e"


# --- how often -----------------------------------------------------------------------------------


async def test_strangers_fill_neither_the_agents_logins_nor_its_allowance(
    desk: AtProviders,
) -> None:
    honest = await desk.logged_in()  # this browser is known from now on
    desk.team.ticks += 600
    assert STRANGERS_STARTS < AGENT_STARTS
    waiting = await desk.begun(desk.page.browser("10.9.0.1"))
    codes = []
    for number in range(3 * AGENT_STARTS):
        stranger = desk.page.browser(f"10.0.{number}.1")
        codes.append((await desk.begin(stranger)).status_code)
    assert codes.count(200) == STRANGERS_STARTS - 1
    assert set(codes) == {200, 429}
    assert len(desk.logins._pending) == STRANGERS_STARTS
    assert desk.logins._found(waiting) is not None
    state = await desk.begun(honest)  # has room of its own, here and at the agent
    assert led(await desk.came_back(honest, {"state": state, "code": "c"})) == "/app/"


async def test_one_address_begins_a_few(desk: AtProviders) -> None:
    codes = [
        (await desk.begin(desk.page.browser("10.0.0.9"))).status_code for _ in range(STARTS + 1)
    ]
    assert codes == [200] * STARTS + [429]
    limited = await desk.begin(desk.page.browser("10.0.0.9"))
    assert limited.headers["retry-after"] == "20"
    assert "rate_limited" in limited.text
    desk.team.ticks += 20
    assert (await desk.begin(desk.page.browser("10.0.0.9"))).status_code == 200


async def test_a_known_browser_has_an_allowance_too_and_a_made_up_one_none(
    desk: AtProviders,
) -> None:
    known = await desk.logged_in()
    desk.team.ticks += 600
    codes = [(await desk.begin(known)).status_code for _ in range(STARTS + 1)]
    assert codes == [200] * STARTS + [429]
    desk.team.ticks += 600
    name = f"secureflow-provider-device-{PORT}"
    for number in range(STARTS + 1):
        made_up = {"Cookie": f"{name}={number:032x}.{'0' * 64}"}
        answer = await desk.begin(desk.page.browser("10.0.0.9"), **made_up)
    assert answer.status_code == 429


async def test_a_provider_that_does_not_answer_leaves_room_for_the_rest(desk: AtProviders) -> None:
    reached = asyncio.Event()

    async def never(_: Any) -> str:
        reached.set()
        return await asyncio.Event().wait()  # type: ignore[return-value]

    desk.sso.authorization_url = never  # type: ignore[method-assign,assignment]
    asking = [
        asyncio.create_task(desk.begin(desk.page.browser(f"10.0.0.{number}")))
        for number in range(STRANGERS_STARTS)
    ]
    await reached.wait()
    site = desk.page.app._refuse.args[0]
    assert (await desk.page.browser().log_in("ada")).status_code == 200
    assert site.agent._free._value >= 8  # of 12 connections
    for one in asking:
        one.cancel()
    await asyncio.gather(*asking, return_exceptions=True)


async def test_who_is_no_provider_of_the_page_gets_no_login(desk: AtProviders) -> None:
    """The socket's commands name no address, and log nobody in without what the browser has."""
    given = {"provider": "sso", "state": "A" * 43, "browser": "A" * 43, "code": "c"}
    assert await desk.team.refusal("people.oidc_finish", "", OTHER, **given) == "login_not_pending"
