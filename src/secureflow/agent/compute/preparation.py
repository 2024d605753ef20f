"""Preparation: the step that the agent requests from a job's worker, and the worker's part of it.

A step returns a round's sums, with this party's share of the noise under privacy: the same ones for
the same arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from secureflow.adapters.datasources import SourceLimits
from secureflow.agent.compute.keyedrows import check_columns, person_of, read_columns
from secureflow.agent.compute.kind import NO_SECRETS, Prepared, Secrets, Step
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.kind import SpecKind
from secureflow.domain.specs.kinds import PREPARATION_SPEC
from secureflow.domain.specs.preparation import PreparationSpec
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

if TYPE_CHECKING:  # NumPy loads with the first job
    from numpy.typing import NDArray

SUMS: Final = "fit"
"""The step that returns a round's sums, integers in the layout of `engines.recipes.plan`."""


def sums_arguments(totals: Path | None, number: int, seed: str, key: str) -> dict[str, JSON]:
    """Return the arguments of step `fit`.

    Args:
        totals: the file of all totals before this round; None before the first.
        number: the round's, from 1.
        seed: hex, of the noise; it belongs to this round and these totals.
        key: hex, which selects among the rows of a unit that has too many.
    """
    path = None if totals is None else str(totals)
    return {"totals": path, "number": number, "seed": seed, "key": key}


class PreparationWorker:
    """`agent.compute.kind.WorkerKind`."""

    spec: Final[SpecKind] = PREPARATION_SPEC

    def __init__(self) -> None:
        self.steps: Mapping[str, Step] = {SUMS: _sums}

    def check(
        self, job: str, spec: PreparationSpec, config: DatasetConfig | None, limits: SourceLimits
    ) -> None:
        """Refuse columns that the file does not have.

        Raises:
            SecureFlowError: `dataset_unknown`, those of `DataSource.check`.
        """
        check_columns(spec, _declared(job, config), limits)

    def prepare(
        self,
        job: str,
        spec: PreparationSpec,
        config: DatasetConfig | None,
        limits: SourceLimits,
        secrets: Secrets = NO_SECRETS,
    ) -> Prepared:
        """Read the rows; their number is told unless the job is private."""
        from secureflow.agent.compute.preparation_rows import PreparationRows

        declared = _declared(job, config)
        columns = read_columns(spec, declared, limits, secrets, held=False)
        rows = PreparationRows(spec, columns, person_of(spec, declared))
        return Prepared(rows, 0 if spec.privacy is not None else rows.count)


def _declared(job: str, config: DatasetConfig | None) -> DatasetConfig:
    if config is None:
        raise SecureFlowError(
            "dataset_unknown", Text("The preparation job {job} has no dataset.", job=job)
        )
    return config


def _sums(rows: Any, totals: str | None, number: int, seed: str, key: str) -> NDArray[Any]:
    """Return the sums of a round."""
    path = None if totals is None else Path(totals)
    found: NDArray[Any] = rows.sums(path, number, bytes.fromhex(seed), bytes.fromhex(key))
    return found


PREPARATION_WORKER: Final = PreparationWorker()
