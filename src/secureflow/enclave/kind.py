"""The enclave's part of a kind of job: how contributions are laid out and added up.

Only kinds in which an enclave takes part are in its table; jobs of other kinds open nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from secureflow.enclave.folds import Fold
from secureflow.enclave.models import GlobalModel
from secureflow.engines.run.kind import EngineKind, EngineKinds
from secureflow.engines.sealing import Manifest, OpenedUpdate
from secureflow.engines.secagg import MaskingPlan
from secureflow.kit.canonical import JSON


class EnclaveKind(Protocol):
    """One kind of job. A `spec` argument is always a checked spec of this kind.

    `plan` is that of a stage's masked sums, None where contributions are not masked.
    """

    @property
    def engine(self) -> EngineKind:
        """The kind's record in the engines."""

    def manifest(self, spec: Any, stage: str, plan: MaskingPlan | None) -> Manifest:
        """Return how a contribution to a stage is laid out."""

    def check_asked(self, spec: Any, digest: str, stage: str, number: int, party: str) -> None:
        """Refuse a party of the roster that a round does not take.

        Raises:
            SecureFlowError: `not_drawn`.
        """

    def fold(
        self, spec: Any, stage: str, plan: MaskingPlan | None, beside: Mapping[str, Fold]
    ) -> Fold:
        """Return an empty sum of a stage's contributions; `beside` are those of other stages."""

    def starts(self, fold: Fold, model: GlobalModel) -> None:
        """Show a sum the model from which its step starts, if what it adds up depends on it."""

    def check_committed(self, fold: Fold, update: OpenedUpdate, commitment: str) -> None:
        """Refuse a contribution that is not what its party committed to, where that is known.

        Raises:
            SecureFlowError: `validation_swapped`.
        """

    def told(self, spec: Any, stage: str, folds: Mapping[str, Fold]) -> dict[str, dict[str, JSON]]:
        """Return what is told beside a stage's sums: name → document, which the enclave signs."""

    def starts_from(self, spec: Any) -> str:
        """Return the digest of another job's model that this one starts from; empty for none."""

    def start(self, spec: Any) -> int:
        """Return how many float32 values that model has."""

    def started(self, spec: Any, model: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the state that begins with that model, shape `(spec.parameters,)`."""

    def initial(self, spec: Any) -> NDArray[np.float32]:
        """Return the model before the first round, float32, shape `(spec.parameters,)`."""

    def model_audience(self, spec: Any, stage: str, number: int) -> str:
        """Return who gets the model of a step that was released.

        Returns:
            `all` (the operator too), `agents`, or empty for nobody.
        """


class EnclaveKinds(Mapping[str, EnclaveKind]):
    """A table of kinds by their names."""

    def __init__(self, *kinds: EnclaveKind) -> None:
        self._kinds = {kind.engine.spec.name: kind for kind in kinds}
        self.engines = EngineKinds(*(kind.engine for kind in kinds))

    def __getitem__(self, name: str) -> EnclaveKind:
        """Return a kind by its name."""
        return self._kinds[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self._kinds)

    def __len__(self) -> int:
        """Return how many kinds there are."""
        return len(self._kinds)
