"""One request on one screen, and the three things that a person can do about it.

A form names the request by its whole id, and what the person was shown by a digest (`seen`): who
decides on what has changed meanwhile is shown it again. The agent demands the person's session for
each decision, whatever this process says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from secureflow.agent.console.deciding import ITEM, Shown, changed, shown_of
from secureflow.agent.console.visits import Page, Visit, see
from secureflow.domain.httpstatus import status_of
from secureflow.domain.questions import LONGEST, MOST_TURNS
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.reading import finite, members
from secureflow.texts import error_in

_ID: Final = re.compile(ITEM)
_PAGE: Final = re.compile(r"[1-9][0-9]{0,5}")
_NOT_ASKED: Final = frozenset(
    {"question_open", "questions_exhausted", "already_decided", "expired", "invalid_request"}
)
"""Codes of a question that was not asked, which the screen shows."""
WIDTH: Final = 100.0
"""Of the bar of a budget."""


async def show(visit: Visit) -> Response:
    """Show a request."""
    return _screen(visit, await _shown(visit))


def _screen(visit: Visit, shown: Shown, error: SecureFlowError | None = None) -> Response:
    waits = shown.item.get("state") == "waiting"
    mine = shown.approved_by(visit.person.get("id"))
    decides = visit.may("decider") or bool(visit.person.get("decides_for"))
    return visit.page(
        "decision",
        200 if error is None else status_of(error.code),
        item=shown.item,
        document=shown.document,
        seen=shown.seen,
        mine=mine,
        decides=waits and decides and not mine and shown.document is not None,
        may=decides,
        open_question=shown.open_question,
        most_questions=MOST_TURNS,
        longest_question=LONGEST,
        bar=budget_bar(members((shown.document or {}).get("privacy"))),
        unsigned=visit.request.query_params.get("unsigned") == "1",
        error=None if error is None else error_in(error.as_json(), visit.language),
    )


async def _shown(visit: Visit) -> Shown:
    page = visit.request.query_params.get("page", "1")
    number = int(page) if _PAGE.fullmatch(page) else 1
    return await shown_of(visit, _item(visit), number)


def _item(visit: Visit) -> str:
    """Return the whole id that a link carries; a beginning of one names nothing.

    Raises:
        SecureFlowError: `not_found`.
    """
    item = str(visit.request.path_params["item"])
    if _ID.fullmatch(item):
        return item
    raise SecureFlowError("not_found", "The address has no id of a request.", "Begin at the inbox.")


async def approve(visit: Visit) -> Response:
    """Approve exactly what was shown; the agent signs it, or waits for a second person."""
    fields = await visit.fields()
    return await _decide(visit, fields, "approved", "inbox.approve", reason=_note(fields))


async def reject(visit: Visit) -> Response:
    """Reject a request with the reason that its submitter sees."""
    fields = await visit.fields()
    reason = _said(fields, "reason", "Say why you reject it: its submitter reads that.")
    return await _decide(visit, fields, "rejected", "inbox.reject", reason=reason)


async def ask_back(visit: Visit) -> Response:
    """Ask the submitter something; the request waits on, and the answer comes to its screen."""
    fields = await visit.fields()
    question = _text(fields, "question", "Write the question: its submitter reads it.")
    shown = await _shown(visit)
    if (shown.open_question or {}).get("question") == question:  # the second click of a double one
        return see(f"/r/{_item(visit)}")
    if fields.get("seen") != shown.seen:
        return _screen(visit, shown, changed())
    try:
        await visit.ask("inbox.ask_back", item=_item(visit), question=question)
    except SecureFlowError as error:
        if error.code not in _NOT_ASKED:
            raise
        return _screen(visit, await _shown(visit), error)
    return see(f"/r/{_item(visit)}")


async def _decide(
    visit: Visit, fields: Mapping[str, str], state: str, command: str, **given: str
) -> Response:
    """Give a decision's command once, and lead to what became of the request."""
    shown = await _shown(visit)
    if shown.decided(visit.person, state):  # the second click of a double one
        return see(f"/r/{_item(visit)}")
    if fields.get("seen") != shown.seen:
        return _screen(visit, shown, changed())
    try:
        came = members(await visit.ask(command, item=_item(visit), **given))
    except SecureFlowError as error:
        if error.code not in ("already_decided", "same_person"):
            raise
        shown = await _shown(visit)
        if not shown.decided(visit.person, state):
            return _screen(visit, shown, error)
        came = {"signed": True}
    if refusal := members(came.get("refused")):
        return _screen(visit, await _shown(visit), SecureFlowError.from_json(refusal))
    waits = state == "approved" and not came.get("signed") and not came.get("second")
    return see(f"/r/{_item(visit)}{'?unsigned=1' if waits else ''}")


def _note(fields: Mapping[str, str]) -> str:
    """Return a note on one line."""
    return " ".join(fields.get("reason", "").split())


def _said(fields: Mapping[str, str], name: str, hint: str) -> str:
    """Return a text that must not be empty, on one line.

    Raises:
        SecureFlowError: `invalid_request`.
    """
    return " ".join(_text(fields, name, hint).split())


def _text(fields: Mapping[str, str], name: str, hint: str) -> str:
    """Return a text that must not be empty.

    Raises:
        SecureFlowError: `invalid_request`.
    """
    said = fields.get(name, "").strip()
    if not said:
        raise SecureFlowError("invalid_request", "Nothing was decided: a text is missing.", hint)
    return said


def budget_bar(privacy: Mapping[str, Any]) -> dict[str, float] | None:
    """Return how long the parts of a budget's bar are, of `WIDTH`; None without a budget."""
    limit, before, after = (privacy.get(name) for name in ("limit", "before", "after"))
    if not (finite(limit) and finite(before) and finite(after) and limit > 0):
        return None
    spent = round(WIDTH * min(1.0, before / limit), 2)
    ends = round(WIDTH * min(1.0, after / limit), 2)
    return {"spent": spent, "more": max(0.0, round(ends - spent, 2)), "over": float(after > limit)}


PAGES: Final = (
    Page("/r/{item}", show, fresh=True),
    Page("/r/{item}/approve", act=approve),
    Page("/r/{item}/reject", act=reject),
    Page("/r/{item}/ask", act=ask_back),
)
