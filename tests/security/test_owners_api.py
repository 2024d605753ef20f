"""The API of the owner's page: who may give which operation, and what a request must bring.

Every operation of the table is tried by everybody: who forgets to guard one sees it here. Each
guard is a test by its name. The agent, its accounts and its control socket are real.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from peers.agent_people import PASSWORD
from peers.owner_page import OWN, PORT, Browser, OwnerPage, owner_page

from secureflow.agent.console.addresses import API
from secureflow.agent.console.api.operations import FORM, Operation
from secureflow.agent.console.api.routes import OPERATIONS
from secureflow.agent.console.guards import HEADERS, MAX_BODY

EVIL: Final = "http://evil.example"
SEEN: Final = "0" * 64
ROLES: Final = {"vera": 0, "ben": 1, "ada": 2}
NEEDS: Final = {"own": 0, "viewer": 0, "decider": 1, "owner-admin": 2}
TERMS: Final = {"dataset": "customers", "project": "prj_0123456789", "columns": ["age"],
                "expires": 1_900_000_000}  # fmt: skip
BODIES: Final[dict[str, Any]] = {
    "logIn": {"name": "ben", "password": PASSWORD},
    "startProviderLogin": {},
    "chooseLanguage": {"language": "zh"},
    "choosePassword": {"old": "not the password", "new": "five other random words here"},
    "drawSecondFactor": {"password": "not the password"},
    "confirmSecondFactor": {"code": "123456"},
    "setAbsence": {"until": ""},
    "setDeputy": {"to": "nobody", "until": ""},
    "readNotices": {"ids": [1]},
    "approve": {"seen": SEEN},
    "reject": {"seen": SEEN, "reason": "because"},
    "askBack": {"seen": SEEN, "question": "why?"},
    "publishDataset": {"title": "loans"},
    "reviewGrant": {"terms": TERMS},
    "signGrant": {"terms": TERMS, "once": "0" * 32},
    "revokeGrant": {},
    "withdrawApproval": {"reason": "over"},
    "unlockGrant": {"uses": 0},
    "addPerson": {"name": "new", "password": "six other random words right here", "roles": []},
    "setRoles": {"roles": ["viewer"]},
    "setPersonState": {"disabled": True},
    "tryPolicy": {"text": ""},
    "savePolicy": {"text": "", "version": SEEN},
    "resetPerson": {"password": "six other random words right here"},
    "signAgreement": {"digest": SEEN},
    "approveSettlement": {"digest": SEEN},
    "disputeSettlement": {"reason": "a row is missing"},
    "payMember": {"payee": "bank-b", "amount": 5, "reference": "invoice 7"},
    "confirmPayment": {"payer": "bank-b", "reference": SEEN},
}
PARTS: Final = {
    "item": SEEN,
    "name": "nobody",
    "grant": SEEN,
    "domain": "none",
    "provider": "sso",
    "job": "job_x",
    "project": "prj_0123456789",
    "settlement": SEEN,
}


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[OwnerPage]:
    async with owner_page(tmp_path, people=("ada", "ben", "vera")) as served:
        yield served


async def give(who: Browser, one: Operation, **headers: str) -> httpx.Response:
    path = one.path.format(**PARTS)
    return await who.send(one.method, path, BODIES.get(one.id), headers)


def code(answer: httpx.Response) -> str:
    if answer.headers.get("content-type", "").startswith("application/problem+json"):
        return str(answer.json()["code"])
    return ""


def test_every_operation_that_takes_something_is_tried() -> None:
    assert {one.id for one in OPERATIONS if one.body is not None} == set(BODIES)
    assert len({one.id for one in OPERATIONS}) == len(OPERATIONS)


async def test_nobody_gives_an_operation_without_a_session(page: OwnerPage) -> None:
    opened = {one.id for one in OPERATIONS if one.need == "open"}
    assert opened == {"session", "logIn", "startProviderLogin", "chooseLanguage"}
    ended = await page.of("ada")
    page.team.world.now += 30 * 60
    for who in (page.browser(), ended):
        for one in OPERATIONS:
            if one.need != "open":
                answer = await give(who, one)
                assert answer.status_code == 401, one.id
                assert code(answer) in ("session_needed", "session_expired"), one.id


async def test_each_person_may_give_what_its_role_allows_and_nothing_else(page: OwnerPage) -> None:
    for name, role in ROLES.items():
        who = await page.of(name)
        for one in OPERATIONS:
            if one.need == "open" or one.id == "logOut" or one.streams:
                continue
            answer = await give(who, one)
            refused = code(answer) == "role_needed"
            assert refused == (role < NEEDS[one.need]), (name, one.id, answer.text)
            assert answer.status_code not in (405, 415), one.id
            assert code(answer) not in ("session_needed", "session_expired", "form_refused"), one.id


# --- requests that a person did not make ---------------------------------------------------------

WRITES: Final = [one for one in OPERATIONS if one.writes]


async def test_csrf_another_sites_page_gives_no_operation(page: OwnerPage) -> None:
    ada = await page.of("ada")
    for one in WRITES:
        for sent in (
            {"Origin": EVIL, "Sec-Fetch-Site": "cross-site"},
            {"Origin": "http://127.0.0.1:9999", "Sec-Fetch-Site": "same-site"},
            {"Origin": "null", "Sec-Fetch-Site": "same-origin"},
        ):
            answer = await give(ada, one, **sent)
            assert code(answer) == "cross_site_request", one.id
            assert "set-cookie" not in answer.headers


async def test_csrf_what_a_form_can_send_is_no_json(page: OwnerPage) -> None:
    """`text/plain` and the like cross origins without being asked for first (Fetch, 2.2.2)."""
    ada = await page.of("ada")
    for one in WRITES:
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
            if not kind and one.body is None:
                continue
            path = f"{API}{one.path.format(**PARTS)}"
            own = {"Origin": OWN, "Sec-Fetch-Site": "same-origin", FORM: ada.form}
            answer = await ada.client.request(
                one.method, path, content=b"{}", headers={**own, "Content-Type": kind}
            )
            assert (answer.status_code, code(answer)) == (415, "not_json"), (one.id, kind)


async def test_csrf_a_page_of_another_session_gives_no_operation(page: OwnerPage) -> None:
    """Who logs in while a tab of somebody else is open decides nothing from that tab."""
    ada, ben = await page.of("ada"), await page.of("ben")
    for token in ("", "0" * 64, ben.form):
        ada.form = token
        for one in WRITES:
            if one.need != "open":
                assert code(await give(ada, one)) == "form_refused", one.id


async def test_rebinding_no_other_name_is_answered(page: OwnerPage) -> None:
    ada = await page.of("ada")
    for name in ("evil.example", f"evil.example:{PORT}", "127.0.0.1:1", "0.0.0.0"):
        for one in OPERATIONS:
            answer = await give(ada, one, Host=name)
            assert code(answer) == "host_refused", (one.id, name)


async def test_clickjacking_no_answer_can_be_framed_kept_or_run(page: OwnerPage) -> None:
    for path in ("/session", "/inbox", "/nowhere"):
        headers = (await page.browser().get(path)).headers
        for name, value in HEADERS.items():
            assert headers[name] == value, (path, name)
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == "no-store"
        assert "json" in headers["content-type"]


async def test_fixation_a_login_makes_a_new_session_and_ends_the_one_that_was_there(
    page: OwnerPage,
) -> None:
    ben = await page.of("ben")
    planted, name = ben.session, f"secureflow-owner-{PORT}"
    await ben.log_in("ben")
    assert ben.session not in ("", planted)
    victim = page.browser()
    victim.client.cookies.set(name, planted, domain="127.0.0.1")
    assert (await victim.get("/session")).json()["account"] is None
    assert (await victim.get("/inbox")).status_code == 401


async def test_two_sessions_in_one_browser_are_none(page: OwnerPage) -> None:
    ben, ada = await page.of("ben"), await page.of("ada")
    name = f"secureflow-owner-{PORT}"
    twice = f"{name}={ben.session}; {name}={ada.session}"
    assert (await page.browser().get("/inbox", Cookie=twice)).status_code == 401


async def test_the_session_stands_in_the_cookie_and_nowhere_else(page: OwnerPage) -> None:
    made = page.browser()
    answer = await made.log_in("ben")
    secret = made.session
    cookie = next(one for one in answer.headers.get_list("set-cookie") if secret in one)
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert secret not in answer.text
    assert secret not in (await made.get("/session")).text


# --- what is sent --------------------------------------------------------------------------------


MALFORMED: Final = (
    (b"", 400), (b"{", 400), (b"[]", 422), (b'{"name": "ben"}', 422), (b"\xff", 400),
    (b'{"name": "ben", "name": "ada", "password": "x"}', 400),
    (b'{"name": "ben", "password": "x", "more": 1}', 422),
    (b'{"name": ["ben"], "password": "x"}', 422),
    (b'{"name": "' + b"b" * 65 + b'", "password": "x"}', 422),
    (b"[" * 5000, 400), (b" " * (MAX_BODY + 1), 413),
)  # fmt: skip


async def test_a_malformed_body_is_a_problem_and_no_fault(page: OwnerPage) -> None:
    own = {"Origin": OWN, "Sec-Fetch-Site": "same-origin", "Content-Type": "application/json"}
    client = page.browser().client
    for body, status in MALFORMED:
        answer = await client.post(f"{API}/session", content=body, headers=own)
        assert answer.status_code == status, (body[:40], answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"] == f"urn:secureflow:problem:{code(answer)}"


async def test_ids_are_whole_or_name_nothing(page: OwnerPage) -> None:
    ben = await page.of("ben")
    for item in ("0" * 63, "0" * 65, "A" * 64, "%20" + "0" * 63):
        answer = await ben.get(f"/inbox/{item}")
        assert (answer.status_code, code(answer)) == (404, "not_found"), item
        assert answer.json()["detail"].startswith("The address has no item in it")
    for item in ("..%2f..", "%00" + "0" * 63):
        assert (await ben.get(f"/inbox/{item}")).status_code in (400, 404), item
    for query in ("?page=x", "?page=0", "?page=1&page=2", "?more=1"):
        assert (await ben.get(f"/inbox/{SEEN}{query}")).status_code == 422, query


async def test_problems_are_in_the_readers_language(page: OwnerPage) -> None:
    for one in (
        await page.browser().get("/inbox", **{"Accept-Language": "zh-CN"}),
        await page.browser().get("/nowhere", **{"Accept-Language": "zh-CN"}),
        await page.browser().post("/session", [], **{"Accept-Language": "zh-CN"}),
    ):
        assert one.headers["content-language"] == "zh"
        assert any("\u4e00" <= letter <= "\u9fff" for letter in one.json()["detail"]), one.text
