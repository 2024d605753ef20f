"""What the worker knows of a kind of job: what it reads, and what it computes from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from secureflow.adapters.datasources import SourceLimits
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.kind import SpecKind, SpecKinds

if TYPE_CHECKING:  # NumPy loads with the first job
    from numpy.typing import NDArray

Step = Callable[..., "NDArray[Any]"]
"""From what is prepared, and the request's arguments, to the sums that it answers."""


@dataclass(frozen=True)
class Prepared:
    """A job that is prepared: what its steps need, and what is told of its rows."""

    state: Any
    rows: int = 0
    validation: int = 0


class WorkerKind(Protocol):
    """One kind of job. A `spec` is always one of this kind, checked.

    `config` is the owner's declaration of the dataset that the job names, None where it names none.
    """

    @property
    def spec(self) -> SpecKind:
        """What the domain knows of it."""

    @property
    def steps(self) -> Mapping[str, Step]:
        """What the worker computes, by the verb that asks for it."""

    def check(
        self, job: str, spec: Any, config: DatasetConfig | None, limits: SourceLimits
    ) -> None:
        """Refuse what can be refused without a look at rows."""

    def prepare(
        self, job: str, spec: Any, config: DatasetConfig | None, limits: SourceLimits
    ) -> Prepared:
        """Read the spec's columns and no others."""


class WorkerKinds(Mapping[str, WorkerKind]):
    """A table of kinds by their names."""

    def __init__(self, *kinds: WorkerKind) -> None:
        self._kinds = {kind.spec.name: kind for kind in kinds}
        self.specs = SpecKinds(*(kind.spec for kind in kinds))

    def __getitem__(self, name: str) -> WorkerKind:
        """Return a kind by its name."""
        return self._kinds[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self._kinds)

    def __len__(self) -> int:
        """Return how many kinds there are."""
        return len(self._kinds)
