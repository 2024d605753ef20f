"""FedBN (Li et al. 2021, "FedBN: Federated Learning on Non-IID Features via Local Batch
Normalization").

Each party trains all layers. Of those that normalise neither parameters nor statistics are sent:
an update is the change of the other tensors, one after the other, and the next model is the last
one plus their weighted mean. In the model that everybody has, the layers that stay are as they
began; each party puts its own in their place.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.strategies.strategy import Blocks, Target, parts, put


class LocalNorms:
    """`Strategy`."""

    def next_state(
        self, spec: TrainingSpec, state: Blocks, release: Blocks, target: Target
    ) -> None:
        """Add the mean to the tensors that were sent; write the others as they are."""
        at = 0
        for start, stop, stays in runs(spec):
            for part in parts(start, stop):
                values = state[part].astype(np.float64)
                if not stays:
                    size = part.stop - part.start
                    values = values + release[slice(at, at + size)]
                    at += size
                put(target, part, values)


def runs(spec: TrainingSpec) -> Iterator[tuple[int, int, bool]]:
    """Yield of each tensor where it lies in the flat model, and whether it stays at the parties."""
    staying, at = {one.name for one in spec.staying}, 0
    for one in spec.tensors:
        yield at, at + one.size, one.name in staying
        at += one.size


def stays(spec: TrainingSpec) -> NDArray[np.bool_]:
    """Tell of each parameter whether it stays at the parties, bool (model_parameters,)."""
    found = np.zeros(spec.model_parameters, np.bool_)
    for start, stop, kept in runs(spec):
        found[start:stop] = kept
    return found
