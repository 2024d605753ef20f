"""The offline page in a real browser, from a file: green where the record holds, else the fault."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from blake3 import blake3
from peers import browsers, verifiers
from peers.browsers import expect

from secureflow.domain.charter import SignedCharter
from secureflow.engines.ledger.ends import End, finished_document
from tests.unit.engines.ledger import test_gaps as gaps
from tests.unit.engines.ledger.test_bundle import (
    CHARTER,
    HONEST,
    OTHER_JOB,
    STORY,
    Story,
    honest_actions,
)

PAGE: Final = verifiers.WEB.parent / "src/secureflow/cli/verifier/verify.html"


@pytest.fixture(scope="module", name="built")
def _built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    browsers.demand_browser()
    verifiers.demand_node()
    return verifiers.built_page(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module", name="chromium")
def _chromium(built: tuple[Path, str]) -> Iterator[Any]:
    del built
    with browsers.chromium() as running:
        yield running


@pytest.fixture(name="page")
def _page(chromium: Any, built: tuple[Path, str]) -> Iterator[Any]:
    context = chromium.new_context(locale="en-GB")
    context.set_default_timeout(browsers.PATIENCE * 1000)
    page = context.new_page()
    asked: list[str] = []
    faults: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(built[0].as_uri())
    yield page
    assert asked == [built[0].as_uri()]  # no network, whatever was done
    assert faults == []
    context.close()


def file(value: Any, name: str = "file.json") -> dict[str, Any]:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return {"name": name, "mimeType": "application/json", "buffer": data}


PINNED = SignedCharter(CHARTER).json()


def choose(page: Any, **chosen: Any) -> None:
    more = page.locator("details:not([open]) > summary")
    more.evaluate_all("all => all.forEach(one => one.click())")
    for name, value in chosen.items():
        page.locator(f"#{name}").set_input_files(file(value, f"{name}.json"))


def status(page: Any) -> Any:
    """Return what will come true of the status."""
    return expect(page.locator("#status"))


def check(page: Any, name: str) -> Any:
    """Return what will come true of a check."""
    return expect(page.locator(f"[data-check={name}]"))


def test_an_honest_bundle_turns_every_check_green(page: Any) -> None:
    choose(page, charter=PINNED, bundle=HONEST)
    page.locator(".status.passed").wait_for()
    status(page).to_have_text("Verified")
    for one in ("held", "report", "anchors"):  # what was not given, and is not in the bundle
        expect(page.locator(f"[data-check={one}].skipped")).to_have_count(1)
    expect(page.locator("[data-check]:not(.passed)")).to_have_count(3)
    expect(page.locator("[data-check].passed")).not_to_have_count(0)
    expect(page.locator("#fingerprint")).to_have_text(CHARTER.fingerprint_words())
    check(page, "inclusion").to_contain_text(STORY.tree.root().hex())
    expect(page.locator("main")).to_contain_text("does not prove")
    browsers.shoot(page, "verifier")
    usable_by_keyboard_and_without_violations(page)


def usable_by_keyboard_and_without_violations(page: Any) -> None:
    """Showing a verified record."""
    assert browsers.violations(page) == []
    browsers.tab_to(page, "Audit bundle")
    page.set_viewport_size({"width": 400, "height": 800})
    assert browsers.fits(page)
    page.emulate_media(color_scheme="dark")
    assert browsers.violations(page) == []


def test_without_a_charter_it_says_what_a_forger_can_do_too(page: Any) -> None:
    choose(page, bundle=HONEST)
    status(page).to_contain_text("unauthenticated")
    check(page, "cosignatures").to_have_class("skipped")


def test_a_changed_entry_is_named_by_the_checks_that_notice(page: Any) -> None:
    bundle = copy.deepcopy(HONEST)
    bundle["entries"][3]["leaf"]["leaf"]["at"] += 1
    choose(page, charter=PINNED, bundle=bundle)
    page.locator(".status.broken").wait_for()
    for name in ("inclusion", "signatures"):
        check(page, name).to_have_class("failed")
    title = f"entry {bundle['entries'][3]['index']} ("
    expect(page.locator("[data-check=inclusion] .reasons")).to_contain_text(title)


def test_what_is_missing_is_no_contradiction(page: Any) -> None:
    choose(page, charter=PINNED, bundle={**HONEST, "entries": HONEST["entries"][:-1]})
    page.locator(".status.unfinished").wait_for()
    check(page, "ends").to_have_class("missing")
    speaks_chinese_with_the_reasons_of_the_command_line(page)


def speaks_chinese_with_the_reasons_of_the_command_line(page: Any) -> None:
    """Of a record whose end is missing."""
    page.locator("#language").click()
    page.get_by_text("没有协调中心的结尾").wait_for()
    expect(page.locator("html")).to_have_attribute("lang", "zh")
    expect(page.locator("#fingerprint")).to_have_text(CHARTER.fingerprint_words("zh"))
    expect(page.locator("#language")).to_be_focused()
    assert browsers.violations(page) == []
    browsers.shoot(page, "verifier-zh")


def test_kept_leaves_the_spec_and_gaps_are_compared(page: Any) -> None:
    held = [{"leaf": one.json()} for one in STORY.signed if one.leaf.author == "bank-a"]
    choose(page, charter=PINNED, held=held, bundle=HONEST)
    page.get_by_role("region", name="Leaves that you kept").wait_for()
    check(page, "held").to_have_class("passed")
    page.locator("#spec").fill("00" * 32)
    page.locator("#spec").press("Tab")
    page.locator(".status.broken").wait_for()
    check(page, "spec").to_have_class("failed")
    page.locator("#spec").fill("")
    page.locator("#spec").press("Tab")
    choose(page, bundle=gaps.GAPPED, held=[])
    expect(page.get_by_role("region", name="Gaps of the log")).to_contain_text(gaps.NAME)


def test_a_model_is_recognised_by_its_digest(page: Any) -> None:
    model = b"weights" * 5000
    digest = blake3(model).hexdigest()
    actions = [one for one in honest_actions() if one.kind != "job.finished"]
    at = next(n for n, one in enumerate(actions) if one.kind == "finished")
    said = {"outcome": "succeeded", "model": digest}
    whole = [*actions[:at], type(actions[0])("server", "job.finished", said), *actions[at:]]
    named = [type(one)(**{**vars(one), "model": digest}) if one.kind == "finished" else one
             for one in whole]  # fmt: skip
    choose(page, charter=PINNED, output=model, bundle=Story(named).bundle())
    page.locator("#output-told.passed").wait_for()
    expect(page.locator("#output-told")).to_contain_text(digest)
    choose(page, output=model + b"x")
    page.locator("#output-told.missing").wait_for()


def test_a_model_that_one_party_names_elsewhere_is_not_the_jobs(page: Any) -> None:
    """A member and the centre need no other signature for a leaf of another job."""
    model = b"another model"
    says = finished_document("succeeded", End(1, "ab" * 32), blake3(model).hexdigest())
    actions = [
        replace(one, document=says, opened=True) if one.job == OTHER_JOB and one.included else one
        for one in honest_actions()
    ]
    choose(page, charter=PINNED, output=model, bundle=Story(actions).bundle())
    page.locator("#output-told.missing").wait_for()
    status(page).to_contain_text("verified", ignore_case=True)
    expect(page.locator("#output-told")).to_contain_text("does not name")


def test_a_record_that_is_not_verified_shows_no_model(page: Any) -> None:
    model = b"a model that the centre's outcome does not name"
    named = [replace(one, model=blake3(model).hexdigest()) if one.kind == "finished" else one
             for one in honest_actions()]  # fmt: skip
    choose(page, charter=PINNED, output=model, bundle=Story(named).bundle())
    page.locator("#output-told.missing").wait_for()
    page.locator(".status.broken, .status.unfinished").wait_for()
    expect(page.locator("#output-told")).to_contain_text("not verified")


def test_other_files_are_refused_with_a_reason(page: Any) -> None:
    choose(page, bundle={"model": 1})
    page.get_by_text("not an audit bundle").wait_for()
    choose(page, bundle=b'{"v":1,"v":1}')
    page.get_by_text("duplicate key").wait_for()
    choose(page, bundle=HONEST, charter={"charter": 1, "signatures": {}})
    page.get_by_text("The charter is malformed").wait_for()


def test_nothing_in_a_bundle_becomes_markup(page: Any) -> None:
    choose(page, bundle={**HONEST, "job": "<img src=x onerror=alert(1)>\u202e"})
    page.locator(".status.broken").wait_for()
    expect(page.locator("#result")).to_contain_text("<img src=x onerror=alert(1)>\\u202e")
    expect(page.locator("img")).to_have_count(0)


def test_files_can_be_dropped_and_are_taken_for_what_they_are(page: Any) -> None:
    page.evaluate(
        """texts => {
            const drop = new DataTransfer();
            texts.forEach((text, at) => drop.items.add(new File([text], `${at}.json`)));
            document.dispatchEvent(new DragEvent('drop', {dataTransfer: drop, cancelable: true}));
        }""",
        [json.dumps(HONEST), json.dumps(PINNED)],
    )
    page.locator(".status.passed").wait_for()


def test_two_builds_are_equal_and_the_digest_is_printed(built: tuple[Path, str]) -> None:
    """The other one is that of `make web`, beside the command that hands it out."""
    if not PAGE.exists():
        pytest.fail("the offline page is not built: run `make web`")
    assert PAGE.read_bytes() == built[0].read_bytes(), "run `make web`, if it is an older one"
    assert hashlib.sha256(built[0].read_bytes()).hexdigest() in built[1]


def test_its_policy_allows_its_own_script_and_nothing_else(
    built: tuple[Path, str], chromium: Any
) -> None:
    text = built[0].read_text("utf-8")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    for rule in ("default-src 'none'", "connect-src 'none'", "trusted-types 'none'"):
        assert rule in policy
    assert "unsafe" not in policy
    assert "http:" not in text
    assert "https:" not in text
    other = built[0].with_name("other.html")
    other.write_text(text.replace("Unfinished: something", "Verified: something"), "utf-8")
    assert other.read_text("utf-8") != text
    with chromium.new_context() as context:
        page = context.new_page()
        with page.expect_console_message(lambda one: "Content Security Policy" in one.text):
            page.goto(other.as_uri())
        expect(page.locator("h1")).to_have_count(0)  # one byte changed: it does not run
