"""The own account: the password, and the second factor."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import RedirectResponse, Response

from secureflow.agent.console.asking import HASHING
from secureflow.agent.console.visits import Page, Visit
from secureflow.domain.httpstatus import status_of
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.reading import members
from secureflow.texts import error_in

_AGAIN: Final = frozenset(
    {
        *("bad_credentials", "weak_password", "rate_limited", "second_factor_refused"),
        *("already_exists", "not_found", "invalid_request"),
    }
)
"""Codes that are shown above the forms, to try again."""


async def show(visit: Visit) -> Response:
    """Show the account."""
    return _screen(visit)


def _screen(visit: Visit, error: SecureFlowError | None = None, **values: Any) -> Response:
    said = None if error is None else error_in(error.as_json(), visit.language)
    status = 200 if error is None else status_of(error.code)
    return visit.page("account", status, **{"error": said, "drawn": None, "codes": None} | values)


async def choose_password(visit: Visit) -> Response:
    """Choose another password; every session of the account ends, this one too."""
    fields = await visit.fields()
    new = fields.get("new", "")
    try:
        if new != fields.get("again", ""):
            raise SecureFlowError(
                "invalid_request", "The new password was typed in two ways.", "Type it again."
            )
        await visit.ask("people.password", HASHING, old=fields.get("old", ""), new=new)
    except SecureFlowError as error:
        return _again(visit, error)
    answer = RedirectResponse("/login", 303)
    visit.site.cookies.clear_session(answer)
    return answer


async def draw(visit: Visit) -> Response:
    """Draw a second factor and show it, once."""
    fields = await visit.fields()
    try:
        asking = visit.ask("people.totp.enrol", HASHING, password=fields.get("password", ""))
        drawn = members(await asking)
    except SecureFlowError as error:
        return _again(visit, error)
    return _screen(visit, drawn=drawn)


async def confirm(visit: Visit) -> Response:
    """Confirm it by a code; show the recovery codes, once."""
    fields = await visit.fields()
    try:
        answer = members(
            await visit.ask("people.totp.confirm", code=fields.get("code", "").strip())
        )
    except SecureFlowError as error:
        return _again(visit, error)
    return _screen(visit, codes=list(answer.get("recovery_codes") or ()))


def _again(visit: Visit, error: SecureFlowError) -> Response:
    if error.code not in _AGAIN:
        raise error
    return _screen(visit, error)


PAGES: Final = (
    Page("/account", show, fresh=True),
    Page("/account/password", act=choose_password),
    Page("/account/second-factor", act=draw),
    Page("/account/second-factor/confirm", act=confirm),
)
