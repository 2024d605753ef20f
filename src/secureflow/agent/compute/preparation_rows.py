"""In the worker: the rows of a preparation job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureflow.agent.compute.summedrows import SummedRows
from secureflow.domain.specs.preparation import PreparationSpec
from secureflow.engines.preparation import Columns, label_vector, private_labels
from secureflow.engines.preparation.fitting import tally
from secureflow.engines.preparation.steps.values import Numbers64, Values, read_values
from secureflow.engines.recipes.plan import Known, noised, replayed, totals_bytes
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


class PreparationRows(SummedRows):
    """The rows of a prepared job.

    Args:
        spec: checked.
        columns: every column that the spec names, and that of persons.
        person: its name, if the owner's budget is kept per person.

    Raises:
        SecureFlowError: those of `SummedRows`; without privacy those of `read_values` and
            `label_vector`.
    """

    def __init__(self, spec: PreparationSpec, columns: Columns, person: str | None) -> None:
        self._spec = spec
        self._values = read_values(spec.columns, columns, strict=spec.privacy is None)
        super().__init__(spec, len(next(iter(self._values.values()))), columns, person)
        self._label = _label(spec, columns, self.count)
        self._known: Known | None = None

    def sums(self, totals: Path | None, number: int, seed: bytes, key: bytes) -> NDArray[Any]:
        """Return the sums of a round, int64; see `agent.compute.preparation.sums_arguments`.

        Raises:
            SecureFlowError: `totals_malformed`; without privacy `malformed_cell` of a step.
        """
        data = b"" if totals is None else totals.read_bytes()
        if len(data) != totals_bytes(self._spec, number - 1):
            raise SecureFlowError(
                "totals_malformed",
                Text("Round {number} came with totals of other rounds.", number=number),
                "Refuse them: the centre must follow the spec that was approved.",
            )
        values, label = self._kept(key)
        self._known = replayed(self._spec, data, self._known)
        found = tally(self._spec, self._known.progress, values, label)
        return noised(self._spec, number, found, seed)

    def _kept(self, key: bytes) -> tuple[Values, Numbers64 | None]:
        kept = self.counted(key)
        values = {name: found[kept] for name, found in self._values.items()}
        return values, None if self._label is None else self._label[kept]


def _label(spec: PreparationSpec, columns: Columns, rows: int) -> Numbers64 | None:
    if spec.label is None:
        return None
    if spec.privacy is None:
        return label_vector(spec.label, columns, rows).astype(np.float64)
    known, labels = private_labels(spec.label, columns)
    return np.where(known, labels.astype(np.float64), np.nan)
