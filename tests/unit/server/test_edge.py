"""What every request meets: problems, caps, rates, headers, ids."""

from __future__ import annotations

import errno
import json
from collections.abc import AsyncIterator
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import httpx
import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute

from secureflow.domain.jobs import JobState
from secureflow.kit.errors import InfrastructureError
from secureflow.kit.version import __version__
from secureflow.server import rest
from secureflow.server.metrics import MOST_CHANGED, Metrics
from secureflow.server.rest.bodies import StrictRoute
from secureflow.server.rest.edge import SECURITY_HEADERS
from secureflow.server.settings import RestSettings
from tests.doubles import MemoryStore
from tests.stage import Stage
from tests.unit.server.conftest import FAST, Api


def assert_problem(response: Any, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body.keys() == {
        "type", "title", "status", "detail", "code", "hint", "details", "instance", "texts",
    }  # fmt: skip
    assert (body["status"], body["code"]) == (status, code)
    assert body["type"] == f"urn:secureflow:problem:{code}"
    assert "Traceback" not in response.text
    return body


def deep(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "code"),
    [
        ("POST", "/projects", b'{"name": ', 400, "malformed_json"),
        ("POST", "/projects", b"\xff\xfe", 400, "malformed_json"),
        ("POST", "/projects", b'{"name": "\xc3\x28"}', 400, "malformed_json"),
        ("POST", "/projects", b'{"name": "a", "purpose": "b", "name": "c"}', 400, "malformed_json"),
        ("POST", "/login", b'{"name": "a", "password": "b", "name": "c"}', 400, "malformed_json"),
        ("POST", "/enroll", b'{"token": "a", "token": "b"}', 400, "malformed_json"),
        ("POST", "/projects", deep(100_000), 413, "too_large"),
        ("POST", "/projects", deep(20_000), 400, "malformed_json"),
        ("POST", "/projects", deep(33), 400, "malformed_json"),
        ("POST", "/projects", deep(31), 422, "invalid_request"),
        ("POST", "/projects", b'{"name": ' + b"9" * 5000 + b"}", 400, "malformed_json"),
        ("POST", "/projects", b"", 422, "invalid_request"),
        ("POST", "/projects", b"[]", 422, "invalid_request"),
        ("POST", "/projects", b'{"name": "a", "purpose": "b", "extra": 1}', 422, "invalid_request"),
        ("POST", "/projects", b'{"name": "a\\u0000", "purpose": "b"}', 422, "invalid_request"),
        ("POST", "/projects", b'{"name": "\\ud800", "purpose": "b"}', 422, "invalid_request"),
        ("POST", "/projects", b'{"name": NaN, "purpose": "b"}', 400, "malformed_json"),
        ("POST", "/projects", b"x" * (1 << 20) + b"x", 413, "too_large"),
        ("GET", "/nothing", b"", 404, "not_found"),
        ("GET", "/projects/", b"", 404, "not_found"),
        ("PUT", "/projects", b"", 405, "method_not_allowed"),
        ("GET", "/projects/%00", b"", 400, "malformed_request"),
        ("GET", "/projects?cursor=%00", b"", 400, "malformed_request"),
        ("GET", "/projects?cursor=!!", b"", 422, "invalid_cursor"),
        ("GET", "/projects?limit=0", b"", 422, "invalid_request"),
        ("GET", "/projects?limit=1e9", b"", 422, "invalid_request"),
        ("GET", "/jobs?state=sleeping", b"", 422, "invalid_request"),
        ("GET", "/projects/prj_unknown", b"", 404, "not_found"),
        ("GET", "/projects/..%2f..%2fetc%2fpasswd", b"", 404, "not_found"),
        ("GET", "/audit/inclusion?index=99&size=5", b"", 404, "not_found"),
        ("GET", "/audit/inclusion?index=0&size=99999999999999999999", b"", 422, "invalid_request"),
        ("GET", "/audit/entries?cursor=eHl6", b"", 422, "invalid_cursor"),
        ("GET", "/jobs/job_unknown/events", b"", 404, "not_found"),
    ],
)
async def test_bad_input_gets_a_typed_answer(
    api: Api, method: str, path: str, content: bytes, status: int, code: str
) -> None:
    headers = {"Content-Type": "application/json"} if content else {}
    principal = api.stage.scientist("bank-a")
    response = await api.call(method, path, principal, content=content, headers=headers)
    assert_problem(response, status, code)


def test_every_json_body_is_parsed_strictly() -> None:
    modules = [import_module(one.name) for one in iter_modules(rest.__path__, f"{rest.__name__}.")]
    routers = [one for module in modules for one in vars(module).values()]
    routes = [r for one in routers if isinstance(one, APIRouter) for r in one.routes]
    taking = [r for r in routes if isinstance(r, APIRoute) and r.body_field is not None]
    assert len(taking) > 10
    assert all(isinstance(route, StrictRoute) for route in taking)


async def test_a_chunked_body_is_cut_at_the_cap(api: Api) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 65536

    response = await api.call(
        "POST", "/projects", api.stage.scientist("bank-a"), content=endless(),
        headers={"Content-Type": "application/json"},
    )  # fmt: skip
    assert_problem(response, 413, "too_large")


