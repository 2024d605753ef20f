"""What the ledger says beside a deed in a project, in words; `entrykinds` calls its kind.

Programs read the document as it is (`-o json`). A kind or a fact of a newer centre is shown as it
came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from secureflow.cli.console import moment
from secureflow.cli.texts import explained, language, listed, t

_DIGESTS: Final = frozenset(
    [
        "answers",
        "comparison",
        "computation",
        "evaluation",
        "intersection",
        "layout",
        "model",
        "prediction",
    ]
)
"""What a job's end names by a digest of it, which no person reads."""
_UNSAID: Final = _DIGESTS | {"contributions", "metrics", "recipe", "signature", "spec"}
_LISTED: Final = 3
"""Columns that are named; the others are counted."""


def facts_of(kind: str, facts: Mapping[str, Any]) -> str:
    """Return the facts beside a deed as `what value; what value`."""
    body = facts.get("body")
    if kind == "approval" and isinstance(body, Mapping):
        facts = {name: body.get(name) for name in ("expires", "people")}
    told = {name: _told(name, one, facts) for name, one in facts.items() if name not in _UNSAID}
    if "model" not in facts:  # what is no training has one step, which nobody calls a round
        told.pop("rounds", None)
    if kind == "project.changed":  # it says what holds now
        told |= {name: told[name] or t("none") for name in ("ends",) if name in told}
        told |= {"restricted": told["restricted"] or t("no")} if "restricted" in told else {}
    said = [f"{t(_TITLES.get(name, name))} {one}" for name, one in told.items() if one]
    return ("；" if language() == "zh" else "; ").join(said)


def last_day(end: int) -> str:
    """Return an end as it is typed: its last whole day, or the moment if it is no midnight."""
    over = datetime.fromtimestamp(end, UTC)
    if over.time() != datetime.min.time():
        return moment(end)
    return t("{day} (last day, UTC)", day=(over - timedelta(days=1)).date().isoformat())


def _told(name: str, value: Any, facts: Mapping[str, Any]) -> str:
    if value is None or value in ("", []):
        return ""
    if name == "reason" and isinstance(value, str):
        return explained(str(facts.get("error", "")), value)
    if (form := _FORMS.get(name)) is not None:
        return form(value)
    if isinstance(value, bool):
        return t("yes") if value else t("no")
    return listed(value) if isinstance(value, list) else str(value)


def _ends(value: Any) -> str:
    known = isinstance(value, int) and 0 < value < _LATEST
    return last_day(value) if known else str(value)


def _columns(value: Any) -> str:
    if not isinstance(value, list) or len(value) <= _LISTED:
        return listed(value) if isinstance(value, list) else str(value)
    some, more = listed(value[:_LISTED]), len(value) - _LISTED
    return t("{some} and {more} more", some=some, more=more)


def _words(value: Any) -> str:
    return listed(map(t, map(str, value))) if isinstance(value, list) else t(str(value))


_LATEST: Final = 1 << 36
_FORMS: Final[Mapping[str, Callable[[Any], str]]] = {
    "columns": _columns,
    "ends": _ends,
    "expires": lambda value: moment(value) or str(value),
    "outcome": _words,
    "restricted": lambda value: (t("yes") if value else "") if isinstance(value, bool) else "",
    "roles": _words,
}
_TITLES: Final[Mapping[str, str]] = {
    "expires": "valid until",
    "grants": "grants that ended",
    "local": "number at its agent",
    "lead": "led by",
    "part_of": "part of job",
    "paused_by": "paused by",
    "people": "decided by",
    "kept_round": "kept round",
    "try": "attempt number",
    "to": "handed to",
    "parties": "handed over by",
}
