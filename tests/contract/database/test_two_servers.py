"""Two whole servers on one folder and database: each is seen by the other under its own name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from secureflow.application.revocations import RevocationWatch
from secureflow.application.running.claims import poll_forever
from secureflow.engines.ledger.setback import Hold
from secureflow.server import centre as module
from secureflow.server.centre import Centre, open_centre
from secureflow.server.rpc import PartyDesk
from secureflow.server.services import Services
from secureflow.server.settings import ServerSettings
from tests.contract.database.test_restore import new_centre


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
    made = ServerSettings.load(new_centre(tmp_path / "centre"))
    return made.model_copy(update={"link": made.link.model_copy(update={"port": 0})})


@pytest.fixture
async def both(
    settings: ServerSettings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[list[Centre]]:
    """Return two servers that look often at what the other did."""
    monkeypatch.setattr(module, "poll_forever", partial(poll_forever, interval=0.05))
    async with AsyncExitStack() as stack:
        yield [await open_centre(settings, stack, lambda: False) for _ in range(2)]


async def test_each_of_two_servers_sees_the_other(both: list[Centre]) -> None:
    seen: list[set[str]] = []
    own: list[str] = []
    for centre in both:
        runner: Any = centre.services.jobs._driver
        await runner.poll()
        seen.append(runner._claims.others)
        own.append(runner._claims.name)
    async with both[0].services.begin() as unit:
        named = {beat.name for beat in await unit.claims.heartbeats()}
    assert [named - others for others in seen] == [{name} for name in own]


async def test_nobody_is_let_in_before_it_is_known_who_is_shut_out(
    settings: ServerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first look takes all who are revoked for cut off: who came before it would stay."""
    done: list[str] = []
    opened, looked = PartyDesk.open, RevocationWatch.poll

    def open_(desk: PartyDesk, services: Services) -> None:
        done.append("open")
        opened(desk, services)

    async def look(outs: RevocationWatch) -> None:
        await looked(outs)
        done.append("look")

    monkeypatch.setattr(PartyDesk, "open", open_)
    monkeypatch.setattr(RevocationWatch, "poll", look)
    async with AsyncExitStack() as stack:
        await open_centre(settings, stack, lambda: False)
    assert done[:2] == ["look", "open"]


async def test_a_log_that_goes_on_at_one_server_goes_on_at_the_other(both: list[Centre]) -> None:
    """All agents dial the first: nobody shows or tells the second anything."""
    first, second = (centre.services.guard for centre in both)
    hold = Hold("restored", 1, 0)
    for decided in (hold, None):
        await first._ledger.judge(lambda _hold, _size, decided=decided: decided)
        async with asyncio.timeout(60):
            while (await second.hold_error() is None) != (decided is None):  # noqa: ASYNC110  it tells nobody
                await asyncio.sleep(0.02)
