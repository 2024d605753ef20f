"""A centre whose data can be asked for numbers, and the browsers of the console's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from peers.browsers import demand_browser

from tests.browser.asked.place import asked
from tests.browser.console.conftest import browser, kept, opens, said
from tests.browser.console.place import Centre, demand_build

__all__ = ["browser", "kept", "opens", "said"]


@pytest.fixture(scope="package")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Centre]:
    """Three banks with customers' tables."""
    demand_browser()
    demand_build()
    with asked(tmp_path_factory.mktemp("forms") / "p") as made:
        yield made
