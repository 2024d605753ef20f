"""What becomes of the tensors and sums that code of others returned, before anything is sent.

An agent does this in its own process: the caps of the spec, and the clipping of differential
privacy per party, are applied to numbers that the code cannot reach any more. No limit holds the
agent's own memory: beside what the code returned it takes some blocks of the vector, however long.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.bundle_family import ROWS, BundleModel
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.capping import (
    BLOCK,
    Blocks,
    Cuts,
    blocks_as_sent,
    capped_sums,
    clipped_blocks,
)
from secureflow.engines.training.metrics import LOSS_CAP
from secureflow.engines.training.models import model_sizes
from secureflow.engines.training.private import party_blocks, private_sums
from secureflow.engines.training.tensors import NamedTensors, flat_blocks
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


@dataclass(frozen=True)
class Returned:
    """What code returned for one model.

    Args:
        spec: the job's, of the family `bundle`.
        before: the state that it starts from, float32 (spec.model_and_bound,), finite.
        cuts: counts what the caps change.
    """

    spec: TrainingSpec
    before: NDArray[np.float32]
    cuts: Cuts = field(default_factory=Cuts)

    @classmethod
    def to_model(cls, spec: TrainingSpec, model: Path, cuts: Cuts | None = None) -> Returned:
        """Read the file of the model that the code is given.

        Args:
            spec: the job's.
            model: the file.
            cuts: counts what the caps change.

        Raises:
            SecureFlowError: `invalid_model`.
        """
        if model.stat().st_size in model_sizes(spec):
            before = np.asarray(np.memmap(model, "<f4", "r")[: spec.model_and_bound])
            if all(np.isfinite(before[part]).all() for part in _parts(len(before))):
                return cls(spec, before, Cuts() if cuts is None else cuts)
        raise SecureFlowError(
            "invalid_model",
            "Training cannot start from the global model's file.",
            "Fetch the model again and compare its digest with the release.",
        )

    @property
    def tensors(self) -> Mapping[str, NDArray[Any]]:
        """The model that it starts from, by name; each tensor is made when it is asked for."""
        return NamedTensors(self.spec.tensors, self._model)

    @property
    def _model(self) -> NDArray[np.float32]:
        return self.before[: self.spec.model_parameters]

    def write(self, trained: Mapping[str, NDArray[Any]], update: Path) -> None:
        """Write the update: the clipped change, in the spec's form; under DP in lattice steps.

        Raises:
            SecureFlowError: `bundle_output_refused` for numbers that the vector cannot hold.
        """
        try:
            self._write(lambda: flat_blocks(self.spec.tensors, trained, BLOCK), update)
        except SecureFlowError as error:
            raise SecureFlowError(
                "bundle_output_refused",
                Text("What the bundle returned is refused: {reason}.", reason="a number of its "
                     "tensors cannot be held"),
                "It must return what the spec declares: names, shapes, dtypes, finite numbers.",
            ) from error  # fmt: skip

    def write_zeros(self, update: Path) -> None:
        """Write the update of code that returned nothing usable: it changes nothing."""
        self._write(lambda: (self._model[part] for part in _parts(len(self._model))), update)

    def _write(self, after: Blocks, update: Path) -> None:
        def change() -> Iterator[NDArray[np.float64]]:
            at = 0
            for block in after():
                yield block.astype(np.float64) - self.before[at : at + len(block)]
                at += len(block)

        if self.spec.privacy is not None:
            delta = party_blocks(self.spec, self.before, change)
        else:
            delta = clipped_blocks(self.spec, change, self.cuts)
        sent = blocks_as_sent(self.spec, delta)
        update.unlink(missing_ok=True)  # another process may have the old file open
        handle = os.open(update, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "wb") as file:
            for block in sent():
                file.write(block.data)

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
        found = {
            name: min(max(reported[name], 0.0), most)
            if name == ROWS
            else min(max(reported[name], -LOSS_CAP * most), LOSS_CAP * most)
            for name in names
        }
        if most:  # else nothing is measured here
            self.cuts.report(reported, found)
        weighed = np.array([float(rows[0]), *found.values()])
        return [float(one) for one in capped_sums(self.spec, weighed)]


def _parts(count: int) -> Iterator[slice]:
    return (slice(at, at + BLOCK) for at in range(0, count, BLOCK))
