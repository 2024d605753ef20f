"""Logging in and out, and the language of the page."""

from __future__ import annotations

import contextlib
from typing import Final

from starlette.responses import RedirectResponse, Response

from secureflow.agent.console.asking import HASHING
from secureflow.agent.console.visits import HOME, Page, Visit, form_fields, own_path, see
from secureflow.domain.httpstatus import status_of
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.reading import members
from secureflow.texts import error_in

_AGAIN: Final = frozenset({"bad_credentials", "second_factor_required", "rate_limited"})
"""Codes of logins that are shown above the form, to try again."""
_NAME: Final = 64


async def show(visit: Visit) -> Response:
    """Show the login; who is logged in already is led on."""
    back = own_path(visit.request.query_params.get("back", HOME))
    if visit.session and await _lasts(visit):
        return see(back)
    return visit.page("login", back=back, name="", error=None)


async def _lasts(visit: Visit) -> bool:
    try:
        await visit.ask("people.me")
    except SecureFlowError:
        return False
    return True


async def log_in(visit: Visit) -> Response:
    """Open a session: always a new one, and the one that the browser brought ends."""
    fields = await form_fields(visit.request)
    name, back = fields.get("name", "").strip()[:_NAME], own_path(fields.get("back", HOME))
    cookies, attempts = visit.site.cookies, visit.site.attempts
    address = visit.request.client.host if visit.request.client else ""
    try:
        source = attempts.begin(address, name, cookies.device_of(visit.request.headers))
        told = {"name": name, "password": fields.get("password", ""), "source": source}
        code = fields.get("code", "").strip()
        asking = visit.site.agent.ask("people.login", "", HASHING, **told, code=code)
        opened = members(await asking)
    except SecureFlowError as error:
        if error.code not in _AGAIN:
            raise
        said = error_in(error.as_json(), visit.language)
        values = {"back": back, "name": name, "error": said}
        answer = visit.page("login", status_of(error.code), **values)
        if "retry_after" in error.details:
            answer.headers["Retry-After"] = str(error.details["retry_after"])
        return answer
    if visit.session:
        with contextlib.suppress(SecureFlowError):
            await visit.ask("people.logout")
    first = "/account" if opened.get("initial_password") else back
    answer = RedirectResponse(first, 303)
    cookies.put_session(answer, str(opened["session"]))
    cookies.put_device(answer, attempts.succeeded(source, name))
    return answer


async def log_out(visit: Visit) -> Response:
    """End the session at the agent, and have the browser forget it."""
    await visit.fields()
    await visit.ask("people.logout")
    answer = RedirectResponse("/login", 303)
    visit.site.cookies.clear_session(answer)
    return answer


async def choose_language(visit: Visit) -> Response:
    """Remember the language, and lead back."""
    fields = await form_fields(visit.request)
    answer = see(fields.get("back", HOME))
    visit.site.cookies.put_language(answer, "zh" if fields.get("language") == "zh" else "en")
    return answer


PAGES: Final = (
    Page("/login", show, log_in, outside=True),
    Page("/logout", act=log_out),
    Page("/language", act=choose_language, outside=True),
)
