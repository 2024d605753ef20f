"""Computes one party's sums with noise, where its rows are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from secureflow.domain.specs.statistics import StatisticsSpec

if TYPE_CHECKING:  # NumPy is loaded with the first job: an idle agent stays small
    import numpy as np
    from numpy.typing import NDArray

    from secureflow.engines.preparation import Columns
    from secureflow.engines.statistics.declared import OwnBounds


class Statistician(Protocol):
    """Computes and noises one party's sums (`adapters.statistics`), where its rows are."""

    def noised_sums(
        self,
        spec: StatisticsSpec,
        own: OwnBounds,
        columns: Columns,
        units: NDArray[Any] | None,
        honest: int,
    ) -> NDArray[np.int64]:
        """Return the party's vector as `engines.statistics.layout` lays it out, noise included.

        The noise is fresh, from the system's randomness: with a second call for the same job two
        answers could be averaged. So the caller stores the vector before anything derived from it
        is sent, and uploads the stored one again after a crash.

        Args:
            spec: checked and signed.
            own: this owner's declaration, which is enforced on values and units.
            columns: every column that the spec names; if it names none (rows are counted) any one
                of the dataset, for its length. A missing value leaves its row out of the queries
                that need it; an infinite one counts as the bound; an unknown category as missing.
                So no row can cause an error.
            units: the unit of each row if units may have several rows, else None: each row is a
                unit. Rows without one do not count.
            honest: `honest_shares` of the job's plan.

        Returns:
            int64, shape `(slots(spec),)`, each within ±`LIMIT`.

        Raises:
            SecureFlowError: `library_missing`, `missing_column`, `malformed_cell` for text in a
                number column, `statistics_refused` if the library charges more than the spec.
        """
