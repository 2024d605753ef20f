"""A client continues its login by itself, alone or beside other programs of the same profile."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import httpx
import pytest

from secureflow.kit.errors import SecureFlowError
from secureflow.sdk import Client, Profile, load_profile, save_profile
from secureflow.sdk.profile import ProfileTokens
from tests.unit.sdk.conftest import URL, Server

ACCOUNT = {"id": "usr_00000000", "name": "sam"}


def answer(body: Any, status: int = 200) -> httpx.Response:
    return httpx.Response(status, json=body)


def refusal(code: str, status: int = 401) -> httpx.Response:
    return httpx.Response(status, json={"code": code, "detail": "No.", "status": status})


def session(number: int) -> httpx.Response:
    tokens = {"token": f"sft_{number}", "refresh": f"sfr_{number}"}
    return answer({**tokens, "expires": 9, "refresh_expires": 99, "user": ACCOUNT})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return save_profile(Profile(URL, "", "sft_1", "sam", "sfr_1"), tmp_path / "profile.json")


def client(server: Server, path: Path) -> Client:
    made = Client.from_profile(load_profile(path), path)
    made._http._transport = httpx.MockTransport(server)
    made._http._mounts = {}
    made._driver.sleep = lambda _: None  # type: ignore[attr-defined]
    return made


def test_an_expired_token_is_renewed_and_kept_with_mode_0600(path: Path) -> None:
    server = Server(refusal("token_expired"), session(2), answer(ACCOUNT), answer(ACCOUNT))
    with client(server, path) as mine:
        assert mine.me().name == "sam"
        mine.me()
    asked, refreshed, again, last = server.requests
    assert refreshed.url.path == "/api/v1/refresh"
    assert json.loads(refreshed.content) == {"refresh": "sfr_1"}
    assert "Authorization" not in refreshed.headers
    assert asked.headers["Authorization"] == "Bearer sft_1"
    assert again.headers["Authorization"] == last.headers["Authorization"] == "Bearer sft_2"
    kept = load_profile(path)
    assert (kept.token, kept.refresh, kept.url, kept.user) == ("sft_2", "sfr_2", URL, "sam")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_another_program_has_renewed_is_taken_and_no_token_is_used_twice(path: Path) -> None:
    server = Server(refusal("token_expired"), answer(ACCOUNT))
    with client(server, path) as mine:
        ProfileTokens(path).store(type(ProfileTokens(path).load())("sft_7", "sfr_7"))
        mine.me()
    assert [one.url.path for one in server.requests] == ["/api/v1/me"] * 2
    assert server.requests[1].headers["Authorization"] == "Bearer sft_7"


def test_who_is_second_waits_for_the_first(path: Path) -> None:
    other, waited = ProfileTokens(path), []
    assert other.lock()
    server = Server(refusal("token_expired"), answer(ACCOUNT))
    mine = client(server, path)

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            other.store(type(other.load())("sft_8", "sfr_8"))
            other.unlock()

    mine._driver.sleep = sleep  # type: ignore[attr-defined]
    mine.me()
    mine.close()
    assert len(waited) == 3
    assert server.requests[-1].headers["Authorization"] == "Bearer sft_8"
    assert other.lock()  # it was let go
    other.unlock()


def test_a_refresh_whose_answer_is_lost_is_repeated_with_the_same_token(path: Path) -> None:
    server = Server(
        refusal("token_expired"), httpx.ReadTimeout("lost"), httpx.ReadError("cut"), session(2),
        answer(ACCOUNT),
    )  # fmt: skip
    with client(server, path) as mine:
        mine.me()
    bodies = [one.content for one in server.requests if one.url.path.endswith("/refresh")]
    assert len(bodies) == 3
    assert len(set(bodies)) == 1
    timeouts = server.requests[1].extensions["timeout"]
    assert timeouts["read"] * 3 < 20  # all within the server's seconds


def test_a_login_that_has_ended_is_said_once(path: Path) -> None:
    server = Server(refusal("token_expired"), refusal("refresh_ended"))
    with client(server, path) as mine, pytest.raises(SecureFlowError) as caught:
        mine.me()
    assert caught.value.code == "refresh_ended"
    assert load_profile(path).refresh == "sfr_1"


def test_a_fresh_token_that_is_refused_too_is_not_renewed_again(path: Path) -> None:
    server = Server(refusal("unauthenticated"), session(2), refusal("unauthenticated"))
    with client(server, path) as mine, pytest.raises(SecureFlowError) as caught:
        mine.me()
    assert caught.value.code == "unauthenticated"
    assert len(server.requests) == 3


def test_without_a_refresh_token_everything_is_as_it_was(sdk_server: type[Server]) -> None:
    server = sdk_server(refusal("token_expired"))
    with pytest.raises(SecureFlowError) as caught:
        server.client().me()
    assert caught.value.code == "token_expired"
    assert len(server.requests) == 1


def test_logging_out_sends_the_refresh_token_too(path: Path) -> None:
    server = Server(httpx.Response(204))
    with client(server, path) as mine:
        mine.logout()
    assert json.loads(server.requests[0].content) == {"refresh": "sfr_1"}


async def test_the_async_client_renews_as_well(sdk_server: type[Server]) -> None:
    server = sdk_server(session(1), refusal("token_expired"), session(2), answer(ACCOUNT))
    async with server.async_client(token="") as mine:
        await mine.login("sam", "secret", refresh=True)
        assert (await mine.me()).name == "sam"
    assert json.loads(server.requests[0].content)["refresh"] is True
    assert server.requests[-1].headers["Authorization"] == "Bearer sft_2"


def test_a_stream_that_outlives_its_token_goes_on(
    sdk_server: type[Server], sdk_job: dict[str, Any]
) -> None:
    server = sdk_server(
        session(1), refusal("token_expired"), session(2), httpx.Response(200, content=b""),
        answer(sdk_job | {"state": "succeeded"}),
    )  # fmt: skip
    mine = server.client(token="")
    mine.login("sam", "secret", refresh=True)
    assert list(mine.jobs.watch(sdk_job["id"])) == []
    streams = [one for one in server.requests if one.url.path.endswith("/events")]
    assert [one.headers["Authorization"] for one in streams] == ["Bearer sft_1", "Bearer sft_2"]
