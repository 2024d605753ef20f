"""What an agent knows about a request beside its spec: rules, the submitter's past, who decides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from secureflow.cli.console import moment
from secureflow.cli.escaping import plain
from secureflow.cli.texts import listed, said, t
from secureflow.kit.reading import members, number, objects

_ALL = 1_000
"""Least lines of a field that is not shortened (`cli.decision`)."""


def known_here(here: Mapping[str, Any]) -> Iterator[tuple[str, str, int]]:
    """Yield label, text and least lines of what the agent's own record says of a request.

    An agent of an older version says nothing of it.
    """
    if people := members(here.get("people")):
        yield t("People"), _people(people), _ALL if people.get("two_people") else 1
    if rule := members(here.get("rule")):
        yield t("Rule"), _rule(rule), 1
    if asked := objects(here.get("questions")):
        yield t("Questions"), t("; ").join(map(_question, asked)), _ALL
    if "before" in here:
        yield t("Before"), _before(members(here.get("before"))), 2


def _people(people: Mapping[str, Any]) -> str:
    parts = []
    if two := [plain(said(str(one))) for one in people.get("two_people") or ()]:
        parts.append(t("TWO PEOPLE must decide: {why}", why=listed(two)))
    for one in objects(people.get("approved")):
        who = {"name": plain(one.get("name") or ""), "id": plain(one.get("id") or "")}
        parts.append(t("{name} ({id}) approved on {when}", **who, when=moment(one.get("at"))))
    if can := [plain(str(one)) for one in people.get("can_decide") or ()]:
        parts.append(t("here to decide: {names}", names=listed(can)))
    return t("; ").join(parts) or "-"


def _question(one: Mapping[str, Any]) -> str:
    """Say what was asked of the submitter; the answer is the centre's word, and foreign text."""
    asked = t(
        "asked on {when}: {question}",
        when=moment(one.get("asked")),
        question=plain(str(one.get("question"))),
    )
    if not one.get("answered"):
        return (
            asked
            + t("; ")
            + (t("not answered yet") if one.get("told") else t("not yet told to the centre"))
        )
    return (
        asked
        + t("; ")
        + t(
            "answered, as the centre tells, by {by} on {when}: {answer}",
            by=plain(str(one.get("by") or "?")),
            when=moment(one.get("answered")),
            answer=plain(str(one.get("answer"))),
        )
    )


def _rule(rule: Mapping[str, Any]) -> str:
    decided = [plain(said(str(one))) for one in rule.get("by") or ()]
    text = t("; ").join(decided)
    near = next(iter(objects(rule.get("nearly"))), None)
    if near is not None and rule.get("effect") == "ask":
        missing = [plain(str(one)) for one in near.get("missing") or ()]
        title = plain(str(near.get("title")))
        text += t("; ") + t("nearest: {title}, without {parts}", title=title, parts=listed(missing))
    return text or "-"


def _state(name: object) -> str:
    said = t(str(name))
    return str(name).replace("_", " ") if said == name else said


def _before(told: Mapping[str, Any]) -> str:
    """Say what came under this submitter's name before."""
    count = int(number(told.get("jobs")) or 0)
    if not count:
        return t("nothing was asked under this name before")
    states = [
        t("{count} {state}", count=value, state=_state(name))
        for name, value in members(told.get("states")).items()
    ]
    text = t("{count} {count:job|jobs}: {states}", count=count, states=listed(states))
    for one in objects(told.get("newest"))[:1]:
        last = {name: plain(str(one.get(name) or "-")) for name in ("job", "purpose", "dataset")}
        text += t("; ") + t(
            "last: {job}, {purpose}, on {when}: {state}",
            job=last["job"],
            purpose=last["purpose"],
            when=moment(one.get("at")),
            state=_state(one.get("state")),
        )
        if one.get("reason"):
            text += t("; ") + plain(said(str(one["reason"])))
    return text
