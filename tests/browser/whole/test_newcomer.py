"""Somebody new, without the command line: from the invitation to a verified record.

What it takes is counted, and printed as one line of JSON: clicks, fields and seconds of each stage.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from peers.browsers import expect, ready, violations

from tests.browser.whole.conftest import Opens
from tests.browser.whole.place import (
    FIRST,
    LANGUAGES,
    LOGIN,
    OWNERS,
    PROJECT,
    Consortium,
    approve,
    submit,
)
from tests.browser.whole.registry import address, paths
from tests.browser.whole.walker import Walk
from tests.browser.whole.words import Words

NEW: Final = "my own long words now"
COLUMNS: Final = ("age", "education-num", "hours-per-week", "workclass", "income")
MADE: Final = re.compile(r"/grants/[0-9a-f]{64}$")
THEMES: Final = ("light", "dark")
COMBINATIONS: Final = [(language, theme) for language in LANGUAGES for theme in THEMES]
"""Each page is shown to axe in all of these; `test_areas` shows it some pages at each change."""


def heading(page: Any, name: str) -> None:
    page.get_by_role("heading", name=name, exact=True, level=1).wait_for()


def section(walk: Walk, page: Any, name: str) -> None:
    """Go to a place of the navigation."""
    walk.click(page.get_by_role("navigation").get_by_role("link", name=name, exact=True))


def invited(walk: Walk, t: Words, ada: Any, name: str) -> None:
    """An administrator makes the account, and hands its first password over."""
    section(walk, ada, t("shell:section.administration"))
    walk.click(ada.get_by_role("button", name=t("administration:new")))
    dialog = ada.get_by_role("dialog")
    walk.fill(dialog.get_by_label(t("administration:login")), name)
    roles = dialog.get_by_role("combobox", name=t("administration:roles"))
    walk.pick(ada, roles, t("administration:role.data-scientist"))
    walk.fill(dialog.get_by_label(t("administration:password")), FIRST)
    walk.look(ada, "invitation")
    walk.click(dialog.get_by_role("button", name=t("administration:new.do")))
    dialog.wait_for(state="hidden")


def logged_in(walk: Walk, t: Words, nina: Any, name: str) -> None:
    """The first login, and a password of one's own where the overview asks for it."""
    called, password, enter = LOGIN[t.language]
    walk.fill(nina.get_by_label(called, exact=True), name)
    walk.fill(nina.get_by_label(password, exact=True), FIRST)
    walk.look(nina, "login")
    walk.click(nina.get_by_role("button", name=enter, exact=True))
    heading(nina, t("overview:title"))
    walk.look(nina, "overview")
    walk.click(nina.get_by_role("link", name=t("overview:waiting.handed")))
    walk.fill(nina.get_by_label(t("settings:password.old")), FIRST)
    walk.fill(nina.get_by_label(t("settings:password.new"), exact=True), NEW)
    walk.fill(nina.get_by_label(t("settings:password.again")), NEW)
    walk.click(nina.get_by_role("button", name=t("settings:password.change")))
    nina.get_by_text(t("settings:password.changed")).wait_for()
    walk.look(nina, "password")


def project_seen(walk: Walk, t: Words, nina: Any, project: str) -> None:
    """The project, whose page shows its id."""
    section(walk, nina, t("shell:section.projects"))
    heading(nina, t("projects:title"))
    walk.click(nina.get_by_role("link", name=PROJECT))
    heading(nina, PROJECT)
    walk.look(nina, "project")
    expect(nina.locator("code").first).to_have_text(project)


def granted(walk: Walk, t: Words, omar: Any, project: str) -> None:
    """A data owner grants columns, at the own page."""
    section(walk, omar, t("owner:section.grants"))
    walk.click(omar.get_by_role("link", name=t("holdings:grant.new")))
    heading(omar, t("holdings:grant.new"))
    walk.fill(omar.get_by_label(t("holdings:project"), exact=True), project)
    walk.look(omar, "grant")
    walk.click(omar.get_by_role("combobox", name=t("holdings:columns")))
    for column in COLUMNS:
        walk.choose(omar, column)
    omar.keyboard.press("Escape")
    walk.click(omar.get_by_role("button", name=t("holdings:go")))
    omar.get_by_role("heading", name=t("holdings:review")).wait_for()
    walk.look(omar, "grant-review")
    walk.click(omar.get_by_role("button", name=t("holdings:sign")))
    omar.wait_for_url(MADE)


def submitted(walk: Walk, t: Words, nina: Any) -> str:
    """A template on the canvas, filled in and submitted as it is; returns the job's id."""
    section(walk, nina, t("shell:section.overview"))
    walk.click(nina.get_by_role("link", name=t("overview:running.draw")))
    heading(nina, t("canvas:title"))
    nina.get_by_role("region", name=t("canvas:begin")).get_by_role("button").first.wait_for()
    walk.look(nina, "canvas")
    begin = nina.get_by_role("region", name=t("canvas:begin"))
    walk.click(begin.get_by_role("button").first)
    dialog = nina.get_by_role("dialog")
    dialog.get_by_text("(bank-b)").wait_for()
    walk.look(nina, "template")
    walk.click(dialog.get_by_role("button", name=t("canvas:template.do")))
    nina.get_by_text(t("canvas:ready"), exact=True).wait_for()
    walk.look(nina, "drawn")
    walk.click(nina.get_by_role("button", name=t("canvas:submit"), exact=True))
    dialog.get_by_text("bank-c").first.wait_for()
    walk.look(nina, "submit")
    walk.click(nina.get_by_role("button", name=t("canvas:submit.do")))
    nina.wait_for_url("**/jobs/job_*")
    nina.get_by_text(t("jobs:truth.proposed")).wait_for()
    walk.look(nina, "waits")
    return str(nina.url.rsplit("/", 1)[1])


