"""Simulations that start no process to account for their privacy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from peers.accounting import InlineAccountant

from secureflow.simulation.training import request

ACCOUNTANT = InlineAccountant()


@pytest.fixture(scope="package", autouse=True)
def _inline() -> Iterator[None]:
    """What the process adds, limits, is shown by `tests/contract/accounting`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(request._ACCOUNTING, "accountant", ACCOUNTANT)
        yield


@pytest.fixture
def processes() -> Iterator[None]:
    """As people have it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(request, "_ACCOUNTING", request._Accounting())
        yield
