"""The first screen: what waits, what little is left of, what runs, what happened, what is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from secureflow.agent.console.screens.actionwords import ACTIONS
from secureflow.agent.console.screens.activity import Activity, activity
from secureflow.agent.console.screens.budgets import BudgetView, budget_views
from secureflow.agent.console.screens.datasets import Usage, usage_view
from secureflow.agent.console.screens.figures import plain, second, text_of
from secureflow.agent.console.screens.grants import GrantRow, groups
from secureflow.agent.console.screens.spoken import Spoken
from secureflow.kit.reading import members, objects

LAST: Final = 8
"""The last things that happened."""
WAITING: Final = 5
"""Requests that are named on the first screen."""
LEADS: Final = {
    "request_waiting": ("inbox", "item"),
    "question_answered": ("inbox", "item"),
    "grant_made": ("grants", "grant"),
    "grant_revoked": ("grants", "grant"),
    "grant_unlocked": ("grants", "grant"),
    "grant_expiring": ("grants", "grant"),
}
"""Kind of a notification → the page of the object that one of its facts names."""
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,200}")


@dataclass(frozen=True)
class Waiting:
    """A request that waits, in short."""

    id: str
    name: str
    purpose: str
    submitter: str
    dataset: str
    at: int
    expires: int
    overdue: bool
    approved_by: int


@dataclass(frozen=True)
class Notice:
    """A notification of the agent's own.

    Args:
        id: its number; 0 for a trouble of the agent's state, which cannot be marked as read.
        severity: `info`, `warning` or `critical`.
        at: unix seconds; 0.
        message: what it says.
        hint: the next step; empty.
        kind: its kind in the catalogue; empty for a trouble.
        path: the page of what it is about; empty.
        facts: what it is about: ids, codes and numbers.
    """

    id: int
    severity: str
    at: int
    message: Spoken
    hint: Spoken = ""
    kind: str = ""
    path: str = ""
    facts: dict[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True)
class Overview:
    """The first screen.

    Args:
        waiting: requests, the overdue ones first.
        waits: how many there are.
        overdue: how many wait for longer than the owner likes.
        budgets: every budget, those with the smallest share left first.
        usage: who uses what now; its differences.
        proposals: grants of the centre that nobody here confirmed.
        last: the last actions of people, and those that deserve attention.
        notices: what is wrong now, then unread notifications.
        link: `connected` or `down`.
    """

    waiting: tuple[Waiting, ...]
    waits: int
    overdue: int
    budgets: tuple[BudgetView, ...]
    usage: Usage
    proposals: tuple[GrantRow, ...]
    last: Activity
    notices: tuple[Notice, ...]
    link: str


LAST_NAMES: Final = [
    name
    for name, kind in ACTIONS.items()
    if kind.group in ("decisions", "grants", "data", "agent") or kind.warns
]
"""What of the record the first screen tells: decisions and their like, not every vote."""


def asked() -> dict[str, Any]:
    """Return the arguments of `log` for the last things that happened."""
    return {"limit": LAST, "names": LAST_NAMES}


def overview(answers: Mapping[str, Any]) -> Overview:
    """Read the answers of the commands that the first screen needs, by their names."""
    inbox = [_waiting(one) for one in objects(answers.get("inbox.list"), 10_000)]
    inbox.sort(key=lambda one: (not one.overdue, one.at))
    budgets = budget_views(answers.get("data.budget"))
    rows = [row for group in groups(answers.get("grant.list")) for row in group.rows]
    return Overview(
        waiting=tuple(inbox[:WAITING]),
        waits=len(inbox),
        overdue=sum(one.overdue for one in inbox),
        budgets=tuple(sorted(budgets, key=_share_left)),
        usage=usage_view(answers.get("data.usage")),
        proposals=tuple(one for one in rows if one.state == "proposed"),
        last=activity(answers.get("log"), answers.get("people.list"), limit=LAST),
        notices=(
            *_troubles(members(answers.get("status"))),
            *_notices(answers.get("notification.list")),
        ),
        link=text_of(members(answers.get("status")), "link"),
    )


def _waiting(one: Mapping[str, Any]) -> Waiting:
    return Waiting(
        id=text_of(one, "id"),
        name=text_of(one, "name") or text_of(one, "kind") or text_of(one, "job"),
        purpose=text_of(one, "purpose"),
        submitter=text_of(one, "submitter"),
        dataset=text_of(one, "dataset"),
        at=second(one.get("at")),
        expires=second(one.get("expires")),
        overdue=one.get("overdue") is True,
        approved_by=second(one.get("approved_by")),
    )


def _share_left(budget: BudgetView) -> tuple[bool, float]:
    left, most = budget.share.left, budget.share.limit
    return not budget.locked, (left or 0.0) / most if most else 1.0


def _troubles(status: Mapping[str, Any]) -> Iterator[Notice]:
    """Yield what is wrong with the agent now: alarm, record, ledger, link."""
    for name, severity in (
        ("alarm", "critical"),
        ("record", "critical"),
        ("set_back", "warning"),
        ("trouble", "warning"),
    ):
        found = members(status.get(name))
        if found.get("message"):
            yield Notice(0, severity, 0, plain(found["message"]), plain(found.get("hint")))


def _notices(value: Any) -> Sequence[Notice]:
    return [
        Notice(
            second(one.get("id")),
            text_of(one, "severity"),
            second(one.get("at")),
            plain(one.get("message")),
            kind=text_of(one, "kind"),
            path=_leads(one),
            facts=_facts(one),
        )
        for one in objects(value)
        if not one.get("read")
    ]


def _facts(one: Mapping[str, Any]) -> dict[str, str | int]:
    facts = members(one.get("facts"))
    return {name: value for name, value in facts.items() if type(value) in (str, int)}


def _leads(one: Mapping[str, Any]) -> str:
    """Return the page of what a notification is about, or ""."""
    kind = text_of(one, "kind")
    if kind.startswith("account_"):
        return "/people"
    page, fact = LEADS.get(kind, ("", ""))
    about = text_of(members(one.get("facts")), fact)
    return f"/{page}/{about}" if _ID.fullmatch(about) else ""
