"""The owner's page against what browsers, networks, the centre and its own process may do to it.

Each guard is a test by its name. The agent, its accounts and its control socket are real.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from peers.agent_people import OTHER, PASSWORD, waiting_item
from peers.owner_page import OWN, PORT, Browser, OwnerPage, owner_page

from secureflow.agent.console.guards import MAX_BODY, POLICY
from secureflow.agent.console.routes import PAGES
from secureflow.agent.console.visits import own_path
from secureflow.agent.consolesettings import ConsoleSettings
from secureflow.agent.edge.control import call
from secureflow.agent.edge.permissions import PERMISSIONS
from secureflow.kit.errors import SecureFlowError

EVIL = "http://evil.example"


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


async def approval(browser: Browser, item: Any) -> dict[str, str]:
    """Return the fields of the form that approves a request."""
    screen = (await browser.open(f"/r/{item.id}")).text
    fields = screen.partition('/approve"')[2].partition("</form>")[0]
    return {
        name: fields.partition(f'name="{name}" value="')[2].partition('"')[0]
        for name in ("form", "seen")
    }


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


async def test_nothing_is_shown_or_done_without_a_login(page: OwnerPage) -> None:
    outside = {"/login", "/language", "/oidc/{provider}/start", "/oidc/{provider}/callback"}
    assert {one.path for one in PAGES if one.outside} == outside
    async with waiting(page) as item:
        for one in PAGES:
            path = one.path.replace("{item}", item.id)
            if one.outside:
                continue
            if one.show is not None:
                answer = await page.browser().open(path)
                assert answer.headers["location"].startswith("/login"), path
                assert item.job not in answer.text
            if one.act is not None:
                answer = await page.browser().send(path, {"reason": "x", "question": "x"})
                assert answer.headers["location"].startswith("/login"), path
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
        answer = await browser.open("/inbox")
        assert answer.headers["location"] == "/login"
        assert item.job not in answer.text


async def test_a_viewers_session_approves_nothing(page: OwnerPage) -> None:
    async with waiting(page) as item:
        vera, ben = await page.of("vera"), await page.of("ben")
        assert "/approve" not in (await vera.open(f"/r/{item.id}")).text
        seen = (await approval(ben, item))["seen"]
        for way, given in (("approve", "reason"), ("reject", "reason"), ("ask", "question")):
            answer = await vera.act(f"/r/{item.id}/{way}", seen=seen, **{given: "because"})
            assert answer.status_code == 403, way
            assert "role_needed" in answer.text
        assert state(page, item) == "waiting"


async def test_the_process_keeps_no_session_and_writes_none_into_a_page_or_a_log(
    page: OwnerPage, caplog: pytest.LogCaptureFixture
) -> None:
    ben = await page.of("ben")
    secret = ben.session
    assert secret.startswith("sfa_")
    for path in ("/inbox", "/account", "/nowhere"):
        answer = await ben.open(path)
        assert secret not in answer.text
        assert secret not in str(answer.headers)
    assert secret not in caplog.text
    site = page.app._refuse.args[0]
    held = [vars(one) for one in (site.agent, site.pages, site.cookies, site.attempts)]
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


async def test_csrf_a_form_of_another_origin_decides_nothing(page: OwnerPage) -> None:
    async with waiting(page) as item:
        ben = await page.of("ben")
        fields = await approval(ben, item)
        for sent in FOREIGN:
            answer = await ben.client.post(f"/r/{item.id}/approve", data=fields, headers=sent)
            assert answer.status_code == 403, sent
            assert "cross_site_request" in answer.text
            assert state(page, item) == "waiting"


async def test_csrf_the_language_and_the_login_are_not_for_other_sites_either(
    page: OwnerPage,
) -> None:
    for path, fields in (
        ("/login", {"name": "ben", "password": PASSWORD}),
        ("/language", {"language": "zh"}),
    ):
        answer = await page.browser().client.post(path, data=fields, headers={"Origin": EVIL})
        assert answer.status_code == 403, path
        assert "set-cookie" not in answer.headers


async def test_a_form_token_is_of_one_session(page: OwnerPage) -> None:
    """A page that was stolen decides nothing without the cookie, nor a cookie without the page."""
    async with waiting(page) as item:
        ben, ada = await page.of("ben"), await page.of("ada")
        fields = await approval(ben, item)
        path = f"/r/{item.id}/approve"
        stolen = await page.browser().send(path, fields)
        assert stolen.headers["location"] == f"/login?back=%2Fr%2F{item.id}"
        for form in ("", "0" * 64, fields["form"]):
            answer = await ada.send(path, {**fields, "form": form})
            assert answer.status_code == 403
            assert "form_refused" in answer.text
        assert state(page, item) == "waiting"


async def test_clickjacking_no_page_can_be_framed(page: OwnerPage) -> None:
    for path in ("/login", "/nowhere", "/static/page.css"):
        headers = (await page.browser().open(path)).headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"], path
        assert headers["x-frame-options"] == "DENY"


async def test_nothing_of_a_page_runs_or_is_loaded_from_elsewhere(page: OwnerPage) -> None:
    ben = await page.of("ben")
    async with waiting(page) as item:
        for path in ("/inbox", f"/r/{item.id}", "/account"):
            answer = await ben.open(path)
            assert answer.headers["content-security-policy"] == POLICY
            assert "unsafe" not in POLICY
            assert "default-src 'none'" in POLICY
            for way in ("<script", "style=", " onclick", "javascript:", 'src="http'):
                assert way not in answer.text, path


async def test_dns_rebinding_the_page_answers_under_its_own_names_alone(page: OwnerPage) -> None:
    ben = await page.of("ben")
    for host in (
        "evil.example", f"evil.example:{PORT}", "127.0.0.1", f"127.0.0.1:{PORT + 1}",
        f"127.0.0.1.evil.example:{PORT}", f"169.254.169.254:{PORT}", "", f"127.0.0.1:{PORT}, evil",
    ):  # fmt: skip
        answer = await ben.open("/inbox", Host=host)
        assert answer.status_code == 403, host
        assert "host_refused" in answer.text
    for host in (f"127.0.0.1:{PORT}", f"localhost:{PORT}", f"LOCALHOST:{PORT}", f"[::1]:{PORT}"):
        assert (await ben.open("/login", Host=host)).status_code in (200, 303), host


async def test_a_name_that_the_owner_allows_is_answered_and_its_origin_alone(
    tmp_path: Path,
) -> None:
    allowed = ConsoleSettings(allowed_hosts=("agent.bank.example",))
    async with owner_page(tmp_path, settings=allowed, people=("ada",)) as page:
        own = f"http://agent.bank.example:{PORT}"
        named = page.browser(base=own)
        assert (await named.log_in("ada")).status_code == 303
        crossed = page.browser(base=own)
        crossed.origin = OWN  # another name of the page is another origin
        assert (await crossed.log_in("ada")).status_code == 403


OTHERS = (
    "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", EVIL,
    "javascript:alert(1)", "/\t/evil.example", "/\n/evil.example", "evil.example", "", "/ü", "/a b",
    "/" + "a" * 600, "https:/evil.example", "/\r\nSet-Cookie: a=b",
)  # fmt: skip


async def test_open_redirect_a_login_leads_to_our_own_pages_alone(page: OwnerPage) -> None:
    for back in OTHERS:
        assert own_path(back) == "/inbox", back
        answer = await page.browser().log_in("ben", back=back)
        assert (answer.status_code, answer.headers["location"]) == (303, "/inbox"), back
        switched = await page.browser().send("/language", {"language": "zh", "back": back})
        assert switched.headers["location"] == "/inbox", back


async def test_a_deep_link_works_after_the_login(page: OwnerPage) -> None:
    async with waiting(page) as item:
        browser = page.browser()
        first = await browser.open(f"/r/{item.id}")
        assert first.headers["location"] == f"/login?back=%2Fr%2F{item.id}"
        login = await browser.open(first.headers["location"])
        assert f'name="back" value="/r/{item.id}"' in login.text
        answer = await browser.log_in("ben", back=f"/r/{item.id}")
        assert answer.headers["location"] == f"/r/{item.id}"
        # From a mail the browser keeps the Strict cookie back: the page asks once more by itself.
        bare = await page.browser().client.get(
            f"/r/{item.id}", headers={"Sec-Fetch-Site": "cross-site"}
        )
        assert 'http-equiv="refresh"' in bare.text
        assert item.job not in bare.text
        once = await page.browser().client.get(
            f"/r/{item.id}?arrived=1", headers={"Sec-Fetch-Site": "cross-site"}
        )
        assert once.headers["location"].startswith("/login?back=")


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


async def test_two_cookies_of_one_name_are_none(page: OwnerPage) -> None:
    """A neighbour on another port or name may add its own (cookie tossing)."""
    ben, ada = await page.of("ben"), await page.of("ada")
    name = f"secureflow-owner-{PORT}"
    both = f"{name}={ada.session}; {name}={ben.session}"
    answer = await page.browser().open("/inbox", Cookie=both)
    assert answer.headers["location"] == "/login"


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


async def test_no_caching_of_anything(page: OwnerPage) -> None:
    ben = await page.of("ben")
    async with waiting(page) as item:
        for path in (
            "/inbox",
            f"/r/{item.id}",
            "/account",
            "/login",
            "/nowhere",
            "/static/page.css",
        ):
            assert (await ben.open(path)).headers["cache-control"] == "no-store", path


# --- what is too much, or malformed -------------------------------------------------------------


async def test_bodies_and_headers_are_bounded_before_they_are_parsed(page: OwnerPage) -> None:
    browser = page.browser()
    own = {"Origin": OWN, "Sec-Fetch-Site": "same-origin"}
    form = {**own, "Content-Type": "application/x-www-form-urlencoded"}
    large = await browser.client.post("/login", content=b"a" * (MAX_BODY + 1), headers=form)
    assert large.status_code == 413

    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100 * MAX_BODY:
            sent += 4096
            yield b"a" * 4096

    told = {**form, "Content-Length": str(MAX_BODY + 1)}
    assert (await browser.client.post("/login", content=endless(), headers=told)).status_code == 413
    assert sent == 0  # by its length, before a byte of it is read
    chunked = await browser.client.post("/login", content=endless(), headers=form)
    assert chunked.status_code == 413
    assert sent <= MAX_BODY + 2 * 4096
    for headers in (
        {**own, "X-Long": "a" * 9000},
        {**own, **{f"X-{number}": "a" for number in range(80)}},
    ):
        assert (await browser.client.get("/login", headers=headers)).status_code == 413
    assert (await browser.open("/login?" + "a" * 3000)).status_code == 413
    twice = {**form, "Content-Length": "3", "Transfer-Encoding": "chunked"}
    assert (await browser.client.post("/login", content=b"a=b", headers=twice)).status_code == 400


FORM = "application/x-www-form-urlencoded"
MALFORMED = (
    ("application/json", b'{"name": "ben"}'), ("multipart/form-data; boundary=a", b"--a--"),
    ("", b"name=ben"), (FORM, b"name=ben&name=ada"), (FORM, b"name=%ff%fe"),
    (FORM, "name=ü".encode()), (FORM, b"&".join([b"a=b"] * 65)),
)  # fmt: skip


async def test_a_malformed_form_is_refused(page: OwnerPage) -> None:
    own = {"Origin": OWN, "Sec-Fetch-Site": "same-origin"}
    for kind, body in MALFORMED:
        headers = {**own, "Content-Type": kind} if kind else own
        answer = await page.browser().client.post("/login", content=body, headers=headers)
        assert answer.status_code == 400, (kind, body)
        assert "malformed_request" in answer.text


async def test_wrong_methods_are_refused(page: OwnerPage) -> None:
    ben = await page.of("ben")
    own = {"Origin": OWN, "Sec-Fetch-Site": "same-origin"}
    async with waiting(page) as item:
        for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
            for path in ("/inbox", f"/r/{item.id}", "/login"):
                answer = await ben.client.request(method, path, headers=own)
                assert answer.status_code == 405, (method, path)
        for way in ("approve", "reject", "ask"):
            assert (await ben.open(f"/r/{item.id}/{way}")).status_code == 405
        assert (await ben.open("/logout")).status_code == 405
        assert (await ben.send("/inbox", {})).status_code == 405
        assert state(page, item) == "waiting"


PATHS = (
    "/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py", "/static/app.py",
    "/static/....//app.py", "/static//etc/passwd", "/static/%2Fetc%2Fpasswd", "/static/",
    "/static/page.css/../../templates/base.jinja", "/static/page.css%00.svg", "/static/.",
)  # fmt: skip


async def test_path_traversal_static_files_are_named_ones(page: OwnerPage) -> None:
    for path in PATHS:
        answer = await page.browser().open(path)
        assert answer.status_code in (400, 404), path
        assert "def build_app" not in answer.text


async def test_an_address_names_a_whole_request_or_nothing(page: OwnerPage) -> None:
    ben = await page.of("ben")
    async with waiting(page) as item:
        for part in (item.id[:63], item.id.upper(), "a" * 64, "%2e%2e", f"{item.id}a", "'--"):
            answer = await ben.open(f"/r/{part}")
            assert answer.status_code == 404, part
            assert item.job not in answer.text


# --- texts of others ------------------------------------------------------------------------------


HOSTILE = "<script>alert(1)</script>\" onload=alert(1) '\u202egnol\x1b[2J\x00{{ 'ze' ~ 'bra' }}"


async def test_hostile_texts_of_the_centre_are_harmless(page: OwnerPage) -> None:
    """What reaches the page is what the agent answers: each text in it is replaced by a bad one."""
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
        for path in (f"/r/{item.id}", "/inbox"):
            text = (await ben.open(path)).text
            assert "&lt;script&gt;" in text, path
            for way in ("<script", " onload=alert(1) '", "\u202e", "\x1b", "\x00", "zebra"):
                assert way not in text.replace("&#34; onload=alert(1) &#39;", ""), (path, way)


async def test_an_error_of_the_agent_is_no_markup(page: OwnerPage) -> None:
    async def refuse(**_: Any) -> Any:
        raise SecureFlowError("not_found", HOSTILE, HOSTILE)

    ben = await page.of("ben")
    page.team.server._commands = {**page.team.server._commands, "inbox.list": refuse}
    text = (await ben.open("/inbox")).text
    assert "<script" not in text
    assert "\u202e" not in text


async def test_a_defect_shows_no_trace_and_keeps_every_guard(page: OwnerPage) -> None:
    async def nonsense(**_: Any) -> Any:
        return [{"state": "waiting", "expires": "no number"}]

    ben = await page.of("ben")
    page.team.server._commands = {**page.team.server._commands, "inbox.list": nonsense}
    ben.client._transport.raise_app_exceptions = False  # type: ignore[attr-defined]
    answer = await ben.open("/inbox")
    assert answer.status_code == 500
    assert "Traceback" not in answer.text
    assert "ValueError" not in answer.text
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["cache-control"] == "no-store"
