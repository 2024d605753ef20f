"""A running centre and a browser, shared by the tests of a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from peers.browsers import chromium, demand_browser

from tests.browser.console.place import (
    LANGUAGES,
    PATIENCE,
    WIDE,
    Centre,
    demand_build,
    log_in,
    served,
)

Opens = Callable[..., Any]
"""Opens a page in a browser of its own, logged in as somebody or as nobody."""


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Centre]:
    demand_browser()
    demand_build()
    with served(tmp_path_factory.mktemp("console") / "p") as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    demand_browser()
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


@pytest.fixture
def opens(centre: Centre, browser: Any, said: list[str]) -> Iterator[Opens]:
    with ExitStack() as stack:

        def new(who: str = "", language: str = "en", url: str = "", **options: Any) -> Any:
            made = browser.new_context(
                **{"base_url": url or centre.url, "locale": LANGUAGES[language],
                   "viewport": WIDE, "ignore_https_errors": True,
                   "storage_state": centre.states.get(who), **options}
            )  # fmt: skip
            stack.callback(made.close)
            page = made.new_page()
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
