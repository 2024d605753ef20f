"""What a simulation notices: nothing that ends it, but its figures mean little because of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from secureflow.domain.specs.bundle_family import BundleModel
from secureflow.domain.specs.sklearn_rules import clamped_steps
from secureflow.domain.specs.training import ClassesLabel, Label, TrainingSpec
from secureflow.engines.preparation import LEAST_VALIDATION, private_labels
from secureflow.kit.kernels import chosen_here, same_kernels
from secureflow.kit.text import Text
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
    if table is None or spec.features is None:
        return
    if isinstance(spec.model, BundleModel) and not spec.model.sums:
        yield "Nothing is measured: model.sums does not say what the code's evaluate returns."
    if clamped := clamped_steps(spec):
        yield clamped
    yield from _classes(spec, table)
    if spec.plan.validation and spec.privacy is None:
        yield from _measuring(parties)
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
        values=", ".join(repr(one) for one in missing[:_NAMED]) + ", …" * (len(missing) > _NAMED),
        column=label.column,
    )


def _measuring(parties: Sequence[Party]) -> Iterator[str]:
    without = sum(not party.runner.rows[1] for party in parties)
    if without:
        yield Text(
            "{count} of {parties} parties {count:has|have} fewer than {least} validation rows: "
            "{count:it trains on all its rows, and measures|they train on all their rows, and "
            "measure} nothing. Raise plan.validation, or simulate fewer parties.",
            count=without,
            parties=len(parties),
            least=LEAST_VALIDATION,
        )
