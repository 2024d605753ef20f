"""Under a path prefix: login, pages, parts loaded later, and the stream."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from peers.browsers import PATIENCE, demand_browser

from secureflow.demo.platform import Platform
from secureflow.domain.users import Role
from tests.browser.console.place import PASSWORD, demand_build, log_in
from tests.browser.console.proxy import proxied
from tests.nursery import Born

PREFIX = "/flow/one"


@pytest.fixture
def published(tmp_path: Any) -> Iterator[str]:
    demand_browser()
    demand_build()
    rest = {"prefix": PREFIX, "proxies": ["127.0.0.1/32"]}
    platform = Platform(tmp_path / "p", {}, settings={"server": {"rest": rest}}, child=Born)
    with platform:
        with ThreadPoolExecutor(1) as aside:  # where no loop runs: a browser may be open
            aside.submit(platform._make_server).result()
        with platform.client() as admin:
            admin.organisations.create("bank-a", "Bank A")
            admin.users.create("ada", PASSWORD, "bank-a", [Role.AUDITOR], "Ada")
        with proxied(PREFIX, platform.url, tmp_path) as url:
            yield url


@pytest.fixture
def context(published: str, browser: Any) -> Iterator[Any]:
    with browser.new_context(ignore_https_errors=True, locale="en-GB") as made:
        made.set_default_timeout(PATIENCE * 1000)
        yield made


def test_everything_is_asked_for_under_the_prefix(
    context: Any, published: str, said: list[str]
) -> None:
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url))
    page.on("pageerror", lambda one: said.append(str(one)))
    page.goto(f"{published}/settings?tab=sessions")
    page.wait_for_url("**/flow/one/login?back=%2Fsettings%3Ftab%3Dsessions")
    with page.expect_response("**/flow/one/api/v1/events*") as stream:
        log_in(page, "ada")
    assert stream.value.status == 200
    page.wait_for_url("**/flow/one/settings?tab=sessions")
    page.get_by_text("this one").wait_for()
    # A part that does not arrive, neither ahead nor when it is needed: loaded anew, over there.
    page.route("**/Overview-*.js", lambda one: one.abort(), times=2)
    page.get_by_role("link", name="Overview", exact=True).click()
    page.wait_for_url("**/flow/one/")
    page.get_by_role("heading", name="Overview").wait_for()
    page.reload()
    page.get_by_role("heading", name="Overview").wait_for()
    (cookie,) = [one for one in context.cookies() if "secureflow" in one["name"]]
    assert (cookie["path"], cookie["httpOnly"], cookie["sameSite"]) == ("/flow/one", True, "Strict")
    assert [one for one in asked if "/flow/one/" not in one and not one.startswith("data:")] == []
    assert said == []
