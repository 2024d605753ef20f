"""A kind of job at the worker: what it reads, and what it computes from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from secureflow.adapters.datasources import SourceLimits
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.base import JobSpec
from secureflow.domain.specs.kind import SpecKind, SpecKinds
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

if TYPE_CHECKING:  # NumPy loads with the first job
    from numpy.typing import NDArray

    from secureflow.agent.compute.bundle_process import BundleProcess, BundleTask

Step = Callable[..., "NDArray[Any]"]
"""From the prepared job and the request's arguments to the sums that it returns."""


@dataclass(frozen=True)
class Prepared:
    """A prepared job: the input of its steps, and what may be revealed of its rows."""

    state: Any
    rows: int = 0
    validation: int = 0


@dataclass(frozen=True)
class Secrets:
    """What only this party knows, for draws that nobody else may foresee.

    Args:
        file: the salt of the dataset's commitment: it stays the same for as long as the file does,
            whatever the job.
        keys: the organisation's: it stays the same whatever job, dataset and file. Empty where the
            dataset has no key.
    """

    file: bytes = field(default=b"", repr=False)
    keys: bytes = field(default=b"", repr=False)


NO_SECRETS: Final = Secrets()


def declared(job: str, config: DatasetConfig | None) -> DatasetConfig:
    """Return the declaration of a job that cannot do without one.

    Raises:
        SecureFlowError: `dataset_unknown`.
    """
    if config is None:
        raise SecureFlowError("dataset_unknown", Text("The job {job} has no dataset.", job=job))
    return config


class WorkerKind(Protocol):
    """One kind of job. A `spec` is always one of this kind, checked.

    `config` is the owner's declaration of the dataset that the job names, None if it names none.
    """

    @property
    def spec(self) -> SpecKind:
        """The domain's part of the kind."""

    @property
    def steps(self) -> Mapping[str, Step]:
        """The computations of the worker, by the verb that requests them."""

    def check(
        self, job: str, spec: Any, config: DatasetConfig | None, limits: SourceLimits
    ) -> None:
        """Refuse what can be refused without reading rows."""

    def prepare(
        self,
        job: str,
        spec: Any,
        config: DatasetConfig | None,
        limits: SourceLimits,
        secrets: Secrets = NO_SECRETS,
    ) -> Prepared:
        """Read the spec's columns and no others, but for the column of keys."""


class CodeKind(Protocol):
    """How a kind of job is computed by code of others; `spec` is always one that brings code."""

    @property
    def steps(self) -> frozenset[str]:
        """The steps that the code computes, in the place of the worker."""

    @property
    def rows(self) -> str:
        """The worker's step that writes the rows for it."""

    @property
    def fresh(self) -> bool:
        """Whether a process and its object serve one step alone, which brings the rows with it.

        Otherwise the object is given them once (`prepare`), and keeps what it likes.
        """

    def spec(self, value: Mapping[str, Any]) -> JobSpec:
        """Parse a stored spec of this kind."""

    def rows_arguments(self, path: Path, asked: Mapping[str, Any]) -> dict[str, JSON]:
        """Return the arguments of `rows`, for a file and the first step that is asked for."""

    def task(self, spec: Any) -> BundleTask:
        """Return what the class is made with and must return; not where it runs."""

    def paced(self, spec: Any) -> float | None:
        """Return the seconds that a step takes whatever the code does; None: its time is told.

        Under differential privacy it must not be: code can choose it, row by row.
        """

    async def compute(
        self,
        process: BundleProcess,
        step: str,
        spec: Any,
        rows: tuple[int, int],
        asked: Mapping[str, Any],
        most: float,
        over: Callable[[], Awaitable[None]],
    ) -> list[float]:
        """Have a step computed, write what comes of it, and return its sums.

        Args:
            process: prepared.
            step: one of `steps`.
            spec: the job's.
            rows: how many train and how many validate, as the worker counted.
            asked: the step's arguments.
            most: seconds that the owner allows for one call, whatever the spec says.
            over: awaited after the code's last answer and before anything is made of it.
        """

    def written(self, spec: Any, rows: tuple[int, int], asked: Mapping[str, Any]) -> bool:
        """Tell whether all that the code has to say for a step lies here, of an earlier call."""

    def further(self, spec: Any, asked: Mapping[str, Any]) -> tuple[str, dict[str, JSON]] | None:
        """Return the worker's step, with its arguments, that makes the sums of what code wrote.

        None: the sums are those that `compute` returns.
        """

    def instead(
        self, step: str, spec: Any, rows: tuple[int, int], asked: Mapping[str, Any]
    ) -> list[float] | None:
        """Return what counts for a step whose code failed, and write it; None: the failure is told.

        Under differential privacy it must not be: it could be made to depend on one row.
        """


CodeKinds = Mapping[str, CodeKind]


OWN_VERBS: Final = frozenset({"describe", "check", "prepare", "close"})
"""What a worker answers itself."""


class WorkerKinds(Mapping[str, WorkerKind]):
    """A table of kinds by their names.

    Raises:
        ValueError: a kind has a step that is named like a verb of the worker's own.
    """

    def __init__(self, *kinds: WorkerKind) -> None:
        for kind in kinds:
            for step in sorted(OWN_VERBS & set(kind.steps)):
                raise ValueError(f"kind {kind.spec.name!r} has a step {step!r}: workers answer it")
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
