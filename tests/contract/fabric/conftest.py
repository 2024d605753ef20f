"""One network for the tests of a file."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.fabric_world import Network


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """A network whose place has begun with three members."""
    made = Network(tmp_path_factory.mktemp("fabric"))
    try:
        made.start()
        asyncio.run(made.begin())
        yield made
    finally:
        made.stop()


@pytest.fixture
def own_network(tmp_path: Path) -> Iterator[Network]:
    """A network for one test that ends parts of it."""
    made = Network(tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.stop()
