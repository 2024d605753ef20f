"""The agent's own record as people read it: who did what, newest first, a page at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from secureflow.agent.console.screens.actionwords import ACTIONS, names_of, told
from secureflow.agent.console.screens.figures import plain, ratio, second, text_of
from secureflow.agent.console.screens.spoken import Spoken
from secureflow.kit.reading import members, objects
from secureflow.kit.text import Text
from secureflow.texts import Language
from secureflow.texts import told as told_in

PAGE: Final = 50
"""Entries of a page."""


@dataclass(frozen=True)
class LogEntry:
    """One action.

    Args:
        id: its number in the record.
        at: unix seconds.
        who: the person, else whose Unix user it was, else empty: the agent itself.
        told: what was done.
        warns: whether it deserves attention.
        group: one of `GROUPS`; empty for an action that this page does not know.
        job: that it is about; empty.
        grant: that it is about; empty.
        request: that it is about; empty.
        note: what a person wrote; empty.
    """

    id: int
    at: int
    who: Spoken
    told: Spoken
    warns: bool
    group: str
    job: str = ""
    grant: str = ""
    request: str = ""
    note: str = ""


@dataclass(frozen=True)
class Activity:
    """A page of entries.

    Args:
        entries: the newest first.
        older: the number before which the next page stands; 0 on the last one.
    """

    entries: tuple[LogEntry, ...]
    older: int = 0


def asked(group: str, before: int, limit: int = PAGE) -> dict[str, Any]:
    """Return the arguments of `log` for a page: one entry more, to know whether there are older."""
    return {"limit": limit + 1, "before": before, "names": names_of(group)}


def activity(log: Any, people: Any, limit: int = PAGE) -> Activity:
    """Read a page of the answer of `log`; `people` is that of `people.list`."""
    names = {text_of(one, "id"): text_of(one, "name") for one in objects(people)}
    rows = [_entry(one, names) for one in objects(log, limit + 1)]
    shown = rows[:limit]
    older = shown[-1].id if len(rows) > limit else 0
    return Activity(tuple(shown), older)


def exported(page: Activity, log: Any, language: Language) -> list[dict[str, Any]]:
    """Return a page to keep: every entry as the record has it, beside what it says."""
    said = {one.id: one for one in page.entries}
    return [
        {**one, "told": told_in(entry.told, language), "who": told_in(entry.who, language)}
        for one in objects(log, len(said))
        if (entry := said.get(int(ratio(one.get("id"))))) is not None
    ]


def _entry(one: Mapping[str, Any], people: Mapping[str, str]) -> LogEntry:
    action, facts = text_of(one, "action"), members(one.get("facts"))
    kind = ACTIONS.get(action)
    return LogEntry(
        id=int(ratio(one.get("id"))),
        at=second(one.get("at")),
        who=_who(facts, people),
        told=told(action, facts, people),
        warns=kind is not None and kind.warns,
        group="" if kind is None else kind.group,
        job=text_of(one, "job"),
        grant=text_of(facts, "grant") or _grant_of(action, facts),
        request=text_of(facts, "item"),
        note=_note(action, facts),
    )


def _who(facts: Mapping[str, Any], people: Mapping[str, str]) -> str:
    person = plain(facts.get("person"))
    if person:
        return people.get(person, person)
    if facts.get("by") == "centre":
        return "the centre"
    user = facts.get("user")
    known = isinstance(user, int) and not isinstance(user, bool) and user >= 0
    return Text("Unix user {user}", user=user) if known else ""


def _grant_of(action: str, facts: Mapping[str, Any]) -> str:
    if action == "job.stopped" and facts.get("code") == "grant_revoked":
        return plain(facts.get("name"))
    return ""


def _note(action: str, facts: Mapping[str, Any]) -> str:
    """Return the words of a person; those of a refusal are in the sentence already."""
    return "" if action == "job.refused" else plain(facts.get("reason"))
