"""The live API over the real database: uvicorn on a loopback port in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn

from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.log import SqlLedger
from secureflow.domain.users import Role, User
from secureflow.kit.crypto import SigningKey
from secureflow.server.rest.app import create_app
from secureflow.server.settings import RestSettings
from tests.stage import ORIGIN, Stage, empty_stage, populated


@dataclass
class Live:
    url: str
    stage: Stage
    token: str


class _Thread:
    """Builds the platform, serves it, and ends it, all on one event loop."""

    def __init__(self, directory: Path, url: str) -> None:
        self._directory = directory
        self._url = url
        self._ready = threading.Event()
        self._server: uvicorn.Server | None = None
        self.live: Live | None = None
        self.thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> Live:
        self.thread.start()
        self._ready.wait(60)
        assert self.live is not None, "the server did not start"
        return self.live

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.should_exit = True
        self.thread.join(30)

    async def _serve(self) -> None:
        database = Database(self._url)
        await database.start()
        key = SigningKey.generate()
        ledger = SqlLedger(database, key, ORIGIN)
        await ledger.start()
        try:
            stage = await populated(empty_stage(self._directory, key, database, ledger))
            stage.stopping[0] = True  # a stream that has nothing more to tell ends at once
            app = create_app(stage.services, RestSettings(rate_per_second=1e6, burst=1_000_000))
            listener = socket.create_server(("127.0.0.1", 0))  # its backlog holds early calls
            config = uvicorn.Config(app, log_config=None, lifespan="off")
            self._server = uvicorn.Server(config)
            token = await stage.bearer(await _all_round(stage))
            self.live = Live(f"http://127.0.0.1:{listener.getsockname()[1]}", stage, token)
            self._ready.set()
            await self._server.serve([listener])
        finally:
            self._ready.set()
            await ledger.stop()
            await database.close()


async def _all_round(stage: Stage) -> object:
    """Make a person of bank-a with every role, so that generated requests come far."""
    roles = tuple(role for role in Role if role is not Role.PLATFORM_ADMIN)
    person = stage.admin("bank-a")
    user = User(person.user, "all.round", "All", "bank-a", roles, "no hash", stage.now[0])
    async with stage.database.begin() as work:
        await work.users.save(user)
        await work.commit()
    return person


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    directory = tmp_path_factory.mktemp("live")
    with _Thread(directory, f"sqlite:///{directory / 'test.db'}") as live:
        yield live


@pytest.fixture(scope="module")
def live_on_postgres(
    tmp_path_factory: pytest.TempPathFactory, empty_postgres: Callable[[], str]
) -> Iterator[Live]:
    with _Thread(tmp_path_factory.mktemp("live"), empty_postgres()) as live:
        yield live
