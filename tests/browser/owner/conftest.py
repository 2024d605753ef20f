"""An organisation's own page and a browser, shared by the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest
from peers.browsers import PATIENCE, chromium, demand_browser

from secureflow.agent.console.web import DIST
from tests.browser.opening import Opening, Opens
from tests.browser.place import PASSWORD, Place, served

WIDE: Final = {"width": 1280, "height": 800}
TABLET: Final = {"width": 820, "height": 1180}
LANGUAGES: Final = {"en": "en-GB", "zh": "zh-CN"}
LOGIN: Final = {"en": ("Name", "Password", "Log in"), "zh": ("用户名", "密码", "登录")}
"""Words of the login form: name, password, button."""
CODE: Final = {"en": "Code of the second factor", "zh": "第二因素验证码"}


@pytest.fixture(scope="package")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    demand_browser()
    if not (DIST / "index.html").exists():
        pytest.fail("the owner's page is not built: run `make web`")
    with served(tmp_path_factory.mktemp("owner") / "p") as made:
        yield made


@pytest.fixture(scope="package")
def browser(place: Place) -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="package")
def states() -> dict[str, Any]:
    """The cookies of those who have logged in: a code of a second factor counts once."""
    return {}


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
    place: Place,
    browser: Any,
    states: dict[str, Any],
    kept: dict[tuple[str, str], Any],
    said: list[str],
) -> Iterator[Opens]:
    """Return what opens a page in a person's browser; in one of its own for nobody, or `fresh`."""

    def own(language: str, cookies: Any) -> Any:
        return browser.new_context(
            base_url=place.url, locale=LANGUAGES[language], viewport=WIDE, storage_state=cookies
        )

    def enter(page: Any, who: str) -> None:
        """By the form's own request; the form itself is filled in by `test_owner`."""
        code = place.factors.code(who) if who in place.factors.secrets else ""
        given = {"name": who, "password": PASSWORD, "code": code}
        answer = page.request.post("/api/session", data=given, headers={"Origin": place.url})
        assert answer.ok, answer.text()

    opening = Opening(own, enter, PATIENCE, states, kept, said)
    with opening.stack:
        yield opening


def log_in(page: Any, place: Place, who: str, language: str = "en") -> None:
    """Fill in the login form that a page shows, and send it; with a code where one is asked for."""
    name, password, enter = LOGIN[language]
    page.get_by_label(name, exact=True).fill(who)
    page.get_by_label(password, exact=True).fill(PASSWORD)
    page.get_by_role("button", name=enter, exact=True).click()
    if who in place.factors.secrets:
        page.get_by_label(CODE[language]).fill(place.factors.code(who))
        page.get_by_role("button", name=enter, exact=True).click()


def session_of(page: Any) -> str:
    """Return the session of a page's browser, which is the agent's own."""
    cookies = page.context.cookies()
    named = (one for one in cookies if one["name"].startswith("secureflow-owner"))
    return str(next(named)["value"])
