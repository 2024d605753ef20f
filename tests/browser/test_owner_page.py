"""The pages without script, which `console.web: false` serves, in a real browser.

What is built for browsers (tests/browser/owner) takes their place elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Final

import pytest
from peers.browsers import chromium, demand_browser, fits, shoot, tab_to, violations

from secureflow.kit.errors import SecureFlowError
from tests.browser.place import OWNER, PASSWORD, PATIENCE, Place, served
from tests.survival.world import PLAN, await_end, training

WIDE: Final = {"width": 1280, "height": 800}
TABLET: Final = {"width": 820, "height": 1180}
LANGUAGES: Final = {"en": "en-US", "zh": "zh-CN"}

pytestmark = pytest.mark.full
MADE: Final = re.compile(r"/grants/[0-9a-f]{64}$")

Opens = Callable[..., Any]
"""Opens a page in a browser of its own, logged in as somebody or as nobody."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    demand_browser()
    with served(tmp_path_factory.mktemp("browser") / "p") as made:
        yield made


@pytest.fixture(scope="module")
def browser(place: Place) -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def states() -> dict[str, Any]:
    """The cookies of those who have logged in: a code of a second factor counts once."""
    return {}


@pytest.fixture
def opens(place: Place, browser: Any, states: dict[str, Any]) -> Iterator[Opens]:
    with ExitStack() as stack:

        def new(who: str = "", language: str = "en", **options: Any) -> Any:
            made = browser.new_context(
                base_url=place.url, locale=LANGUAGES[language], viewport=WIDE,
                storage_state=states.get(who), **options,
            )  # fmt: skip
            stack.callback(made.close)
            page = made.new_page()
            page.set_default_timeout(PATIENCE * 1000)
            if who and who not in states:
                page.goto("/login")
                log_in(page, place, who)
                states[who] = made.storage_state()
            return page

        yield new


def log_in(page: Any, place: Place, who: str) -> None:
    page.get_by_label("Name").fill(who)
    page.get_by_label("Password").fill(PASSWORD)
    if who in place.secrets:
        page.get_by_label("Code of the second factor").fill(place.code(who, away=1))
    page.get_by_role("button", name="Log in").click()
    # A click does not wait for its answer: the next address would be asked for without the session.
    page.wait_for_url(lambda url: not url.endswith("/login"))


def submit(place: Place, rounds: int = 2) -> str:
    """Submit a job of three banks under masks, as the first of them."""
    with place.platform.client("bank-a") as client:
        request = training(place.platform, replace(PLAN, rounds=rounds), protection="secagg")
        return str(client.jobs.submit(request).id)


def own_grant(place: Place) -> dict[str, Any]:
    return next(one for one in place.ask("grant.list") if one["state"] == "granted")


def test_a_link_of_a_mail_leads_through_the_login_with_a_second_factor(
    opens: Opens, place: Place, states: dict[str, Any]
) -> None:
    page = opens()
    page.goto("/budgets/customers")
    assert page.url.endswith("/login?back=%2Fbudgets%2Fcustomers")
    page.get_by_label("Name").fill("ben")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("alert").wait_for()  # the code is missing
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Code of the second factor").fill(place.code("ben", away=1))
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/budgets/customers")
    assert page.get_by_role("heading", level=1).inner_text().strip() == "customers"
    states["ben"] = page.context.storage_state()


def test_a_proposal_of_the_centre_is_confirmed_as_it_is_shown(opens: Opens, place: Place) -> None:
    page = opens("ben")
    page.goto("/")
    page.get_by_role("link", name="→").first.click()
    page.get_by_role("heading", name="Grant this?").wait_for()
    page.get_by_role("button", name="Grant this").click()
    page.wait_for_url(MADE)
    assert page.url.endswith(own_grant(place)["id"])
    page.get_by_text("in force").first.wait_for()


