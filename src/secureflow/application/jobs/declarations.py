"""What several owners declared of their data, as one job uses it: the widest of all.

An analyst names columns; bounds, categories, the unit of privacy and how many of its rows count are
what the granted datasets' descriptions say. Each agent compares them with its own configuration.
"""

from __future__ import annotations

from collections.abc import Mapping

from secureflow.domain.bounds import refusal
from secureflow.domain.datasets import Dataset
from secureflow.domain.schemas import ColumnConfig
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
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
    raise SecureFlowError(
        "unknown_column",
        Text(
            "The dataset {name} of {party} declares no column {column!r:.130}.",
            name=dataset.name,
            party=party,
            column=name,
        ),
        "Use columns that every contributor declares.",
        {"party": party, "column": name},
    )


def _contradictory(column: str, reason: str, hint: str) -> SecureFlowError:
    name = Text("columns.{column}", column=column)
    return SecureFlowError(
        "contradictory_spec",
        Text("{name}: {reason}.", name=name, reason=reason),
        hint,
        {"field": name},
    )
