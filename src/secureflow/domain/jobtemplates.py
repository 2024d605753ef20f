"""Templates of jobs: what most people begin with, filled in from what the owners declare.

A template is filled to a request like any other, which its reader then changes; nothing remembers
where it came from. What it chooses (columns, steps, a family) follows from the declarations alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from secureflow.domain.datasets import Dataset
from secureflow.domain.schemas import most_rows
from secureflow.domain.sharedcolumns import Shared, key_of, label_of, shared_columns
from secureflow.domain.specs.matchedrows import LEAST_MATCHED
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_EPSILON: Final = 1.0
_DELTA: Final = 1e-6
_ROUNDS: Final = 20
_LAYERS: Final = [16]
_HELD_OUT: Final = 0.2
_MOST_ASKED: Final = 16
"""Columns of each type that a survey asks about: a report that people read."""
_MOST_BY_SIZE: Final = 100_000
"""Most keys of the protocol that tells the size alone (`specs.psi.SMALL`)."""
_QUARTILES: Final = [0.25, 0.5, 0.75]


@dataclass(frozen=True)
class Wishes:
    """What a template is filled for.

    Args:
        project: its id.
        purpose: as granted.
        datasets: one of each organisation, by the organisation's name.
        name: of the job; by default the template's.
        label: the column to predict; by default a category of two that all declare.
        positive: which of its values is class 1.
        keys: organisation → the column that says whose a row is; by default the declared one.
    """

    project: str
    purpose: str
    datasets: Mapping[str, Dataset]
    name: str = ""
    label: str = ""
    positive: str = ""
    keys: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Filled:
    """A request made of a template, and a comment for each member that is worth one.

    Args:
        request: as in a job file.
        comments: place (`""` for the head, `steps.ID` for a step) → what to know, or to change.
    """

    request: dict[str, Any]
    comments: dict[str, str]


@dataclass(frozen=True)
class JobTemplate:
    """A template: what it is for, in words.

    Args:
        key: its name.
        title: what it is called.
        sentence: what it does.
        asks: what it can be told beside the datasets: `label`, `positive`, `keys`.
    """

    key: str
    title: str
    sentence: str
    asks: tuple[str, ...] = ()


def fill(key: str, wishes: Wishes) -> Filled:
    """Return the request that a template makes of datasets.

    Raises:
        SecureFlowError: `not_found` for an unknown template; `invalid_request` if the datasets have
            nothing that it needs, naming it.
    """
    template = template_of(key)
    parts, comments = _FILLED[key](wishes, shared_columns(wishes.datasets))
    head = {"kind": parts.pop("kind"), "project": wishes.project}
    head |= {"name": wishes.name or template.key, "purpose": wishes.purpose}
    datasets = [one.id for one in wishes.datasets.values()]
    notes = {"": template.sentence, "purpose": _PURPOSE, "datasets": _DATASETS}
    return Filled({**head, "datasets": datasets, **parts}, {**notes, **comments})


def template_of(key: str) -> JobTemplate:
    """Return a template by its key.

    Raises:
        SecureFlowError: `not_found`.
    """
    if key not in TEMPLATES:
        raise SecureFlowError(
            "not_found",
            Text("There is no job template {key!r:.100}.", key=key),
            "secureflow template list",
            {"noun": "template"},
        )
    return TEMPLATES[key]


_Made = tuple[dict[str, Any], dict[str, str]]


def _joint_model(wishes: Wishes, shared: Shared) -> _Made:
    label = label_of(shared, wishes.label, wishes.positive)
    plan, held_out = _plan(wishes)
    prepare = _prepared(shared, label)
    train = {"id": "train", "kind": "training", "features": _features(label),
             "model": _model(label), "plan": plan, "protection": "secagg"}  # fmt: skip
    test = {"id": "test", "kind": "evaluation", "models": [{"step": "train"}], **held_out}
    steps, comments = [prepare, train, test], _STEP_COMMENTS | {"steps.test": _TEST}
    if len(wishes.datasets) == 2 and _keys(wishes):
        steps.insert(0, _overlap(wishes))
        comments["steps.overlap"] = _OVERLAP
    return {"kind": "pipeline", "steps": steps}, comments


def _comparison(wishes: Wishes, shared: Shared) -> _Made:
    label = label_of(shared, wishes.label, wishes.positive)
    plan, held_out = _plan(wishes)
    common = {"kind": "training", "features": _features(label), "plan": plan,
              "protection": "secagg"}  # fmt: skip
    network = {"family": "mlp", "hidden": _LAYERS}
    steps = [
        _prepared(shared, label),
        {"id": "linear", **common, "model": _model(label)},
        {"id": "network", **common, "model": network},
        {"id": "compare", "kind": "evaluation",
         "models": [{"step": "linear"}, {"step": "network"}],
         "min_contributors": len(wishes.datasets), **held_out},
    ]  # fmt: skip
    comments = {"steps.prepare": _STEP_COMMENTS["steps.prepare"], "steps.linear": _LINEAR,
                "steps.network": _NETWORK, "steps.compare": _COMPARE}  # fmt: skip
    return {"kind": "pipeline", "steps": steps}, comments


def _market(wishes: Wishes, shared: Shared) -> _Made:
    if len(wishes.datasets) < 2:
        raise SecureFlowError(
            "invalid_request",
            "Rows are matched between the datasets of two organisations or more.",
            "Choose a dataset of another organisation as well.",
            {"field": "datasets"},
        )
    if not _keys(wishes):
        raise _keyless(wishes)
    if not _budgeted(wishes) or not (shared.numbers or shared.categories):
        overlap = _overlap(wishes)
        del overlap["id"]
        return overlap, {"learns": _OVERLAP}
    # Only who learns which of its rows match can say what these rows are like.
    overlap = _overlap(wishes) | {"learns": "all", "minimum": LEAST_MATCHED,
                                  "most_rows": _most_keys(wishes)}  # fmt: skip
    survey = {"id": "survey", **_statistics(shared), "rows": {"step": "overlap"}}
    comments = {"steps.overlap": _MATCHES, "steps.survey": _DESCRIBED}
    return {"kind": "pipeline", "steps": [overlap, survey]}, comments


def _survey(wishes: Wishes, shared: Shared) -> _Made:
    if not (shared.numbers or shared.categories):
        raise nothing_shared()
    if _budgeted(wishes):
        return _statistics(shared), {"queries": _QUERIES, "privacy": _PRIVACY}
    queries: list[dict[str, Any]] = [{"name": "rows", "measure": "count"}]
    for number in shared.numbers[:_MOST_ASKED]:
        asked = {"columns": [number.name]}
        queries += [{"name": f"{measure}-{number.slug}", "measure": measure, **asked}
                    for measure in ("mean", "variance", "histogram")]  # fmt: skip
    for category in shared.categories[:_MOST_ASKED]:
        queries.append({"name": f"values-{category.slug}", "measure": "histogram",
                        "columns": [category.name]})  # fmt: skip
    program = {"name": "joint-sums", "queries": queries}
    return {"kind": "mpc", "program": program}, {"program": _EXACT}


def _statistics(shared: Shared) -> dict[str, Any]:
    queries: list[dict[str, Any]] = [{"name": "rows", "measure": "count"}]
    for number in shared.numbers[:_MOST_ASKED]:
        column = {"column": number.name}
        queries += [
            {"name": f"known-{number.slug}", "measure": "count", **column},
            {"name": f"mean-{number.slug}", "measure": "mean", **column},
            {"name": f"spread-{number.slug}", "measure": "quantile", **column,
             "quantiles": _QUARTILES},
        ]  # fmt: skip
    for category in shared.categories[:_MOST_ASKED]:
        queries.append({"name": f"values-{category.slug}", "measure": "histogram",
                        "column": category.name})  # fmt: skip
    privacy = {"epsilon": _EPSILON, "delta": _DELTA}
    return {"kind": "statistics", "queries": queries, "privacy": privacy}


def _prepared(shared: Shared, label: Mapping[str, Any]) -> dict[str, Any]:
    """Return the preparation of every column that all declare, but the label."""
    numbers = [one.name for one in shared.numbers if one.name != label["column"]]
    categories = [one.name for one in shared.categories if one.name != label["column"]]
    if not numbers and not categories:
        raise nothing_shared()
    steps: list[dict[str, Any]] = []
    if numbers:
        steps += [{"step": "impute", "columns": numbers, "by": "mean"},
                  {"step": "standardise", "columns": numbers}]  # fmt: skip
    if categories:
        steps.append({"step": "one_hot", "columns": categories, "missing": "indicator"})
    return {"id": "prepare", "kind": "preparation", "columns": [*numbers, *categories],
            "steps": steps}  # fmt: skip


def _features(label: Mapping[str, Any]) -> dict[str, Any]:
    return {"label": dict(label), "recipe": {"step": "prepare"}}


def _model(label: Mapping[str, Any]) -> dict[str, Any]:
    """Return the linear family of a label's form."""
    form = "linear" if "bounds" in label else "softmax" if "classes" in label else ""
    return {"family": form or "logistic_regression"}


