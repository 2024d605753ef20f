"""A job that an owner refuses says who refused and why: once, by party, code and reason.

The words come from another organisation's agent: they are one line, and of bounded length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from secureflow.domain.errors import CATALOGUE, Category
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError

_UNABLE: Final = frozenset({Category.UNAVAILABLE, Category.INTERNAL})
"""Such an agent did not say no: it could not answer."""
_LONGEST: Final = 300
_NAMED: Final = 20
"""Parties that the sentence names; `details.refusals` has every one."""


def disapproval(
    asked: Sequence[str], replies: Mapping[str, JSON], failures: Mapping[str, JSON]
) -> SecureFlowError:
    """Return the error of a job whose owners did not all approve.

    Args:
        asked: every party of the roster.
        replies: answers of those that approved.
        failures: errors of those that did not, by party.

    Returns:
        `consent_refused`, or `too_few_answers` where no owner said no; details: `refusals` (each
        `party`, `code`, `reason`, `refused`), `approved`, `undecided`, `failures`.
    """
    refusals = [_refusal(party, error) for party, error in sorted(failures.items())]
    undecided = sorted(set(asked) - replies.keys() - failures.keys())
    no = any(one["refused"] for one in refusals)
    hint = next((str(one["hint"]) for one in failures.values() if one.get("hint")), "")
    return SecureFlowError(
        "consent_refused" if no else "too_few_answers",
        _sentence(refusals, sorted(replies), undecided),
        _one_line(hint),
        {
            "verb": "consent",
            "refusals": refusals,
            "approved": sorted(replies),
            "undecided": undecided,
            "failures": dict(failures),
        },
    )


def _refusal(party: str, error: Mapping[str, JSON]) -> dict[str, JSON]:
    code = str(error.get("code", ""))
    known = code if code in CATALOGUE else "internal"
    details = error.get("details")
    reason = details.get("reason") if isinstance(details, Mapping) else None
    reason_given = reason if known == "consent_refused" and isinstance(reason, str) else None
    return {
        "party": party,
        "code": known,
        "reason": _one_line(reason_given or error.get("message", "")),
        "refused": CATALOGUE[known] not in _UNABLE and known != "malformed_reply",
    }


def _sentence(
    refusals: Sequence[Mapping[str, Any]], approved: Sequence[str], undecided: Sequence[str]
) -> str:
    """Say it in one sentence of few forms: each of them stands in the Chinese catalogue."""
    first, *more = refusals
    party, code = first["party"], first["code"]
    why = ". ".join([first["reason"].rstrip("."), *(_reason(one) for one in more[: _NAMED - 1])])
    if len(more) >= _NAMED:
        why += f". So {len(more) - _NAMED + 1} more"
    yes, open_ = _listed(approved), _listed(undecided)
    if not first["refused"]:
        return f"{party} could not answer ({code}): {why}. Approved: {yes}; undecided: {open_}."
    if code != "consent_refused":
        return f"{party} refused ({code}): {why}. Approved: {yes}; undecided: {open_}."
    return f"{party} refused: {why}. Approved: {yes}; undecided: {open_}."


def _reason(one: Mapping[str, Any]) -> str:
    did = "refused" if one["refused"] else "could not answer"
    return f"{one['party']} {did} ({one['code']}): {one['reason'].rstrip('.')}"


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    return (", ".join(names[:_NAMED]) or "–") + (f" + {rest}" if rest > 0 else "")


def _one_line(text: Any) -> str:
    words = " ".join(str(text).split())
    line = "".join(one if one.isprintable() else "�" for one in words)
    return line if len(line) <= _LONGEST else line[:_LONGEST] + "…"
