"""The document in which an enclave tells what each party's updates were worth, and its rules.

Of a scored job: `{job, spec, scored: true, method, rows, seed, permutations, within, between,
rounds, evaluations, seconds, commitments: {party: hex}, scores: {party: {score, low, high,
share}}}`; of one whose enclave has no scores any more `{job, spec, scored: false, parties}`.
It is signed with the key of the enclave's releases, as kind `contribution`. Whoever reads one can
compute again what follows from the rest: that it is of this job and spec, scored as the plan says,
that the parties are the roster, and that the shares are those of the scores.
`web/src/verify/scores.ts` has the same rules, in the same words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from secureflow.kit.canonical import JSON, canonical_bytes, digest

KIND: Final = "contribution"
"""What the enclave's signature over the document is of; also the member of the job's outcome."""
FORGED: Final = "scores_forged"
"""The refusal of scores that no enclave can have signed for this job."""
DECIMALS: Final = 4
"""Of scores and shares: what leaves an enclave tells no more of single rows than it must."""
SETTINGS: Final = ("method", "rows", "permutations", "within", "between")
"""Members that are the plan's."""
MAX_SCORE: Final = 1e9

_STEPS: Final = 10**DECIMALS
_MAX_COUNT: Final = 1 << 53
_HEX: Final = re.compile(r"[0-9a-f]{64}")
_NAMES: Final = {"job", "spec", "scored"}
_SCORED: Final = {
    *_NAMES, *SETTINGS, "seed", "rounds", "evaluations", "seconds", "commitments", "scores",
}  # fmt: skip
_FORM: Final = "their form is wrong"
_FIGURES: Final = ("score", "low", "high", "share")


@dataclass(frozen=True)
class Asked:
    """What a document is held to.

    Attributes:
        job: its id.
        spec: hex digest of its spec.
        plan: the `plan.contribution` of the spec, as it is written there.
        parties: the roster, in the order of the spec.
    """

    job: str
    spec: str
    plan: Mapping[str, Any]
    parties: Sequence[str]


def signed_parts(signed: Any) -> tuple[dict[str, JSON], str] | None:
    """Return document and signature of a signed document; None for anything of another form."""
    if not isinstance(signed, dict) or set(signed) != {"document", "signature"}:
        return None
    document, signature = signed["document"], signed["signature"]
    if not isinstance(document, dict) or not isinstance(signature, str):
        return None
    return document, signature


def scores_digest(signed: Mapping[str, Any]) -> str:
    """Return the hex SHA-256 by which a party's end names the scores that it verified."""
    return digest(dict(signed))


def shares_of(steps: Sequence[int]) -> list[int]:
    """Return the shares of scores, both in steps of 10⁻⁴: they add up to 10⁴, or all are 0.

    A negative score counts as 0. What whole steps leave over goes to the largest remainders, the
    first ones first.
    """
    clipped = [max(step, 0) for step in steps]
    total = sum(clipped)
    if not total:
        return [0] * len(clipped)
    whole = [step * _STEPS // total for step in clipped]
    left = [step * _STEPS % total for step in clipped]
    order = sorted(range(len(clipped)), key=lambda place: -left[place])
    for place in order[: _STEPS - sum(whole)]:
        whole[place] += 1
    return whole


def document_problem(document: Mapping[str, Any], asked: Asked) -> str:
    """Return why a foreign document cannot be the job's; "" if it can. Total for any JSON."""
    if (document.get("job"), document.get("spec")) != (asked.job, asked.spec):
        return "they are of another job or spec"
    if document.get("scored") is False:
        right = set(document) == _NAMES | {"parties"} and _lists(document["parties"], asked)
        return "" if right else _FORM
    return next((reason for holds, reason in _RULES if not holds(document, asked)), "")


def figures_of(line: Any) -> tuple[int, int, int, int] | None:
    """Return score, low, high and share of one party in steps of 10⁻⁴; None if malformed."""
    if not isinstance(line, dict) or set(line) != set(_FIGURES):
        return None
    found = [_steps(line[name]) for name in _FIGURES]
    if any(one is None for one in found):
        return None
    score, low, high, share = (int(one or 0) for one in found)
    return score, low, high, share


def shown_line(figures: tuple[int, int, int, int]) -> list[str]:
    """Return a party's figures as reports show them: score, interval, share in per cent."""
    score, low, high, share = figures
    return [
        _decimal(score, DECIMALS),
        f"[{_decimal(low, DECIMALS)}, {_decimal(high, DECIMALS)}]",
        f"{_decimal(share, 2)} %",
    ]


def _formed(document: Mapping[str, Any], asked: Asked) -> bool:
    """Tell whether all members are there; seed, rounds, models and seconds have their form."""
    del asked
    if set(document) != _SCORED or document["scored"] is not True:
        return False
    rounds, seconds = document["rounds"], document["seconds"]
    ascending = isinstance(rounds, list) and all(map(_is_count, rounds))
    if not ascending or any(one >= two for one, two in pairwise(rounds)):
        return False
    timed = type(seconds) in (int, float) and 0 <= seconds <= MAX_SCORE
    return timed and _is_count(document["evaluations"]) and _is_hex(document["seed"])


def _as_planned(document: Mapping[str, Any], asked: Asked) -> bool:
    return _settings(document) == _settings(asked.plan)


def _of_roster(document: Mapping[str, Any], asked: Asked) -> bool:
    return _names(document["commitments"], asked) and _names(document["scores"], asked)


def _figured(document: Mapping[str, Any], asked: Asked) -> bool:
    """Tell whether each party has a commitment, and figures of which the interval is one."""
    lines = [figures_of(document["scores"][party]) for party in asked.parties]
    spans = all(line is not None and line[1] <= line[0] <= line[2] for line in lines)
    return spans and all(map(_is_hex, document["commitments"].values()))


def _shared(document: Mapping[str, Any], asked: Asked) -> bool:
    lines = [figures_of(document["scores"][party]) for party in asked.parties]
    found = [line for line in lines if line is not None]
    return [line[3] for line in found] == shares_of([line[0] for line in found])


_RULES: Final[tuple[tuple[Callable[[Mapping[str, Any], Asked], bool], str], ...]] = (
    (_formed, _FORM),
    (_as_planned, "they were not made as the plan says"),
    (_of_roster, "their parties are not the roster"),
    (_figured, _FORM),
    (_shared, "their shares do not follow from the scores"),
)


def _settings(of: Mapping[str, Any]) -> bytes:
    return canonical_bytes([of.get(name) for name in SETTINGS])


def _names(value: Any, asked: Asked) -> bool:
    return isinstance(value, dict) and set(value) == set(asked.parties)


def _lists(value: Any, asked: Asked) -> bool:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        return False
    return len(value) == len(asked.parties) and set(value) == set(asked.parties)


def _is_hex(value: Any) -> bool:
    return isinstance(value, str) and _HEX.fullmatch(value) is not None


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < _MAX_COUNT


def _steps(value: Any) -> int | None:
    """Return a number of four decimals in steps; None for any other value."""
    if type(value) not in (int, float) or not abs(value) <= MAX_SCORE:
        return None
    steps = round(value * _STEPS)
    return steps if steps / _STEPS == value else None


def _decimal(steps: int, decimals: int) -> str:
    whole, rest = divmod(abs(steps), 10**decimals)
    return f"{'-' if steps < 0 else ''}{whole}.{rest:0{decimals}d}"
