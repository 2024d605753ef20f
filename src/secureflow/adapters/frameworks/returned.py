"""What becomes of the tensors and sums that code of others returned, before anything is sent.

An agent does this in its own process: the caps of the spec, and the clipping of differential
privacy per party, are applied to numbers that the code cannot reach any more.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.bundle_family import ROWS, BundleModel
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.capping import as_sent, capped_sums, clipped_delta
from secureflow.engines.training.metrics import LOSS_CAP
from secureflow.engines.training.private import party_delta, private_sums
from secureflow.engines.training.tensors import flat, named
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


@dataclass(frozen=True)
class Returned:
    """What code returned for one model.

    Args:
        spec: the job's, of the family `bundle`.
        before: the state that it starts from, float32 (spec.parameters,).
        tensors: the model in it, by name.
    """

    spec: TrainingSpec
    before: NDArray[np.float32]
    tensors: Mapping[str, NDArray[Any]]

    @classmethod
    def to_model(cls, spec: TrainingSpec, model: Path) -> Returned:
        """Read the file of the model that the code is given.

        Raises:
            SecureFlowError: `invalid_model`.
        """
        before = np.fromfile(model, "<f4")
        if len(before) != spec.parameters or not np.isfinite(before).all():
            raise SecureFlowError(
                "invalid_model",
                "Training cannot start from the global model's file.",
                "Fetch the model again and compare its digest with the release.",
            )
        return cls(spec, before, named(spec.tensors, before[: spec.model_parameters]))

    def write(self, trained: Mapping[str, NDArray[Any]], update: Path) -> None:
        """Write the update: the clipped change, in the spec's form; under DP in lattice steps.

        Raises:
            SecureFlowError: `bundle_output_refused` for numbers that the vector cannot hold.
        """
        try:
            after = flat(self.spec.tensors, trained)
        except SecureFlowError as error:
            raise SecureFlowError(
                "bundle_output_refused",
                Text("What the bundle returned is refused: {reason}.", reason="a number of its "
                     "tensors cannot be held"),
                "It must return what the spec declares: names, shapes, dtypes, finite numbers.",
            ) from error  # fmt: skip
        self._write(after, update)

    def write_zeros(self, update: Path) -> None:
        """Write the update of code that returned nothing usable: it changes nothing."""
        self._write(self.before[: self.spec.model_parameters], update)

    def _write(self, after: NDArray[np.float32], update: Path) -> None:
        if self.spec.privacy is not None:
            delta = party_delta(self.spec, self.before, after)
        else:
            delta = clipped_delta(self.spec, after.astype(np.float64) - self.before)
        update.unlink(missing_ok=True)  # another process may have the old file open
        handle = os.open(update, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(as_sent(self.spec, delta).data)

    def sums(
        self, reported: Mapping[str, float], rows: tuple[int, int], seed: bytes
    ) -> list[float]:
        """Return the update's sums: the weight, then those that the code reported, capped.

        `rows` is what this agent's own reader found, not what the code says: the reported number of
        rows may be less, never more, and no row moves another sum by more than `LOSS_CAP`.
        """
        if self.spec.privacy is not None:
            return [float(one) for one in private_sums(self.spec, seed)]
        model = self.spec.model
        names = model.sums if isinstance(model, BundleModel) else ()
        most = float(rows[1])
        found = [
            min(max(reported[name], 0.0), most)
            if name == ROWS
            else min(max(reported[name], -LOSS_CAP * most), LOSS_CAP * most)
            for name in names
        ]
        weighed = np.array([float(rows[0]), *found])
        return [float(one) for one in capped_sums(self.spec, weighed)]