async def test_a_lying_length_is_refused(api: Api) -> None:
    for length in ("-1", "1e3", "9" * 30):
        response = await api.call("POST", "/login", headers={"Content-Length": length})
        assert_problem(response, 413, "too_large")


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer x", "Basic YTpi", "Bearer sft_" + "0" * 20 + "_" + "a" * 43]
)
async def test_without_a_valid_token_nothing_answers(api: Api, header: str) -> None:
    headers = {"Authorization": header} if header else {}
    response = await api.call("GET", "/me", headers=headers)
    assert_problem(response, 401, "unauthenticated")
    assert response.headers["www-authenticate"] == "Bearer"


async def test_an_expired_token_says_so(api: Api) -> None:
    text = await api.stage.bearer(api.stage.operator)
    api.stage.now[0] += 3601
    response = await api.call("GET", "/me", headers={"Authorization": f"Bearer {text}"})
    assert_problem(response, 401, "token_expired")


async def test_passwords_are_never_repeated(api: Api) -> None:
    secret = "hunter2-hunter2"
    for body in ({"name": 1, "password": secret}, {"name": "a", "password": secret, "x": secret}):
        response = await api.call("POST", "/login", json=body)
        assert response.status_code == 422
        assert secret not in response.text


async def test_every_answer_carries_the_security_headers(api: Api) -> None:
    for path in ("/me", "/nothing", "/ca"):
        response = await api.call("GET", path)
        for name, value in SECURITY_HEADERS.items():
            assert response.headers[name] == value
        assert len(response.headers["x-request-id"]) == 16
    response = await api.call("GET", "/ca", headers={"X-Request-Id": "my-request-1"})
    assert response.headers["x-request-id"] == "my-request-1"
    response = await api.call("GET", "/ca", headers={"X-Request-Id": "no good id"})
    assert response.headers["x-request-id"] != "no good id"


async def test_users_and_addresses_have_a_rate(stage: Stage) -> None:
    api = Api(stage, RestSettings(rate_per_second=0.001, burst=3))
    text = await stage.bearer(stage.operator)
    headers = {"Authorization": f"Bearer {text}"}
    for _ in range(3):
        assert (await api.call("GET", "/me", headers=headers)).status_code == 200
    body = assert_problem(await api.call("GET", "/me", headers=headers), 429, "rate_limited")
    response = await api.call("GET", "/me", headers=headers)
    assert response.headers["retry-after"] == str(body["details"]["retry_after"])
    other = {"Authorization": f"Bearer {await stage.bearer(stage.operator)}"}  # of the same user
    await api.call("GET", "/me", headers=other)
    assert_problem(await api.call("GET", "/me", headers=other), 429, "rate_limited")
    for _ in range(15):
        assert (await api.call("GET", "/ca")).status_code == 200
    assert_problem(await api.call("GET", "/ca"), 429, "rate_limited")
    assert (await api.http.get("/healthz")).status_code == 200


async def test_who_is_known_does_not_wait_for_strangers_at_the_same_address(stage: Stage) -> None:
    api = Api(stage, RestSettings(rate_per_second=0.001, burst=3))
    text = await stage.bearer(stage.operator)
    headers = {"Authorization": f"Bearer {text}"}
    assert (await api.call("GET", "/me", headers=headers)).status_code == 200
    while (await api.call("GET", "/ca")).status_code == 200:
        pass
    guess = {"Authorization": f"Bearer {text[:-1]}{'A' if text[-1] != 'A' else 'B'}"}
    assert_problem(await api.call("GET", "/me", headers=guess), 429, "rate_limited")
    assert (await api.call("GET", "/me", headers=headers)).status_code == 200
    assert (await api.call("POST", "/logout", headers=headers)).status_code == 204
    assert_problem(await api.call("GET", "/me", headers=headers), 429, "rate_limited")  # its own
    other = await stage.bearer(stage.admin("bank-a"))
    known = {"Authorization": f"Bearer {other}"}
    assert_problem(await api.call("GET", "/me", headers=known), 429, "rate_limited")  # not yet


