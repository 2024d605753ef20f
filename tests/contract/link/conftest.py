"""A centre over real mTLS on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from peers.links import Centre, Cutter, Pki


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path / "pki")


@pytest.fixture
async def centre(pki: Pki, tmp_path: Path) -> AsyncIterator[Centre]:
    running = await Centre(pki, tmp_path).start()
    yield running
    await running.server.stop(0)


@pytest.fixture
async def cutter(centre: Centre) -> AsyncIterator[Cutter]:
    proxy = await Cutter(centre.port).start()
    yield proxy
    await proxy.stop()


@pytest.fixture
async def ending() -> AsyncIterator[AsyncExitStack]:
    """Ends what a test starts itself, where it fails as well: no other test has to do with it."""
    async with AsyncExitStack() as stack:
        yield stack
