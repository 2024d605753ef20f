"""An agent that is enrolled with what the console's page shows, until its data is seen there.

The page is the operator's; the terminal runs nothing but what the page says, as it is printed, and
what an agent's own messages say. A token that was used, or is too old, is refused in one sentence
that says what to do.
"""

from __future__ import annotations

import os
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from peers.browsers import expect, ready, violations

from secureflow.agent import api
from secureflow.domain.specs.base import dump
from secureflow.domain.users import Role
from secureflow.texts import chinese
from tests.browser.whole.conftest import Opens, demand
from tests.browser.whole.place import PASSWORD, PATIENCE, Consortium, served
from tests.browser.whole.words import Words
from tests.nursery import Born
from tests.survival.world import ROOT

REFUSED: Final = "The enrolment token is unknown, used or expired."
NEXT: Final = (
    "Ask the operator for a new one; each works once. If the answer to an earlier attempt was lost,"
    " use the new one with the same directory: its key stays, and nothing needs to be revoked."
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    demand()
    with served(tmp_path_factory.mktemp("enrolled") / "p") as made:
        with made.platform.client() as admin:
            admin.users.create("opal", PASSWORD, "", [Role.PLATFORM_ADMIN], "Opal")
        yield made


def ran(command: str, directory: Path, language: str) -> subprocess.CompletedProcess[str]:
    """Run a command that a page shows: `secureflow` is the one of this tree."""
    name, *words = shlex.split(command)
    assert name == "secureflow"
    kept = {name: one for name, one in os.environ.items() if not name.startswith("SECUREFLOW_")}
    return subprocess.run(
        [sys.executable, "-m", "secureflow", *words], cwd=directory, check=False, text=True,
        capture_output=True, timeout=PATIENCE,
        env={**kept, "PYTHONPATH": str(ROOT / "src"), "SECUREFLOW_LANG": language},
    )  # fmt: skip


def founded(page: Any, t: Words, name: str) -> None:
    """Add an organisation, and go to its page."""
    page.get_by_role("navigation").get_by_role(
        "link", name=t("shell:section.organisations")
    ).click()
    page.get_by_role("button", name=t("organisations:new")).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label(t("organisations:name")).fill(f"Bank {name}")
    dialog.get_by_label(t("organisations:id")).fill(name)
    dialog.get_by_role("button").last.click()
    dialog.wait_for(state="hidden")
    page.get_by_role("link", name=f"Bank {name}", exact=True).click()
    page.get_by_text(t("organisations:agent.none"), exact=True).wait_for()


def token_of(page: Any, t: Words) -> tuple[str, list[str]]:
    """Make a token; return it and the commands that the page shows beside it."""
    page.get_by_role("button", name=t("organisations:enrol"), exact=True).click()
    shown = page.get_by_role("alert")
    expect(shown.get_by_label(t("organisations:qr")).locator("path").first).to_be_attached()
    codes = shown.locator("code")
    expect(codes).to_have_count(3)
    token, *commands = codes.all_inner_texts()
    assert not violations(page)
    return token, commands


def refused(done: subprocess.CompletedProcess[str], folder: Path, language: str) -> None:
    """The token is not taken: one sentence, and one that says the next step; no trace."""
    assert done.returncode != 0
    assert not (folder / "agent.yaml").exists()
    assert "Traceback" not in done.stderr
    for sentence in (REFUSED, NEXT):
        assert (chinese(sentence) if language == "zh" else sentence) in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 3, done.stderr


def expire(whole: Consortium, organisation: str) -> None:
    """Let the time of an organisation's tokens be over."""
    with closing(sqlite3.connect(whole.platform.server / "secureflow.db", timeout=PATIENCE)) as at:
        at.execute(
            "UPDATE enrolments SET expires = 1, doc = json_set(doc, '$.expires', 1) "
            "WHERE organisation = ?", (organisation,),
        )  # fmt: skip
        at.commit()


@pytest.mark.parametrize("language", ["en", pytest.param("zh", marks=pytest.mark.full)])
def test_what_the_page_shows_enrols_an_agent_whose_data_is_seen_then(
    opens: Opens, whole: Consortium, tmp_path: Path, language: str
) -> None:
    t, name = Words(language), f"new-{language}"
    page = opens("opal", language=language)
    founded(page, t, name)
    token, (enrol, start) = token_of(page, t)
    assert "token.txt" in t("organisations:token.next")
    (tmp_path / "token.txt").write_text(token + "\n")
    done = ran(enrol, tmp_path, language)
    assert done.returncode == 0, done.stderr
    assert start in done.stderr, "the page says the next step that the command says"
    again = ran(enrol.replace(" agent --token", " other --token"), tmp_path, language)
    refused(again, tmp_path / "other", language)
    # The data, as its owner declares it: a table of another bank of this test.
    config = tmp_path / "agent" / "agent.yaml"
    settings = yaml.safe_load(config.read_text())
    dataset = whole.platform.parties["bank-c"].dataset
    assert dataset is not None
    config.write_text(yaml.safe_dump({**settings, "datasets": [dump(dataset)]}))
    # It is forked from where the tests are, not from the folder in which people would stand.
    words = shlex.split(start.replace("agent/agent.yaml", str(config)))
    agent = Born(name, ["-m", *words], config.parent, tmp_path / "log")
    agent.start(whole.platform.environment)
    try:
        agent.ready(PATIENCE)
        used = page.get_by_text(t("organisations:enrolment.used"), exact=True)
        expect(used).to_be_visible(timeout=1000 * PATIENCE)
        connected = page.get_by_text(t("organisations:link.connected")).first
        expect(connected).to_be_visible(timeout=1000 * PATIENCE)
        published(whole, page, t, config)
    finally:
        agent.terminate()
        agent.join()


@pytest.mark.parametrize("language", ["en", pytest.param("zh", marks=pytest.mark.full)])
def test_a_token_that_is_too_old_is_shown_so_and_refused(
    opens: Opens, whole: Consortium, tmp_path: Path, language: str
) -> None:
    t, name = Words(language), f"late-{language}"
    page = opens("opal", language=language)
    founded(page, t, name)
    token, (enrol, _) = token_of(page, t)
    (tmp_path / "token.txt").write_text(token + "\n")
    expire(whole, name)
    refused(ran(enrol, tmp_path, language), tmp_path / "agent", language)
    page.reload()
    state = page.get_by_text(t("organisations:enrolment.expired"), exact=True)
    expect(state).to_be_visible(timeout=1000 * PATIENCE)


def published(whole: Consortium, page: Any, t: Words, config: Path) -> None:
    """The agent publishes its data, and the page of data shows it."""
    made = api.data_publish(config, "adult", "Adult")
    page.goto(whole.url() + f"/data/{made['id']}")
    column = page.get_by_role("main").get_by_text("education-num").first
    expect(column).to_be_visible(timeout=1000 * PATIENCE)
    ready(page)
    assert not violations(page)
