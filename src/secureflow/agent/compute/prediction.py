"""Prediction: the step that the agent requests from a job's worker, and the worker's part of it.

The step writes a Parquet file: the same bytes for the same arguments. It returns how many rows that
has, and of how many nothing is predicted.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from secureflow.adapters.datasources import SourceLimits, open_source
from secureflow.agent.compute.kind import NO_SECRETS, Prepared, Secrets, Step, declared
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.kind import SpecKind
from secureflow.domain.specs.kinds import PREDICTION_SPEC
from secureflow.domain.specs.prediction import PredictionSpec
from secureflow.kit.canonical import JSON

if TYPE_CHECKING:  # NumPy loads with the first job
    from numpy.typing import NDArray

PREDICT: Final = "predict"
"""The step that writes what a model says of every row; it returns two counts."""
ROWS: Final = "rows"
"""The step that writes the rows for code of others."""
TELL: Final = "tell"
"""The step that writes what such code says of every row, and returns the same counts."""
COUNTS: Final = 2


def predict_arguments(model: Path, result: Path) -> dict[str, JSON]:
    """Return the arguments of step `predict`.

    Args:
        model: the file of the model: raw float32.
        result: where the Parquet file is written.
    """
    return {"model": str(model), "result": str(result)}


def told_arguments(outputs: Path, asked: Mapping[str, Any]) -> tuple[str, dict[str, JSON]]:
    """Return step `tell`, and its arguments.

    Args:
        outputs: the file of what code says of the rows (`predicted_outputs`).
        asked: those of step `predict`, which it answers.
    """
    return TELL, {"outputs": str(outputs), "result": asked["result"]}


def silent(config: DatasetConfig) -> bool:
    """Tell whether no row of a dataset may make a job fail: its owner demands that nothing leaks.

    A job could be made so that its failure told something about single cells.
    """
    return config.privacy is not None and config.privacy.required


class PredictionWorker:
    """`agent.compute.kind.WorkerKind`."""

    spec: Final[SpecKind] = PREDICTION_SPEC

    def __init__(self) -> None:
        self.steps: Mapping[str, Step] = {PREDICT: _predict, ROWS: _rows, TELL: _tell}

    def check(
        self, job: str, spec: PredictionSpec, config: DatasetConfig | None, limits: SourceLimits
    ) -> None:
        """Refuse columns that the file does not have.

        Raises:
            SecureFlowError: `dataset_unknown`, those of `DataSource.check`.
        """
        own = declared(job, config)
        open_source(own, limits, tolerant=silent(own)).check(spec.column_names)

    def prepare(
        self,
        job: str,
        spec: PredictionSpec,
        config: DatasetConfig | None,
        limits: SourceLimits,
        secrets: Secrets = NO_SECRETS,
    ) -> Prepared:
        """Read the rows; their number is the owner's own."""
        from secureflow.agent.compute.prediction_rows import PredictionRows

        del secrets
        own = declared(job, config)
        strict = not silent(own)
        columns = open_source(own, limits, tolerant=not strict).read(spec.column_names)
        rows = PredictionRows(job, spec, columns, strict=strict)
        return Prepared(rows, rows.count)


def _predict(rows: Any, model: str, result: str) -> NDArray[Any]:
    """Write the file, and return its counts."""
    found: NDArray[Any] = rows.write(Path(model), Path(result))
    return found


def _rows(rows: Any, path: str) -> NDArray[Any]:
    """Write the rows for code, and return how many there are."""
    found: NDArray[Any] = rows.write_rows(Path(path))
    return found


def _tell(rows: Any, outputs: str, result: str) -> NDArray[Any]:
    """Write the file of what code says of the rows, and return its counts."""
    found: NDArray[Any] = rows.write_told(Path(outputs), Path(result))
    return found


PREDICTION_WORKER: Final = PredictionWorker()
