"""How people come in by a browser: by their organisation's identity provider, or by a link.

The provider is on another site (127.0.0.2), as it is in life: no cookie that is `Strict` comes
along on the way back. The link is that of a project to which an organisation is invited.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from peers.browsers import expect, ready, shoot, violations
from peers.oidcprovider import CLIENT, SECRET, Provider, running

from secureflow.domain.users import Role
from tests.browser.whole.conftest import Opens, demand
from tests.browser.whole.place import (
    LOGIN,
    OWNERS,
    PASSWORD,
    Consortium,
    served,
    session,
)
from tests.browser.whole.words import Words

pytestmark = pytest.mark.full

TITLE: Final = "Bank A sign-on"
STAFF: Final = {"groups": ["staff"]}
CHINESE: Final = re.compile("[\u4e00-\u9fff]{4}")


class Clocked(Provider):
    """A provider whose tokens are of now."""

    def id_token(self, asked: dict[str, str]) -> dict[str, Any]:
        self.now = [int(time.time())]
        return super().id_token(asked)


@contextmanager
def beside(provider: Provider) -> Iterator[Provider]:
    """Run a provider in a thread of its own: the browser's own loop holds this one."""
    loop, up = asyncio.new_event_loop(), threading.Event()

    async def serve() -> None:
        async with running(provider):
            up.set()
            await stop.wait()

    stop = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert up.wait(30)
        yield provider
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with beside(Clocked(host="127.0.0.2")) as made:
        yield made


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Iterator[Consortium]:
    demand()
    with served(tmp_path_factory.mktemp("providers") / "p", banks=2, data=False) as made:
        platform, agent = made.platform, made.platform.parties["bank-a"]
        known: dict[str, Any] = {
            "name": "sso", "title": TITLE, "issuer": provider.issuer, "client_id": CLIENT,
            "scopes": ["openid"], "loopback_http": True,
        }  # fmt: skip
        centre = {
            **known, "redirect": made.url(), "provision": True,
            "organisation": {"fixed": "bank-a"},
            "roles": {"claim": "groups", "map": {"staff": Role.DATA_SCIENTIST.value}},
        }  # fmt: skip
        told(platform.server / "server.yaml", centre)
        own = {
            **known, "redirect": made.pages["bank-a"],
            "roles": {"claim": "groups", "map": {"staff": "owner-admin"}},
        }  # fmt: skip
        told(agent.config, own)
        for name in ("server", "bank-a"):
            process = platform.processes[name]
            process.terminate()
            process.join()
            platform.start(name)
        made.ask(
            "bank-a", "people.bind", session(made, "bank-a"), name=OWNERS["bank-a"],
            provider="sso", subject="olga@bank-a",
        )  # fmt: skip
        with platform.client() as admin:
            admin.organisations.create("bank-x", "Bank X")
            admin.users.create("xena", PASSWORD, "bank-x", [Role.ORGANISATION_ADMIN], "Xena")
        yield made


def told(config: Path, provider: dict[str, Any]) -> None:
    """Write a provider into the settings of a process, and its secret beside them."""
    secret = config.parent / "sso.secret"
    secret.touch(0o600)
    secret.write_text(SECRET)
    settings = yaml.safe_load(config.read_text())
    settings["identity"] = {"oidc": [{**provider, "client_secret_file": str(secret)}]}
    config.write_text(yaml.safe_dump(settings))


@dataclass
class Way:
    """To the provider, and back."""

    page: Any
    t: Words

    def go(self, answer: str) -> None:
        """Choose the provider, and answer what it asks."""
        self.page.get_by_role("main").get_by_text(self.t("login:at", title=TITLE)).click()
        self.page.wait_for_url(re.compile(r"^http://127\.0\.0\.2:"))
        self.page.get_by_role("link", name=answer).click()


PLACES: Final = [(where, language) for where in ("", "bank-a") for language in ("en", "zh")]


@pytest.mark.parametrize(("where", "language"), PLACES)
def test_who_agrees_at_the_provider_comes_back_to_the_page_that_was_wanted(
    opens: Opens, whole: Consortium, provider: Provider, said: list[str], where: str, language: str
) -> None:
    t, page = Words(language), opens(where=where, language=language)
    provider.claims = {**STAFF, "sub": "olga@bank-a", "name": "Olga"}
    wanted = whole.url(where) + ("/settings" if not where else "/grants")
    page.goto(wanted)
    ready(page)
    assert not violations(page)
    shoot(page, f"{language}/provider-{where or 'console'}")
    Way(page, t).go("Agree")
    page.wait_for_url(wanted + "**")
    page.get_by_role("navigation").first.wait_for()
    ready(page)
    # Somebody is logged in: it holds over a new load, in a page of its own.
    page.reload()
    page.get_by_role("navigation").first.wait_for()
    ready(page)
    expect(page).to_have_url(re.compile(re.escape(wanted)))
    shoot(page, f"{language}/provider-in-{where or 'console'}")
    assert [one for one in said if "401" not in one and "favicon" not in one] == []


