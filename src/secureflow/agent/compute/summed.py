"""In the worker: what kinds of job that add rows up once have in common, and how they read rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from secureflow.adapters.datasources import SourceLimits
from secureflow.agent.compute.keyedrows import check_columns, person_of, read_columns
from secureflow.agent.compute.kind import NO_SECRETS, Prepared, Secrets, Step, declared
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.kind import SpecKind

if TYPE_CHECKING:  # NumPy loads with the first job
    from secureflow.agent.compute.summedrows import SummedRows
    from secureflow.engines.preparation import Columns


class SummedWorker(ABC):
    """`agent.compute.kind.WorkerKind` of a job whose rows are read once, all its rounds through.

    Args:
        spec: the domain's part of the kind.
        steps: the computations, by verb.
        held: whether the job takes the rows that keys hold out, or the others.
    """

    def __init__(self, spec: SpecKind, steps: Mapping[str, Step], *, held: bool) -> None:
        self.spec = spec
        self.steps = steps
        self._held = held

    @abstractmethod
    def rows(self, spec: Any, columns: Columns, person: str | None) -> SummedRows:
        """Return the rows, of every column that the spec names and that of persons."""

    def check(
        self, job: str, spec: Any, config: DatasetConfig | None, limits: SourceLimits
    ) -> None:
        """Refuse columns that the file does not have.

        Raises:
            SecureFlowError: `dataset_unknown`, those of `check_columns`.
        """
        check_columns(spec, declared(job, config), limits)

    def prepare(
        self,
        job: str,
        spec: Any,
        config: DatasetConfig | None,
        limits: SourceLimits,
        secrets: Secrets = NO_SECRETS,
    ) -> Prepared:
        """Read the rows; their number is told unless the job is private."""
        own = declared(job, config)
        columns = read_columns(spec, own, limits, secrets, held=self._held)
        rows = self.rows(spec, columns, person_of(spec, own))
        return Prepared(rows, 0 if spec.privacy is not None else rows.count)
