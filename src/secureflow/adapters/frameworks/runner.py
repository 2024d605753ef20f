"""The seam between rounds and a training framework: prepare · train · evaluate · export.

*Prepare* is making the runner: it reads the party's rows. *Train* and *evaluate* are one round's
local computation, from and to files of raw float32 (`engines.training.tensors` has the named
tensors). *Export* (`engines.training.export`) is a file and a card, from which the SDK predicts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from secureflow.engines.training.capping import Cuts


class FrameworkRunner(Protocol):
    """One job's local computations over one prepared dataset.

    Models are files of raw little-endian float32, `spec.parameters` long, read by memory map;
    updates are as long, in the spec's `wire` dtype. Sums are float64 and laid out as
    `engines.training.models` says; `moments` are the federated sums that the job released, or None
    if the spec has no federated feature.
    """

    @property
    def rows(self) -> tuple[int, int]:
        """The number of training and of validation rows."""

    @property
    def cuts(self) -> Cuts:
        """What the spec's caps changed of updates and sums so far; nothing that is sent."""

    def moments(self) -> NDArray[np.float64]:
        """Return the sums of stage `moments` over the training rows."""

    def train(
        self,
        model: Path,
        update: Path,
        moments: Sequence[float] | None,
        seed: bytes,
        state: tuple[Path | None, Path] | None = None,
    ) -> NDArray[np.float64]:
        """Write the update's delta to `update` and return its sums; bit-identical when repeated.

        A framework that cannot repeat itself is given `state`: the file of its own state after the
        newest update that was sent (None before the first), which it must take up, and the path
        where it writes its state after this one. It is run once for a model.
        """

    def evaluate(
        self,
        model: Path,
        moments: Sequence[float] | None,
        seed: bytes,
        own: tuple[Path | None, Path] | None = None,
    ) -> NDArray[np.float64]:
        """Return the sums of stage `evaluate` on the validation rows; repeats are bit-identical.

        Where each party ends with a model of its own, that is made first: from the state after the
        newest update, as in `train`, and raw float32 to where `own` says; without it, from and in
        memory.
        """
