"""A scripted server behind httpx's mock transport."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from secureflow.sdk import AsyncClient, Client

URL = "https://centre.example:8443"
JOB = {
    "id": "job_00000000",
    "project": "prj_00000000",
    "organisation": "bank-a",
    "name": "income",
    "submitter": "sam",
    "kind": "training",
    "script": "training/1",
    "spec": {},
    "digest": "0" * 64,
    "state": "running",
    "created": 1,
    "updated": 2,
}


class Server:
    """Answers from a script of responses and remembers the requests."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers: Iterator[httpx.Response | Exception] = iter(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client(self, token: str = "sft_x") -> Client:
        client = Client(URL, token, transport=httpx.MockTransport(self))
        self.pauses: list[float] = []
        client._driver.sleep = self.pauses.append  # type: ignore[attr-defined]
        return client

    def async_client(self, token: str = "sft_x") -> AsyncClient:
        client = AsyncClient(URL, token, transport=httpx.MockTransport(self))

        async def sleep(seconds: float) -> None:
            self.pauses.append(seconds)

        client._driver.sleep = sleep  # type: ignore[attr-defined]
        self.pauses = []
        return client


@pytest.fixture(name="sdk_server")
def _server() -> type[Server]:
    return Server


@pytest.fixture(name="sdk_job")
def _job() -> dict[str, Any]:
    return dict(JOB)
