"""An enclave with an open job of four organisations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from peers.enclaves import EnclaveWorld, enclave_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[EnclaveWorld]:
    async with enclave_world(tmp_path) as running:
        yield running
