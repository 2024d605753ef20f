"""The frame of the console and one's own settings: logins, the stream, use by everybody."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest
from peers.browsers import expect, fits, ready, shoot, tab_to, violations

from secureflow.domain.users import Role
from tests.browser.console.place import LOGIN, PASSWORD, TABLET, WIDE, Centre, log_in
from tests.browser.opening import Opens, turn

FAILED_BY: Final = {"en": "Code:", "zh": "错误代码："}
BENIGN: Final = re.compile(
    r"Failed to load resource: the server responded with a status of "
    r"(40[13]|404 \(Not Found\) \S+/api/v1/charter/candidate$)"  # no charter waits
)
"""What Chromium says of every answer that is an error: asking who is logged in, for example."""

LOADED: Final = ("/", "/nowhere")
"""Pages that nobody turns to within the program: the first, and the one of nothing."""
PAGES: Final = (
    "/",
    "/settings?tab=appearance",
    "/settings?tab=notifications",
    "/settings?tab=password",
    "/settings?tab=factor",
    "/settings?tab=identities",
    "/settings?tab=sessions",
    "/settings?tab=tokens",
    "/nowhere",
)


def faults(said: list[str]) -> list[str]:
    return [one for one in said if not BENIGN.search(one)]


@pytest.mark.parametrize("language", [pytest.param("en", marks=pytest.mark.full), "zh"])
def test_the_way_in_leads_to_where_one_wanted(opens: Opens, said: list[str], language: str) -> None:
    page = opens(language=language)
    page.goto("/settings?tab=tokens")
    page.wait_for_url("**/login?back=%2Fsettings%3Ftab%3Dtokens")
    log_in(page, "vera", language)
    page.wait_for_url("**/settings?tab=tokens")
    ready(page)
    expect(page.locator("html")).to_have_attribute("lang", {"en": "en", "zh": "zh-CN"}[language])
    assert faults(said) == []


@pytest.mark.parametrize("language", ["en", pytest.param("zh", marks=pytest.mark.full)])
def test_a_wrong_password_is_told_and_nothing_is_lost(opens: Opens, language: str) -> None:
    page = opens(language=language)
    page.goto("/login")
    name, password, enter = LOGIN[language]
    page.get_by_label(name, exact=True).fill("vera")
    page.get_by_label(password, exact=True).fill("not this one")
    page.get_by_role("button", name=enter, exact=True).click()
    alert = page.get_by_role("alert")
    alert.get_by_text("bad_credentials").wait_for()
    expect(alert).to_contain_text(FAILED_BY[language])
    expect(page.get_by_label(name, exact=True)).to_have_value("vera")
    assert not violations(page)
    shoot(page, f"{language}/console-wrong-password")


def test_a_second_factor_is_added_and_asked_for(opens: Opens, centre: Centre) -> None:
    page = opens("ben", fresh=True)
    page.goto("/settings?tab=factor")
    page.get_by_role("button", name="Add a second factor").click()
    page.get_by_role("img", name="QR code of the secret").wait_for()
    assert not violations(page)
    centre.factors.secrets["ben"] = page.get_by_test_id("secret").inner_text().strip()
    page.get_by_role("textbox", name="Code").fill(centre.factors.code("ben"))
    page.get_by_role("button", name="Confirm").click()
    page.get_by_role("list", name="Recovery codes").wait_for()
    expect(page.get_by_role("listitem").filter(has=page.locator("code"))).to_have_count(10)
    page.get_by_role("button", name="Account of Ben").click()
    page.get_by_role("menuitem", name="Log out").click()
    page.wait_for_url("**/login")
    log_in(page, "ben")
    page.get_by_label("Code of the second factor").fill(centre.factors.code("ben"))
    # Its mark of waiting may still be leaving, and is a part of its name until then.
    page.get_by_role("button", name=re.compile("Log in$")).click()
    page.get_by_role("navigation").wait_for()


def test_a_session_that_ends_in_mid_work_is_renewed_over_the_work(
    opens: Opens, centre: Centre
) -> None:
    page = opens()
    opens.enter(page, "vera")
    page.goto("/settings?tab=tokens")
    page.get_by_label("Label").fill("typed before")
    with centre.client("vera") as client:
        client.sessions.revoke_all()
    opens.forget("vera")
    # Where the stream tells of it first, the button lies beneath the dialog.
    page.get_by_role("button", name="Make a token").dispatch_event("click")
    dialog = page.get_by_role("dialog", name="Your session has ended")
    dialog.wait_for()
    assert not violations(page)
    expect(dialog.get_by_label("Name", exact=True)).to_have_value("vera")
    dialog.get_by_label("Password", exact=True).fill(PASSWORD)
    dialog.get_by_role("button", name="Log in", exact=True).click()
    dialog.wait_for(state="hidden")
    page.wait_for_url("**/settings?tab=tokens")
    expect(page.get_by_label("Label")).to_have_value("typed before")
    page.get_by_role("button", name="Make a token").click()
    page.get_by_test_id("token").get_by_text("sft_").wait_for()


def test_somebody_else_who_logs_in_sees_nothing_of_the_one_before(
    opens: Opens, centre: Centre
) -> None:
    page = opens()
    opens.enter(page, "vera")
    page.goto("/settings?tab=tokens")
    page.get_by_label("Label").fill("vera's own")
    with centre.client("vera") as client:
        client.sessions.revoke_all()
    opens.forget("vera")
    page.get_by_role("button", name="Make a token").dispatch_event("click")
    dialog = page.get_by_role("dialog", name="Your session has ended")
    dialog.get_by_label("Name", exact=True).fill("ada")
    dialog.get_by_label("Password", exact=True).fill(PASSWORD)
    dialog.get_by_role("button", name="Log in", exact=True).click()
    page.get_by_role("button", name="Account of Ada").wait_for()
    ready(page)
    expect(page.get_by_label("Label")).to_have_value("")


def test_a_deed_that_needs_a_proof_asks_for_it_and_is_done(opens: Opens) -> None:
    page = opens("ada")
    refused: list[str] = []

    def once(route: Any) -> None:
        """The first time the answer is that of a login which is an hour old."""
        if route.request.method != "POST" or refused:
            route.continue_()
            return
        refused.append(route.request.url)
        problem = {"code": "proof_required", "detail": "Prove it.", "hint": "", "details": {}}
        route.fulfill(status=403, json=problem, content_type="application/problem+json")

    page.route("**/api/v1/tokens", once)
    page.goto("/settings?tab=tokens")
    page.get_by_label("Label").fill("proven")
    page.get_by_role("button", name="Make a token").click()
    dialog = page.get_by_role("dialog", name="Is it you?")
    dialog.get_by_label("Password", exact=True).fill(PASSWORD)
    assert not violations(page)
    dialog.get_by_role("button", name="Confirm", exact=True).click()
    page.get_by_role("cell", name="proven", exact=True).wait_for()
    assert refused


def test_what_happens_arrives_without_being_asked_for(opens: Opens, centre: Centre) -> None:
    page = opens("ada")
    with page.expect_response("**/api/v1/notifications/unread"):
        page.goto("/")
    before = unread(page)
    with centre.platform.client() as admin:
        admin.users.create("newcomer", PASSWORD, "bank-a", [Role.AUDITOR], "New Comer")
    # Others' deeds may be told in the same moment, so the count grows by one or by more.
    page.wait_for_function(
        """before => {
            const bell = document.querySelector('button[aria-label^="Inbox"]');
            return Number(bell.getAttribute("aria-label").match(/[0-9]+/)) > before;
        }""",
        arg=before,
    )


def test_the_overview_says_what_waits_and_who_can_mend_it(opens: Opens, centre: Centre) -> None:
    page = opens("ada")
    page.goto("/")
    ready(page)
    with centre.platform.client("bank-b") as client:
        study = client.projects.create("second study", "research")
        client.projects.invite(study.id, "bank-a")
    page.get_by_role("link", name="bank-b invites your organisation to second study").wait_for()
    # And a password that somebody else has set.
    page.get_by_text(re.compile("^([2-9]|[1-9][0-9]+) for you")).wait_for()
    centre.platform.processes["bank-a"].kill()
    page.get_by_text("broken").wait_for()
    expect(page.get_by_text("secureflow agent doctor").first).to_be_visible()
    assert not violations(page)
    centre.platform.start("bank-a")
    page.get_by_text("broken").wait_for(state="detached")


def test_operators_see_the_log_and_the_disks(opens: Opens, centre: Centre) -> None:
    page = opens()
    opens.enter(page, *centre.operator)
    page.goto("/")
    panel = page.get_by_role("region", name="The platform")
    panel.get_by_text("Entries of the ledger").wait_for()
    assert not violations(page)


def unread(page: Any) -> int:
    """Return the count beside the bell, which is there by now."""
    ready(page)
    label = page.get_by_role("button", name=re.compile("^Inbox")).get_attribute("aria-label")
    found = re.search(r"[0-9]+", label)
    return int(found.group()) if found else 0


def test_an_open_page_that_nothing_happens_to_asks_for_nothing(opens: Opens) -> None:
    page = opens("vera", fresh=True)
    page.clock.install()
    with page.expect_request("**/api/v1/events*"):
        page.goto("/")
    ready(page)
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url))
    page.clock.run_for(60_000)
    page.evaluate("fetch(new URL('/healthz', location.href)).then(one => one.text())")
    assert [one for one in asked if not one.endswith("/healthz")] == []


@pytest.mark.parametrize(
    ("language", "theme"),
    [pytest.param("en", "light", marks=pytest.mark.full), ("zh", "dark")],
)
def test_everybody_can_use_every_page_and_it_fits(
    opens: Opens, said: list[str], language: str, theme: str
) -> None:
    page = opens("ada", language, theme)
    wrong: dict[str, list[str]] = {}
    for path in PAGES:
        if language == "en" or path in LOADED:
            page.goto(path)
        else:
            turn(page, path)
        ready(page)
        expect(page).not_to_have_url(re.compile("/login"))
        shoot(page, f"{language}/console-{theme}{path.replace('/', '-').replace('?', '-')}")
        found = violations(page)
        for size in (TABLET, WIDE):
            page.set_viewport_size(size)
            found += [] if fits(page) else [f"it does not fit {size['width']}"]
        if found:
            wrong[path] = found
    assert not wrong
    assert faults(said) == []


@pytest.mark.parametrize(
    ("language", "theme"),
    [
        ("en", "dark"),
        ("zh", "light"),
        pytest.param("en", "light", marks=pytest.mark.full),
        pytest.param("zh", "dark", marks=pytest.mark.full),
    ],
)
def test_the_login_is_for_everybody_too(opens: Opens, language: str, theme: str) -> None:
    page = opens("", language, theme)
    page.goto("/login")
    ready(page)
    assert not violations(page)
    shoot(page, f"{language}/console-{theme}-login")


def test_languages_themes_and_density_are_chosen_and_kept(opens: Opens) -> None:
    page = opens("vera", fresh=True)
    page.goto("/settings")
    page.get_by_role("radio", name="Dark").check(force=True)
    page.get_by_role("radio", name="Compact").check(force=True)
    page.get_by_role("combobox", name="Language").click()
    page.get_by_title("中文").click()
    page.get_by_role("heading", name="设置").wait_for()
    page.reload()
    page.get_by_role("heading", name="设置").wait_for()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.get_by_role("radio", name="紧凑")).to_be_checked()


def test_the_keyboard_alone_reaches_everything(opens: Opens, said: list[str]) -> None:
    page = opens("vera")
    page.emulate_media(reduced_motion="reduce")  # a field in what does not move is focused too
    page.goto("/")
    ready(page)
    page.keyboard.press("Tab")
    tab_to(page, "To the content")
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    page.keyboard.press("Control+k")
    expect(page.get_by_role("combobox", name="Find anything by its name or id")).to_be_focused()
    page.keyboard.type("no such thing anywhere")
    page.get_by_text("Nothing of that name or id").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")
    ready(page)  # the focus goes back to where it was
    tab_to(page, "Account of Vera")
    page.keyboard.press("Enter")
    page.get_by_role("menuitem", name="Settings").wait_for()
    assert faults(said) == [], "dialogs and menus too make only styles that the policy allows"


def test_the_policy_stops_what_the_program_did_not_make(opens: Opens, said: list[str]) -> None:
    page = opens("vera")
    page.goto("/")
    ready(page)
    assert faults(said) == []
    script = (
        "document.body.append(Object.assign(document.createElement('script'), {text: 'hit = 1'}))"
    )
    style = "document.body.insertAdjacentHTML('beforeend', '<p style=\"color: red\">x</p>')"
    for deed in (script, style):
        with page.expect_console_message(lambda one: "Content Security Policy" in one.text):
            page.evaluate(deed)
    assert page.evaluate("typeof window.hit") == "undefined"
    assert len([one for one in said if "Content Security Policy" in one]) == 2


def test_a_centre_that_restarts_is_missed_and_welcomed_back(opens: Opens, centre: Centre) -> None:
    page = opens("ada")
    page.goto("/")
    ready(page)
    before = unread(page)
    centre.platform.processes["server"].kill()
    banner = page.get_by_text("The link to the centre is lost")
    banner.wait_for()
    assert not violations(page)
    centre.platform.start("server")
    banner.wait_for(state="hidden")
    with centre.platform.client() as admin:
        admin.users.create("later", PASSWORD, "bank-a", [Role.AUDITOR], "Later")
    # Others' deeds may be told in the same moment, so the count grows by one or by more.
    page.wait_for_function(
        """before => {
            const bell = document.querySelector('button[aria-label^="Inbox"]');
            return Number(bell.getAttribute("aria-label").match(/[0-9]+/)) > before;
        }""",
        arg=before,
    )
