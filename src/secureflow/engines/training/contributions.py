"""Contributions in a training's script: collect rows, take the scores, tell them in the report.

What an enclave scored is signed by it; what parties say of themselves under masks is not a score,
and the report says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from secureflow.domain.scoredocument import (
    FORGED,
    KIND,
    Asked,
    document_problem,
    signed_parts,
)
from secureflow.domain.specs.base import dump
from secureflow.domain.specs.contribution import VALIDATION
from secureflow.domain.specs.protections import traits_of
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.run.ending import contributions
from secureflow.engines.run.messages import Released, SelfReport
from secureflow.engines.run.protections import protection_of
from secureflow.engines.run.rounds import Step
from secureflow.engines.run.run import Course
from secureflow.engines.script import Script
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.reading import listed, members
from secureflow.kit.text import Text

TITLE: Final = "What each party's updates were worth: score, its 95 % interval, share"
UNSCORED: Final = "What each party's updates were worth: not scored"
SAID: Final = (
    "What each party says of itself: rounds, rows, its loss before and after. No measure of worth: "
    "nobody can check it, and it can be gamed"
)
TOLD: Final = "Rounds in which each party took part: no measure of worth, it can be gamed"
_LOST: Final = "the enclave was restarted after the parties had sealed their validation rows"


def collect_rows(course: Course[TrainingSpec], initial: str) -> Script[None]:
    """Have every party seal its validation rows to the enclave; each commits to them first.

    Raises:
        SecureFlowError: `validation_incomplete`, naming the parties without rows; those of a round.
    """
    run_round = protection_of(course).run_round
    release = yield from run_round(course, Step(0, VALIDATION), initial)
    missing = sorted(set(course.parties) - set(release.survivors))
    if missing:
        raise SecureFlowError(
            "validation_incomplete",
            Text(
                "Contributions cannot be scored: {parties} sealed no validation rows, and every "
                "party must bring the same number.",
                parties=", ".join(missing),
            ),
            "Ask its data owner, or submit the job without plan.contribution.",
            {"parties": missing},
        )


def scores_in(course: Course[TrainingSpec], evaluation: Released) -> dict[str, JSON]:
    """Return the scores that the enclave signed, for the end and the report; {} of other jobs.

    Parties refuse what is wrong about them and accuse the centre: so it is refused here before.

    Raises:
        SecureFlowError: `scores_forged` if they are of another job, or malformed.
    """
    if course.spec.plan.contribution is None:
        return {}
    plan, context = course.spec.plan.contribution, course.context
    parts = signed_parts(evaluation.body.get(KIND))
    if parts is not None and plan is not None:
        document, signature = parts
        asked = Asked(context.job, context.digest, dump(plan), course.parties)
        if not document_problem(document, asked):
            return {KIND: {"document": document, "signature": signature}}
    raise SecureFlowError(
        FORGED,
        "What came as the contributions' scores is not of this job, or no enclave signed it.",
        "Ask the operator: an enclave of this version signs them with the evaluation.",
    )


def contribution_sections(
    course: Course[TrainingSpec], scores: dict[str, JSON]
) -> list[dict[str, JSON]]:
    """Return the sections of a report: scores, why there are none, or what parties tell."""
    if traits_of(course.spec).masks:
        return [_told(course)]
    if not scores:
        return []
    document = members(members(scores[KIND]).get("document"))
    if document.get("scored") is not True:
        return [{"title": UNSCORED, "rows": [{"label": "why", "value": _LOST}]}]
    rows: list[dict[str, JSON]] = [
        {"label": party, "value": _line(members(one))}
        for party, one in sorted(members(document.get("scores")).items())
    ]
    rows.append({"label": "validation rows of each party", "value": document.get("rows")})
    rows.append({"label": "rounds that were scored", "value": len(listed(document.get("rounds")))})
    rows.append({"label": "models that were measured", "value": document.get("evaluations")})
    rows.append({"label": "seconds that scoring took", "value": document.get("seconds")})
    rows.append({"label": "seed of the orders", "value": [document.get("seed")]})
    return [{"title": TITLE, "rows": rows}]


def _line(score: Mapping[str, Any]) -> list[JSON]:
    """Return a score's figures as they are shown."""
    low, high = float(score["low"]), float(score["high"])
    share = f"{100 * float(score['share']):.2f} %"
    return [f"{float(score['score']):.4f}", f"[{low:.4f}, {high:.4f}]", share]


def _told(course: Course[TrainingSpec]) -> dict[str, JSON]:
    """Return how often each party took part, and what the spec has them say of themselves."""
    asked = course.spec.plan.self_report is not None
    rows: list[dict[str, JSON]] = []
    for party, told in contributions(course).items():
        values: list[JSON] = [f"{members(told).get('rounds')}/{course.spec.planned_rounds}"]
        if asked:
            values += _said(course.contributed.told.get(party, (None, None)))
        rows.append({"label": party, "value": values})
    return {"title": SAID if asked else TOLD, "rows": rows}


def _said(told: tuple[SelfReport | None, SelfReport | None]) -> list[JSON]:
    """Return rows, and the loss before and after, as far as a party told them."""
    rows = next((str(one.rows) for one in told if one is not None), "–")
    losses = ("–" if one is None or one.loss is None else f"{one.loss:.4f}" for one in told)
    return [rows, *losses]