async def test_who_is_known_stays_known_while_the_database_is_away(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = Api(stage, RestSettings(rate_per_second=0.001, burst=3))
    headers = {"Authorization": f"Bearer {await stage.bearer(stage.operator)}"}
    assert (await api.call("GET", "/me", headers=headers)).status_code == 200

    def away() -> Any:
        raise InfrastructureError("database_unavailable", "It is away.")

    with monkeypatch.context() as patched:
        patched.setattr(stage.services.tokens, "_begin", away)
        response = await api.call("GET", "/me", headers=headers)
        assert_problem(response, 503, "database_unavailable")
    while (await api.call("GET", "/ca")).status_code == 200:
        pass
    assert (await api.call("GET", "/me", headers=headers)).status_code == 200


async def test_only_a_listed_proxy_names_the_address(stage: Stage) -> None:
    slow = {"rate_per_second": 0.001, "burst": 1}
    forged = [{"X-Forwarded-For": f"192.0.2.{n}"} for n in range(20)]
    direct = Api(stage, RestSettings.model_validate(slow))
    codes = [(await direct.call("GET", "/ca", headers=one)).status_code for one in forged]
    assert codes.count(200) == 5
    behind = Api(stage, RestSettings.model_validate({**slow, "proxies": ["127.0.0.1/32"]}))
    codes = [(await behind.call("GET", "/ca", headers=one)).status_code for one in forged]
    assert codes.count(200) == 20
    same = [{"X-Forwarded-For": f"192.0.2.{n}, 203.0.113.9"} for n in range(20)]
    codes = [(await behind.call("GET", "/ca", headers=one)).status_code for one in same]
    assert codes.count(200) == 5


async def test_a_defect_is_a_problem_without_its_trace(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        message = "secret detail"
        raise RuntimeError(message)

    monkeypatch.setattr(api.stage.services.projects, "list", broken)
    response = await api.call("GET", "/projects", api.stage.operator)
    assert_problem(response, 500, "internal")
    assert "secret detail" not in response.text


async def test_a_limit_of_open_files_is_no_defect(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def limited(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(api.stage.services.projects, "list", limited)
    response = await api.call("GET", "/projects", api.stage.operator)
    assert_problem(response, 503, "too_many_files")


async def test_health_readiness_and_metrics(api: Api) -> None:
    await api.call("GET", "/jobs/some-unknown-id", api.stage.operator)
    assert (await api.http.get("/healthz")).json() == {"status": "ok", "version": __version__}
    assert (await api.http.get("/readyz")).status_code == 200
    text = (await api.http.get("/metrics")).text
    assert 'secureflow_jobs{state="proposed"} 1.0' in text
    assert 'secureflow_jobs{state="running"} 1.0' in text
    assert f"secureflow_ledger_size {float(len(api.stage.ledger.log))}" in text
    assert 'operation="get_job",status="404"' in text
    assert "some-unknown-id" not in text
    for secret in ("bank-a", "income model", *api.stage.ids.values()):
        assert secret not in text


async def test_unready_parts_are_named(stage: Stage) -> None:
    async def readiness() -> dict[str, bool]:
        return {"database": True, "ledger": False}

    object.__setattr__(stage.services, "readiness", readiness)
    response = await Api(stage, FAST).http.get("/readyz")
    assert (response.status_code, json.loads(response.text)["ledger"]) == (503, False)


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
async def test_metrics_are_for_this_machine(api: Api, header: str) -> None:
    assert (await api.http.get("/metrics")).status_code == 200
    passed_on = await api.http.get("/metrics", headers={header: "127.0.0.1"})
    assert_problem(passed_on, 401, "unauthenticated")
    transport = httpx.ASGITransport(api.app, client=("192.0.2.7", 1))
    async with httpx.AsyncClient(transport=transport, base_url="https://test") as other:
        assert_problem(await other.get("/metrics"), 401, "unauthenticated")


async def test_metrics_have_a_token_of_their_own(stage: Stage) -> None:
    api = Api(stage, RestSettings.model_validate({"metrics_token": "scrape-scrape-scrape"}))
    for token in ("", "wrong", await stage.bearer(stage.operator)):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        assert_problem(await api.http.get("/metrics", headers=headers), 401, "unauthenticated")
    transport = httpx.ASGITransport(api.app, client=("192.0.2.7", 1))
    async with httpx.AsyncClient(transport=transport, base_url="https://test") as other:
        headers = {"Authorization": "Bearer scrape-scrape-scrape"}
        assert (await other.get("/metrics", headers=headers)).status_code == 200


async def test_a_scrape_reads_what_changed_and_nothing_else(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = api.stage
    first = (await api.http.get("/metrics")).text
    assert 'secureflow_jobs{state="running"} 1.0' in first
    listed: list[str] = []
    found: list[str] = []
    lists, finds = MemoryStore.list, MemoryStore.find

    async def noting_list(self: MemoryStore, **how: Any) -> Any:
        listed.append(self._name)
        return await lists(self, **how)

    async def noting_find(self: MemoryStore, key: str) -> Any:
        found.append(key)
        return await finds(self, key)

    monkeypatch.setattr(MemoryStore, "list", noting_list)
    monkeypatch.setattr(MemoryStore, "find", noting_find)
    async with stage.database.begin() as work:
        job = await work.jobs.get(stage.ids["outsider.job"])
    await stage.finish(job, state=JobState.SUCCEEDED)
    stage.services.metrics.job_changed(job.id)
    text = (await api.http.get("/metrics")).text
    assert 'secureflow_jobs{state="running"} 0.0' in text
    assert 'secureflow_jobs{state="proposed"} 1.0' in text
    assert (listed, found) == ([], [job.id])
    await api.http.get("/metrics")
    assert (listed, found) == ([], [job.id])


def test_jobs_that_change_between_two_scrapes_are_bounded() -> None:
    metrics = Metrics()
    metrics._unfinished = {}
    for n in range(3 * MOST_CHANGED):
        metrics.job_changed(f"job-{n}")
        assert len(metrics._changed) <= MOST_CHANGED
    assert metrics._unfinished is None  # all are counted anew
