"""What several owners declared of their data, as one job uses it: the widest of all.

An analyst names columns; bounds, categories, the unit of privacy and how many of its rows count are
what the granted datasets' descriptions say. Each agent compares them with its own configuration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from secureflow.domain.bounds import interval, refusal
from secureflow.domain.datasets import Dataset
from secureflow.domain.schemas import ColumnConfig
from secureflow.domain.specs.base import JobSpec, contradiction
from secureflow.domain.specs.targets import Label
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.nearnames import alike, some
from secureflow.kit.text import Joined, Text


def unit_of_owners(chosen: Mapping[str, Dataset]) -> tuple[str, int]:
    """Return the owners' common unit of budgets, and the most rows of one at any of them."""
    found: dict[str, str] = {}
    rows = 1
    for party, dataset in chosen.items():
        if dataset.privacy is None:
            raise SecureFlowError(
                "budget_undeclared",
                Text(
                    "{party} has declared no privacy budget for {name}.",
                    party=party,
                    name=dataset.name,
                ),
                "Its owner declares `privacy` in agent.yaml and publishes the dataset again.",
                {"party": party, "dataset": dataset.id},
            )
        found[party] = dataset.privacy.unit
        rows = max(rows, dataset.privacy.rows_per_person)
    if len(set(found.values())) != 1:
        listed = Joined(
            ", ",
            [Text("{party} per {unit}", party=party, unit=unit) for party, unit in found.items()],
        )
        raise SecureFlowError(
            "budget_unit_mismatch",
            Text("The owners keep their budgets in different units: {listed}.", listed=listed),
            "One noise hides one unit: query only datasets of the same unit together.",
            {"units": found},
        )
    return next(iter(found.values())), rows


def check_keyed(chosen: Mapping[str, Dataset]) -> None:
    """Refuse owners who do not say whose a row is, for a job that holds rows out by key.

    Raises:
        SecureFlowError: `key_undeclared` naming the party.
    """
    for party, dataset in chosen.items():
        if not dataset.keyed:
            raise SecureFlowError(
                "key_undeclared",
                Text(
                    "The job holds rows out by key, and {party} declares no key of {name}.",
                    party=party,
                    name=dataset.name,
                ),
                Text(
                    "Its owner adds `key: COLUMN` to the dataset in agent.yaml, with the column "
                    "that says whose each row is, and publishes it again: secureflow agent data "
                    "publish {name}.",
                    name=dataset.name,
                ),
                {"party": party, "dataset": dataset.id},
            )


def agreed_column(
    name: str, chosen: Mapping[str, Dataset], *, texts: bool = False
) -> dict[str, JSON]:
    """Return the hull of every owner's declaration of a column, as a spec names it.

    Args:
        name: the column.
        chosen: party → its dataset.
        texts: whether a column of texts will do.

    Raises:
        SecureFlowError: `unknown_column`, `contradictory_spec`, and those of bounds that differ.
    """
    declared = {party: declared_in(name, party, dataset) for party, dataset in chosen.items()}
    for party, column in declared.items():
        if column.is_tensor:
            raise _contradictory(
                name,
                Text("{party} declares it as {kind}", party=party, kind=column.type),
                "Statistics are of numbers and categories: leave images and arrays out.",
            )
    kinds = {column.type for column in declared.values()}
    if len(kinds) > 1 or ("text" in kinds and not texts):
        listed = Joined(
            ", ",
            [
                Text("{party}: {kind}", party=party, kind=column.type)
                for party, column in declared.items()
            ],
        )
        raise _contradictory(
            name,
            Text(
                "the owners do not all declare it as a number or all as a category ({listed})",
                listed=listed,
            ),
            "Use a column that all declare in the same way.",
        )
    if "text" in kinds:
        return {"column": name, "type": "text"}
    if "category" in kinds:
        values = dict.fromkeys(v for column in declared.values() for v in column.categories)
        return {"column": name, "type": "category", "categories": list(values)}
    return {"column": name, "type": "number", "bounds": _hull(name, declared)}


def _hull(name: str, declared: Mapping[str, ColumnConfig]) -> tuple[float, float]:
    bounds = []
    for party, column in declared.items():
        if column.bounds is None:
            raise _contradictory(
                name,
                Text(
                    (
                        "{party} declares no bounds for it, so one row could change a sum"
                        " by any amount"
                    ),
                    party=party,
                ),
                "Ask its owner to declare bounds.",
            )
        bounds.append(column.bounds)
    hull = (min(low for low, _ in bounds), max(high for _, high in bounds))
    for party, column in declared.items():
        code, reason = refusal(column.bounds, hull)
        if code:
            raise SecureFlowError(
                code,
                Text(
                    "{name} of {party} {reason}: that is the widest of all owners.",
                    name=name,
                    party=party,
                    reason=reason,
                ),
                "Query owners together whose bounds have the same magnitude, or have them "
                "declare such.",
                {"party": party, "column": name},
            )
    return hull


