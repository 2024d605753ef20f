"""The inbox: who waits, one request whole, and the decision about it.

A decision names the request by its whole id, and what the person was shown by a digest (`seen`):
who decides on what has changed meanwhile is refused, and shown it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import Field

from secureflow.agent.console.api.operations import Call, Operation
from secureflow.agent.console.deciding import ITEM, Shown, changed, shown_of
from secureflow.agent.console.screens.figures import text_of
from secureflow.agent.console.screens.inbox import InboxRow, inbox_rows
from secureflow.agent.console.screens.requests import RequestView, request_view
from secureflow.agent.console.screens.spoken import Spoken
from secureflow.domain.questions import LONGEST, MOST_TURNS
from secureflow.domain.specs.base import STRICT
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.reading import members
from secureflow.kit.text import Text

_PATTERNS: Final = {"item": ITEM}
Seen = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


@dataclass(frozen=True)
class Listing:
    """What the inbox is narrowed to.

    Args:
        every: whether those that were decided are listed, too.
        offset: how many to leave out.
        limit: how many at most.
    """

    __pydantic_config__ = STRICT
    every: bool = False
    offset: Annotated[int, Field(ge=0, le=100_000)] = 0
    limit: Annotated[int, Field(ge=1, le=300)] = 100


@dataclass(frozen=True)
class Inbox:
    """Requests by their urgency.

    Args:
        rows: of this page.
        total: how many there are.
        waiting: how many wait for people.
        overdue: how many wait for longer than the owner likes.
    """

    rows: tuple[InboxRow, ...]
    total: int
    waiting: int
    overdue: int


@dataclass(frozen=True)
class PageOfCode:
    """Which page of the code's difference is wanted."""

    __pydantic_config__ = STRICT
    page: Annotated[int, Field(ge=1, le=1_000_000)] = 1


@dataclass(frozen=True)
class Decision:
    """One request, and what the person who looks at it may do.

    Args:
        summary: as the inbox lists it.
        request: everything that is decided on; None of one of which only the summary is kept.
        digest: of the job's spec.
        decided: when it was decided; 0.
        seen: what a decision must bring: it is refused if the request changed meanwhile.
        decides: whether the person may decide it now.
        mine: whether the person approved it already, and it waits for a second one.
        asks: whether a question may be asked now.
        longest_question: characters of one.
    """

    summary: InboxRow
    request: RequestView | None
    digest: str
    decided: int
    seen: str
    decides: bool
    mine: bool
    asks: bool
    longest_question: int


@dataclass(frozen=True)
class Approve:
    """An approval of exactly what was shown, with a note for the own log."""

    __pydantic_config__ = STRICT
    seen: Seen
    note: Annotated[str, Field(max_length=2000)] = ""


@dataclass(frozen=True)
class Reject:
    """A rejection, with the reason that the submitter reads."""

    __pydantic_config__ = STRICT
    seen: Seen
    reason: Annotated[str, Field(min_length=1, max_length=2000)]


@dataclass(frozen=True)
class AskBack:
    """A question to the submitter; the request waits on."""

    __pydantic_config__ = STRICT
    seen: Seen
    question: Annotated[str, Field(min_length=1, max_length=LONGEST)]


@dataclass(frozen=True)
class Outcome:
    """What came of a decision.

    Args:
        state: of the request now.
        signed: whether the agent signed the approval.
        second: whether it waits for a second person.
        refused: why the agent refused to sign what was approved; empty.
    """

    state: str
    signed: bool
    second: bool
    refused: Spoken = ""


async def listed(call: Call) -> Inbox:
    """Return the requests, by their urgency."""
    query = call.query
    rows = inbox_rows(await call.visit.ask("inbox.list", waiting=not query.every))
    return Inbox(
        rows[query.offset : query.offset + query.limit],
        len(rows),
        sum(one.state == "waiting" for one in rows),
        sum(one.overdue for one in rows),
    )


async def show(call: Call) -> Decision:
    """Return a request."""
    return _decision(call, await shown_of(call.visit, call.named("item"), call.query.page))


