"""Statistics: the step that the agent requests from a job's worker, and the worker's part of it.

Unlike any other step it returns a different result each time: its noise is drawn afresh.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from secureflow.adapters.datasources import SourceLimits, open_source
from secureflow.agent.compute.kind import NO_SECRETS, Prepared, Secrets, Step, declared
from secureflow.domain.schemas import DatasetConfig, with_person
from secureflow.domain.specs.kind import SpecKind
from secureflow.domain.specs.kinds import STATISTICS_SPEC
from secureflow.domain.specs.statistics import StatisticsSpec

if TYPE_CHECKING:  # NumPy loads with the first job
    from numpy.typing import NDArray


SUMS: Final = "statistics"
"""The step that returns noised sums, integers in the layout of `engines.statistics`."""


class StatisticsWorker:
    """`agent.compute.kind.WorkerKind`."""

    spec: Final[SpecKind] = STATISTICS_SPEC

    def __init__(self) -> None:
        self.steps: Mapping[str, Step] = {SUMS: _noised_sums}

    def check(
        self, job: str, spec: StatisticsSpec, config: DatasetConfig | None, limits: SourceLimits
    ) -> None:
        """Refuse columns that the file does not have, and a library that is not installed.

        Raises:
            SecureFlowError: `dataset_unknown`, `library_missing`, those of `DataSource.check`.
        """
        from secureflow.adapters.statistics import open_statistician
        from secureflow.agent.compute.statistics_rows import columns_read

        own = declared(job, config)
        source = open_source(with_person(own), limits, tolerant=True)
        source.check(columns_read(spec, own))
        open_statistician(spec.privacy.library)

    def prepare(
        self,
        job: str,
        spec: StatisticsSpec,
        config: DatasetConfig | None,
        limits: SourceLimits,
        secrets: Secrets = NO_SECRETS,
    ) -> Prepared:
        """Read the rows; their number is not revealed, and nothing here needs it."""
        del secrets
        from secureflow.agent.compute.statistics_rows import StatisticsRows

        return Prepared(StatisticsRows(job, spec, declared(job, config), limits))


def _noised_sums(counting: Any) -> NDArray[Any]:
    """Return the noised sums of a statistics job."""
    sums: NDArray[Any] = counting.noised_sums()
    return sums


STATISTICS_WORKER: Final = StatisticsWorker()
