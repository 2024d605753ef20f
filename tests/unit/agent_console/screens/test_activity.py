"""The agent's record in words."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import secureflow.agent
from secureflow.agent.console.screens.actionwords import ACTIONS, GROUPS, names_of, told
from secureflow.agent.console.screens.activity import activity, asked, exported
from secureflow.agent.kinds import psi
from secureflow.kit.text import Text, with_texts
from secureflow.texts import told as told_in

PEOPLE = [{"id": "psn_1", "name": "ada"}, {"id": "psn_2", "name": "ben"}]


def entry(number: int, action: str, job: str = "", **facts: Any) -> dict[str, Any]:
    return {"id": number, "at": 100 + number, "action": action, "job": job, "facts": facts}


def noted() -> set[str]:
    """Return the names of the actions that the agent's source notes."""
    found = set()
    for path in Path(secureflow.agent.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            name = getattr(getattr(node, "func", None), "attr", "")
            if not isinstance(node, ast.Call) or name not in ("note", "_note"):
                continue
            constants = [one for each in node.args for one in ast.walk(each)]
            found |= {
                one.value
                for one in constants
                if isinstance(one, ast.Constant)
                and isinstance(one.value, str)
                and re.fullmatch(r"[a-z_]+(\.[a-z_]+)*", one.value)
            }
    return found - {"id", "person"}


def test_every_action_that_the_agent_notes_has_its_words() -> None:
    made = {"inbox.approved", "inbox.rejected", "inbox.asked_back"}  # from the state
    elsewhere = {"job.approved", "job.renewed", "bundle.failed", psi._OWN_KEYS}  # by a variable
    assert len(noted()) > 45
    assert noted() | made | elsewhere == set(ACTIONS)


def test_every_group_has_actions_and_no_group_means_all() -> None:
    assert {one.group for one in ACTIONS.values()} == set(GROUPS)
    assert "grant.revoked" in names_of("grants")
    assert names_of("") == names_of("nonsense") == []
    assert asked("people", 7, 50) == {"limit": 51, "before": 7, "names": names_of("people")}


def test_who_did_it_is_a_name_a_unix_user_or_the_agent() -> None:
    log = [
        entry(5, "person.added", of="psn_2", roles=["decider"], user=0, person="psn_1"),
        entry(4, "grant.created", grant="g1", user=1000),
        entry(3, "vote.cast", "job_1", round=2, stage="train"),
        entry(2, "grant.revoked", grant="g1", by="centre"),
    ]
    page = activity(log, PEOPLE)
    assert [one.who for one in page.entries] == ["ada", "Unix user 1000", "", "the centre"]
    assert page.entries[0].told == "Made the account ben (decider)."
    assert page.entries[1].grant == "g1"
    assert page.entries[2].job == "job_1"
    assert told_in(page.entries[2].told, "zh") != page.entries[2].told


def test_notes_of_people_are_told_and_hidden_characters_are_visible() -> None:
    (one,) = activity(
        [entry(1, "inbox.rejected", "job_1", item="i1", reason="no\u202e!", person="psn_9")], PEOPLE
    ).entries
    assert (one.note, one.who, one.request) == ("no\\u202e!", "psn_9", "i1")


def test_what_this_version_does_not_know_is_told_by_its_name() -> None:
    assert told("new.thing", {}, {}) == "new.thing"
    assert told("job.approved", {"damaged": True}, {}) == "job.approved"


def test_why_a_job_was_refused_is_told_in_the_readers_language_though_it_was_stored() -> None:
    reason = Text("{owner} allows no {name}.", owner="bank-a", name="code")
    facts = json.loads(json.dumps(with_texts({"code": "bundle_refused", "reason": reason})))
    (one,) = activity([entry(1, "job.refused", "job_1", **facts)], PEOPLE).entries
    assert one.told.endswith("bank-a allows no code.")
    stored = one.told.facts["reason"]  # type: ignore[attr-defined]
    assert (stored.template, dict(stored.facts)) == (reason.template, dict(reason.facts))
    older = {"code": "policy_refused", "reason": "a policy forbids it\u202e"}
    assert told("job.refused", older, {}).endswith("a policy forbids it\\u202e")


def test_a_page_knows_whether_there_are_older_ones() -> None:
    log = [entry(number, "person.login") for number in (9, 8, 7)]
    page = activity(log, PEOPLE, limit=2)
    assert ([one.id for one in page.entries], page.older) == ([9, 8], 8)
    last = activity(log[2:], PEOPLE, limit=2)
    assert ([one.id for one in last.entries], last.older) == ([7], 0)


def test_the_export_is_the_page_with_what_the_record_has() -> None:
    log = [entry(2, "person.login", person="psn_1"), entry(1, "person.logout", person="psn_1")]
    page = activity(log, PEOPLE, limit=1)
    assert exported(page, log, "en") == [log[0] | {"told": "Logged in.", "who": "ada"}]
    assert exported(page, log, "zh")[0]["told"] == told_in(page.entries[0].told, "zh")


def test_an_absence_and_a_delegation_end() -> None:
    assert told("person.absent", {"until": 0}, {}) == "Is back."
    assert told("person.absent", {"until": 86_400}, {}) == "Is away until 1970-01-02."
    lets = {"to": "psn_2", "until": 86_400}
    assert "ben" in told("person.delegated", lets, {"psn_2": "ben"})
