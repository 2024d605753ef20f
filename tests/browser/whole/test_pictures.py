"""Pictures of the ten main pages for docs/console.md, in both languages, from a real consortium.

    SECUREFLOW_PICTURES=docs/pictures make soak   # or pytest -m soak on this file

Without the variable they are made into a temporary folder, and only looked at: that each shows its
page, whole and without a fault, and that all of them stay small.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from peers.browsers import ready
from PIL import Image

from tests.browser.whole.conftest import Opens, demand
from tests.browser.whole.place import LANGUAGES, WIDE, Consortium, approve, served
from tests.browser.whole.words import Words

pytestmark = pytest.mark.soak

VARIABLE: Final = "SECUREFLOW_PICTURES"
MOST: Final = 1_500_000
"""Bytes of all pictures: they are in the repository."""
QUALITY: Final = 82
TEMPLATE: Final = "joint-risk-model"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    demand()
    with served(tmp_path_factory.mktemp("shown") / "p", "bank-a", "bank-b", "bank-c") as made:
        yield made


@pytest.fixture(scope="module")
def things(whole: Consortium) -> dict[str, Any]:
    """One job that has ended with a model, and one that waits for its owners."""
    with whole.client("ada") as client:
        datasets = [whole.dataset(party) for party in whole.platform.parties]
        filled = client.job_templates.fill(TEMPLATE, whole.platform.project, datasets)
        job = client.jobs.submit({**filled.request, "name": "joint risk model"}).id
        approve(whole, job)
        client.jobs.wait(job)
        model = next(iter(client.models.list()))
        waits = client.jobs.submit({**filled.request, "name": "joint risk model, again"}).id
        bundle = client.audit.bundle(job)
    item = ""
    while not item:
        listed = whole.ask("bank-b", "inbox.list")
        item = next((one["id"] for one in listed if one["job"] == waits), "")
    return {"job": job, "training": model.job, "model": model.id, "item": item, "bundle": bundle}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    asked = os.environ.get(VARIABLE)
    return Path(asked) if asked else tmp_path_factory.mktemp("pictures")


def still(page: Any) -> bytes:
    """Return what is on the screen once it stays the same: a chart grows as it appears."""
    before, now = b"", b"-"
    while before != now:
        before, now = now, page.screenshot(animations="disabled", caret="hide")
    return now


def keep(page: Any, path: Path) -> None:
    """Write what is on the screen as a small picture."""
    page.mouse.move(0, 0)
    shot = Image.open(io.BytesIO(still(page)))
    assert shot.size == (WIDE["width"], WIDE["height"])
    path.parent.mkdir(parents=True, exist_ok=True)
    shot.convert("RGB").save(path, "WEBP", quality=QUALITY, method=6)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_main_pages_of_the_console(
    opens: Opens, whole: Consortium, things: dict[str, Any], folder: Path, said: list[str],
    language: str,
) -> None:  # fmt: skip
    page, place = opens("ada", language=language), folder / language
    pages = {
        "overview": "/",
        "project": f"/projects/{whole.platform.project}",
        "dataset": f"/data/{whole.dataset('bank-b')}",
        "live": f"/jobs/{things['training']}?part=live",
        "report": f"/jobs/{things['training']}?part=report",
        "model": f"/models/{things['model']}",
        "record": "/record",
    }
    for name, path in pages.items():
        page.goto(whole.url() + path)
        ready(page)
        if name == "live":
            page.locator("[_echarts_instance_]").first.wait_for()
            page.locator(".ant-skeleton").first.wait_for(state="detached")
        keep(page, place / f"{name}.webp")
    t = Words(language)
    page.goto(whole.url() + "/jobs/new")
    page.get_by_role("region", name=t("canvas:begin")).get_by_role("button").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("(bank-b)").wait_for()
    dialog.get_by_role("button", name=t("canvas:template.do")).click()
    page.get_by_text(t("canvas:ready"), exact=True).wait_for()
    keep(page, place / "canvas.webp")
    assert not [one for one in said if "status of 40" not in one]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_main_pages_of_an_owner(
    owners: Callable[..., Any], whole: Consortium, things: dict[str, Any], folder: Path,
    tmp_path: Path, language: str,
) -> None:  # fmt: skip
    page, t = owners("bank-b", language=language), Words(language)
    page.goto(whole.url("bank-b") + f"/inbox/{things['item']}")
    page.get_by_role("heading", name=t("inbox:decision")).wait_for()
    keep(page, folder / language / "decision.webp")
    page.goto(whole.url("bank-b") + "/verify")
    ready(page)
    file = tmp_path / "bundle.json"
    file.write_text(json.dumps(things["bundle"]))
    page.get_by_label(t("verifier:bundle")).set_input_files(file)
    page.locator("[data-testid=status][data-status=verified]").scroll_into_view_if_needed()
    keep(page, folder / language / "verify.webp")


def test_both_languages_have_the_same_ten_and_all_are_small(folder: Path) -> None:
    named = {one: sorted(path.name for path in (folder / one).glob("*.webp")) for one in LANGUAGES}
    assert named["en"] == named["zh"]
    assert len(named["en"]) == 10
    sizes = [path.stat().st_size for path in folder.glob("*/*.webp")]
    assert sum(sizes) <= MOST
