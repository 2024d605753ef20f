"""A server that hangs costs a call no more than its time."""

from __future__ import annotations

import socket
import time
from typing import Any

import httpx
import pytest

from secureflow.kit.errors import SecureFlowError
from secureflow.sdk import Client
from secureflow.sdk.connection import Connection, exchange
from secureflow.sdk.deadline import SECONDS, patience
from secureflow.sdk.drivers import BlockingDriver
from secureflow.sdk.verbs import get, post, read_large


class Hanging:
    """A server that answers nothing, on a clock of its own."""

    def __init__(self, error: type[httpx.TransportError]) -> None:
        self.now = 0.0
        self.tries = 0
        self.error = error

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.tries += 1
        wanted = "connect" if self.error is httpx.ConnectTimeout else "read"
        self.now += request.extensions["timeout"][wanted]
        raise self.error("timed out")

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def driver(self) -> BlockingDriver:
        connection = Connection("https://centre.example", "sft_x", ticks=lambda: self.now)
        http = httpx.Client(transport=httpx.MockTransport(self))
        driver = BlockingDriver(connection, http)
        driver.sleep = self.sleep
        return driver


@pytest.mark.parametrize("error", [httpx.ReadTimeout, httpx.ConnectTimeout])
@pytest.mark.parametrize(
    ("call", "most"),
    [
        (get("/me", dict), SECONDS),
        (post("/jobs", {}, lambda _: None), 2 * SECONDS),
        (read_large("/jobs/job_1/bundle", lambda _: None), 8 * SECONDS),
    ],
)
def test_all_tries_together_have_one_deadline(
    call: Any, most: float, error: type[httpx.TransportError]
) -> None:
    server = Hanging(error)
    driver = server.driver()
    with pytest.raises(SecureFlowError) as refused:
        driver.run(exchange(driver.connection, call))
    assert refused.value.code == "unavailable"
    assert server.tries > 1
    assert server.now <= most + 0.2
    assert refused.value.details["tries"] == server.tries
    assert (
        f"{server.tries} tries in {refused.value.details['seconds']:g} s" in refused.value.message
    )


def test_a_server_that_is_busy_is_waited_for(sdk_server: type) -> None:
    busy = httpx.Response(503, headers={"Retry-After": "20"}, json={"code": "unavailable"})
    server = sdk_server(busy, busy, busy, httpx.Response(200, json={"size": 1}))
    assert server.client().audit.head() == {"size": 1}
    assert server.pauses == [20.0, 20.0, 20.0]


def test_a_real_socket_that_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        began = time.monotonic()
        with Client(url, "sft_x", patience=0.5) as client, pytest.raises(SecureFlowError) as told:
            client.me()
    assert told.value.code == "unavailable"
    assert time.monotonic() - began < SECONDS / 3


def test_patience_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    assert patience(None) == SECONDS
    monkeypatch.setenv("SECUREFLOW_PATIENCE", "5")
    assert (patience(None), patience(7.0)) == (5.0, 7.0)
    for wrong in ("soon", "0", "-1", "inf", "nan"):
        monkeypatch.setenv("SECUREFLOW_PATIENCE", wrong)
        with pytest.raises(SecureFlowError, match="is not a valid time limit for a call"):
            patience(None)
