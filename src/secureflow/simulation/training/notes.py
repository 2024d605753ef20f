"""What a simulation notices: nothing that ends it, but its figures mean little because of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from secureflow.domain.bounds import interval
from secureflow.domain.specs.bundle_family import ROWS, BundleModel
from secureflow.domain.specs.sklearn_rules import clamped_steps
from secureflow.domain.specs.training import ClassesLabel, Label, NumberLabel, TrainingSpec
from secureflow.engines.preparation import LEAST_VALIDATION, private_labels
from secureflow.engines.training.metrics import LOSS_CAP
from secureflow.kit.kernels import chosen_here, same_kernels
from secureflow.kit.text import Joined, Text
from secureflow.simulation.training.parties import Party
from secureflow.simulation.training.table import Table

_NAMED = 5


def noticed(
    spec: TrainingSpec, table: Table | None, parties: Sequence[Party], repeated: int = 0
) -> Iterator[str]:
    """Yield what whoever reads the figures should know.

    Args:
        spec: the job's.
        table: all rows.
        parties: those of the simulation.
        repeated: the first round that began with the model of the one before; 0 for none.
    """
    yield from _standing(repeated)
    yield from _scaled(spec, parties)
    if spec.plan.contribution is not None:
        yield (
            "Scores are those of an enclave's own code, on rows that the simulated parties hold "
            "out: nothing was sealed, and nobody signed them."
        )
    if table is None or spec.features is None:
        return
    if isinstance(spec.model, BundleModel) and not spec.model.sums:
        yield "Nothing is measured: model.sums does not say what the code's evaluate returns."
    if clamped := clamped_steps(spec):
        yield clamped
    yield from _sums(parties)
    yield from _bounds(spec, table)
    yield from _classes(spec, table)
    if spec.plan.validation and spec.privacy is None:
        yield from _measuring(parties, by_key=spec.splits_by_key)
    if spec.plan.order == "public" and not chosen_here():
        chosen = " ".join(f"{name}='{value}'" for name, value in same_kernels().items())
        yield Text(
            "The last bits of the model may differ from those that agents compute: this process "
            "chose its numeric code by its processor. Start Python with {settings} for theirs.",
            settings=chosen,
        )


def _standing(number: int) -> Iterator[str]:
    """Yield that the model stood still from a round on; 0 for none."""
    if number:
        yield Text(
            "Round {number} began with the model of the round before it, unchanged. Owners send "
            "what they recorded for a model again, and never train from it twice, so it stays as "
            "it is. Change some number in every round, if only the first time the code warms up.",
            number=number,
        )


def _scaled(spec: TrainingSpec, parties: Sequence[Party]) -> Iterator[str]:
    """Yield that updates were scaled, or parties' weights, as the spec's limits have it."""
    cuts = [party.runner.cuts for party in parties]
    if longer := sum(one.longer for one in cuts):
        yield Text(
            "{count} of {updates} updates {count:was|were} longer than limits.clip_norm "
            "({limit:g}; the longest: {longest:.4g}) and {count:was|were} scaled to it.",
            count=longer,
            updates=sum(one.updates for one in cuts),
            limit=spec.limits.clip_norm,
            longest=max(one.longest for one in cuts),
        )
    most = spec.limits.max_weight
    heavy = sum(party.runner.rows[0] > most for party in parties)
    if heavy and spec.privacy is None:
        yield Text(
            "{count} of {parties} parties {count:has|have} more training rows than "
            "limits.max_weight ({most}) and {count:counts|count} as so many.",
            count=heavy,
            parties=len(parties),
            most=most,
        )


def _sums(parties: Sequence[Party]) -> Iterator[str]:
    """Yield which sums of the code do not count as it returned them, or are hardly sums."""
    cuts = [party.runner.cuts for party in parties]
    capped, reports = Counter[str](), sum(one.reports for one in cuts)
    for one in cuts:
        capped.update(one.sums)
    for name, count in capped.items():
        if name == ROWS:
            yield Text(
                "{count} of {reports} times evaluate returned more rows than there are to validate "
                "on, or fewer than 0: they count as these.",
                count=count,
                reports=reports,
            )
        else:
            yield Text(
                "{count} of {reports} times evaluate returned {name} beyond {cap:g} for each "
                "validation row: it counts as {cap:g} for each.",
                count=count,
                reports=reports,
                name=name,
                cap=LOSS_CAP,
            )
    if min((party.runner.rows[1] for party in parties), default=0) < LEAST_VALIDATION:
        return
    for name in dict.fromkeys(name for one in cuts for name in one.largest):
        largest = max(one.largest.get(name, 0.0) for one in cuts)
        if name != ROWS and 0.0 < largest <= 1.0:
            yield Text(
                "{name} is never more than 1, over all validation rows of a party: evaluate "
                "returns sums, and a mean would be divided by the rows once more.",
                name=name,
            )


def _bounds(spec: TrainingSpec, table: Table) -> Iterator[str]:
    """Yield which columns have cells outside of the job's bounds, which count as the bound."""
    label = spec.features.label if spec.features else None
    numbers = list(spec.features.input_bounds) if spec.features else []
    if isinstance(label, NumberLabel):  # refused already, unless the job is private
        numbers.append((label.column, label.bounds))
    found = []
    for column, (low, high) in numbers:
        cells = np.asarray(table.columns[column], np.float64)
        if count := int(((cells < low) | (cells > high)).sum()):
            found.append((column, (low, high), count, cells))
    for column, bounds, count, cells in found[:_NAMED]:
        yield Text(
            "{column}: {count} {count:cell is|cells are} outside of the job's bounds {bounds} and "
            "{count:counts|count} as the bound. The column goes from {low:g} to {high:g}.",
            column=column,
            count=count,
            bounds=interval(bounds),
            low=float(np.nanmin(cells)),
            high=float(np.nanmax(cells)),
        )
    if (more := len(found) - _NAMED) > 0:
        yield Text("So it is with {count} more {count:column|columns}.", count=more)


