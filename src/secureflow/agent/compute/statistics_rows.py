"""In the worker: the rows of a statistics job, and the library that sums them and adds noise.

Only the columns that the spec names are read, plus the `person` column if the owner's budget is
kept per person. The rows are bounded by the owner's declaration, even if the spec allows more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from secureflow.adapters.datasources import SourceLimits, open_source
from secureflow.domain.schemas import DatasetConfig, with_person
from secureflow.domain.specs.base import spec_digest
from secureflow.domain.specs.statistics import StatisticsSpec
from secureflow.engines.preparation import Columns
from secureflow.engines.statistics.declared import OwnBounds
from secureflow.engines.statistics.plan import honest_shares, statistics_plan

if TYPE_CHECKING:
    from secureflow.application.ports.statistician import Statistician


class StatisticsRows:
    """The rows of a prepared statistics job.

    Args:
        job: job id.
        spec: checked.
        config: the owner's declaration.
        limits: limits of the reading.

    Raises:
        SecureFlowError: those of `DataSource.read`; `library_missing`.
    """

    def __init__(
        self, job: str, spec: StatisticsSpec, config: DatasetConfig, limits: SourceLimits
    ) -> None:
        self._spec = spec
        self._honest = honest_shares(statistics_plan(spec, job, spec_digest(spec)))
        self._statistician = _statistician(spec)
        self._own = own_bounds(config)
        self._columns, self._units = _read(spec, config, limits)

    def noised_sums(self) -> NDArray[Any]:
        """Return the sums with fresh noise; the caller must keep the first result."""
        return self._statistician.noised_sums(
            self._spec, self._own, self._columns, self._units, self._honest
        )


def columns_read(spec: StatisticsSpec, config: DatasetConfig) -> tuple[str, ...]:
    """Return the columns to read: the job's, and the owner's column of persons."""
    names = _names(spec, config)
    person = config.privacy.person if config.privacy else None
    return names if person is None else tuple(dict.fromkeys((*names, person)))


def _names(spec: StatisticsSpec, config: DatasetConfig) -> tuple[str, ...]:
    """Return the job's columns; to count rows one of the owner's: no image, if there is another."""
    cheapest = sorted(config.columns, key=lambda one: one.is_tensor)
    return spec.column_names or (cheapest[0].name,)


def own_bounds(config: DatasetConfig) -> OwnBounds:
    """Return the bounds that the owner declared, in the form that rows are checked against."""
    return OwnBounds(
        bounds={one.name: one.bounds for one in config.columns if one.bounds},
        categories={one.name: one.categories for one in config.columns if one.categories},
        rows_per_unit=config.privacy.rows_per_person if config.privacy else 1,
    )


def _read(
    spec: StatisticsSpec, config: DatasetConfig, limits: SourceLimits
) -> tuple[Columns, NDArray[Any] | None]:
    """Return the columns and each row's person, from one read of the file; no cell is refused."""
    source = open_source(with_person(config), limits, tolerant=True)
    read = source.read(columns_read(spec, config))
    person = config.privacy.person if config.privacy else None
    names = _names(spec, config)
    return {name: read[name] for name in names}, None if person is None else read[person]


def _statistician(spec: StatisticsSpec) -> Statistician:
    # Lazy: only the worker of such a job loads the library.
    from secureflow.adapters.statistics import open_statistician

    return open_statistician(spec.privacy.library)
