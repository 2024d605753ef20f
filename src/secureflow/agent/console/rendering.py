"""Making pages: templates, texts in the reader's language, and how values are shown.

Everything that a template writes is escaped twice over: hidden characters become visible escapes
(`kit.plain`), markup becomes text (autoescape). A filter that returns markup does the same with
what it is given.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse, Response

from secureflow.agent.console.screens.spoken import approval_in
from secureflow.domain.figures import cost
from secureflow.kit.canonical import JSON
from secureflow.kit.disk import size
from secureflow.kit.plain import shown
from secureflow.kit.text import Text, filled, text_in
from secureflow.texts import Language, catalogue, error_in, told

_LATEST: Final = 1 << 36
_SHORT: Final = 8
_GROUPED: Final = 10_000
"""Numbers from here on are shown without decimals."""
_STEPS: Final = ((86_400 * 2, 86_400, "day"), (3600 * 2, 3600, "hour"), (90, 60, "minute"))


class Named(Protocol):
    """What the header leads to (`console.visits.Page`)."""

    @property
    def path(self) -> str:
        """Its address."""

    @property
    def title(self) -> str:
        """What it is called, in English."""


class Pages:
    """Makes pages.

    Args:
        clock: unix seconds, for how long ago something was.
        navigation: what the header leads to.
    """

    def __init__(self, clock: Callable[[], float], navigation: Sequence[Named] = ()) -> None:
        made = Environment(
            loader=PackageLoader("secureflow.agent.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=visible,
        )
        made.globals |= {"tr": _tr, "navigation": navigation}
        made.filters |= {
            "told": _told,
            "member": _member,
            "word": _word,
            "words": _words,
            "approval": _approval,
            "digest": digest,
            "moment": moment,
            "when": self._when,
            "epsilon": cost,
            "bytes": size,
            "number": number,
            "lines": _lines,
            "listed": _listed,
            "error": _error,
        }
        self._clock = clock
        self._environment = made

    def now(self) -> int:
        """Return the present in unix seconds."""
        return int(self._clock())

    def page(
        self, template: str, status: int, language: Language, values: Mapping[str, Any]
    ) -> Response:
        """Return a page; see `Visit.page`."""
        made = self._environment.get_template(f"{template}.jinja")
        headers = {"Content-Language": language, "Vary": "Accept-Language, Cookie"}
        return HTMLResponse(
            made.render(lang=language, between=_between(language), **values), status, headers
        )

    @pass_context
    def _when(self, context: Context, seconds: Any) -> Markup:
        """Show a moment: how long ago it was, or ahead it is; the date when pointed at."""
        absolute = moment(seconds)
        if not absolute:
            return Markup()
        away = float(seconds) - self._clock()
        said = told(_distance(abs(away), ahead=away > 0), context["lang"])
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
        form = Markup('<time datetime="{}" title="{}">{}</time>')
        return form.format(stamp, absolute, said)


def visible(value: Any) -> Any:
    """Return what a template writes, with hidden characters escaped; markup is ours already."""
    if isinstance(value, Markup):
        return value
    return shown(value) if isinstance(value, str) else value


def _distance(seconds: float, *, ahead: bool) -> str:
    for least, unit, name in _STEPS:
        if seconds >= least:
            count = int(seconds // unit)
            return _FORMS[name][ahead](count)
    return "in a moment" if ahead else "just now"


_FORMS: Final[Mapping[str, tuple[Callable[[int], str], Callable[[int], str]]]] = {
    "day": (
        lambda count: Text("{count} days ago", count=count),
        lambda count: Text("in {count} days", count=count),
    ),
    "hour": (
        lambda count: Text("{count} hours ago", count=count),
        lambda count: Text("in {count} hours", count=count),
    ),
    "minute": (
        lambda count: Text("{count} minutes ago", count=count),
        lambda count: Text("in {count} minutes", count=count),
    ),
}
"""How long ago, and how far ahead."""


@pass_context
def _tr(context: Context, english: str, /, **facts: object) -> str:
    """Return a text of ours in the reader's language, with `{named}` facts filled in."""
    text = catalogue().get(english, english) if context["lang"] == "zh" else english
    plain = {name: shown(one) if isinstance(one, str) else one for name, one in facts.items()}
    return filled(text, plain) if facts else text


@pass_context
def _told(context: Context, text: Any) -> str:
    """Return a text of the agent's in the reader's language, as far as the catalogue has it."""
    return told(text if isinstance(text, str) else str(text), context["lang"])


@pass_context
def _member(context: Context, row: Any, name: str) -> str:
    """Return a member of a JSON object that carries its `texts`, in the reader's language."""
    return told(text_in(row, name), context["lang"]) if isinstance(row, Mapping) else ""


@pass_context
def _word(context: Context, value: Any) -> str:
    """Return one of our own words: a state, a kind of job, a role."""
    return told(str(value), context["lang"])


@pass_context
def _approval(context: Context, value: Any) -> str:
    """Return by whom a job was approved; a person's decision with the note that was left."""
    return approval_in(str(value), context["lang"])


@pass_context
def _words(context: Context, values: Any) -> str:
    """Return some of our own words, one after the other."""
    return _between(context["lang"]).join(_word(context, one) for one in values or ())


@pass_context
def _listed(context: Context, names: Any) -> str:
    """Return names one after the other."""
    return _between(context["lang"]).join(map(str, names or ()))


def _between(language: Language) -> str:
    return "、" if language == "zh" else ", "


@pass_context
def _error(context: Context, error: Any) -> dict[str, Any]:
    """Return an error's JSON form in the reader's language."""
    return error_in(error if isinstance(error, Mapping) else {}, context["lang"])


def _lines(text: Any) -> list[str]:
    """Return the lines of a text, each to be written on its own."""
    return str(text).split("\n")


def digest(value: Any) -> Markup:
    """Show a digest by its first 8 characters; pointed at, and copied, it is whole."""
    text = shown(str(value or ""))
    form = Markup('<code class="digest" title="{}">{}<span class="rest">{}</span></code>')
    return form.format(text, text[:_SHORT], text[_SHORT:]) if text[_SHORT:] else escape(text)


def moment(seconds: Any) -> str:
    """Format unix seconds in the zone of this machine; empty for none, and for no date."""
    if not isinstance(seconds, int | float) or not 0 < seconds < _LATEST:
        return ""
    return time.strftime("%Y-%m-%d %H:%M %Z", time.localtime(seconds))


def number(value: JSON) -> str:
    """Format a number: thousands grouped, four digits of a small one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "" if value is None else str(value)
    whole = isinstance(value, int) or abs(value) >= _GROUPED
    return f"{value:,.0f}" if whole else f"{value:,.4g}"
