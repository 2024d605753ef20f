"""A running centre and a browser, shared by all tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Final

import pytest
from peers.browsers import chromium, demand_browser

from secureflow.domain.schemas import DatasetPrivacy
from tests.browser.console.place import (
    LANGUAGES,
    PATIENCE,
    WIDE,
    Centre,
    demand_build,
    log_in,
    served,
)

BUDGET: Final = DatasetPrivacy("adult", epsilon=100.0, delta=1e-4, required=False)
Opens = Callable[..., Any]
"""Opens a page in a browser of its own, logged in as somebody or as nobody."""


@pytest.fixture(scope="package")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Centre]:
    """Three banks: none computes sums with only one other."""
    demand_browser()
    demand_build()
    with served(tmp_path_factory.mktemp("console") / "p", 3, budget=BUDGET) as made:
        yield made


@pytest.fixture(scope="package")
def browser(centre: Centre) -> Iterator[Any]:
    """Opens after the platform was made: Playwright's loop runs from then on."""
    with chromium() as started:
        yield started


def note(said: list[str], message: Any) -> None:
    """Keep what a console complains of, and where."""
    if message.type == "error":
        said.append(f"{message.text} {message.location.get('url', '')}".strip())


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
    with ExitStack() as stack:

        def own(who: str, language: str) -> Any:
            return browser.new_context(
                **{"base_url": centre.url, "locale": LANGUAGES[language], "viewport": WIDE,
                   "ignore_https_errors": True,
                   "storage_state": centre.states.get(who)}
            )  # fmt: skip

        def new(
            who: str = "", language: str = "en", theme: str = "light", *, fresh: bool = False
        ) -> Any:
            if fresh or not who:
                made = own(who, language)
                stack.callback(made.close)
            else:
                made = kept[who, language] = kept.get((who, language)) or own(who, language)
            page = made.new_page()
            stack.callback(page.close)
            page.emulate_media(color_scheme=theme)
            page.set_default_timeout(PATIENCE * 1000)
            page.on("console", lambda one: note(said, one))
            page.on("pageerror", lambda one: said.append(str(one)))
            if who and who not in centre.states:
                page.goto("/login")
                log_in(page, who, language)
                page.get_by_role("navigation").wait_for()
                centre.states[who] = made.storage_state(indexed_db=False)
            return page

        yield new
