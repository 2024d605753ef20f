"""One request on one screen, and the three things that a person can do about it.

A form names the request by its whole id, and what the person was shown by a digest (`seen`): who
decides on what has changed meanwhile is shown it again. The agent demands the person's session for
each decision, whatever this process says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import Response

from secureflow.agent.console.visits import Page, Visit, see
from secureflow.domain.httpstatus import status_of
from secureflow.domain.questions import LONGEST, MOST_TURNS
from secureflow.kit.canonical import digest
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.reading import finite, members, objects
from secureflow.texts import error_in

_ID: Final = re.compile(r"[0-9a-f]{64}")
_PAGE: Final = re.compile(r"[1-9][0-9]{0,5}")
RECKONING: Final = 60.0
"""Seconds to wait for a document: a cost may have to be reckoned anew."""
_NOT_ASKED: Final = frozenset(
    {"question_open", "questions_exhausted", "already_decided", "expired", "invalid_request"}
)
"""Codes of a question that was not asked, which the screen shows."""
WIDTH: Final = 100.0
"""Of the bar of a budget."""


@dataclass(frozen=True)
class Shown:
    """A request as the agent tells it: `item` is the summary, `document` None if that is all."""

    item: Mapping[str, Any]
    document: Mapping[str, Any] | None

    @property
    def seen(self) -> str:
        """A digest of what a decision depends on and may change: approvals, budget, answers."""
        document = self.document or {}
        people = members(document.get("people"))
        parts = {
            "id": self.item.get("id"),
            "spec": self.item.get("digest"),
            "state": self.item.get("state"),
            "two_people": people.get("two_people"),
            "approved": [one.get("id") for one in objects(people.get("approved"))],
            "privacy": document.get("privacy"),
            "rule": members(document.get("rule")).get("effect"),
            "code": members(document.get("code")).get("digest"),
            "questions": [(one.get("question"), one.get("answer")) for one in self.questions],
        }
        return digest(parts)

    @property
    def questions(self) -> tuple[Mapping[str, Any], ...]:
        """What was asked of the submitter, and the answers as the centre told them."""
        return objects((self.document or {}).get("questions"))

    @property
    def open_question(self) -> Mapping[str, Any] | None:
        """The question that waits for its answer, if there is one."""
        return next((one for one in self.questions if not one.get("answered")), None)

    def approved_by(self, person: Any) -> bool:
        """Tell whether a person approved it already, in the own place or another's."""
        people = members((self.document or {}).get("people"))
        return any(one.get("id") == person for one in objects(people.get("approved")))


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
    asking = visit.ask(
        "inbox.document", RECKONING, item=_item(visit), language=visit.language, page=number
    )
    answer = members(await asking)
    document = answer.get("document")
    return Shown(members(answer.get("item")), document if isinstance(document, Mapping) else None)


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
        return _screen(visit, shown, _changed())
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
    if _done(visit, shown, state):  # the second click of a double one
        return see(f"/r/{_item(visit)}")
    if fields.get("seen") != shown.seen:
        return _screen(visit, shown, _changed())
    try:
        came = members(await visit.ask(command, item=_item(visit), **given))
    except SecureFlowError as error:
        if error.code not in ("already_decided", "same_person"):
            raise
        shown = await _shown(visit)
        if not _done(visit, shown, state):
            return _screen(visit, shown, error)
        came = {"signed": True}
    if refusal := members(came.get("refused")):
        return _screen(visit, await _shown(visit), SecureFlowError.from_json(refusal))
    waits = state == "approved" and not came.get("signed") and not came.get("second")
    return see(f"/r/{_item(visit)}{'?unsigned=1' if waits else ''}")


def _done(visit: Visit, shown: Shown, state: str) -> bool:
    """Tell whether this very decision was taken already."""
    mine = state == "approved" and shown.approved_by(visit.person.get("id"))
    return mine or shown.item.get("state") == state


def _changed() -> SecureFlowError:
    return SecureFlowError(
        "request_changed",
        "The request is not as this page had shown it: nothing was decided.",
        "Look at it again; below it is as it is now.",
    )


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
    Page("/r/{item}", show),
    Page("/r/{item}/approve", act=approve),
    Page("/r/{item}/reject", act=reject),
    Page("/r/{item}/ask", act=ask_back),
)
