"""Attacks on the centre through somebody's browser, each by its name, over every operation.

What one request shows is tested beside the sessions (`tests/unit/server/test_browser_sessions.py`)
and the providers (`test_oidc`): login CSRF, session fixation, open redirect, mix-up, replay. Here
an operation that somebody adds is tested without a line of its own:

- CSRF: no change by a cookie from another site's page;
- clickjacking: no answer may be framed, or read by another origin;
- DNS rebinding: a page under a name that leads to the centre's address is not the centre's page:
  the browser sends it no cookie, the certificate is not for that name, and what needs no login
  tells it no more than anybody.
"""

from __future__ import annotations

import ssl
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.request import Request

import httpx
import pytest

from secureflow.kit.pki import Authority
from secureflow.server.certificate import ServerCertificate
from tests.fuzz.callers import SESSION
from tests.security.test_authorisation import (  # noqa: F401  fixtures
    OPEN,
    RULES,
    World,
    built,
    world,
)
from tests.stage import NOW
from tests.unit.server.conftest import FAST, Api

EVIL = "evil.example"
REBOUND = {"Host": EVIL, "Origin": f"https://{EVIL}", "Sec-Fetch-Site": "same-origin"}
"""What a page sends to its own name, which leads to the centre meanwhile."""
NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME: the test's clock is not the machine's."""
CHANGING = {"POST", "PATCH", "DELETE"}
BY_NO_SESSION = {"logout", "close_session"}
"""They end what is shown; the second one refuses other sites' pages in words of its own."""


async def cookie(on: World) -> str:
    admin = on.stage.admin("bank-a")
    async with on.stage.database.begin() as work:
        user = await work.users.get(admin.user)  # type: ignore[attr-defined]
    opened = await on.stage.services.sessions.open(user, method="password", address="10.0.0.1")
    return f"{SESSION}={opened.text}"


async def test_csrf_every_change_by_a_cookie_asks_for_an_own_page(world: World) -> None:  # noqa: F811
    shown = await cookie(world)
    tables = world.stage.database.tables
    tried = 0
    for operation, (method, path) in world.operations.items():
        if method not in CHANGING or RULES[operation].action == OPEN or operation in BY_NO_SESSION:
            continue
        for forged in ({"Origin": f"https://{EVIL}"}, {"Sec-Fetch-Site": "same-site"}, {}):
            headers = {**forged, "Cookie": shown}
            body = RULES[operation].body or {}
            answer = await world.api.http.request(method, path, headers=headers, json=body)
            assert answer.status_code == 403, (operation, answer.text)
            assert answer.json()["code"] == "cross_site_request", operation
            assert world.stage.database.tables is tables
            tried += 1
    assert tried > 150


async def test_clickjacking_no_answer_of_any_operation_is_framed(world: World) -> None:  # noqa: F811
    world.stage.stopping[0] = True
    admin = world.stage.admin("bank-a")
    for operation, rule in RULES.items():
        for who in (admin, None):
            answer = await world.call(operation, who, world.key(rule.noun, "own"))
            assert answer.headers["x-frame-options"] == "DENY", operation
            policy = answer.headers["content-security-policy"]
            assert "frame-ancestors 'none'" in policy, operation
            assert "access-control-allow-origin" not in answer.headers, operation
    world.stage.stopping[0] = False


async def test_dns_rebinding_a_cookie_stays_with_the_centres_own_name(world: World) -> None:  # noqa: F811
    """A browser keeps a `__Host-` cookie, which has no domain, for the very host that set it.

    The session's is set alike: `test_the_cookie_is_out_of_reach_of_scripts_and_other_sites`.
    """
    answer = await world.api.http.get("/api/v1/oidc/sso/start")
    (set_,) = answer.headers.get_list("set-cookie")
    assert set_.startswith("__Host-")
    assert "domain" not in set_.lower()
    jar = httpx.Cookies()
    jar.extract_cookies(answer)
    assert _sent(jar.jar, "https://test/") == set_.partition(";")[0]
    for other in (f"https://{EVIL}/", "https://sub.test/", "http://test/"):
        assert _sent(jar.jar, other) == "", other


def _sent(jar: CookieJar, url: str) -> str:
    request = Request(url)
    jar.add_cookie_header(request)
    return request.get_header("Cookie") or ""


async def test_dns_rebinding_the_providers_send_nobody_to_the_name_that_was_asked(
    world: World,  # noqa: F811
) -> None:
    answer = await world.api.http.get("/api/v1/oidc/sso/start", headers={"Host": EVIL})
    assert EVIL not in answer.headers["location"]


async def test_dns_rebinding_where_the_operator_names_the_pages_no_other_is_one(
    world: World,  # noqa: F811
) -> None:
    api = Api(world.stage, FAST.model_copy(update={"origins": ("https://flow.example",)}))
    shown = await cookie(world)
    for headers in (REBOUND, {**REBOUND, "Cookie": shown}):
        for method, path in (("POST", "/session"), ("POST", "/tokens"), ("DELETE", "/sessions")):
            body = {"name": "x", "password": "x"} if path == "/session" else {}
            answer = await api.http.request(method, f"/api/v1{path}", headers=headers, json=body)
            refused = (answer.status_code, answer.json()["code"])
            assert refused in {(403, "cross_site_request"), (401, "unauthenticated")}, path
            assert "set-cookie" not in answer.headers
    own = {"Host": "flow.example", "Origin": "https://flow.example", "Cookie": shown}
    answer = await api.http.request("DELETE", "/api/v1/sessions", headers=own)
    assert answer.status_code == 204


async def test_dns_rebinding_on_the_centres_own_machine_reads_no_metrics(world: World) -> None:  # noqa: F811
    """Who asks from the machine may read them; a page in a browser on it may not."""
    assert (await world.api.http.get("/metrics")).status_code == 200
    person = {"Sec-Fetch-Site": "none"}
    assert (await world.api.http.get("/metrics", headers=person)).status_code == 200
    for headers in (
        REBOUND,
        {"Host": EVIL, "Sec-Fetch-Site": "same-origin"},
        {"Origin": f"https://{EVIL}"},
        {"Sec-Fetch-Site": "cross-site"},
    ):
        answer = await world.api.http.get("/metrics", headers=headers)
        assert answer.status_code == 401, headers


@pytest.mark.parametrize("name", [EVIL, "sub.centre.example", "example", "192.0.2.7"])
def test_dns_rebinding_the_certificate_is_for_no_other_name(tmp_path: Path, name: str) -> None:
    authority = Authority.create(tmp_path / "ca", "test.example", NOW)
    served = ServerCertificate(tmp_path / "tls", authority, "centre.example", lambda: NOW)
    assert _handshake(served.context, authority.pem, "centre.example") == ""
    assert "mismatch" in _handshake(served.context, authority.pem, name)


def _handshake(server: ssl.SSLContext, roots: str, name: str) -> str:
    """Return why a client under this name gives the handshake up; "" if it does not."""
    client = ssl.create_default_context(cadata=roots)
    client.verify_flags |= NO_CHECK_TIME
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    asks = client.wrap_bio(to_client, to_server, server_hostname=name)
    answers = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (asks, answers):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as error:
                return str(error)
    return ""
