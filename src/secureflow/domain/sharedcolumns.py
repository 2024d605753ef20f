"""What several owners declare alike: the columns that a template can use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from secureflow.domain.datasets import Dataset
from secureflow.domain.schemas import ColumnConfig
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.nearnames import alike, some
from secureflow.kit.text import Text

_SCALAR: Final = frozenset({"number", "category", "text"})
_POSITIVE: Final = ("yes", "true", "1", "high", "positive", "bad", "default", "churned")
"""Values of a label that people call the positive one, in small letters."""
_TARGETS: Final = frozenset(
    {
        *("label", "target", "outcome", "class", "result", "response", "income", "risk"),
        *("default", "defaulted", "bad", "churn", "churned", "fraud", "diagnosis", "readmitted"),
    }
)
"""Words in the names of columns that people predict."""
_SLUG: Final = 48
"""Most characters of a column's name in the name of a question."""


@dataclass(frozen=True)
class SharedColumn:
    """A column that every owner declares with one type.

    Args:
        name: the column's.
        slug: its name among those of questions: letters, digits and dashes, each once.
        bounds: the hull of all bounds, of a number.
        categories: of all owners, of a category.
    """

    name: str
    slug: str
    bounds: tuple[float, float] | None = None
    categories: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shared:
    """What all owners declare; `hidden` are columns that any of them calls sensitive."""

    numbers: tuple[SharedColumn, ...]
    categories: tuple[SharedColumn, ...]
    hidden: tuple[SharedColumn, ...]

    def find(self, name: str) -> SharedColumn | None:
        """Return a column by its name, sensitive or not."""
        every = (*self.numbers, *self.categories, *self.hidden)
        return next((one for one in every if one.name == name), None)


def shared_columns(datasets: Mapping[str, Dataset]) -> Shared:
    """Return the numbers with bounds and the categories that all datasets have."""
    first, *others = [{one.name: one for one in each.columns} for each in datasets.values()]
    slugs: set[str] = set()
    found: dict[str, list[SharedColumn]] = {"number": [], "category": [], "hidden": []}
    for name, column in first.items():
        declared = [column, *(one[name] for one in others if name in one)]
        if len(declared) <= len(others) or {one.type for one in declared} != {column.type}:
            continue
        made = _shared(declared, slugs)
        if made is None:
            continue
        hidden = any(one.sensitive for one in declared)
        found["hidden" if hidden else column.type].append(made)
    return Shared(tuple(found["number"]), tuple(found["category"]), tuple(found["hidden"]))


def _shared(declared: list[ColumnConfig], slugs: set[str]) -> SharedColumn | None:
    name, kind = declared[0].name, declared[0].type
    bounds = [one.bounds for one in declared if one.bounds is not None]
    if kind == "number" and len(bounds) == len(declared):
        low, high = min(one[0] for one in bounds), max(one[1] for one in bounds)
        return SharedColumn(name, _slug(name, slugs), (low, high))
    if kind == "category":
        every = dict.fromkeys(value for one in declared for value in one.categories)
        return SharedColumn(name, _slug(name, slugs), None, tuple(every))
    return None


def _slug(name: str, taken: set[str]) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_SLUG].strip("-") or "column"
    number, made = 1, plain
    while made in taken:
        number += 1
        made = f"{plain}-{number}"
    taken.add(made)
    return made


def label_of(shared: Shared, name: str, positive: str) -> dict[str, Any]:
    """Return the target of a column, as a request has it.

    Without a name it is a category of two values that all declare: one that is called as targets
    usually are (`_TARGETS`), else the last one, before those that an owner calls sensitive.

    Raises:
        SecureFlowError: `unknown_column`, `unknown_category`; `invalid_request` if nothing can be
            predicted.
    """
    column = shared.find(name) if name else _usual_label(shared)
    if column is None:
        raise _no_label(shared, name)
    if positive and positive not in column.categories:
        raise SecureFlowError(
            "unknown_category",
            Text("The label {label!r} never has the value {positive!r}.",
                 label=column.name, positive=positive),
            Text("It holds: {categories}.", categories=", ".join(column.categories[:10])),
            {"field": "positive"},
        )  # fmt: skip
    if positive or len(column.categories) == 2:
        return {"column": column.name, "positive": positive or _usual_positive(column.categories)}
    if column.bounds is not None:
        return {"column": column.name, "bounds": list(column.bounds)}
    return {"column": column.name, "classes": list(column.categories)}


def _usual_label(shared: Shared) -> SharedColumn | None:
    two = [one for one in (*shared.hidden, *shared.categories) if len(one.categories) == 2]
    called = [one for one in two if _TARGETS & set(one.slug.split("-"))]
    return next(reversed(called or two), None)


def _usual_positive(values: tuple[str, ...]) -> str:
    known = {value.strip().lower(): value for value in values}
    return next((known[one] for one in _POSITIVE if one in known), values[-1])


def _no_label(shared: Shared, name: str) -> SecureFlowError:
    every = [one.name for one in (*shared.numbers, *shared.categories, *shared.hidden)]
    if not name:
        return SecureFlowError(
            "invalid_request",
            "No category of two values is declared and granted by every owner: nothing says "
            "what to predict.",
            "Name the column: --label COLUMN.",
            {"field": "label"},
        )
    near = alike(name, every)
    return SecureFlowError(
        "unknown_column",
        Text("Not every owner declares and grants the label {label!r} alike.", label=name),
        Text("{near} may be meant.", near=some(near))
        if near
        else "Compare the declarations: secureflow data show DATASET.",
        {"field": "label"},
    )


def key_of(dataset: Dataset, name: str) -> str | None:
    """Return the column by which rows are matched: the one that is named, else declared; or None.

    Raises:
        SecureFlowError: `unknown_column`.
    """
    columns = {one.name: one for one in dataset.columns}
    if name and (name not in columns or columns[name].type not in _SCALAR):
        raise SecureFlowError(
            "unknown_column",
            Text("The dataset {dataset} of {party} has no column {name!r} that can be a key.",
                 dataset=dataset.name, party=dataset.organisation, name=name),
            "Compare the declarations: secureflow data show DATASET.",
            {"field": "keys", "party": dataset.organisation, "column": name},
        )  # fmt: skip
    found = name or dataset.key or ""
    return found if found in columns else None