def _classes(spec: TrainingSpec, table: Table) -> Iterator[str]:
    label = spec.features.label if spec.features else None
    if not isinstance(label, Label | ClassesLabel):
        return
    several = isinstance(label, ClassesLabel)
    names = label.classes if isinstance(label, ClassesLabel) else ("", label.positive)
    rows = np.zeros(len(names), np.int64)
    for columns in table.by_file():  # one may hold as numbers what another one holds as words
        present, targets = private_labels(label, columns)
        rows += np.bincount(targets[present].astype(np.int64), minlength=len(names))
    missing = [name for name, count in zip(names, rows, strict=True) if not count]
    if not missing:
        return
    if not several and not rows[0]:
        yield Text(
            "Every row has the class {value!r} of the label {column!r}: there is nothing to tell "
            "apart.",
            value=names[1],
            column=label.column,
        )
        return
    yield Text(
        "No row has the class {values} of the label {column!r}: compare how the file writes it.",
        values=Joined(", ", [*map(repr, missing[:_NAMED]), *["…"] * (len(missing) > _NAMED)]),
        column=label.column,
    )


def _measuring(parties: Sequence[Party], *, by_key: bool) -> Iterator[str]:
    without = sum(not party.runner.rows[1] for party in parties)
    if without and by_key:
        yield Text(
            "{count} of {parties} parties {count:has|have} fewer than {least} rows whose keys are "
            "held out, and {count:measures|measure} nothing: they are not trained on either.",
            count=without,
            parties=len(parties),
            least=LEAST_VALIDATION,
        )
    elif without:
        yield Text(
            "{count} of {parties} parties {count:has|have} fewer than {least} validation rows: "
            "{count:it trains on all its rows, and measures|they train on all their rows, and "
            "measure} nothing. Raise plan.validation, or simulate fewer parties.",
            count=without,
            parties=len(parties),
            least=LEAST_VALIDATION,
        )
