"""Every engine, each with a folder of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from peers.deadlines import Deadlines

from tests.contract.mpcengines.cases import CASES, Bench, bench_of


@pytest.fixture(params=CASES)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with bench_of(request.param) as made:
        yield made


@pytest.fixture
def deadlines(monkeypatch: pytest.MonkeyPatch) -> Deadlines:
    return Deadlines(monkeypatch)
