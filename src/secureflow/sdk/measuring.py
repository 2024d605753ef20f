"""How models scored, and on which rows: by their own jobs, or by one evaluation."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from secureflow.domain.figures import figure
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.reading import members, objects
from secureflow.kit.text import Text
from secureflow.sdk import answers, verbs
from secureflow.sdk.modelcards import Card
from secureflow.sdk.objects import Job
from secureflow.sdk.reports import numbers_in

MOST: Final = 20
"""Most models of a comparison."""
_CHOOSE: Final = ("validation", "seed", "order", "draws")
_BY_KEY: Final = ("validation", "split")


@dataclass(frozen=True)
class Measured:
    """How a model scored, and what decides on which rows.

    Args:
        job: that measured it.
        owners: each party with its dataset, of an evaluation the parties whose rows are in its
            figures; None if the job cannot be seen.
        label: what is learnt.
        plan: the members of the plan that choose rows.
        content: under differential privacy the features, whose content chooses; None without.
        rows: how many, where that is no secret and without noise.
        figures: by name.
        errors: standard errors of their noise.
        texts: the figures as people read them.
        evaluated: whether an evaluation measured it.
        seen: parties of whose rows the model may have learned before.
    """

    job: str
    owners: tuple[tuple[str, str], ...] | None
    label: Mapping[str, Any]
    plan: Mapping[str, Any]
    content: Mapping[str, Any] | None
    rows: float | None
    figures: Mapping[str, float]
    errors: Mapping[str, float]
    texts: Mapping[str, str]
    evaluated: bool = False
    seen: tuple[str, ...] = ()


Models = tuple[tuple[Card, ...], tuple[Measured, ...]]


def measured_models(models: Sequence[str], evaluation: str = "") -> Generator[Any, Any, Models]:
    """Fetch the cards of models, and how they scored.

    Args:
        models: ids.
        evaluation: id of the evaluation that measured all of them; "" for their own jobs.

    Raises:
        SecureFlowError: `invalid_request` for fewer than two models, or more than `MOST`;
            `not_found`, also for a model that the evaluation did not measure.
    """
    if not 2 <= len(models) <= MOST or len(set(models)) < len(models):
        raise SecureFlowError(
            "invalid_request",
            Text("A comparison is of 2 to {most} different models.", most=MOST),
            "Name each model once.",
        )
    known: Mapping[str, Mapping[str, Any]] = {}
    if evaluation:
        report = yield from verbs.read_large(
            f"/jobs/{evaluation}/report", answers.report, format="json"
        )
        known = _by_digest(report)
    cards, measured = [], []
    for model in models:
        card = yield from verbs.read(f"/models/{model}/card", answers.card)
        cards.append(card)
        if evaluation:
            measured.append(_evaluated(card, evaluation, known))
        else:
            measured.append(_trained(card, (yield from _owners(str(card.get("job") or "")))))
    return tuple(cards), tuple(measured)


def _by_digest(report: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return what an evaluation says of each model, by the digest of its parameters."""
    found = objects(members(report.get("evaluation")).get("models"))
    return {str(one.get("model")): one for one in found}


def _evaluated(card: Card, job: str, known: Mapping[str, Mapping[str, Any]]) -> Measured:
    one = known.get(str(card.get("digest")))
    if one is None:
        raise SecureFlowError(
            "not_found",
            Text("Job {job} did not evaluate {model}.", job=job, model=str(card.get("id"))),
            "Evaluate the models together: secureflow model evaluate MODEL MODEL.",
        )
    figures, ranges = numbers_in(one.get("figures")), members(one.get("intervals"))
    texts = {name: _with_range(value, ranges.get(name)) for name, value in figures.items()}
    parties = tuple(sorted((party, "") for party in _names(one.get("contributors"))))
    return Measured(
        job, parties, card.label, {}, None, None, figures, numbers_in(one.get("noise")), texts,
        evaluated=True, seen=_names(one.get("seen")),
    )  # fmt: skip


def _trained(card: Card, owners: tuple[tuple[str, str], ...] | None) -> Measured:
    plan, features = members(card.get("plan")), members(card.get("features"))
    figures, errors = numbers_in(card.get("metrics")), numbers_in(card.get("metrics_errors"))
    keyed = plan.get("split") is not None  # then neither seed nor content decides
    chooses = {name: plan.get(name) for name in (_BY_KEY if keyed else _CHOOSE)}
    content = features if card.get("privacy") and not keyed else None
    rows = None if errors else figures.get("rows")
    table = card.metrics
    texts = {
        str(row["metric"]): str(told["value"])
        for row, told in zip(table.rows, table.told or (), strict=True)
    }
    job = str(card.get("job"))
    return Measured(job, owners, card.label, chooses, content, rows, figures, errors, texts)


def _owners(job: str) -> Generator[Any, Any, tuple[tuple[str, str], ...] | None]:
    """Fetch who measured, on which dataset; None of a job that the caller does not see."""
    try:
        found: Job = yield from verbs.get(f"/jobs/{job}", Job)
    except SecureFlowError as error:
        if error.code in {"not_found", "forbidden"}:
            return None
        raise
    lines = objects(found.spec.get("roster"))
    return tuple(sorted((str(one.get("party")), str(one.get("dataset"))) for one in lines))


def _with_range(value: float, ends: Any) -> str:
    """Return a figure with its interval, if the report has one."""
    numbers = list(numbers_in(dict(enumerate(ends))).values()) if isinstance(ends, list) else []
    told = f"{round(value):,}" if float(value).is_integer() else figure(float(value))
    return f"{told} ({numbers[0]:.4g} … {numbers[1]:.4g})" if len(numbers) == 2 else told


def _names(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()