def _plan(wishes: Wishes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a plan, and the rows that evaluations take: held out by key, if all declare one."""
    plan: dict[str, Any] = {"rounds": _ROUNDS, "batch_size": 128, "validation": _HELD_OUT}
    if not all(one.keyed for one in wishes.datasets.values()):
        return plan, {}
    return {**plan, "split": {"by": "key"}}, {"held_out": {"share": _HELD_OUT}}


def _keys(wishes: Wishes) -> dict[str, str]:
    """Return organisation → key column, or nothing if one of them has none."""
    found = {name: key_of(one, wishes.keys.get(name, "")) for name, one in wishes.datasets.items()}
    return {} if None in found.values() else {name: str(key) for name, key in found.items()}


def _keyless(wishes: Wishes) -> SecureFlowError:
    """Return the error that names the datasets whose rows cannot be matched, and their owners."""
    lacking = [(name, one.name) for name, one in wishes.datasets.items()
               if key_of(one, wishes.keys.get(name, "")) is None]  # fmt: skip
    return SecureFlowError(
        "invalid_request",
        Text("No key column, by which rows are matched, is declared and granted of: {datasets}.",
             datasets=", ".join(f"{name}/{dataset}" for name, dataset in lacking)),
        "Name the column of each organisation: --key ORGANISATION=COLUMN.",
        {"field": "keys", "owners": [name for name, _ in lacking]},
    )  # fmt: skip


def _overlap(wishes: Wishes) -> dict[str, Any]:
    keys = _keys(wishes)
    return {
        "id": "overlap",
        "kind": "psi",
        "key": ["trim"],
        "columns": {name: {"key": [key]} for name, key in keys.items()},
        "learns": "size",
        "receiver": next(iter(keys)),
        "tells_size": True,
        "most_rows": min(_MOST_BY_SIZE, _most_keys(wishes)),
    }


def _most_keys(wishes: Wishes) -> int:
    """Return the most rows that any of the datasets has, as its description says."""
    return max(most_rows(one.rows) for one in wishes.datasets.values())


def _budgeted(wishes: Wishes) -> bool:
    """Tell whether every owner keeps a budget, all of them for the same unit."""
    units = {one.privacy.unit if one.privacy else None for one in wishes.datasets.values()}
    return len(units) == 1 and None not in units


def nothing_shared() -> SecureFlowError:
    """Return the error of datasets that no template can use."""
    return SecureFlowError(
        "invalid_request",
        "The datasets share no column that a template can use.",
        "It takes numbers with bounds and categories that every owner declares and grants; "
        "sensitive ones are left out.",
        {"field": "datasets"},
    )


_PURPOSE: Final = "Must be one that the grants and the owners' policies allow."
_DATASETS: Final = "One of each organisation that contributes rows."
_OVERLAP: Final = (
    "How many rows have equal keys: the number alone is told. Other rules make keys comparable: "
    "case, phone, id_card, email."
)
_MATCHES: Final = (
    "How many rows have equal keys; each party also learns which of its own do, as the next step "
    "needs. Fewer than the minimum are not shown. Other rules make keys comparable: case, phone, "
    "id_card, email."
)
_DESCRIBED: Final = "Counts, means and quartiles of the rows that match, with noise."
_TEST: Final = "Measures the model on rows of all parties; without held-out keys on training rows."
_LINEAR: Final = "The first model: the usual linear one of this label."
_NETWORK: Final = "The second model: a small network. Any family can stand here."
_COMPARE: Final = "Measures both models on the same rows."
_QUERIES: Final = "Leave out what nobody needs: the noise is shared among the questions."
_PRIVACY: Final = "Of all questions together; smaller protects better and answers less exactly."
_EXACT: Final = (
    "Exact totals, for not every owner keeps a privacy budget; with budgets for one unit the "
    "survey has noise instead."
)
_STEP_COMMENTS: Final[dict[str, str]] = {
    "steps.prepare": "Columns that every owner declares; sensitive ones are left out.",
    "steps.train": "Rounds, family and protection can be changed: docs/models.md.",
}

TEMPLATES: Final[Mapping[str, JobTemplate]] = {
    one.key: one
    for one in (
        JobTemplate(
            "joint-risk-model",
            "Joint risk model",
            "Prepares the columns that all declare, trains a model and measures it, as one job.",
            ("label", "positive", "keys"),
        ),
        JobTemplate(
            "market-overlap",
            "Market overlap",
            "Tells how many customers the organisations share, and what these are like.",
            ("keys",),
        ),
        JobTemplate(
            "data-quality",
            "Data-quality survey",
            "Counts, means, quartiles and categories of every column that all declare.",
        ),
        JobTemplate(
            "model-comparison",
            "Model comparison",
            "Trains two models on the same preparation and measures both on the same rows.",
            ("label", "positive"),
        ),
    )
}
_FILLED: Final[Mapping[str, Callable[[Wishes, Shared], _Made]]] = {
    "joint-risk-model": _joint_model,
    "market-overlap": _market,
    "data-quality": _survey,
    "model-comparison": _comparison,
}


def listed(datasets: Sequence[Dataset]) -> dict[str, Dataset]:
    """Return organisation → dataset, in the order of organisations."""
    return {one.organisation: one for one in sorted(datasets, key=lambda one: one.organisation)}
