"""In the worker: the rows of a training job, and the framework that trains on them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from secureflow.adapters.datasources import SourceLimits, open_source
from secureflow.agent.compute.kind import Prepared, Step
from secureflow.domain.schemas import DatasetConfig, with_person
from secureflow.domain.specs.kind import SpecKind
from secureflow.domain.specs.kinds import TRAINING_SPEC
from secureflow.domain.specs.training import TrainingSpec

if TYPE_CHECKING:  # NumPy loads with the first job
    from numpy.typing import NDArray


class TrainingWorker:
    """`agent.compute.kind.WorkerKind`."""

    spec: Final[SpecKind] = TRAINING_SPEC

    def __init__(self) -> None:
        self.steps: Mapping[str, Step] = {
            "moments": _moments,
            "train": _train,
            "evaluate": _evaluate,
        }

    def check(
        self, job: str, spec: TrainingSpec, config: DatasetConfig | None, limits: SourceLimits
    ) -> None:
        """Refuse columns that the file does not have."""
        del job
        if config is not None:
            open_source(with_person(config), limits, tolerant=True).check(spec.column_names)

    def prepare(
        self, job: str, spec: TrainingSpec, config: DatasetConfig | None, limits: SourceLimits
    ) -> Prepared:
        """Read the rows; a family that needs some says what it lacks."""
        # Lazy: NumPy's share of the start is paid once there is a job.
        from secureflow.adapters.frameworks import NumpyRunner

        del job
        columns = None
        if config is not None:
            source = open_source(config, limits, tolerant=spec.privacy is not None)
            columns = source.read(spec.column_names)
        runner = NumpyRunner(spec, columns)
        rows, validation = runner.rows
        return Prepared(runner, rows, validation)


def _moments(runner: Any) -> NDArray[Any]:
    """Return the sums of stage `moments`."""
    sums: NDArray[Any] = runner.moments()
    return sums


def _train(
    runner: Any, model: str, update: str, moments: list[float] | None, seed: str
) -> NDArray[Any]:
    """Train from the model file, write the update file, return the sums of `train`."""
    sums: NDArray[Any] = runner.train(Path(model), Path(update), moments, bytes.fromhex(seed))
    return sums


def _evaluate(runner: Any, model: str, moments: list[float] | None, seed: str) -> NDArray[Any]:
    """Return the sums of stage `evaluate` for a model file."""
    sums: NDArray[Any] = runner.evaluate(Path(model), moments, bytes.fromhex(seed))
    return sums


TRAINING_WORKER: Final = TrainingWorker()
