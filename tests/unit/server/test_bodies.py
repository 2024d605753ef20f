"""Bodies are read after their sender is known, within bounds, and parsed once."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator
from typing import Any

import h11
import pytest
from starlette.requests import Request

from secureflow.kit.plain import hidden
from secureflow.server.protocol import CRUMB, MOST_CRUMBS, PER_CRUMB, _Wire
from secureflow.server.rest import bodies
from secureflow.server.rest.session import LOGIN_BYTES
from secureflow.server.settings import RestSettings
from tests.stage import FEATURES, Stage
from tests.unit.server.conftest import Api
from tests.unit.server.test_edge import assert_problem

PROJECT = {"name": "n", "purpose": "p"}
JSON_TYPE = {"Content-Type": "application/json"}


@pytest.fixture
def parses(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that notes the thread of every parse of a body, by whatever parser."""
    threads: list[int] = []
    parser = bodies.parse_json

    def parse(*given: Any) -> Any:
        threads.append(threading.get_ident())
        return parser(*given)

    async def starlettes(request: Request) -> Any:
        threads.append(threading.get_ident())
        return json.loads(await request.body())

    monkeypatch.setattr(bodies, "parse_json", parse)
    monkeypatch.setattr(Request, "json", starlettes)
    return threads


class Watched:
    """A body that notes that somebody reads it."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.read = 0

    async def stream(self) -> AsyncIterator[bytes]:
        self.read += 1
        yield self.text


@pytest.mark.parametrize("path", ["/projects", "/jobs", "/me/password", "/tokens", "/enrolments"])
@pytest.mark.parametrize("token", ["", "Bearer sft_" + "0" * 20 + "_" + "a" * 43, "Basic YTpi"])
async def test_without_a_token_no_byte_is_read(
    api: Api, parses: list[int], path: str, token: str
) -> None:
    headers = JSON_TYPE | ({"Authorization": token} if token else {})
    for more in ({}, {"Idempotency-Key": "k"}):
        body = Watched(b"[" + b"[]," * 300_000 + b"[]]")
        answer = await api.call("POST", path, content=body.stream(), headers=headers | more)
        assert_problem(answer, 401, "unauthenticated")
        assert body.read == 0
    assert parses == []


async def test_who_hangs_up_in_the_middle_of_a_body_is_no_defect(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    scope = {
        "type": "http", "method": "POST", "path": "/api/v1/login", "raw_path": b"/api/v1/login",
        "query_string": b"", "root_path": "", "scheme": "https", "http_version": "1.1",
        "headers": [(b"content-type", b"application/json"), (b"content-length", b"100")],
        "client": ("192.0.2.1", 1), "server": ("test", 443),
    }  # fmt: skip
    said: list[dict[str, Any]] = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]
    told: list[Any] = []

    async def receive() -> Any:
        return said.pop(0) if len(said) > 1 else said[0]

    async def send(message: Any) -> None:
        told.append(message)

    await api.app(scope, receive, send)
    assert told[0]["status"] == 400
    assert not caplog.records


async def test_a_body_is_parsed_once(api: Api, parses: list[int]) -> None:
    scientist = api.stage.scientist("bank-a")
    for n, headers in enumerate(({}, {"Idempotency-Key": "once"}, {"Idempotency-Key": "once"}), 1):
        answer = await api.call("POST", "/projects", scientist, json=PROJECT, headers=headers)
        assert answer.status_code == 201
        assert len(parses) == n
    assert set(parses) == {threading.get_ident()}


async def test_a_large_one_is_parsed_off_the_loop(api: Api, parses: list[int]) -> None:
    stage = api.stage
    banks = ("bank-a", "bank-b", "bank-c")
    body = {
        "kind": "training",
        "project": stage.ids["project"],
        "name": "n",
        "purpose": "credit-scoring",
        "datasets": [stage.ids[f"{bank}.dataset"] for bank in banks],
        "features": FEATURES,
    }
    text = json.dumps(body).encode() + b" " * bodies.LARGE
    answer = await api.call(
        "POST", "/jobs/dry-run", stage.scientist("bank-a"), content=text, headers=JSON_TYPE
    )
    assert answer.status_code == 200, answer.text
    assert len(parses) == 1
    assert parses[0] != threading.get_ident()
    assert answer.json()["spec"]["name"] == "n"
    wrong = json.dumps({**body, "surprise": 1}).encode() + b" " * bodies.LARGE
    answer = await api.call(
        "POST", "/jobs/dry-run", stage.scientist("bank-a"), content=wrong, headers=JSON_TYPE
    )
    told = assert_problem(answer, 422, "invalid_request")
    assert told["details"]["fields"][0]["field"] == "surprise"


@pytest.mark.parametrize(
    ("path", "most"), [("/login", LOGIN_BYTES), ("/enroll", bodies.OPEN_BYTES)]
)
async def test_strangers_may_send_little(api: Api, parses: list[int], path: str, most: int) -> None:
    async def crumbs() -> AsyncIterator[bytes]:
        for _ in range(most // 1024 + 1):
            yield b" " * 1024

    for content in (b" " * (most + 1), crumbs()):  # with a length, and without
        answer = await api.call("POST", path, content=content, headers=JSON_TYPE)
        assert assert_problem(answer, 413, "too_large")["details"] == {"limit": most}
    assert parses == []


@pytest.mark.parametrize("piece", [b"[],", b"1,", b'"":1,', b"{},", b"[[],[]],"])
async def test_too_many_values_are_refused_before_any_is_made(
    api: Api, parses: list[int], piece: bytes
) -> None:
    text = b"[" + piece * ((1 << 20) // len(piece) - 1) + b"0]"
    answer = await api.call(
        "POST", "/projects", api.stage.scientist("bank-a"), content=text, headers=JSON_TYPE
    )
    assert_problem(answer, 413, "too_large")
    assert parses == []


async def test_the_problems_of_a_large_body_are_counted_and_not_listed(api: Api) -> None:
    keys = ",".join(f'"key-{n}":1' for n in range(10_000))
    answer = await api.call(
        "POST", "/projects", api.stage.scientist("bank-a"), content=f"{{{keys}}}".encode(),
        headers=JSON_TYPE,
    )  # fmt: skip
    told = assert_problem(answer, 422, "invalid_request")
    assert "10002 places" in told["detail"]
    assert told["details"] == {}


async def test_a_dear_body_counts_as_several_requests(stage: Stage) -> None:
    api = Api(stage, RestSettings(rate_per_second=0.001, burst=30))
    token = {"Authorization": f"Bearer {await stage.bearer(stage.scientist('bank-a'))}"}
    keys = ",".join(f'"key-{n}":1' for n in range(10_000))
    text = f"{{{keys}}}".encode()
    answer = await api.call("POST", "/projects", content=text, headers=JSON_TYPE | token)
    assert answer.status_code == 422
    codes = [(await api.call("GET", "/me", headers=token)).status_code for _ in range(12)]
    assert codes.count(200) == 9  # the request was one turn, and its 20,000 separators were 20


def test_a_body_in_crumbs_is_cut_off() -> None:
    def fed(piece: bytes, count: int) -> _Wire:
        wire = _Wire(h11.SERVER)
        head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunk = f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
        wire.receive_data(head + chunk * count)
        return wire

    large = fed(b"x" * 1024, 1000)
    while large.next_event() is not h11.NEED_DATA:
        pass
    small = fed(b"x", 1000)
    for _ in range(1 + MOST_CRUMBS):
        assert small.next_event() is not h11.NEED_DATA
    with pytest.raises(h11.RemoteProtocolError):
        small.next_event()


def test_a_long_body_may_have_a_small_piece_for_each_large_one() -> None:
    """A sender's writes need not be whole records: each may end in a piece of one byte."""
    wire = _Wire(h11.SERVER)
    wire.receive_data(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
    assert isinstance(wire.next_event(), h11.Request)
    for _ in range(4 * MOST_CRUMBS):
        for piece in (PER_CRUMB, 1):
            wire.receive_data(b"x" * piece)
            assert isinstance(wire.next_event(), h11.Data)

    def crumbs() -> None:
        for _ in range(2 * MOST_CRUMBS):
            wire.receive_data(b"x" * (CRUMB - 1))
            wire.next_event()

    with pytest.raises(h11.RemoteProtocolError):
        crumbs()


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("name", ["k" * 900_000, "\x1b[2J\u202e", "\x1b" * 10_000, "a\nb"])
async def test_names_of_others_come_back_short_and_visible(api: Api, name: str, lang: str) -> None:
    """A problem is no mirror: it is shown on terminals, and kept for repeated requests."""
    for place in ({name: 1}, {"plan": {name: 1}}, {"plan": {"strategy": {"name": name}}}):
        body = {"kind": "training", "project": "p", "name": "n", "purpose": "p", "datasets": []}
        answer = await api.call(
            "POST", "/jobs", api.stage.scientist("bank-a"), json=body | place,
            headers={"Accept-Language": lang},
        )  # fmt: skip
        told = assert_problem(answer, 422, "invalid_request")
        assert len(answer.content) < 16_384
        assert not hidden(told["detail"])
        assert not any(hidden(text) for one in told["details"]["fields"] for text in one.values())


@pytest.mark.parametrize(
    "body", ['{"kind":"training","kind":"statistics"}', '{"a":[{"b":1,"b":1}]}']
)
async def test_a_name_stands_in_a_body_once(api: Api, body: str) -> None:
    for path in ("/jobs", "/projects"):
        answer = await api.call(
            "POST", path, api.stage.scientist("bank-a"), content=body.encode(), headers=JSON_TYPE
        )
        assert_problem(answer, 400, "malformed_json")


async def test_who_was_shut_out_while_a_body_came_does_nothing_with_it(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body may be sent over hours: its sender's access counts as it is when it has come."""
    monkeypatch.setattr(bodies, "SLOW", -1.0)
    stage, sender = api.stage, api.stage.scientist("bank-a")
    before = len(stage.database.tables.rows["projects"])

    async def slowly() -> AsyncIterator[bytes]:
        yield b'{"name": "p", '
        await stage.services.users.update(stage.admin("bank-a"), sender.user, disabled=True)
        yield b'"purpose": "x"}'

    answer = await api.call("POST", "/projects", sender, content=slowly(), headers=JSON_TYPE)
    assert_problem(answer, 401, "unauthenticated")
    assert len(stage.database.tables.rows["projects"]) == before
