"""Logging in and out, and the language of the page."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.responses import RedirectResponse, Response

from secureflow.agent.console.asking import HASHING
from secureflow.agent.console.visits import HOME, Page, Visit, form_fields, own_path, see
from secureflow.domain.httpstatus import status_of
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.reading import members, objects
from secureflow.texts import error_in

_AGAIN: Final = frozenset({"bad_credentials", "second_factor_required", "rate_limited"})
"""Codes of logins that are shown above the form, to try again."""
_NAME: Final = 64
_PROVIDER: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


async def show(visit: Visit) -> Response:
    """Show the login; who is logged in already is led on."""
    back = own_path(visit.request.query_params.get("back", HOME))
    if visit.session and await _lasts(visit):
        return see(back)
    return await screen(visit, back)


async def screen(
    visit: Visit, back: str, *, name: str = "", error: SecureFlowError | None = None
) -> Response:
    """Return the login: the form, and a way to each identity provider that knows this page.

    Args:
        visit: the request.
        back: where the login leads.
        name: typed already.
        error: of the login before.
    """
    told = objects(await visit.site.agent.ask("people.providers"))
    shown = usable(told)
    said = None if error is None else error_in(error.as_json(), visit.language)
    status = 200 if error is None else status_of(error.code)
    answer = visit.page("login", status, back=back, name=name, error=said, providers=shown)
    if error is not None and "retry_after" in error.details:
        answer.headers["Retry-After"] = str(error.details["retry_after"])
    return answer


def usable(told: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the identity providers that know this page."""
    return [one for one in told if one.get("page") and _PROVIDER.fullmatch(str(one.get("name")))]


def address_of(visit: Visit) -> str:
    """Return the address of the client, or ""."""
    return visit.request.client.host if visit.request.client else ""


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
    try:
        source = attempts.begin(address_of(visit), name, cookies.device_of(visit.request.headers))
        told = {"name": name, "password": fields.get("password", ""), "source": source}
        code = fields.get("code", "").strip()
        asking = visit.site.agent.ask("people.login", "", HASHING, **told, code=code)
        opened = members(await asking)
    except SecureFlowError as error:
        if error.code not in _AGAIN:
            raise
        return await screen(visit, back, name=name, error=error)
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
