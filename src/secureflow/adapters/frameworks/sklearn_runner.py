"""scikit-learn at a party: `partial_fit` over the plan's local epochs, from and to named tensors.

Rows, preparation, moments, metrics, clipping and (party-level) noise are `NumpyRunner`'s; only the
change of the model is scikit-learn's. The optimiser's own state (`t_`, momentum, Adam's moments) is
*carried* from a party's round to its next one and never leaves it: schedules go on decaying over
the whole job, and moments have no warm-up in each round. (It was made on this party's models, which
the mean then moves; reset, a round of few steps would hardly leave Adam's warm-up.) A party without
earlier state begins as scikit-learn does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.adapters.frameworks.kept import LEFT, taken_left
from secureflow.adapters.frameworks.numpy_runner import NumpyRunner
from secureflow.adapters.frameworks.sklearn_trainers import State, trainer_of
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.preparation import Columns, EncodedRows
from secureflow.engines.training.extras import check_extra
from secureflow.engines.training.fitted import Fitted
from secureflow.engines.training.pull import Pull
from secureflow.kit.errors import SecureFlowError

_MOST_STATE: Final = 8 << 30
"""Bytes of a state's file that are read."""


class SklearnRunner(NumpyRunner):
    """`FrameworkRunner`.

    Args:
        spec: the job's spec.
        columns: the rows of the party's dataset.

    Raises:
        SecureFlowError: `missing_extra`; those of `NumpyRunner`.
    """

    def __init__(
        self,
        spec: TrainingSpec,
        columns: Columns | None,
        secret: bytes = b"",
        held: NDArray[np.bool_] | None = None,
    ) -> None:
        check_extra(spec)
        super().__init__(spec, columns, secret, held)
        self._fitting = Fitting(spec)
        self._family = self._fitting

    def train(
        self,
        model: Path,
        update: Path,
        moments: Sequence[float] | None,
        seed: bytes,
        state: tuple[Path | None, Path] | None = None,
    ) -> NDArray[np.float64]:
        """See `FrameworkRunner.train`; without files of state it is kept in this object."""
        if state is not None:
            before, _ = state
            found = {} if before is None else dict(read_state(before))
            self._left = taken_left(self._spec, found, first=before is None)
            self._fitting.state = found
        sums = super().train(model, update, moments, seed)
        if state is not None:
            _, after = state
            left = {LEFT: self._left} if len(self._left) else {}
            write_state(after, {**self._fitting.state, **left})
        return sums


class Fitting(Fitted):
    """`Fitted`, trained by scikit-learn.

    Args:
        spec: the job's spec.
    """

    def __init__(self, spec: TrainingSpec) -> None:
        super().__init__(spec)
        self.state: State = {}
        self._trainer = trainer_of(spec)

    def train(
        self,
        spec: TrainingSpec,
        parameters: NDArray[np.float32],
        inputs: NDArray[np.float32] | EncodedRows,
        labels: NDArray[np.float32],
        seed: bytes,
        weights: NDArray[np.float32] | None = None,
        pull: Pull | None = None,
    ) -> NDArray[np.float32]:
        """Return the trained parameters; the state goes on, unless training diverges."""
        del pull
        del spec
        found, state = self._trainer.fit(parameters, inputs, labels, seed, weights, self.state)
        self.state = state
        return found


def read_state(path: Path) -> State:
    """Read a party's own state file.

    Raises:
        SecureFlowError: `state_unreadable`.
    """
    # Lazy, here and below: only these trainers have such files.
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        if path.stat().st_size > _MOST_STATE:
            raise ValueError
        return dict(load(path.read_bytes()))
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise SecureFlowError(
            "state_unreadable",
            "The trainer's own state after the last update cannot be read.",
            "Leave this job: its trainer would make another update, which reveals more.",
        ) from error


def write_state(path: Path, state: Mapping[str, NDArray[Any]]) -> None:
    """Write a state, of which an empty one has no arrays."""
    from safetensors.numpy import save

    path.write_bytes(save({name: np.ascontiguousarray(one) for name, one in state.items()}))