def test_two_people_decide_one_of_them_by_the_keyboard_alone(opens: Opens, place: Place) -> None:
    job = submit(place, rounds=500)
    item = place.waiting(job)
    ben = opens("ben")
    ben.goto("/inbox")
    tab_to(ben, "income")
    ben.keyboard.press("Enter")
    ben.wait_for_url(f"**/r/{item}")
    tab_to(ben, "A note for the log")
    ben.keyboard.type("seen by the board")
    tab_to(ben, "Approve exactly this")
    ben.keyboard.press("Enter")
    ben.get_by_text("It waits for a second person.").wait_for()
    ada = opens("ada")
    ada.goto(f"/r/{item}")
    assert ada.get_by_text("ben", exact=False).first.is_visible()
    assert not ada.get_by_text("seen by the board").count(), "what would sway the second person"
    ada.get_by_role("button", name="Approve exactly this").click()
    ada.get_by_role("button", name="Approve exactly this").wait_for(state="detached")
    with place.platform.client("bank-a") as client:
        for event in client.jobs.watch(job):
            if event.kind == "round":
                break
    ada.goto("/overview")
    assert ada.get_by_text(job).first.is_visible()


def test_a_rejection_reaches_the_submitter(opens: Opens, place: Place) -> None:
    job = submit(place)
    item = place.waiting(job)
    viewer = opens("vera")
    viewer.goto(f"/r/{item}")
    assert not viewer.get_by_role("button", name="Reject").count()
    page = opens("ada")
    page.goto(f"/r/{item}")
    shoot(page, "en/decision")
    assert not violations(page)
    page.get_by_label("Why you reject it").fill("ask for fewer columns")
    page.get_by_role("button", name="Reject").click()
    page.get_by_text("ask for fewer columns").first.wait_for()
    with place.platform.client("bank-a") as client:
        await_end(client, job)
        with pytest.raises(SecureFlowError, match="ask for fewer columns"):
            client.jobs.wait(job)


def pages(place: Place) -> tuple[str, ...]:
    (dataset,) = place.ask("data.list")
    grants = {one["state"]: one["id"] for one in place.ask("grant.list")}
    return (
        *("/overview", "/inbox", "/inbox?all=1", "/data", f"/data/{dataset['name']}", "/grants"),
        *("/grants/new", *(f"/grants/{one}" for one in grants.values())),
        *("/budgets", "/budgets/customers", "/activity", "/people", "/people/ben", "/account"),
        "/absence",
        "/nowhere",
    )  # fmt: skip


@pytest.mark.parametrize("language", [pytest.param("en", marks=pytest.mark.full), "zh"])
def test_everybody_can_use_every_page_and_it_fits(
    opens: Opens, place: Place, language: str
) -> None:
    page = opens("ada", language, color_scheme="light" if language == "en" else "dark")
    wrong: dict[str, list[str]] = {}
    for path in pages(place):
        page.goto(path)
        assert page.locator("html").get_attribute("lang") == language
        shoot(page, f"{language}/{path.strip('/').replace('/', '-')[:30] or 'root'}")
        found = violations(page)
        page.set_viewport_size(TABLET)
        found += [] if fits(page) else ["it does not fit on a tablet"]
        page.set_viewport_size(WIDE)
        found += [] if fits(page) else ["it does not fit on a notebook"]
        if found:
            wrong[path] = found
    assert not wrong


def test_the_login_is_for_everybody_too_and_speaks_chinese(opens: Opens) -> None:
    page = opens("", "zh")
    page.goto("/login")
    assert page.get_by_role("button", name="登录").is_visible()
    shoot(page, "zh/login")
    assert not violations(page)
    page.get_by_role("button", name="English").click()
    page.get_by_role("button", name="Log in").wait_for()


def test_an_agent_that_dies_is_named_and_its_return_is_seen(opens: Opens, place: Place) -> None:
    page = opens("ada")
    page.goto("/grants")
    place.platform.processes[OWNER].kill()
    answer = page.goto("/grants")
    assert answer.status == 503
    assert page.get_by_text("secureflow agent start").is_visible()
    assert not violations(page)
    place.platform.start(OWNER)
    assert page.goto("/grants").status == 200
