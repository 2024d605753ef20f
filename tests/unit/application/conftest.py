from __future__ import annotations

from pathlib import Path

import pytest

from tests.stage import Stage, two_worlds


@pytest.fixture
async def stage(tmp_path: Path) -> Stage:
    return await two_worlds(tmp_path)
