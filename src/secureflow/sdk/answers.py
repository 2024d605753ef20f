"""From HTTP answers to domain values and errors: one place, no IO."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import httpx
from pydantic import ValidationError

from secureflow.domain.specs.base import adapter, parse, place_of
from secureflow.domain.specs.recipe import Recipe, check_recipe
from secureflow.domain.texts import STORED
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.oserrors import reason_below
from secureflow.kit.text import Text
from secureflow.sdk.calls import Page
from secureflow.sdk.modelcards import Card
from secureflow.sdk.reports import Report

T = TypeVar("T")

_BY_STATUS = {
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    409: "already_exists",
    413: "too_large",
    429: "rate_limited",
    502: "unavailable",
    503: "unavailable",
    504: "unavailable",
}


def value(of: type[T]) -> Callable[[httpx.Response], T]:
    """Return a reader that builds the dataclass from the JSON answer; unknown keys are ignored."""
    return lambda response: build(of, _json(response))


def several(of: type[T]) -> Callable[[httpx.Response], tuple[T, ...]]:
    """Return a reader of a short list that comes whole."""

    def read(response: httpx.Response) -> tuple[T, ...]:
        body = _json(response)
        if not isinstance(body, list):
            raise _unreadable(response, "it is not a list")
        return tuple(build(of, item) for item in body)

    return read


def page(of: type[T]) -> Callable[[httpx.Response], Page[T]]:
    """Return a reader of one list page."""

    def read(response: httpx.Response) -> Page[T]:
        body = _json(response)
        if not isinstance(body, dict) or not isinstance(body.get("items"), list):
            raise _unreadable(response, "it is not a list page")
        items = tuple(build(of, item) for item in body["items"])
        damaged = body.get("damaged")
        keys = damaged if isinstance(damaged, list) else ()
        return Page(items, str(body.get("next") or ""), tuple(map(str, keys)))

    return read


def document(response: httpx.Response) -> dict[str, Any]:
    """Read a JSON object as it is."""
    body = _json(response)
    if not isinstance(body, dict):
        raise _unreadable(response, "it is not a JSON object")
    return body


def card(response: httpx.Response) -> Card:
    """Read a model's card."""
    return Card(document(response))


def report(response: httpx.Response) -> Report:
    """Read the report of a job."""
    return Report(document(response))


def recipe(response: httpx.Response) -> Recipe:
    """Read the recipe of a preparation, and check that its fits belong to its steps.

    Raises:
        SecureFlowError: `invalid_recipe`.
    """
    found = parse(Recipe, document(response), "recipe")
    check_recipe(found)
    return found


def text(response: httpx.Response) -> str:
    """Read a text answer."""
    return response.text


def content(response: httpx.Response) -> bytes:
    """Read a binary answer."""
    return response.content


def nothing(_: httpx.Response) -> None:
    """Ignore the body of a successful answer."""


def build(of: type[T], body: Any) -> T:
    """Build a dataclass from parsed JSON.

    Raises:
        SecureFlowError: `invalid_answer` naming the first field that does not fit.
    """
    try:
        built: T = adapter(of).validate_python(body, context=STORED)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = place_of(first["loc"]) or of.__name__
        raise SecureFlowError(
            "invalid_answer",
            Text(
                "The server's {name} does not fit this client: {where}: {reason}.",
                name=of.__name__,
                where=where,
                reason=first["msg"],
            ),
            "Use a client and a server of the same version.",
        ) from None  # pydantic's own message would show the answer, and with it a token
    return built


def problem(response: httpx.Response) -> SecureFlowError:
    """Turn an RFC 9457 problem, or any other answer of an intermediary, into an error."""
    try:
        body = response.json()
    except (ValueError, RecursionError):
        body = None
    if isinstance(body, dict) and isinstance(body.get("code"), str):
        message = body.get("detail") or body.get("title") or body["code"]
        hint = body.get("hint") or ""
        return SecureFlowError.foreign(
            body["code"], message, hint, body.get("details"), body.get("texts")
        )
    code = _BY_STATUS.get(response.status_code, "internal")
    return SecureFlowError(
        code,
        Text(
            "{host} answered {status_code} without a reason.",
            host=response.request.url.host,
            status_code=response.status_code,
        ),
        "Check that the URL is a SecureFlow server and that no proxy is in between.",
        {"status": response.status_code},
    )


def unreachable(
    error: httpx.TransportError, url: str, tried: Mapping[str, float] | None = None
) -> SecureFlowError:
    """Return an error that says why the server could not be reached, and the next step.

    Args:
        error: the last try's.
        url: the server.
        tried: `tries` and `seconds`, if there was more than one try.
    """
    untrusted = _untrusted(error)
    if untrusted:
        return SecureFlowError(
            "server_untrusted",
            Text(
                "The certificate of {url} is not trusted by the CA in use: {untrusted}.",
                url=url,
                untrusted=untrusted,
            ),
            "Give the CA file of this server (`--ca`), as its operator published it.",
        )
    tried = tried or {}
    tries, seconds = tried.get("tries", 0), tried.get("seconds", 0)
    if isinstance(error, httpx.TimeoutException):
        message = Text("{url} did not answer in time.", url=url)
        if tries > 1:
            message = Text(
                "{url} did not answer: {tries} tries in {seconds:g} s.",
                url=url,
                tries=tries,
                seconds=seconds,
            )
        hint = "Try again; `secureflow doctor` shows which check fails."
        return SecureFlowError("unavailable", message, hint, tried)
    reason = reason_below(error)
    message = Text("{url} cannot be reached: {reason}.", url=url, reason=reason)
    if tries > 1:
        message = Text(
            "{url} cannot be reached, after {tries} tries in {seconds:g} s: {reason}.",
            url=url,
            tries=tries,
            seconds=seconds,
            reason=reason,
        )
    hint = "Check the URL and that the server runs; `secureflow doctor` shows which check fails."
    return SecureFlowError("unavailable", message, hint, tried)


_VERIFY_FAILED = re.compile(r"certificate verify failed: (.*?)\.?(?: \(_ssl\.c:\d+\))?$")


def _untrusted(error: BaseException | None) -> str:
    """Return why a certificate is refused, without the library's wrapping; "" if it is not."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return getattr(error, "verify_message", "").rstrip(".") or "it does not verify"
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            found = _VERIFY_FAILED.search(str(error))
            return found[1] if found else "it does not verify"
        error = error.__cause__ or error.__context__
    return ""


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except (ValueError, RecursionError) as error:
        raise _unreadable(response, "it is not JSON") from error


def _unreadable(response: httpx.Response, reason: str) -> SecureFlowError:
    return SecureFlowError(
        "invalid_answer",
        Text(
            "The answer of {host} cannot be read: {reason}.",
            host=response.request.url.host,
            reason=reason,
        ),
        "Check that the URL is a SecureFlow server and that no proxy is in between.",
    )
