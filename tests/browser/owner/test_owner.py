"""The owner's page in a real browser: who decides, what it shows, and that everybody can use it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any, Final

import pytest
from peers.browsers import expect, fits, ready, shoot, tab_to, violations

from secureflow.agent.console.addresses import WEB
from secureflow.kit.errors import SecureFlowError
from tests.browser.opening import Opens, turn
from tests.browser.owner.conftest import CODE, LOGIN, TABLET, WIDE, log_in, session_of
from tests.browser.owner.granting import own_grant, proposed
from tests.browser.place import OWNER, PASSWORD, Place
from tests.survival.world import PLAN, await_end, training

APPROVE: Final = "Approve exactly this"
MADE: Final = re.compile(r"/grants/[0-9a-f]{64}$")
BENIGN: Final = re.compile(
    r"Failed to load resource: the server responded with a status of 40[134]"
)
"""What Chromium says of every answer that is an error."""


LOADED: Final = ("/", "/nowhere")
"""Pages that nobody turns to within the program: the first, and the one of nothing."""


def submit(place: Place, rounds: int = 2) -> str:
    """Submit a job of three banks under masks, as the first of them."""
    with place.platform.client("bank-a") as client:
        request = training(place.platform, replace(PLAN, rounds=rounds), protection="secagg")
        return str(client.jobs.submit(request).id)


def running_job(opens: Opens, place: Place) -> str:
    """Return a job that runs; submit one, and have two people approve it, where none does."""
    if uses := place.ask("data.usage", running=True)["uses"]:
        return str(uses[0]["job"])
    sessions = [session_of(opens(who)) for who in ("ada", "ben")]
    own_grant(place, sessions[0])
    job = submit(place, rounds=500)
    item = place.waiting(job)
    for session in sessions:
        place.ask("inbox.approve", session, item=item, reason="")
    begun(place, job)
    return job


def begun(place: Place, job: str) -> None:
    """Wait until a job has closed a round."""
    with place.platform.client("bank-a") as client:
        for event in client.jobs.watch(job):
            if event.kind == "round":
                return


def test_a_link_leads_through_the_login_with_a_second_factor(
    opens: Opens, place: Place, states: dict[str, Any]
) -> None:
    page = opens()
    page.goto(f"{WEB}/record?group=people")
    page.wait_for_url("**/login?back=%2Frecord%3Fgroup%3Dpeople")
    expect(page.get_by_role("heading", level=1)).to_have_text("bank-b's own agent")
    page.get_by_label("Name", exact=True).fill("ben")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()
    page.get_by_label(CODE["en"]).fill(place.factors.code("ben"))
    page.get_by_role("button", name="Log in", exact=True).click()
    page.wait_for_url("**/record?group=people")
    ready(page)
    states["ben"] = page.context.storage_state()


def test_a_proposal_of_the_centre_is_confirmed_as_it_is_shown(opens: Opens, place: Place) -> None:
    told = proposed(place)
    page = opens("ben")
    page.goto("/")
    page.wait_for_url(f"**{WEB}/")
    page.get_by_role("region", name="Grants to confirm").get_by_role("link").last.click()
    page.get_by_role("heading", name="Grant this?").wait_for()
    page.get_by_role("button", name="Grant this").click()
    page.wait_for_url(MADE)
    made = place.ask("grant.show", grant=page.url.rsplit("/", 1)[1])
    assert (made["state"], made["terms"]) == ("granted", told["terms"])
    page.get_by_text("in force").first.wait_for()


def test_two_people_decide_one_of_them_by_the_keyboard_alone(opens: Opens, place: Place) -> None:
    ben = opens("ben")
    ben.goto("/")
    ben.wait_for_url(f"**{WEB}/")
    ready(ben)
    own_grant(place, session_of(ben))  # where one is in force, a job that fits none is refused
    job = submit(place, rounds=500)
    item = place.waiting(job)
    ben.get_by_role("link", name="1 request waits").wait_for()  # by the stream: nobody asked for it
    ready(ben)
    tab_to(ben, "Inbox")
    ben.keyboard.press("Enter")
    ben.wait_for_url("**/inbox")
    ben.get_by_role("link", name="credit scoring").wait_for()
    ready(ben)
    tab_to(ben, "credit scoring")
    ben.keyboard.press("Enter")
    ben.get_by_role("heading", name="Your decision").wait_for()
    ben.wait_for_url(f"**/inbox/{item}")
    ready(ben)
    tab_to(ben, "A note for the log")
    ben.keyboard.type("seen by the board")
    tab_to(ben, APPROVE)
    ben.keyboard.press("Enter")
    ben.get_by_text("You approved it. It waits for a second person.").wait_for()
    ready(ben)
    expect(ben.get_by_role("button", name=APPROVE)).to_have_count(0)
    ada = opens("ada")
    ada.goto(f"{WEB}/r/{item}")
    ready(ada)
    expect(ada.get_by_text("ben", exact=False).first).to_be_visible()
    sways = "what would sway the second person"
    expect(ada.get_by_text("seen by the board"), sways).to_have_count(0)
    ada.get_by_role("button", name=APPROVE).click()
    ada.get_by_text("Approved and signed.").or_(ada.get_by_text("signs it then")).wait_for()
    begun(place, job)
    ada.get_by_role("link", name="Running").click()
    ada.get_by_text(job).first.wait_for()


def test_a_rejection_reaches_the_submitter(opens: Opens, place: Place) -> None:
    own_grant(place, session_of(opens("ada")))
    job = submit(place)
    item = place.waiting(job)
    viewer = opens("vera")
    viewer.goto(f"{WEB}/inbox/{item}")
    viewer.get_by_text("an owner-admin gives the role").wait_for()
    ready(viewer)
    expect(viewer.get_by_role("button", name="Reject")).to_have_count(0)
    page = opens("ada")
    page.goto(f"{WEB}/inbox/{item}")
    ready(page)
    shoot(page, "en/owner-decision")
    assert not violations(page)
    page.get_by_role("button", name="Reject").click()
    page.get_by_text("Say why: the submitter reads that.").wait_for()
    page.get_by_label("Why you reject it").fill("ask for fewer columns")
    page.get_by_role("button", name="Reject").click()
    page.get_by_text("Rejected. The submitter reads your reason.").wait_for()
    page.get_by_text("ask for fewer columns").first.wait_for()
    with place.platform.client("bank-a") as client:
        await_end(client, job)
        with pytest.raises(SecureFlowError, match="ask for fewer columns"):
            client.jobs.wait(job)


def test_taking_the_grant_back_stops_the_running_job(opens: Opens, place: Place) -> None:
    page = opens("ben")
    job = running_job(opens, place)
    uses = place.ask("data.usage", running=True)["uses"]
    (grant,) = [one["grant"] for one in uses if one["job"] == job]
    page.goto(f"{WEB}/grants/{grant}")
    ready(page)
    page.get_by_role("button", name="Take it back").click()
    page.get_by_text("1 job that runs stops at once").wait_for()
    shoot(page, "en/owner-revoke")
    assert not violations(page)
    page.get_by_label("Why, for the log").fill("the study is over")
    page.get_by_role("button", name="Take it back now").click()
    page.get_by_role("heading", name="Jobs that were stopped with it").wait_for()
    expect(page.get_by_text("taken back").first).to_be_visible()
    with place.platform.client("bank-a") as client:
        assert await_end(client, job).state == "failed"
    page.goto(f"{WEB}/record?group=grants")
    page.get_by_text("the study is over").first.wait_for()


def test_a_grant_is_made_in_two_steps_and_keeps_what_was_filled_in(
    opens: Opens, place: Place
) -> None:
    page = opens("ben")
    page.goto(f"{WEB}/grants/new")
    ready(page)
    page.get_by_label("Number of jobs").fill("3")
    page.get_by_role("button", name="Go on").click()
    page.get_by_text("Choose at least one column.").wait_for()
    expect(page.get_by_label("Number of jobs")).to_have_value("3")
    columns = page.get_by_role("combobox", name="Columns")
    columns.click()
    page.keyboard.type("income")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    simulated = page.get_by_label("Also to a SIMULATED enclave")
    expect(simulated).to_have_count(0)  # nobody is asked where no row leaves
    page.get_by_label("Rows that may leave").fill("50")
    expect(simulated).not_to_be_checked()
    page.get_by_role("button", name="Go on").click()
    page.get_by_role("heading", name="Grant this?").wait_for()
    page.get_by_role("button", name="Grant this").click()
    page.wait_for_url(MADE)
    made = place.ask("grant.show", grant=page.url.rsplit("/", 1)[1])
    assert (made["state"], made["terms"]["uses"]) == ("granted", 3)
    assert made["terms"]["validation"] == {"rows": 50, "simulated": False}
    assert made["terms"]["columns"] == ["income"]


def pages(place: Place) -> tuple[str, ...]:
    (dataset,) = place.ask("data.list")
    grants = {one["state"]: one["id"] for one in place.ask("grant.list")}
    return (
        *("/", "/inbox", "/inbox?all=1", "/data", f"/data/{dataset['name']}", "/grants"),
        *("/grants/new", *(f"/grants/{one}" for one in grants.values()), "/budgets"),
        *("/budgets/customers", "/running", "/policies", "/record", "/verify", "/doctor"),
        *("/settlements", f"/settlements/{place.platform.project}"),
        *("/people", "/people/ben", "/account", "/nowhere"),
    )


@pytest.mark.parametrize(
    ("language", "theme"),
    [pytest.param("en", "light", marks=pytest.mark.full), ("zh", "dark")],
)
def test_everybody_can_use_every_page_and_it_fits(
    opens: Opens, place: Place, said: list[str], language: str, theme: str
) -> None:
    page = opens("ada", language, theme)
    wrong: dict[str, list[str]] = {}
    for path in pages(place):
        if language == "en" or path in LOADED:
            page.goto(f"{WEB}{path}")
        else:
            turn(page, path, within=WEB)
        ready(page)
        expect(page).not_to_have_url(re.compile("/login"))
        shoot(page, f"{language}/owner-{path.strip('/').replace('/', '-')[:30] or 'root'}")
        found = violations(page)
        for size in (TABLET, WIDE):
            page.set_viewport_size(size)
            found += [] if fits(page) else [f"it does not fit {size['width']}"]
        if found:
            wrong[path] = found
    assert not wrong
    assert [one for one in said if not BENIGN.search(one)] == []


@pytest.mark.parametrize(
    ("language", "theme"),
    [("en", "dark"), pytest.param("zh", "light", marks=pytest.mark.full)],
)
def test_the_login_is_for_everybody_too(opens: Opens, language: str, theme: str) -> None:
    page = opens("", language, theme)
    page.goto(f"{WEB}/login")
    ready(page)
    expect(page.get_by_role("heading", level=1)).to_contain_text("bank-b")
    shoot(page, f"{language}/owner-login")
    assert not violations(page)
    other, words = ("zh", "中文") if language == "en" else ("en", "English")
    page.get_by_role("button", name=words).click()
    page.get_by_role("button", name=LOGIN[other][2], exact=True).wait_for()


def test_a_bundle_is_verified_under_the_pinned_charter_and_the_own_entries(
    opens: Opens, place: Place
) -> None:
    job = next((one["job"] for one in place.ask("data.usage")["uses"]), "")
    job = job or running_job(opens, place)
    with place.platform.client("bank-a") as client:
        bundle = client.audit.bundle(job)
    forged = json.loads(json.dumps(bundle))
    forged["entries"][-1]["leaf"]["leaf"]["author"] = "bank-c"
    page = opens("vera")
    page.goto(f"{WEB}/verify")
    ready(page)
    pinned = place.ask("charter.show")["fingerprints"]["pinned"]
    words = re.compile("|".join(f"^{re.escape(one)}$" for one in map(str, pinned.values())))
    expect(page.get_by_test_id("fingerprint")).to_have_text(words)
    for given, broken in ((bundle, False), (forged, True)):
        file = {"name": "b.json", "mimeType": "application/json", "buffer": _json(given)}
        page.get_by_label("Audit bundle").set_input_files(file)
        wanted = "" if broken else ":not([data-status=broken])"
        status = page.locator(f"[data-testid=status]{wanted or '[data-status=broken]'}")
        status.wait_for()
        assert not violations(page)
        shoot(page, f"en/owner-verify-{'broken' if broken else 'whole'}")
    expect(page.get_by_text("compared with 0 entries")).to_have_count(0)


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_the_doctor_shows_each_step_of_the_way(opens: Opens) -> None:
    page = opens("ada")
    page.goto(f"{WEB}/doctor")
    page.get_by_role("button", name="Examine").click()
    page.get_by_role("heading", name="The way to the centre").wait_for()
    for step in ("DNS", "TCP", "TLS", "Certificate", "Clock", "Version", "Charter"):
        expect(page.get_by_text(step, exact=True).first).to_be_visible()
    shoot(page, "en/owner-examined")
    assert not violations(page)


def test_an_open_page_that_nothing_happens_to_asks_for_nothing(opens: Opens) -> None:
    page = opens("vera", fresh=True)
    page.clock.install()
    with page.expect_request("**/api/events"):
        page.goto(f"{WEB}/inbox?all=1")
    ready(page)
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url))
    page.clock.run_for(60_000)
    page.evaluate("fetch('/nowhere.svg').then(one => one.text())")
    assert [one for one in asked if not one.endswith("nowhere.svg")] == []


def test_a_session_that_ends_in_mid_work_is_renewed_over_the_work(
    opens: Opens, place: Place
) -> None:
    page = opens()
    opens.enter(page, "vera")
    page.goto(f"{WEB}/account")
    page.get_by_label("Password now").first.fill("typed before")
    place.ask("people.logout", session_of(page))
    # The stream may tell of it first: then the button lies beneath the dialog.
    page.get_by_role("button", name="I am away").dispatch_event("click")
    dialog = page.get_by_role("dialog", name="Your session has ended")
    dialog.wait_for()
    assert not violations(page)
    log_in(dialog, place, "vera")
    dialog.wait_for(state="hidden")
    expect(page.get_by_label("Password now").first).to_have_value("typed before")


def test_an_agent_that_dies_is_named_and_its_return_is_seen(opens: Opens, place: Place) -> None:
    page = opens("ada")
    page.goto(f"{WEB}/grants")
    ready(page)
    place.platform.processes[OWNER].kill()
    page.get_by_role("link", name="Budgets").click()
    page.get_by_text("agent_not_running").wait_for()
    expect(page.get_by_text("secureflow agent start").first).to_be_visible()
    assert not violations(page)
    banner = page.get_by_role("alert").filter(has_text="The agent does not answer")
    expect(banner).to_be_visible()
    place.platform.start(OWNER)
    # Nobody presses anything: the page sees by itself that the agent is back, as it was before.
    expect(page.get_by_role("heading", name="customers")).to_be_visible()
    expect(banner).to_be_hidden()