@pytest.mark.parametrize(("where", "language"), PLACES)
@pytest.mark.parametrize("why", ["refuses", "stranger", "no-role"])
def test_who_is_not_let_in_reads_why_and_gets_back_to_the_login(
    opens: Opens, whole: Consortium, provider: Provider, where: str, language: str, why: str
) -> None:
    t, page = Words(language), opens(where=where, language=language)
    claims = {"refuses": STAFF, "stranger": STAFF, "no-role": {"groups": ["cleaning"]}}[why]
    provider.claims = {**claims, "sub": "olga@bank-a"}
    if why == "stranger":
        if not where:
            pytest.skip("the centre makes an account at a first login, as it is set up here")
        provider.claims["sub"] = "stranger@bank-a"
    ready(page)
    Way(page, t).go("Refuse" if why == "refuses" else "Agree")
    page.wait_for_url(re.compile(re.escape(whole.pages.get(where) or whole.url())))
    ready(page)
    shoot(page, f"{language}/provider-{why}-{where or 'console'}")
    spoken(page, language)
    assert not violations(page)
    page.get_by_role("link").first.click()
    page.get_by_text(t("login:at", title=TITLE)).wait_for()


def spoken(page: Any, language: str) -> None:
    """Wait until a page speaks Chinese, or see that one at rest does not."""
    main = expect(page.get_by_role("main"))
    (main.to_contain_text if language == "zh" else main.not_to_contain_text)(CHINESE)


def invited(whole: Consortium, name: str) -> str:
    """Invite bank-a to a new project; return the project's id."""
    with whole.platform.client("bank-b") as founder:
        made = founder.projects.create(name, "research")
        founder.projects.invite(made.id, "bank-a")
        return str(made.id)


def by_link(page: Any, whole: Consortium, project: str) -> None:
    page.goto(f"{whole.url()}/projects/{project}")
    ready(page)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_an_invitation_is_accepted_by_its_link_once_and_again_in_a_window_left_open(
    opens: Opens, whole: Consortium, said: list[str], language: str
) -> None:
    t, name = Words(language), f"flu {language}"
    project = invited(whole, name)
    page = opens(language=language)
    by_link(page, whole, project)
    called, password, enter = LOGIN[language]
    page.get_by_label(called, exact=True).fill("ada")
    page.get_by_label(password, exact=True).fill(PASSWORD)
    page.get_by_role("button", name=enter, exact=True).click()
    page.get_by_role("heading", name=name, level=1).wait_for()
    page.get_by_text(t("projects:invited"), exact=True).wait_for()
    assert not violations(page)
    shoot(page, f"{language}/invited")
    other = page.context.new_page()
    by_link(other, whole, project)
    accept = other.get_by_role("button", name=t("projects:accept"))
    accept.wait_for()
    page.get_by_role("button", name=t("projects:accept")).click()
    page.get_by_role("button", name=t("projects:leave")).wait_for()
    page.get_by_text(t("projects:invited"), exact=True).wait_for(state="hidden")
    accept.evaluate_all("all => all.forEach(one => one.click())")  # none where it has heard of it
    other.get_by_role("button", name=t("projects:leave")).wait_for()
    assert [one for one in said if "401" not in one and "favicon" not in one] == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_link_tells_others_nothing(opens: Opens, whole: Consortium, language: str) -> None:
    t, name = Words(language), f"secret {language}"
    project = invited(whole, name)
    page = opens("xena", language=language)
    by_link(page, whole, project)
    page.get_by_text("not_found").wait_for()
    ready(page)
    main = page.get_by_role("main")
    expect(main).not_to_contain_text(name)
    expect(main).not_to_contain_text(t("projects:accept"))
    spoken(page, language)
    shoot(page, f"{language}/invited-other")
    assert not violations(page)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_an_invitation_is_declined_and_the_link_is_good_for_nothing_then(
    opens: Opens, whole: Consortium, language: str
) -> None:
    t, name = Words(language), f"declined {language}"
    project = invited(whole, name)
    page = opens("ada", language=language)
    by_link(page, whole, project)
    page.get_by_role("button", name=t("projects:decline")).click()
    page.get_by_role("dialog").get_by_role("button", name=t("projects:decline")).click()
    page.get_by_role("heading", name=t("projects:title"), level=1).wait_for()
    page.get_by_role("link", name=name).wait_for(state="detached")
    by_link(page, whole, project)
    page.get_by_text("not_found").wait_for()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_an_invitation_into_what_was_archived_meanwhile_is_void_and_said_to_be(
    opens: Opens, whole: Consortium, language: str
) -> None:
    t = Words(language)
    project = invited(whole, f"archived {language}")
    page = opens("ada", language=language)
    by_link(page, whole, project)
    accept = page.get_by_role("button", name=t("projects:accept"))
    accept.wait_for()
    with whole.platform.client("bank-b") as founder:
        founder.projects.archive(project)
    accept.click()
    page.get_by_text(t("projects:state.archived"), exact=True).first.wait_for()
    accept.wait_for(state="hidden")
    expect(page.get_by_text(t("projects:invited"), exact=True)).to_have_count(0)
    shoot(page, f"{language}/invited-archived")
    assert not violations(page)
