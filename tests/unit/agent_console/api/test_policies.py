"""The policy editor over the API: reading, trying, saving; the agent and its files are real."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from peers.agent_people import waiting_item
from peers.agent_world import World
from peers.owner_page import OwnerPage, owner_page

from secureflow.adapters.policy import CedarPolicies

REFUSE = '@id("none")\n@reason("nothing leaves")\nforbid (principal, action, resource);\n'
ALLOW = '@id("scoring")\npermit (principal, action, resource) when { context.purpose == "x" };\n'
EXAMPLES = """
tests:
  - name: scoring
    expect: allow
    request: {kind: training, purpose: x}
  - name: other
    expect: refuse
    request: {kind: training, purpose: y}
"""


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[OwnerPage]:
    world = World(tmp_path / "agent", policy="")
    file = tmp_path / "scoring.cedar"
    file.write_text(ALLOW)
    active = world.assembly.context.active
    consent = active.settings.consent.model_copy(update={"policies": (file,)})
    active.replace(active.settings.model_copy(update={"consent": consent}))
    world.assembly.consent.replace_policies(CedarPolicies.load([file]))
    async with owner_page(tmp_path, world, people=("ada", "ben", "vera")) as served:
        yield served


def effect(page: OwnerPage) -> str:
    """Return what the agent decides now about a job for the purpose x."""
    request = page.team.world.assembly.inbox.list()[0].request
    decided = page.team.world.assembly.consent.decisions.decision({**request, "purpose": "x"})
    return decided.effect


def names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


async def test_who_reads_sees_the_files_and_what_is_in_force(page: OwnerPage) -> None:
    vera = await page.of("vera")
    listed = (await vera.get("/policies")).json()["files"]
    assert [one["name"] for one in listed] == ["scoring.cedar"]
    assert listed[0]["in_force"] is True
    shown = (await vera.get("/policies/scoring.cedar")).json()
    assert shown["text"] == ALLOW
    assert shown["file"] == listed[0]
    for other in ("agent.yaml", "..%2fagent.yaml", "scoring.cedar~2", "%2fetc%2fpasswd"):
        assert (await vera.get(f"/policies/{other}")).status_code == 404, other


async def test_a_text_is_tried_on_examples_and_on_the_inbox_and_changes_nothing(
    page: OwnerPage,
) -> None:
    asking, item = await waiting_item(page.team.world)
    vera = await page.of("vera")
    before = (await vera.get("/policies/scoring.cedar")).json()
    sent = {"text": ALLOW + REFUSE, "examples": EXAMPLES}
    tried = (await vera.post("/policies/scoring.cedar/try", sent)).json()
    assert tried["problem"] is None
    assert [(one["effect"], one["ok"]) for one in tried["tests"]] == [
        ("refuse", False), ("refuse", True)
    ]  # fmt: skip
    assert tried["tried"] == 1
    changed = tried["requests"][0]
    assert (changed["item"], changed["before"], changed["after"]) == (item.id, "ask", "refuse")
    assert changed["by"] == ["none: nothing leaves"]
    assert (await vera.get("/policies/scoring.cedar")).json() == before
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


@pytest.mark.parametrize(
    ("text", "code"),
    [("permit (", "policy_invalid"), (ALLOW.replace("purpose", "porpoise"), "policy_invalid"),
     ("// \u202e\n" + ALLOW, "policy_invalid"), ("// \x1b\n", "policy_invalid"),
     ("//" + "x" * (1 << 17), "invalid_request")],
    ids=("syntax", "attribute", "bidi", "control", "long"),
)  # fmt: skip
async def test_what_is_not_valid_is_neither_tried_nor_saved(
    page: OwnerPage, text: str, code: str, tmp_path: Path
) -> None:
    ada = await page.of("ada")
    version = (await ada.get("/policies/scoring.cedar")).json()["file"]["version"]
    saved = await ada.send("PUT", "/policies/scoring.cedar", {"text": text, "version": version})
    assert saved.json()["code"] == code
    assert (tmp_path / "scoring.cedar").read_text() == ALLOW
    tried = await ada.post("/policies/scoring.cedar/try", {"text": text})
    problem = tried.json().get("problem") or tried.json()
    assert problem["code"] == code


async def test_an_owner_admin_saves_it_takes_effect_and_the_log_says_who(
    page: OwnerPage, tmp_path: Path
) -> None:
    asking, _ = await waiting_item(page.team.world)
    ada = await page.of("ada")
    assert effect(page) == "allow"
    version = (await ada.get("/policies/scoring.cedar")).json()["file"]["version"]
    body = {"text": ALLOW + REFUSE, "version": version}
    saved = (await ada.send("PUT", "/policies/scoring.cedar", body)).json()
    assert saved["text"] == (tmp_path / "scoring.cedar").read_text() == ALLOW + REFUSE
    assert saved["file"]["in_force"] is True
    assert effect(page) == "refuse"
    noted = page.team.world.store.actions(limit=1)[0]
    assert noted["action"] == "policy.saved"
    facts: Any = noted["facts"]
    assert facts["person"] == page.team.people.named("ada").id
    assert (facts["before"], facts["after"]) == (version, saved["file"]["version"])
    told = (await ada.get("/activity")).json()["entries"][0]
    assert told["told"] == "Saved the policy file scoring.cedar."
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def test_who_edited_an_older_version_overwrites_nobody(
    page: OwnerPage, tmp_path: Path
) -> None:
    ada = await page.of("ada")
    version = (await ada.get("/policies/scoring.cedar")).json()["file"]["version"]
    first = {"text": ALLOW + REFUSE, "version": version}
    assert (await ada.send("PUT", "/policies/scoring.cedar", first)).status_code == 200
    second = await ada.send("PUT", "/policies/scoring.cedar", {"text": "", "version": version})
    assert (second.status_code, second.json()["code"]) == (409, "stale_version")
    assert (tmp_path / "scoring.cedar").read_text() == ALLOW + REFUSE


async def test_a_file_that_the_agent_may_not_write_stays(
    page: OwnerPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write everything
    ada = await page.of("ada")
    shown = (await ada.get("/policies/scoring.cedar")).json()["file"]
    assert shown["writable"] is False
    body = {"text": "", "version": shown["version"]}
    answer = await ada.send("PUT", "/policies/scoring.cedar", body)
    assert (answer.status_code, answer.json()["code"]) == (409, "policy_read_only")
    assert (tmp_path / "scoring.cedar").read_text() == ALLOW


async def test_what_the_log_cannot_keep_is_not_saved(
    page: OwnerPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await page.of("ada")
    version = (await ada.get("/policies/scoring.cedar")).json()["file"]["version"]
    note = page.team.world.store.note

    def full(at: int, action: str, *more: Any, **facts: Any) -> None:
        if action == "policy.saved":
            raise OSError(28, "No space left on device")
        note(at, action, *more, **facts)

    monkeypatch.setattr(page.team.world.store, "note", full)
    body = {"text": REFUSE, "version": version}
    answer = await ada.send("PUT", "/policies/scoring.cedar", body)
    assert answer.status_code >= 500
    assert (tmp_path / "scoring.cedar").read_text() == ALLOW
    assert names(tmp_path) == ["agent", "dist", "scoring.cedar"]


async def test_a_request_is_explained_and_a_policy_is_drafted_from_it(page: OwnerPage) -> None:
    asking, item = await waiting_item(page.team.world)
    ben = await page.of("ben")
    rule = (await ben.get(f"/inbox/{item.id}/rule")).json()
    assert rule["effect"] == "ask"
    assert rule["nearly"][0]["title"] == "scoring"
    assert (await ben.get(f"/inbox/{item.id}/policy")).status_code == 422  # not decided yet
    seen = (await ben.get(f"/inbox/{item.id}")).json()["seen"]
    await ben.post(f"/inbox/{item.id}/approve", {"seen": seen})
    drafted = (await ben.get(f"/inbox/{item.id}/policy")).json()["policy"]
    assert "permit" in drafted
    await asyncio.gather(asking, return_exceptions=True)
