"""A running centre and a browser, shared by all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final

import pytest
from peers.browsers import PATIENCE, chromium, demand_browser

from secureflow.demo.anchoring import DemoAnchors
from secureflow.domain.schemas import DatasetPrivacy
from tests.browser.console.place import (
    LANGUAGES,
    PASSWORD,
    WIDE,
    Centre,
    demand_build,
    served,
)
from tests.browser.opening import Opening, Opens

BUDGET: Final = DatasetPrivacy("adult", epsilon=100.0, delta=1e-4, required=False)


@pytest.fixture(scope="package")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Centre]:
    """Three banks: none computes sums with only one other. The first keeps anchors of all."""
    demand_browser()
    demand_build()
    directory = tmp_path_factory.mktemp("console")
    with ExitStack() as stack:
        file = DemoAnchors("file", stack, directory / "npm")
        anchored = {"enrolled": file.before_start}
        yield stack.enter_context(served(directory / "p", 3, budget=BUDGET, **anchored))


@pytest.fixture(scope="package")
def browser(centre: Centre) -> Iterator[Any]:
    """Opens after the platform was made: Playwright's loop runs from then on."""
    with chromium(centre.url) as started:
        yield started


@pytest.fixture
def said() -> list[str]:
    """What the consoles of the opened pages complained about."""
    return []


@pytest.fixture(scope="package")
def kept() -> dict[tuple[str, str], Any]:
    """Person and language → their browser, which has the program's files by now."""
    return {}


@pytest.fixture
def opens(
    centre: Centre, browser: Any, kept: dict[tuple[str, str], Any], said: list[str]
) -> Iterator[Opens]:
    """Return what opens a page in a person's browser; in one of its own for nobody, or `fresh`."""

    def own(language: str, cookies: Any) -> Any:
        return browser.new_context(
            base_url=centre.url, locale=LANGUAGES[language], viewport=WIDE,
            ignore_https_errors=True, storage_state=cookies,
        )  # fmt: skip

    def enter(page: Any, who: str, password: str = PASSWORD) -> None:
        """By the form's own request; the form itself is filled in by `test_frame`."""
        given = {"name": who, "password": password, "refresh": False}
        answer = page.request.post("/api/v1/session", data=given, headers={"Origin": centre.url})
        assert answer.ok, answer.text()

    opening = Opening(own, enter, PATIENCE, centre.states, kept, said)
    with opening.stack:
        yield opening
