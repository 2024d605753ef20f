"""Requests as the inbox lists them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from secureflow.agent.console.screens.figures import limit, plain, ratio, second, text_of, texts
from secureflow.agent.console.screens.spoken import Spoken
from secureflow.kit.reading import members, objects


@dataclass(frozen=True)
class InboxRow:
    """A request in short.

    Args:
        id: whole.
        job: its id.
        name: of the job.
        kind: of job.
        state: `waiting`, `approved`, `rejected`, `expired`, `withdrawn`, `damaged`.
        reason: of the decision; empty.
        purpose: as the submitter says.
        submitter: as the centre names them.
        dataset: its name here.
        columns: how many the job uses.
        sensitive: the first sensitive ones of them.
        epsilon: that it costs; None without noise.
        parties: how many take part.
        at: since when it waits.
        expires: until when.
        overdue: whether it waits for longer than the owner likes.
        approved_by: how many approved it.
        two_people: whether two must.
    """

    id: str
    job: str
    name: str
    kind: str
    state: str
    reason: Spoken
    purpose: str
    submitter: str
    dataset: str
    columns: int
    sensitive: tuple[str, ...]
    epsilon: float | None
    parties: int
    at: int
    expires: int
    overdue: bool
    approved_by: int
    two_people: bool


def inbox_rows(value: Any) -> tuple[InboxRow, ...]:
    """Return requests by their urgency: the overdue, those that wait by their ends, the others."""
    return tuple(sorted((_row(one) for one in objects(value, 10_000)), key=_urgency))


def _urgency(one: InboxRow) -> tuple[int, int]:
    if one.state != "waiting":
        return 2, -one.at
    return int(not one.overdue), one.expires


def _row(one: Mapping[str, Any]) -> InboxRow:
    request = members(one.get("request"))  # of `inbox.document`, which has the whole request
    data = {**{name: request.get(name) for name in ("kind", "purpose", "submitter")}, **one}
    columns, parties = (
        one.get("columns", request.get("columns")),
        one.get("parties", request.get("parties")),
    )
    return InboxRow(
        id=text_of(one, "id"),
        job=text_of(one, "job"),
        name=text_of(one, "name"),
        kind=text_of(data, "kind"),
        state=text_of(one, "state"),
        reason=plain(one.get("reason")),
        purpose=text_of(data, "purpose"),
        submitter=text_of(data, "submitter"),
        dataset=plain(one.get("dataset", request.get("dataset"))),
        columns=_count(columns),
        sensitive=texts(one.get("sensitive", request.get("sensitive"))),
        epsilon=limit(one.get("epsilon", request.get("epsilon"))),
        parties=_count(parties),
        at=second(one.get("at")),
        expires=second(one.get("expires")),
        overdue=one.get("overdue") is True,
        approved_by=int(ratio(one.get("approved_by"))),
        two_people=one.get("two_people") is True,
    )


def _count(value: Any) -> int:
    return len(value) if isinstance(value, list | tuple) else int(ratio(value))