def _decision(call: Call, shown: Shown) -> Decision:
    visit, document = call.visit, shown.document
    mine = shown.approved_by(visit.person.get("id"))
    may = _may(call)
    waits = shown.item.get("state") == "waiting"
    decides = waits and may and not mine and document is not None
    rows = inbox_rows([shown.item])
    return Decision(
        summary=rows[0],
        request=None if document is None else request_view(document),
        digest=text_of(shown.item, "digest"),
        decided=int(shown.item.get("decided_at") or 0),
        seen=shown.seen,
        decides=decides,
        mine=waits and mine,
        asks=decides and shown.open_question is None and len(shown.questions) < MOST_TURNS,
        longest_question=LONGEST,
    )


def _may(call: Call) -> bool:
    """Tell whether the person decides about requests, in the own place or another's."""
    return call.visit.may("decider") or bool(call.visit.person.get("decides_for"))


def _check_role(call: Call) -> None:
    """Refuse who does not decide before the request is looked at; the agent refuses, too."""
    if not _may(call):
        raise SecureFlowError(
            "role_needed",
            Text("This needs the role {role} at this agent.", role="decider"),
            "An owner-admin gives roles: secureflow agent people roles NAME ROLE….",
        )


async def approve(call: Call) -> Outcome:
    """Approve exactly what was shown; the agent signs it, or waits for a second person."""
    return await _decide(call, "approved", "inbox.approve", " ".join(call.body.note.split()))


async def reject(call: Call) -> Outcome:
    """Reject a request."""
    reason = " ".join(call.body.reason.split())
    if not reason:
        raise SecureFlowError(
            "invalid_request",
            "Nothing was decided: a text is missing.",
            "Say why you reject it: its submitter reads that.",
        )
    return await _decide(call, "rejected", "inbox.reject", reason)


async def ask_back(call: Call) -> None:
    """Ask the submitter something; asked twice it is one question."""
    _check_role(call)
    visit, item, question = call.visit, call.named("item"), call.body.question.strip()
    shown = await shown_of(visit, item)
    if (shown.open_question or {}).get("question") == question:
        return
    if call.body.seen != shown.seen:
        raise changed()
    await visit.ask("inbox.ask_back", item=item, question=question)


async def _decide(call: Call, state: str, command: str, reason: str) -> Outcome:
    """Give a decision's command once: sent twice it is one decision."""
    _check_role(call)
    visit, item = call.visit, call.named("item")
    shown = await shown_of(visit, item)
    if shown.decided(visit.person, state):
        return _came(shown.item, {"signed": shown.item.get("state") == state})
    if call.body.seen != shown.seen:
        raise changed()
    try:
        came = members(await visit.ask(command, item=item, reason=reason))
    except SecureFlowError as error:
        if error.code not in ("already_decided", "same_person"):
            raise
        shown = await shown_of(visit, item)
        if not shown.decided(visit.person, state):
            raise
        return _came(shown.item, {"signed": shown.item.get("state") == state})
    return _came(came, came)


def _came(item: Any, came: Any) -> Outcome:
    refusal = members(came.get("refused"))
    error = SecureFlowError.from_json(refusal) if refusal else None
    return Outcome(
        state=text_of(item, "state"),
        signed=bool(came.get("signed")),
        second=bool(came.get("second")) or item.get("state") == "waiting",
        refused="" if error is None else error.message,
    )


OPERATIONS: Final = (
    Operation(
        "inbox", "GET", "/inbox", listed, Inbox, query=Listing,
        about="Requests by their urgency: the overdue first.",
    ),
    Operation(
        "request", "GET", "/inbox/{item}", show, Decision, query=PageOfCode, fresh=True,
        patterns=_PATTERNS,
        about="One request with everything that a person decides on.",
    ),
    Operation(
        "approve", "POST", "/inbox/{item}/approve", approve, Outcome, Approve, need="decider",
        patterns=_PATTERNS, fresh=True, about="Approve exactly what was shown.",
    ),
    Operation(
        "reject", "POST", "/inbox/{item}/reject", reject, Outcome, Reject, need="decider",
        patterns=_PATTERNS, fresh=True, about="Reject it with a reason that the submitter reads.",
    ),
    Operation(
        "askBack", "POST", "/inbox/{item}/ask", ask_back, None, AskBack, need="decider",
        patterns=_PATTERNS, fresh=True, about="Ask the submitter a question; the request waits on.",
    ),
)  # fmt: skip