def declared_in(name: str, party: str, dataset: Dataset) -> ColumnConfig:
    """Return a column of an owner's description.

    Raises:
        SecureFlowError: `unknown_column`.
    """
    for column in dataset.columns:
        if column.name == name:
            return column
    raise no_column(name, party, dataset)


def no_column(name: str, party: str, dataset: Dataset) -> SecureFlowError:
    """Return the error of a column that an owner does not declare, with those it may be."""
    names = [one.name for one in dataset.columns]
    near = alike(name, names)
    hint = Text(
        "Use columns that every contributor declares; {party} declares: {columns}.",
        party=party, columns=some(names),
    ) if not near else Text(
        "{near} may be meant. Use columns that every contributor declares.", near=some(near)
    )  # fmt: skip
    return SecureFlowError(
        "unknown_column",
        Text(
            "The dataset {name} of {party} declares no column {column!r:.130}.",
            name=dataset.name,
            party=party,
            column=name,
        ),
        hint,
        {"party": party, "column": name},
    )


def check_label(label: Label, chosen: Mapping[str, Dataset]) -> None:
    """Refuse a label that an owner's column cannot be: every row would be of class 0.

    Raises:
        SecureFlowError: `unknown_column`; `unknown_category` for a class that an owner does not
            declare; `malformed_label` for one that is no number, of a number column;
            `contradictory_spec` for images and arrays.
    """
    for party, dataset in chosen.items():
        column = declared_in(label.column, party, dataset)
        if column.is_tensor:
            raise _contradictory(
                label.column,
                Text("{party} declares it as {kind}", party=party, kind=column.type),
                "A label is a category, a text or a number.",
            )
        if column.type == "number":
            label.number()
        elif column.type == "category" and label.positive not in column.categories:
            raise category_not_shared(label.positive, label.column, party, dataset)


def category_not_shared(
    category: str, column: str, party: str, dataset: Dataset
) -> SecureFlowError:
    """Return the error of a category that job and owner do not both list."""
    declared = next((one.categories for one in dataset.columns if one.name == column), ())
    near = alike(category, declared)
    others = [one for one in declared if one not in near]
    return SecureFlowError(
        "unknown_category",
        Text(
            "Category {value!r} of column {column!r} is not in both the job and the "
            "dataset {name} of {party}.",
            value=category,
            column=column,
            name=dataset.name,
            party=party,
        ),
        Text(
            "Use the categories that every owner declares; {party} declares: {categories}.",
            party=party,
            categories=some([*near, *others]),
        ),
        {"party": party, "column": column},
    )


def budget_notes(spec: JobSpec, chosen: Mapping[str, Dataset]) -> Iterator[str]:
    """Tell which agents will refuse the job, as far as budgets are public: not their limits."""
    for party, dataset in chosen.items() if spec.reads_rows else ():
        budget, name = dataset.privacy, dataset.name
        if spec.privacy is None and budget is not None:
            yield Text(
                "{party} keeps a privacy budget for {name}: unless its owner allows otherwise, "
                "its agent refuses this job, which has no `privacy:` part.",
                party=party,
                name=name,
            )
        elif spec.privacy is not None and budget is None:
            yield Text(
                "{party} has declared no privacy budget for {name}: its agent refuses jobs that "
                "have a `privacy:` part.",
                party=party,
                name=name,
            )
        elif spec.privacy is not None and budget is not None and budget.unit != spec.privacy.unit:
            yield Text(
                "{party} keeps the privacy budget for {name} per {own}: its agent refuses "
                "this job, whose noise hides one {unit}.",
                party=party,
                name=name,
                own=budget.unit,
                unit=spec.privacy.unit,
            )


def bounds_notes(spec: JobSpec, chosen: Mapping[str, Dataset]) -> Iterator[str]:
    """Tell where owners declare other bounds than the job uses."""
    declared = {
        party: {one.name: one.bounds for one in dataset.columns}
        for party, dataset in chosen.items()
    }
    for column, bounds in spec.bounds:
        for party, owned in declared.items():
            own = owned[column]
            taken = interval(bounds)
            if own is None:
                yield Text(
                    "{party} declares no bounds for {column}; the job uses {taken}.",
                    party=party,
                    column=column,
                    taken=taken,
                )
            elif own != bounds:
                within = interval(own)
                yield Text(
                    "{party} declares {column} within {within}; the job uses {taken}.",
                    party=party,
                    column=column,
                    within=within,
                    taken=taken,
                )


def _contradictory(column: str, reason: str, hint: str) -> SecureFlowError:
    return contradiction(Text("columns.{column}", column=column), reason, hint)


def code_notes(spec: JobSpec) -> Iterator[str]:
    """Yield what whoever submits a job with code is told in advance."""
    if spec.bundle is not None:
        yield Text(
            "It brings code: each owner is shown the bundle {digest}, decides about it, and needs "
            "an environment of the lock {environment}.",
            digest=spec.bundle.digest,
            environment=spec.bundle.environment,
        )
