"""Being away, and having somebody decide in one's place."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Final

from starlette.responses import Response

from secureflow.agent.console.screens.figures import DAY, day
from secureflow.agent.console.screens.people import given_by, people_rows, person_row
from secureflow.agent.console.visits import Page, Visit, see
from secureflow.domain.httpstatus import status_of
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text
from secureflow.texts import error_in

_AGAIN: Final = frozenset({"invalid_request", "person_unknown", "role_needed"})
"""Codes that are shown above the forms, to try again."""
_YEAR: Final = 365


async def show(visit: Visit) -> Response:
    """Show until when the person is away, and who decides in its place."""
    return await _screen(visit)


async def change(visit: Visit) -> Response:
    """Record or end an absence or a delegation: the form names what."""
    fields = await visit.fields()
    what = fields.get("do", "")
    try:
        if what in ("away", "back"):
            until = end_of(fields.get("until", "")) if what == "away" else 0
            await visit.ask("people.absent", until=until)
        elif what in ("delegate", "end"):
            until = end_of(fields.get("until", "")) if what == "delegate" else 0
            await visit.ask("people.delegate", to=fields.get("to", "").strip(), until=until)
        else:
            raise SecureFlowError("invalid_request", "The form does not say what is to be done.")
    except SecureFlowError as error:
        if error.code not in _AGAIN:
            raise
        return await _screen(visit, error)
    return see("/absence")


async def _screen(visit: Visit, error: SecureFlowError | None = None) -> Response:
    rows = people_rows(await visit.ask("people.list"))
    own, now = person_row(visit.person), visit.site.pages.now()
    return visit.page(
        "absence",
        200 if error is None else status_of(error.code),
        own=own,
        given=given_by(own.name, rows),
        others=[one.name for one in rows if one.id != own.id and one.state != "disabled"],
        first=day(now + DAY),
        last=day(now + (_YEAR - 1) * DAY),
        error=error and error_in(error.as_json(), visit.language),
    )


def end_of(written: str) -> int:
    """Return the end of a day (UTC) as unix seconds.

    Raises:
        SecureFlowError: `invalid_request`.
    """
    try:
        found = datetime.combine(date.fromisoformat(written), datetime.max.time(), UTC)
        return int(found.timestamp())
    except (ValueError, OverflowError) as error:
        raise SecureFlowError(
            "invalid_request", Text("{until!r} is no date.", until=written[:40])
        ) from error


PAGES: Final = (Page("/absence", show, change),)
