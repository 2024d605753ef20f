"""The error of a job that owners refused: who refused and why, by party, code and reason.

The reasons come from other organisations' agents: they are one line, of bounded length, in
Chinese as in English, with the facts that they are made of.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from secureflow.domain.errors import CATALOGUE, Category
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Joined, Text, text_in, with_texts, without_stop
from secureflow.texts import chinese

_UNABLE: Final = frozenset({Category.UNAVAILABLE, Category.INTERNAL})
"""Codes of agents that did not refuse, but could not answer."""
_LONGEST: Final = 300
"""Characters of a line."""
_MADE_OF: Final = 4 * _LONGEST
"""Characters of its template and facts as JSON."""
_NAMED: Final = 20
"""Maximum parties named in the sentence; `details.refusals` has all of them."""
_ENDINGS: Final = ("?", "!", "？", "！", "。")
"""Ends of a reason after which no full stop goes."""


def disapproval(
    asked: Sequence[str], replies: Mapping[str, JSON], failures: Mapping[str, JSON]
) -> SecureFlowError:
    """Return the error of a job whose owners did not all approve.

    Args:
        asked: every party of the roster.
        replies: answers of those that approved.
        failures: errors of those that did not, by party.

    Returns:
        `consent_refused`, or `too_few_answers` if no owner refused; details: `refusals` (each
        `party`, `code`, `reason`, `refused`), `approved`, `undecided`, `failures`.
    """
    refusals = [_refusal(party, error) for party, error in sorted(failures.items())]
    undecided = sorted(set(asked) - replies.keys() - failures.keys())
    no = any(one["refused"] for one in refusals)
    hint = next((text_in(one, "hint") for one in failures.values() if one.get("hint")), "")
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
    return with_texts(
        {
            "party": party,
            "code": known,
            "reason": _one_line(reason_given or text_in(error, "message")),
            "refused": CATALOGUE[known] not in _UNABLE and known != "malformed_reply",
        }
    )


def _sentence(
    refusals: Sequence[Mapping[str, Any]], approved: Sequence[str], undecided: Sequence[str]
) -> str:
    """Describe who refused, why, and the state of the others."""
    first, *more = refusals
    alone = first["code"] == "consent_refused"
    why = [_reason(first, coded=not alone), *(_reason(one) for one in more[: _NAMED - 1])]
    if len(more) >= _NAMED:
        why.append(f"So {len(more) - _NAMED + 1} more")
    told = Joined(". ", why)
    yes, open_ = _listed(approved), _listed(undecided)
    if approved and undecided:
        return Text(
            "{refusals}. Approved: {approved}; undecided: {undecided}.",
            refusals=told, approved=yes, undecided=open_,
        )  # fmt: skip
    if approved:
        return Text("{refusals}. Approved: {approved}.", refusals=told, approved=yes)
    if undecided:
        return Text("{refusals}. Undecided: {undecided}.", refusals=told, undecided=open_)
    return Text("{refusals}.", refusals=told)


def _reason(one: Mapping[str, Any], *, coded: bool = True) -> str:
    party, code, reason = one["party"], one["code"], without_stop(one["reason"])
    if not isinstance(reason, Text):
        reason = reason.rstrip("。")  # our own follows
    if reason.endswith(_ENDINGS):
        reason = Text('"{words}"', words=reason)
    if not coded:
        return Text("{party} refused: {reason}", party=party, reason=reason)
    if one["refused"]:
        return Text("{party} refused ({code}): {reason}", party=party, code=code, reason=reason)
    return Text(
        "{party} could not answer ({code}): {reason}", party=party, code=code, reason=reason
    )


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    return (", ".join(names[:_NAMED]) or "–") + (f" + {rest}" if rest > 0 else "")


def _one_line(text: str) -> str:
    words = " ".join(text.split())
    line = "".join(one if one.isprintable() else "�" for one in words)
    short = line if len(line) <= _LONGEST else line[:_LONGEST] + "…"
    return text if short == text and _is_bounded(text) else short  # which keeps its facts


def _is_bounded(text: str) -> bool:
    """Tell whether a text is short in Chinese too, and in what it is made of."""
    if not isinstance(text, Text):
        return True
    made_of = json.dumps(text.as_json(), ensure_ascii=False)
    return len(made_of) <= _MADE_OF and len(chinese(text) or "") <= _LONGEST
