"""Datasets as the owner's page shows them: schema, who may use them, and who did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import computed_field

from secureflow.agent.console.screens.figures import figure, plain, ratio, second, text_of, texts
from secureflow.agent.console.screens.spoken import Spoken, SpokenApproval
from secureflow.kit.reading import listed, members, objects
from secureflow.kit.text import Text

MOST_USES = 200
"""Uses on one page, the newest."""


@dataclass(frozen=True)
class ColumnView:
    """A declared column.

    Args:
        name: in the file.
        type: `number`, `category`, `text`, `image` or `array`.
        sensitive: personal or protected.
        detail: bounds, categories, shape or length, in words.
    """

    name: str
    type: str
    sensitive: bool
    detail: str


@dataclass(frozen=True)
class DatasetView:
    """A declared dataset.

    Args:
        name: in agent.yaml.
        title: as published; empty.
        state: `declared`, `published` or `edited since`.
        published: its id at the centre; empty.
        format: of the file.
        path: on this machine.
        rows: the bucket that others see; empty until it is published.
        count: how many columns it declares.
        key: the column that says whose a row is; empty.
        columns: the sensitive ones first.
        privacy: what its budget declares; None without one.
        probing: the limit of tested ids; None without one.
        result_of: the job whose result it is; empty.
    """

    name: str
    title: str
    state: str
    published: str
    format: str
    path: str
    rows: str
    count: int
    key: str
    columns: tuple[ColumnView, ...] = ()
    privacy: Mapping[str, Any] | None = None
    probing: Mapping[str, Any] | None = None
    result_of: str = ""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def sensitive(self) -> int:
        """How many columns are sensitive."""
        return sum(one.sensitive for one in self.columns)


@dataclass(frozen=True)
class UseRow:
    """A job that used a dataset, and under which approval."""

    job: str
    dataset: str
    at: int
    project: str
    purpose: str
    kind: str
    requester: str
    parties: tuple[str, ...]
    columns: tuple[str, ...]
    approval: SpokenApproval
    grant: str
    epsilon: float | None
    rounds: int
    votes: int
    outcome: str

    @computed_field  # type: ignore[prop-decorator]
    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.outcome == "running"


@dataclass(frozen=True)
class Difference:
    """A job on which the own record and the own ledger entries do not agree."""

    job: str
    kind: str
    message: Spoken


@dataclass(frozen=True)
class Usage:
    """Who used what.

    Args:
        uses: the newest first, at most `MOST_USES`.
        count: how many there are.
        differences: between the record and the ledger entries that were signed.
    """

    uses: tuple[UseRow, ...]
    count: int
    differences: tuple[Difference, ...]


def dataset_view(value: Mapping[str, Any]) -> DatasetView:
    """Read one dataset of `data.list` or `data.show`."""
    columns = [_column(one) for one in objects(value.get("schema"), 4096)]
    return DatasetView(
        name=text_of(value, "name"),
        title=text_of(value, "title"),
        state=text_of(value, "state"),
        published=text_of(value, "published"),
        format=text_of(value, "format"),
        path=text_of(value, "path"),
        rows=text_of(value, "rows"),
        count=int(ratio(value.get("columns"))),
        key=text_of(value, "key"),
        columns=tuple(sorted(columns, key=lambda one: not one.sensitive)),
        privacy=members(value.get("privacy")) or None,
        probing=members(value.get("probing")) or None,
        result_of=text_of(members(value.get("result")), "job"),
    )


def usage_view(value: Any, dataset: str = "") -> Usage:
    """Read `data.usage`, of one dataset or of all.

    Running jobs stand first: they are what an owner can still stop.
    """
    rows = [_use(one) for one in objects(members(value).get("uses"), 10_000)]
    rows = [one for one in rows if dataset in ("", one.dataset)]
    rows.sort(key=lambda one: (not one.running, -one.at))
    differences = tuple(
        Difference(text_of(one, "job"), text_of(one, "difference"), plain(one.get("message")))
        for one in objects(members(value).get("differences"))
    )
    return Usage(tuple(rows[:MOST_USES]), len(rows), differences)


def _use(one: Mapping[str, Any]) -> UseRow:
    epsilon = one.get("epsilon")
    return UseRow(
        job=text_of(one, "job"),
        dataset=text_of(one, "dataset"),
        at=second(one.get("at")),
        project=text_of(one, "project"),
        purpose=text_of(one, "purpose"),
        kind=text_of(one, "kind"),
        requester=text_of(one, "requester"),
        parties=texts(one.get("parties")),
        columns=texts(one.get("columns"), 4096),
        approval=text_of(one, "approval"),
        grant=text_of(one, "grant"),
        epsilon=None if epsilon is None else ratio(epsilon),
        rounds=int(ratio(one.get("rounds"))),
        votes=int(ratio(one.get("votes"))),
        outcome=text_of(one, "outcome"),
    )


def _column(one: Mapping[str, Any]) -> ColumnView:
    return ColumnView(
        text_of(one, "name"),
        text_of(one, "type"),
        one.get("sensitive") is True,
        " · ".join(_details(one)),
    )


def _details(one: Mapping[str, Any]) -> Iterator[str]:
    if categories := texts(one.get("categories")):
        rest = len(categories) - 8
        yield ", ".join(categories[:8]) + (f", … +{rest}" if rest > 0 else "")
    bounds = listed(one.get("bounds"))
    if len(bounds) == 2:
        yield f"{figure(bounds[0])} – {figure(bounds[1])}"
    if shape := listed(one.get("shape")):
        yield " × ".join(figure(each) for each in shape)
    if one.get("dtype"):
        yield text_of(one, "dtype")
    if one.get("length"):
        yield f"≤ {figure(one['length'])}"


def published_word(dataset: DatasetView) -> str:
    """Return what its state means, as a sentence."""
    if dataset.state == "published":
        return Text("Published as {id}: projects see the description, never rows.",
                    id=dataset.published)  # fmt: skip
    if dataset.state == "edited since":
        return (
            "The declaration was edited since it was published: no job gets it until it is "
            "published again."
        )
    return "Declared here, and published nowhere: nobody outside sees it."
