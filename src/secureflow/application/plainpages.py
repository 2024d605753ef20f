"""Small pages without script or style, for who comes by a browser to what has no better one.

An error at an address that a browser navigates to, a page that was not built, a step of the way
back from an identity provider: centre and owner's page answer alike. Everything in them is text:
hidden characters become visible escapes (`kit.plain`), markup is escaped.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from markupsafe import Markup

from secureflow.domain.httpstatus import status_of
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import shown
from secureflow.texts import Language, codes, error_in, told

_PAGE: Final = Markup(
    '<!doctype html>\n<html lang="{language}"><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    "{leads}<title>{title}</title><main><h1>{title}</h1>{lines}</main></html>\n"
)
_LEADS: Final = Markup('<meta http-equiv="refresh" content="0; url={address}">')
_LINE: Final = Markup("<p>{line}</p>")
_CODE: Final = Markup("<p><code>{code}</code></p>")
_WAY: Final = Markup('<p><a href="{address}">{words}</a></p>')


@dataclass(frozen=True)
class Way:
    """A link.

    Args:
        address: where it leads.
        words: what it is called, in English.
    """

    address: str
    words: str


@dataclass(frozen=True)
class PlainPage:
    """A page, and how it is answered.

    Args:
        text: HTML.
        status: of HTTP.
        headers: that belong to it.
    """

    text: str
    status: int
    headers: dict[str, str]


def leading_page(title: str, way: Way, language: Language) -> PlainPage:
    """Return a page that leads on by itself, and by its link where a browser does not."""
    leads = _LEADS.format(address=way.address)
    return _made(title=told(title, language), lines=_link(way, language), language=language,
                 leads=leads)  # fmt: skip


def error_page(error: SecureFlowError, language: Language, way: Way | None = None) -> PlainPage:
    """Return an error as a page: what it means, what happened, the next step, the code."""
    status = status_of(error.code)
    said = error_in(error.as_json(), language)
    title = HTTPStatus(status).phrase
    if language == "zh":  # a code that this version does not know has no sentence
        title = codes().get(error.code, title)
    lines = Markup().join(
        _LINE.format(line=shown(str(one))) for one in (said["message"], said["hint"]) if one
    )
    lines += _CODE.format(code=error.code)
    if way is not None:
        lines += _link(way, language)
    made = _made(title=title, lines=lines, language=language, status=status)
    if "retry_after" in error.details:
        made.headers["Retry-After"] = str(error.details["retry_after"])
    return made


def not_built() -> SecureFlowError:
    """Return the error of a page for browsers of which nothing was built."""
    return SecureFlowError(
        "console_not_built",
        "The page for browsers is not built in this installation.",
        "In a checkout run `make web`; a built package has it. The API and the commands work.",
    )


def _link(way: Way, language: Language) -> Markup:
    return _WAY.format(address=way.address, words=told(way.words, language))


def _made(
    *, title: str, lines: Markup, language: Language, status: int = 200, leads: str = ""
) -> PlainPage:
    text = _PAGE.format(language=language, title=title, lines=lines, leads=leads)
    headers = {"Content-Language": language, "Vary": "Accept-Language"}
    return PlainPage(str(text), status, headers)
