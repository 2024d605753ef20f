"""`secureflow model evaluate`: models on several owners' rows, and how figures are shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from secureflow.cli.asking import Datasets, ask_for, datasets_of
from secureflow.cli.console import Form, Output, show, write
from secureflow.cli.escaping import plain
from secureflow.cli.names import named
from secureflow.cli.session import client
from secureflow.cli.texts import part_of, said, t
from secureflow.kit.errors import SecureFlowError

if TYPE_CHECKING:
    from secureflow.sdk import Client

FIGURES: Final = (
    *("rows", "auc", "gini", "ks", "accuracy", "balanced_accuracy", "f1", "macro_f1", "loss"),
    *("brier", "rmse", "mae", "r2", "bias", "PSI"),
)
"""The figures of a table; a report has all."""

ModelNames = Annotated[
    list[str], typer.Argument(metavar="MODEL...", help=t("Ids or names of the models."))
]
HeldOutRows = Annotated[
    str,
    typer.Option(
        "--held-out",
        metavar="SHARE|FOLDS:FOLD",
        help=t("Only rows that the owners' keys hold out: a share such as 0.2, or a fold: 5:0."),
    ),
]
PerParty = Annotated[
    bool, typer.Option("--per-party", help=t("Also figures of each party; every owner is asked."))
]
Against = Annotated[
    str,
    typer.Option(
        metavar="JOB", help=t("An earlier evaluation, with whose scores the spread is compared.")
    ),
]
Cost = Annotated[
    str,
    typer.Option(
        metavar="FP:FN", help=t("What a false positive and a false negative cost, e.g. 1:5.")
    ),
]
Epsilon = Annotated[float | None, typer.Option(help=t("ε of the whole job; noise is added."))]
Delta = Annotated[float, typer.Option(help=t("δ of the whole job; far below one in all rows."))]


def evaluate(
    model: ModelNames,
    purpose: Annotated[str, typer.Option(help=t("What the figures are for, as granted."))],
    dataset: Datasets = None,
    held_out: HeldOutRows = "",
    per_party: PerParty = False,
    baseline: Against = "",
    cost: Cost = "",
    epsilon: Epsilon = None,
    delta: Delta = 1e-6,
    name: Annotated[str, typer.Option(help=t("Name of the job."))] = "evaluation",
    dry_run: Annotated[bool, typer.Option(help=t("Only show what it would be."))] = False,
    watch: Annotated[bool, typer.Option(help=t("Wait for the figures."))] = False,
    output: Output = Form.TABLE,
) -> None:
    """Evaluate models on several owners' rows."""
    asked = {
        "held_out": _held_out(held_out) if held_out else None,
        "costs": _costs(cost) if cost else None,
        "privacy": None if epsilon is None else {"delta": delta, "epsilon": epsilon},
    }
    with client() as connection:
        request = _request(connection, model, dataset, baseline, asked)
        request |= {"name": name, "purpose": purpose, "per_party": per_party}
        ask_for(connection, request, show_evaluation, output, dry_run=dry_run, watch=watch)


def show_evaluation(report: Mapping[str, Any], output: Form) -> None:
    """Print the figures of an evaluation's report: a line a model, a line a model and party."""
    from secureflow.kit.reading import listed, members

    evaluation = report.get("evaluation") or {}
    if output is not Form.TABLE:
        show(evaluation, output)
        return
    models = [members(one) for one in listed(members(evaluation).get("models"))]
    if not models:  # of a training: the figures of its last round, which stand above
        return
    rows = [line for one in models for line in _lines(one)]
    names = [one for one in FIGURES if any(row.get(one) is not None for row in rows)]
    show(rows, output, ("model", "party", *names))
    for model in models:
        for line in map(members, listed(model.get("honest"))):
            if isinstance(line.get("line"), str):
                write(f"{_called(model)}: {said(part_of(line, 'line'))}")


def _request(
    connection: Client,
    models: Sequence[str],
    datasets: Sequence[str] | None,
    baseline: str,
    asked: Mapping[str, Any],
) -> dict[str, Any]:
    found = [connection.models.get(named(connection, "model", one)) for one in models]
    projects = {one.project for one in found}
    if len(projects) > 1:
        raise SecureFlowError(
            "invalid_request",
            t("The models belong to different projects."),
            t("Evaluate models of one project together."),
        )
    (project,) = projects
    request = {
        "kind": "evaluation",
        "project": project,
        "datasets": list(datasets_of(connection, project, datasets)),
        "models": [one.id for one in found],
        **{name: value for name, value in asked.items() if value is not None},
    }
    return request | ({"baseline": named(connection, "job", baseline)} if baseline else {})


def _held_out(text: str) -> dict[str, Any]:
    folds, colon, fold = text.partition(":")
    try:
        if colon:
            return {"by": "key", "folds": int(folds), "fold": int(fold)}
        return {"by": "key", "share": float(text)}
    except ValueError:
        raise SecureFlowError(
            "invalid_request",
            t("--held-out needs a share or FOLDS:FOLD, e.g. 0.2 or 5:0."),
        ) from None


def _costs(text: str) -> dict[str, float]:
    first, _, second = text.partition(":")
    try:
        return {"false_positive": float(first), "false_negative": float(second)}
    except ValueError:
        raise SecureFlowError(
            "invalid_request", t("--cost needs two numbers, FP:FN, e.g. 1:5.")
        ) from None


def _called(model: Mapping[str, Any]) -> str:
    """Return a model's name, else its digest."""
    return plain(model.get("name") or model.get("model") or "")


def _lines(model: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a model's own line of the table, then its parties'; what is no number is left out."""
    from secureflow.kit.reading import members, numbers

    names = {"model": _called(model)}
    shift = numbers(model.get("psi"))
    psi = {"PSI": shift["psi"]} if "psi" in shift else {}
    yield {**names, "party": "", **_short({**numbers(model.get("figures")), **psi})}
    for party, figures in members(model.get("parties")).items():
        yield {**names, "party": plain(party), **_short(numbers(figures))}


def _short(figures: Mapping[str, float]) -> dict[str, Any]:
    """Return figures to the digits that a table shows."""
    return {
        name: round(value) if name == "rows" else float(f"{value:.4g}")
        for name, value in figures.items()
    }
