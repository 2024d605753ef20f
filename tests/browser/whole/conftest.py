"""A consortium and a browser, shared by the tests of a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from peers.browsers import PATIENCE, chromium, demand_browser

from secureflow.agent.console.web import DIST
from tests.browser.console.place import demand_build
from tests.browser.opening import note
from tests.browser.whole.place import (
    LANGUAGES,
    OWNERS,
    PASSWORD,
    WIDE,
    Consortium,
    served,
)

Opens = Callable[..., Any]
"""Opens the console, or an owner's page, in a browser of its own, as somebody or as nobody."""


def demand() -> None:
    """Fail or skip where nothing can be visited."""
    demand_browser()
    demand_build()
    if not (DIST / "index.html").exists():
        pytest.fail("the owner's page is not built: run `make web`")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    """Nothing is granted yet by bank-b."""
    demand()
    with served(tmp_path_factory.mktemp("whole") / "p", "bank-a", "bank-c") as made:
        yield made


@pytest.fixture(scope="module")
def browser(whole: Consortium) -> Iterator[Any]:
    with chromium(whole.url()) as started:
        yield started


@pytest.fixture
def said() -> list[str]:
    """What the consoles of the opened pages complained about."""
    return []


@pytest.fixture
def opens(whole: Consortium, browser: Any, said: list[str]) -> Iterator[Opens]:
    with ExitStack() as stack:

        def new(
            who: str = "", where: str = "", language: str = "en", password: str = "", **options: Any
        ) -> Any:
            """`where` is the organisation whose own page it is; the console without."""
            made = browser.new_context(
                **{"locale": LANGUAGES[language], "viewport": WIDE, "ignore_https_errors": True,
                   "storage_state": whole.states.get((where, who)), **options}
            )  # fmt: skip
            stack.callback(made.close)
            page = made.new_page()
            page.set_default_timeout(PATIENCE * 1000)
            page.on("console", lambda one: note(said, one))
            page.on("pageerror", lambda one: said.append(str(one)))
            if who and (where, who) not in whole.states:
                log_in(page, whole, where, who, password or PASSWORD)
                whole.states[where, who] = made.storage_state(indexed_db=False)
            page.goto(whole.url(where) + "/")
            return page

        yield new


def log_in(page: Any, whole: Consortium, where: str, who: str, password: str) -> None:
    """Log in by the form's own request; the form is filled in by who comes with an invitation."""
    place = whole.pages[where] if where else whole.url()
    given: dict[str, Any] = {"name": who, "password": password}
    given |= {"code": ""} if where else {"refresh": False}
    session = "/api/session" if where else "/api/v1/session"
    answer = page.request.post(place + session, data=given, headers={"Origin": place})
    assert answer.ok, answer.text()


@pytest.fixture
def owners(opens: Opens) -> Callable[..., Any]:
    """Opens the own page of an organisation, as the person who decides there."""
    return lambda party, **options: opens(OWNERS[party], party, **options)