def approved(walk: Walk, t: Words, owner: Any) -> None:
    """An owner reads the request that arrived, and approves it."""
    section(walk, owner, t("owner:section.overview"))
    request = owner.get_by_role("region", name=re.compile(t("owner:waiting_other", count=1)[:4]))
    walk.click(request.get_by_role("link", name="credit scoring"))
    owner.get_by_role("heading", name=t("inbox:decision")).wait_for()
    walk.look(owner, "decision")
    walk.click(owner.get_by_role("button", name=t("inbox:do.approve")))
    signed, later = (owner.get_by_text(t(f"inbox:done.{one}")) for one in ("signed", "later"))
    signed.or_(later).first.wait_for()


def watched(walk: Walk, t: Words, nina: Any) -> None:
    """The page follows the job until its model is there; nobody loads it again."""
    nina.get_by_role("cell", name="train", exact=True).wait_for()
    walk.look(nina, "running")
    nina.get_by_text(t("jobs:proof"), exact=True).wait_for()
    walk.look(nina, "report")


def taken_along(walk: Walk, t: Words, nina: Any, job: str, folder: Path) -> Path:
    """The model from the report, and the audit bundle from the job."""
    walk.click(nina.get_by_role("link", name=re.compile("^mdl_")).first)
    nina.wait_for_url("**/models/mdl_*")
    walk.look(nina, "model")
    nina.go_back()
    walk.click(nina.get_by_role("button", name=t("jobs:files")))
    with nina.expect_download() as got:
        walk.click(nina.get_by_role("menuitem", name=t("jobs:file.bundle")))
    file = folder / f"{job}.json"
    got.value.save_as(file)
    return file


def verified(walk: Walk, t: Words, owner: Any, bundle: Path) -> None:
    """The record holds under the charter that the own agent has pinned."""
    section(walk, owner, t("owner:section.verify"))
    walk.put(owner.get_by_label(t("verifier:bundle")), bundle)
    status = owner.locator("[data-testid=status]")
    status.wait_for()
    walk.look(owner, "verified")
    expect(status).to_have_attribute("data-status", "verified")


@pytest.mark.parametrize("language", ["en", pytest.param("zh", marks=pytest.mark.full)])
def test_from_the_invitation_to_a_verified_record(
    opens: Opens, owners: Callable[..., Any], whole: Consortium, tmp_path: Path, language: str
) -> None:
    t, walk, name = Words(language), Walk(f"walk-{language}"), f"nina-{language}"
    with walk.stage("invitation"):
        invited(walk, t, opens("ada", language=language), name)
    nina = opens(language=language)
    nina.wait_for_url("**/login*")
    with walk.stage("first login"):
        logged_in(walk, t, nina, name)
    with walk.stage("project"):
        project_seen(walk, t, nina, whole.platform.project)
    pages = {party: owners(party, language=language) for party in OWNERS}
    with walk.stage("grant"):
        granted(walk, t, pages["bank-b"], whole.platform.project)
    with walk.stage("canvas"):
        job = submitted(walk, t, nina)
    with walk.stage("approvals"):
        for page in pages.values():
            approved(walk, t, page)
    with walk.stage("watch"):
        watched(walk, t, nina)
    with walk.stage("model and bundle"):
        bundle = taken_along(walk, t, nina, job, tmp_path)
    with walk.stage("verify"):
        verified(walk, t, pages["bank-a"], bundle)
    print(walk.told())


@pytest.fixture(scope="module")
def things(whole: Consortium) -> dict[str, str]:
    """What the pages with parameters are about: things that are there."""
    with whole.client("ada") as client:
        made = next((one for one in client.models.list(job="")), None)
        if made is None:
            job = submit(whole, "income")
            approve(whole, job)
            client.jobs.wait(job)
            made = next(iter(client.models.list(job=job)))
        person, job = client.me().id, made.job
    (grant, *_) = whole.ask("bank-b", "grant.list")
    item = next(one["id"] for one in whole.ask("bank-b", "inbox.list", waiting=False))
    return {
        "administration/person": person, "budgets/domain": "customers",
        "data/dataset": whole.dataset("bank-a"), "data/name": "adult", "grants/grant": grant["id"],
        "inbox/item": item, "jobs/job": job, "models/model": made.id,
        "organisations/organisation": "bank-a", "people/name": "omar", "policies/name": "none",
        "projects/project": whole.platform.project, "r/item": item,
    }  # fmt: skip


@pytest.mark.full
@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("entry", ["console", "owner"])
def test_everybody_can_use_every_registered_page(
    opens: Opens, things: dict[str, str], entry: str, turn: int
) -> None:
    """axe finds nothing, whatever the language and the theme; all four turns are all pairs."""
    wrong: dict[str, list[str]] = {}
    where, who = ("", "ada") if entry == "console" else ("bank-b", "omar")
    pages = [
        opens(who, where, language=language, color_scheme=theme) for language, theme in COMBINATIONS
    ]
    bases = {page: page.url.rstrip("/") for page in pages}
    for number, path in enumerate(paths(entry)):
        page = pages[(number + turn) % len(pages)]
        page.goto(bases[page] + address(path, things))
        ready(page)
        if found := violations(page):
            wrong[f"{path} {COMBINATIONS[(number + turn) % len(pages)]}"] = found
    assert not wrong, json.dumps(wrong, indent=1)
