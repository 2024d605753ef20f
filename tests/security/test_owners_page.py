"""The owner's page against what browsers, networks, the centre and its own process may do to it.

Each guard is a test by its name. The agent, its accounts and its control socket are real. What
every single operation is guarded by is tried in test_owners_api.py.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from peers.agent_people import OTHER, waiting_item
from peers.owner_page import OWN, PORT, Browser, OwnerPage, owner_page

from secureflow.agent.console.addresses import API, HOME, own_path
from secureflow.agent.console.api.operations import FORM
from secureflow.agent.console.guards import MAX_BODY, POLICY
from secureflow.agent.consolesettings import ConsoleSettings
from secureflow.agent.edge.control import call
from secureflow.agent.edge.permissions import PERMISSIONS
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import hidden

EVIL: Final = "http://evil.example"
JSON: Final = "application/json"
WAYS: Final = {"approve": {}, "reject": {"reason": "because"}, "ask": {"question": "why?"}}
"""What can be done about a request → what it takes beside what was seen."""
NAVIGATED: Final = (
    "/", "/app/", "/app/inbox", "/app/assets/main-1a.js", "/app/assets/none.js", "/inbox",
    "/nowhere", "/oidc/sso/callback",
)  # fmt: skip
"""Addresses that a browser opens."""


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[OwnerPage]:
    async with owner_page(tmp_path, people=("ada", "ben", "vera")) as served:
        yield served


@contextlib.asynccontextmanager
async def waiting(page: OwnerPage, body: dict[str, Any] | None = None) -> AsyncIterator[Any]:
    asking, item = await waiting_item(page.team.world, body)
    try:
        yield item
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


def state(page: OwnerPage, item: Any) -> str:
    return str(page.team.world.assembly.inbox.get(item.id).state)


async def seen(browser: Browser, item: Any) -> dict[str, str]:
    """Return what a decision brings of a request that was shown."""
    return {"seen": (await browser.get(f"/inbox/{item.id}")).json()["seen"]}


# --- who may decide ------------------------------------------------------------------------------


async def test_a_page_process_without_a_session_approves_nothing_whatever_it_sends(
    page: OwnerPage,
) -> None:
    """It has the socket and nothing else: every command that is no login is refused."""
    socket = page.team.world.settings.socket
    tried = ("", "sfa_" + "A" * 43, "x" * 200, '{"person": "ada"}')
    async with waiting(page) as item:
        for session in tried:
            for command in PERMISSIONS:
                if PERMISSIONS[command].need == "open":
                    continue  # logins: test_owners_page_oidc.py
                with pytest.raises(SecureFlowError) as refused:
                    await asyncio.to_thread(call, socket, command, {"item": item.id}, 60, session)
                assert refused.value.code in ("session_needed", "session_expired"), command
        assert state(page, item) == "waiting"


async def test_a_session_that_ended_reads_nothing_though_the_agents_own_user_might(
    page: OwnerPage,
) -> None:
    """The socket lets its own Unix user read without a session: the page does not pass that on."""
    page.team.gate._own = lambda _: True
    browser = await page.of("ben")
    async with waiting(page) as item:
        page.team.world.now += 30 * 60
        assert await page.team.refusal("inbox.list", "", OTHER) == ""
        answer = await browser.get("/inbox")
        assert (answer.status_code, answer.json()["code"]) == (401, "session_expired")
        assert item.job not in answer.text
        assert browser.session == ""  # the browser forgets it


async def test_a_viewers_session_and_none_approve_nothing(page: OwnerPage) -> None:
    async with waiting(page) as item:
        vera, ben, nobody = await page.of("vera"), await page.of("ben"), page.browser()
        given = await seen(ben, item)
        assert (await vera.get(f"/inbox/{item.id}")).json()["decides"] is False
        for way, more in WAYS.items():
            answer = await vera.post(f"/inbox/{item.id}/{way}", given | more)
            assert (answer.status_code, answer.json()["code"]) == (403, "role_needed"), way
            unknown = await nobody.post(f"/inbox/{item.id}/{way}", given | more)
            assert unknown.status_code == 401, way
            assert item.job not in unknown.text
        for path in (f"/inbox/{item.id}", "/inbox"):
            assert item.job not in (await nobody.get(path)).text
        assert state(page, item) == "waiting"


async def test_the_process_keeps_no_session_and_writes_none_into_an_answer_or_a_log(
    page: OwnerPage, caplog: pytest.LogCaptureFixture
) -> None:
    ben = await page.of("ben")
    secret = ben.session
    assert secret.startswith("sfa_")
    answers = [await ben.open(path) for path in NAVIGATED]
    answers += [await ben.get(path) for path in ("/session", "/inbox", "/account", "/nowhere")]
    for answer in answers:
        assert secret not in answer.text
        assert secret not in str(answer.headers)
    assert secret not in caplog.text
    site = page.app._refuse.args[0]
    held = [vars(one) for one in (site, site.agent, site.cookies, site.attempts, site.visitors)]
    assert secret not in repr(held)


# --- requests that a person did not make ---------------------------------------------------------


FOREIGN: tuple[dict[str, str], ...] = (
    {"Origin": EVIL, "Sec-Fetch-Site": "cross-site"},
    {"Origin": "http://127.0.0.1:9999", "Sec-Fetch-Site": "same-site"},
    {"Origin": OWN, "Sec-Fetch-Site": "cross-site"},
    {"Origin": EVIL, "Sec-Fetch-Site": "same-origin"},
    {"Origin": "null", "Sec-Fetch-Site": "same-origin"},
    {"Origin": f"https://127.0.0.1:{PORT}"},
    {},
)


async def test_csrf_a_page_of_another_origin_decides_nothing(page: OwnerPage) -> None:
    async with waiting(page) as item:
        ben = await page.of("ben")
        given, path = await seen(ben, item), f"{API}/inbox/{item.id}/approve"
        for sent in FOREIGN:
            headers = {FORM: ben.form, **sent}
            answer = await ben.client.post(path, json=given, headers=headers)
            assert answer.json()["code"] == "cross_site_request", sent
            assert state(page, item) == "waiting"


async def test_a_form_token_is_of_one_session(page: OwnerPage) -> None:
    """A page that was stolen decides nothing without the cookie, nor a cookie without the page."""
    async with waiting(page) as item:
        ben, ada, stolen = await page.of("ben"), await page.of("ada"), page.browser()
        given, path = await seen(ben, item), f"/inbox/{item.id}/approve"
        stolen.form = ben.form
        assert (await stolen.post(path, given)).json()["code"] == "session_needed"
        for form in ("", "0" * 64, ben.form):
            ada.form = form
            answer = await ada.post(path, given)
            assert (answer.status_code, answer.json()["code"]) == (403, "form_refused")
        assert state(page, item) == "waiting"


async def test_clickjacking_no_address_can_be_framed(page: OwnerPage) -> None:
    for path in NAVIGATED:
        headers = (await page.browser().open(path)).headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"], path
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"


async def test_nothing_of_a_small_page_runs_or_is_loaded_from_elsewhere(page: OwnerPage) -> None:
    assert "unsafe" not in POLICY
    assert POLICY.startswith("default-src 'none'; form-action 'none';")
    for path in ("/nowhere", "/oidc/sso/callback?state=a&code=c"):
        answer = await page.browser().open(path)
        assert answer.headers["content-security-policy"] == POLICY, path
        for way in ("<script", "<form", "style", " onclick", "javascript:", "src=", "http:"):
            assert way not in answer.text, (path, way)


async def test_dns_rebinding_the_page_answers_under_its_own_names_alone(page: OwnerPage) -> None:
    ben = await page.of("ben")
    for host in (
        "evil.example", f"evil.example:{PORT}", "127.0.0.1", f"127.0.0.1:{PORT + 1}",
        f"127.0.0.1.evil.example:{PORT}", f"169.254.169.254:{PORT}", "", f"127.0.0.1:{PORT}, evil",
    ):  # fmt: skip
        for path in ("/inbox", "/app/", f"{API}/inbox", "/oidc/sso/callback"):
            answer = await ben.open(path, Host=host)
            assert answer.status_code == 403, (host, path)
            assert "host_refused" in answer.text
    for host in (f"127.0.0.1:{PORT}", f"localhost:{PORT}", f"LOCALHOST:{PORT}", f"[::1]:{PORT}"):
        assert (await ben.open("/app/", Host=host)).status_code == 200, host


async def test_a_name_that_the_owner_allows_is_answered_and_its_origin_alone(
    tmp_path: Path,
) -> None:
    allowed = ConsoleSettings(allowed_hosts=("agent.bank.example",))
    async with owner_page(tmp_path, settings=allowed, people=("ada",)) as page:
        own = f"http://agent.bank.example:{PORT}"
        named = page.browser(base=own)
        assert (await named.log_in("ada")).status_code == 200
        crossed = page.browser(base=own)
        crossed.origin = OWN  # another name of the page is another origin
        assert (await crossed.log_in("ada")).status_code == 403


OTHERS = (
    "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", EVIL,
    "javascript:alert(1)", "/\t/evil.example", "/\n/evil.example", "evil.example", "", "/ü", "/a b",
    "/" + "a" * 600, "https:/evil.example", "/\r\nSet-Cookie: a=b",
)  # fmt: skip


async def test_open_redirect_addresses_lead_to_our_own_page_alone(page: OwnerPage) -> None:
    """Where a login leads: `wayBack` of the page; one at a provider: test_owners_page_oidc.py."""
    for back in OTHERS:
        assert own_path(back) == HOME, back
    for path in (
        "/inbox//evil.example",
        "/r/%5Cevil.example",
        "/?//evil.example",
        "/login?back=//e",
    ):
        location = (await page.browser().open(path)).headers["location"]
        assert location.startswith(HOME), path
        assert not location.startswith("//")


async def test_session_fixation_a_login_makes_a_new_session_and_ends_the_old(
    page: OwnerPage,
) -> None:
    ada = await page.of("ada")
    planted = ada.session
    victim = page.browser()
    victim.client.cookies.set(f"secureflow-owner-{PORT}", planted, domain="127.0.0.1")
    await victim.log_in("ben")
    assert victim.session not in ("", planted)
    assert await page.team.refusal("people.me", planted) == "session_expired"


@pytest.mark.parametrize("encrypted", [False, True])
async def test_the_cookie_is_for_this_page_alone_and_no_script_reads_it(
    tmp_path: Path, encrypted: bool
) -> None:
    files = {"tls_certificate": tmp_path / "c", "tls_key": tmp_path / "k"} if encrypted else {}
    async with owner_page(tmp_path, settings=ConsoleSettings(**files), people=("ada",)) as page:
        base = f"{'https' if encrypted else 'http'}://127.0.0.1:{PORT}"
        answer = await page.browser(base=base).log_in("ada")
        cookies = answer.headers.get_list("set-cookie")
        assert len(cookies) == 2
        for one in cookies:
            assert "HttpOnly" in one
            assert "SameSite=strict" in one
            assert "Path=/" in one
            assert "Domain" not in one
            assert one.startswith("__Host-") is encrypted
            assert ("Secure" in one) is encrypted
        assert ("strict-transport-security" in answer.headers) is encrypted


async def test_no_caching_of_anything_but_the_programs_parts(page: OwnerPage) -> None:
    ben = await page.of("ben")
    async with waiting(page) as item:
        answers = {path: await ben.open(path) for path in NAVIGATED}
        for path in (f"/inbox/{item.id}", "/inbox", "/account", "/nowhere", "/activity/export"):
            answers[path] = await ben.get(path)
    part = answers.pop("/app/assets/main-1a.js")
    assert part.headers["cache-control"].startswith("private, ")
    for path, answer in answers.items():
        assert answer.headers["cache-control"] == "no-store", path


# --- what is too much, or malformed -------------------------------------------------------------


async def test_bodies_and_headers_are_bounded_before_they_are_parsed(page: OwnerPage) -> None:
    browser = page.browser()
    own = {"Origin": OWN, "Sec-Fetch-Site": "same-origin", "Content-Type": JSON}
    login = f"{API}/session"
    large = await browser.client.post(login, content=b"a" * (MAX_BODY + 1), headers=own)
    assert large.status_code == 413

    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100 * MAX_BODY:
            sent += 4096
            yield b"a" * 4096

    told = {**own, "Content-Length": str(MAX_BODY + 1)}
    assert (await browser.client.post(login, content=endless(), headers=told)).status_code == 413
    assert sent == 0  # by its length, before a byte of it is read
    chunked = await browser.client.post(login, content=endless(), headers=own)
    assert chunked.status_code == 413
    assert sent <= MAX_BODY + 2 * 4096
    for headers in (
        {**own, "X-Long": "a" * 9000},
        {**own, **{f"X-{number}": "a" for number in range(80)}},
    ):
        assert (await browser.client.get("/app/login", headers=headers)).status_code == 413
    assert (await browser.open("/app/login?" + "a" * 3000)).status_code == 413
    twice = {**own, "Content-Length": "3", "Transfer-Encoding": "chunked"}
    assert (await browser.client.post(login, content=b"a=b", headers=twice)).status_code == 400


async def test_wrong_methods_are_refused(page: OwnerPage) -> None:
    ben = await page.of("ben")
    own = {"Origin": OWN, "Sec-Fetch-Site": "same-origin", FORM: ben.form}
    async with waiting(page) as item:
        one = f"{API}/inbox/{item.id}"
        for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
            for path in ("/inbox", "/app/inbox", f"{API}/inbox", one, "/oidc/sso/callback"):
                answer = await ben.client.request(method, path, headers=own)
                assert answer.status_code == 405, (method, path)
        for path in ("/inbox", "/app/inbox", "/r/x", one, f"{API}/inbox"):
            assert (await ben.client.post(path, headers=own)).status_code == 405, path
        for way in WAYS:
            assert (await ben.get(f"/inbox/{item.id}/{way}")).status_code == 405
        assert state(page, item) == "waiting"


PATHS = (
    "/app/assets/../index.html", "/app/assets/..%2findex.html", "/app/assets/%2e%2e/index.html",
    "/app/assets/index.html", "/app/assets/....//index.html", "/app/assets//etc/passwd",
    "/app/assets/%2Fetc%2Fpasswd", "/app/assets/", "/app/assets/main-1a.js/../../index.html",
    "/app/assets/main-1a.js%00.css", "/app/assets/.",
)  # fmt: skip


async def test_path_traversal_parts_of_the_program_are_named_ones(page: OwnerPage) -> None:
    for path in PATHS:
        answer = await page.browser().open(path)
        page_itself = 'content="/app"' in answer.text  # the address was resolved by the client
        assert answer.status_code in (400, 404) or page_itself, path
        assert "root:" not in answer.text
        assert "__PREFIX__" not in answer.text  # index.html as it lies there


# --- texts of others ------------------------------------------------------------------------------


HOSTILE = "<script>alert(1)</script>\" onload=alert(1) '\u202egnol\x1b[2J\x00{{ 'ze' ~ 'bra' }}"


def texts(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Return every text of a JSON value, and where it stands."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        yield from (each for name, one in value.items() for each in texts(one, f"{place}.{name}"))
    elif isinstance(value, list):
        yield from (each for one in value for each in texts(one, f"{place}[]"))


def hiding(answer: httpx.Response) -> list[str]:
    """Return where an answer has hidden characters: in its text, and once it is read."""
    read = [place for place, one in texts(answer.json()) if hidden(one.replace("\n", ""))]
    return [*(["text"] if hidden(answer.text.replace("\n", "")) else []), *read]


async def test_hostile_texts_of_the_centre_are_plain_texts(page: OwnerPage) -> None:
    """What reaches the page is what the agent answers: each text in it is replaced by a bad one.

    The program writes texts as text (web/src/law.test.ts): markup in them is none.
    """
    ben = await page.of("ben")
    async with waiting(page) as item:
        table, shown = (
            page.team.server._commands,
            await page.team.give("inbox.document", "ben", item=item.id),
        )
        listed = await page.team.give("inbox.list", "ben")

        def poisoned(value: Any) -> Any:
            if isinstance(value, dict):
                return {name: poisoned(one) for name, one in value.items()}
            if isinstance(value, list):
                return [poisoned(one) for one in value]
            return HOSTILE if isinstance(value, str) else value

        code = {"told": [HOSTILE], "difference": [HOSTILE], "page": 1, "pages": 2, "digest": "d"}
        bad = poisoned({**shown, "document": {**shown["document"], "code": code}})
        more = {"jobs": 1, "newest": [dict.fromkeys(
            ("job", "name", "kind", "dataset", "purpose", "state", "reason", "outcome"), HOSTILE
        ) | {"epsilon": 1.0, "at": 1}]}  # fmt: skip
        bad["document"]["before"] = more
        bad["document"]["people"] = poisoned(
            {"two_people": ["x"], "approved": [{"id": "i", "name": "n", "at": 1}],
             "can_decide": ["x"]}
        )  # fmt: skip
        asked = {"asked": 1, "told": True, "answered": 2}
        words = dict.fromkeys(("question", "person", "answer", "by"), HOSTILE)
        bad["document"]["questions"] = [{**asked, **words}]

        async def document(item: str, language: str = "en", page: int = 1) -> Any:
            return bad

        async def every(waiting: bool = True) -> Any:
            return poisoned(listed)

        page.team.server._commands = {**table, "inbox.document": document, "inbox.list": every}
        for path in (f"/inbox/{item.id}", "/inbox"):
            answer = await ben.get(path)
            assert answer.headers["content-type"] == JSON
            assert "<script>" in answer.text, path
            assert hiding(answer) == [], path


async def test_an_error_of_the_agent_hides_nothing_and_is_no_markup(page: OwnerPage) -> None:
    async def listed(waiting: bool = True) -> Any:
        raise SecureFlowError("not_found", HOSTILE, HOSTILE)

    async def finish(provider: str, state: str, browser: str, code: str) -> Any:
        raise SecureFlowError("not_found", HOSTILE, HOSTILE)

    ben = await page.of("ben")
    refusing = {"inbox.list": listed, "people.oidc_finish": finish}
    page.team.server._commands = {**page.team.server._commands, **refusing}
    problem = await ben.get("/inbox")
    assert "<script>" in problem.json()["detail"]
    assert hiding(problem) == []
    small = await ben.open("/oidc/sso/callback?state=a&code=c")
    assert "&lt;script&gt;" in small.text
    for way in ("<script", "\u202e", "\x1b", "\x00", '" onload'):
        assert way not in small.text, way


async def test_a_defect_shows_no_trace_and_keeps_every_guard(page: OwnerPage) -> None:
    ben = await page.of("ben")
    ben.client._transport.raise_app_exceptions = False  # type: ignore[attr-defined]
    object.__setattr__(page.app._refuse.args[0], "dialling", None)
    for kind, answer in (
        ("json", await ben.post("/providers/sso/start", {})),
        ("html", await ben.open("/oidc/sso/callback?state=a&code=c")),
    ):
        assert answer.status_code == 500, answer.text
        assert kind in answer.headers["content-type"]
        assert "internal" in answer.text
        for trace in ("Traceback", "TypeError", "dialling"):
            assert trace not in answer.text
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["cache-control"] == "no-store"
