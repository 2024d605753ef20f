from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from secureflow.application.access import Principal
from secureflow.server.rest.app import create_app
from secureflow.server.settings import RestSettings
from tests.stage import Stage, two_worlds

FAST = RestSettings(rate_per_second=1e6, burst=1_000_000)


class Api:
    """The live app in this process, spoken to as anybody."""

    def __init__(self, stage: Stage, settings: RestSettings = FAST) -> None:
        self.stage = stage
        self.app = create_app(stage.services, settings)
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self.http = httpx.AsyncClient(transport=transport, base_url="https://test")

    async def call(
        self, method: str, path: str, principal: Principal | None = None, **more: object
    ) -> httpx.Response:
        headers = dict(more.pop("headers", {}))  # type: ignore[call-overload]
        if principal is not None:
            headers["Authorization"] = f"Bearer {await self.stage.bearer(principal)}"
        return await self.http.request(method, f"/api/v1{path}", headers=headers, **more)  # type: ignore[arg-type]


@pytest.fixture
async def stage(tmp_path: Path) -> Stage:
    return await two_worlds(tmp_path)


@pytest.fixture
async def api(stage: Stage) -> AsyncIterator[Api]:
    api = Api(stage)
    async with api.http:
        yield api
