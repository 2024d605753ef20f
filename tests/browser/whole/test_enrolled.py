"""An agent that is enrolled with what the console's page shows, until its data is seen there.

The page is the operator's; the terminal runs nothing but what the page says, as it is printed, and
what an agent's own messages say.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from peers.browsers import violations

from secureflow.agent import api
from secureflow.domain.specs.base import dump
from secureflow.domain.users import Role
from tests.browser.whole.conftest import Opens, demand
from tests.browser.whole.place import PASSWORD, PATIENCE, Consortium, ready, served
from tests.browser.whole.words import Words
from tests.nursery import Born
from tests.survival.world import ROOT

pytestmark = pytest.mark.full


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
    dialog.get_by_label(t("organisations:name")).fill(f"Bank {t.language}")
    dialog.get_by_label(t("organisations:id")).fill(name)
    dialog.get_by_role("button").last.click()
    dialog.wait_for(state="hidden")
    page.get_by_role("link", name=f"Bank {t.language}").click()
    page.get_by_text(t("organisations:agent.none"), exact=True).wait_for()


def token_of(page: Any, t: Words) -> tuple[str, list[str]]:
    """Make a token; return it and the commands that the page shows beside it."""
    page.get_by_role("button", name=t("organisations:enrol"), exact=True).click()
    shown = page.get_by_role("alert")
    shown.get_by_label(t("organisations:qr")).wait_for()
    token, *commands = shown.locator("code").all_inner_texts()
    assert not violations(page)
    return token, commands


@pytest.mark.parametrize("language", ["en", "zh"])
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
    assert again.returncode != 0
    assert not (tmp_path / "other" / "agent.yaml").exists(), "a token enrols one agent, once"
    # The data, as its owner declares it: a table of another bank of this test.
    config = tmp_path / "agent" / "agent.yaml"
    settings = yaml.safe_load(config.read_text())
    dataset = whole.platform.parties["bank-c"].dataset
    assert dataset is not None
    config.write_text(yaml.safe_dump({**settings, "datasets": [dump(dataset)]}))
    agent = Born(name, ["-m", *shlex.split(start)], tmp_path, tmp_path / "log")
    agent.start(whole.platform.environment)
    try:
        page.get_by_text(t("organisations:enrolment.used"), exact=True).wait_for()
        page.get_by_text(t("organisations:link.connected")).first.wait_for()
        published(whole, page, t, config)
    finally:
        agent.terminate()
        agent.join()


def published(whole: Consortium, page: Any, t: Words, config: Path) -> None:
    """The agent publishes its data, and the page of data shows it."""
    made = api.data_publish(config, "adult", "Adult")
    page.goto(whole.url() + f"/data/{made['id']}")
    ready(page)
    page.get_by_role("main").get_by_text("education-num").first.wait_for()
    assert not violations(page)
