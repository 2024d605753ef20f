"""PyTorch as a framework: what `NumpyRunner` does around a network of `engines.training`.

Rows, clipping, noise, metrics and the wire are the same. What differs is the optimiser's state: an
agent names its files, because an update is not made twice; a simulation holds it in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from secureflow.adapters.frameworks.kept import LEFT, OWN, taken_left, taken_own
from secureflow.adapters.frameworks.numpy_runner import NumpyRunner
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.preparation import Columns
from secureflow.engines.training.basemodel import read_base
from secureflow.engines.training.torch_modules import require_torch
from secureflow.engines.training.torch_network import TorchNetwork
from secureflow.engines.training.torch_state import OptimiserState
from secureflow.kit.basefiles import base_file
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

MOST_STATE = 2 << 30


class TorchRunner(NumpyRunner):
    """A `FrameworkRunner` for one job of a family of PyTorch.

    Args:
        spec: the job's spec.
        columns: the rows of the party's dataset.

    Raises:
        SecureFlowError: `missing_extra`, or as `NumpyRunner`.
    """

    def __init__(
        self,
        spec: TrainingSpec,
        columns: Columns | None,
        secret: bytes = b"",
        held: NDArray[np.bool_] | None = None,
    ) -> None:
        require_torch(spec.model.family)
        super().__init__(spec, columns, secret, held)
        self._network = TorchNetwork(spec, device())
        self._family = self._network
        self._stands = False
        self.base: Path | None = None
        """Where an adapter's base is, unless beside the model's file."""

    def train(
        self,
        model: Path,
        update: Path,
        moments: Sequence[float] | None,
        seed: bytes,
        state: tuple[Path | None, Path] | None = None,
    ) -> NDArray[np.float64]:
        """See `FrameworkRunner.train`; without `state` the optimiser's is held in memory."""
        self._stand(model)
        if state is None:
            return super().train(model, update, moments, seed)
        _, after = state
        self._take_up(state[0])
        sums = super().train(model, update, moments, seed)
        beside = {name: one for name, one in ((LEFT, self._left), (OWN, self._own)) if len(one)}
        state_after = self._network.state
        whole = replace(state_after, values={**state_after.values, **beside})
        after.write_bytes(whole.to_bytes())
        return sums

    def evaluate(
        self,
        model: Path,
        moments: Sequence[float] | None,
        seed: bytes,
        own: tuple[Path | None, Path] | None = None,
    ) -> NDArray[np.float64]:
        """See `FrameworkRunner.evaluate`; a party's own passes begin with a new optimiser."""
        self._stand(model)
        if own is not None:
            self._take_up(own[0])
        self._network.take_up(OptimiserState())
        return super().evaluate(model, moments, seed, own)

    def _take_up(self, path: Path | None) -> None:
        """Go on from what this party kept after its newest update; None before the first."""
        found = OptimiserState() if path is None else _read(path)
        values = dict(found.values)
        self._left = taken_left(self._spec, values, first=path is None)
        self._own = taken_own(self._spec, values, first=path is None)
        self._network.take_up(replace(found, values=values))

    def _stand(self, model: Path) -> None:
        """Take the base of an adapter, once: the file beside a model's, or `base`."""
        if not self._spec.base or self._stands:
            return
        path = self.base or base_file(model.parent, self._spec.base)
        self._network.stand_on(read_base(self._spec, path))
        self._stands = True


def device() -> str:
    """Return where to train: on a CUDA device that this process can open, else the processor.

    In a sandbox there is none but those that the owner lists (`worker: devices`).
    """
    if not any(Path("/dev").glob("nvidia[0-9]*")):
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _read(path: Path) -> OptimiserState:
    if path.stat().st_size > MOST_STATE:
        raise SecureFlowError(
            "state_unreadable",
            Text("The optimiser's state is larger than {most} bytes.", most=MOST_STATE),
            "Leave this job: from another state the trainer would make another update.",
        )
    return OptimiserState.from_bytes(path.read_bytes())
