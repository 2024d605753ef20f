"""Preparation: the step that the agent requests from a job's worker, and the worker's part of it.

A step returns a round's sums, with this party's share of the noise under privacy: the same ones for
the same arguments.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from secureflow.agent.compute.summed import SummedWorker
from secureflow.domain.specs.kinds import PREPARATION_SPEC
from secureflow.domain.specs.preparation import PreparationSpec
from secureflow.kit.canonical import JSON

if TYPE_CHECKING:  # NumPy loads with the first job
    from numpy.typing import NDArray

    from secureflow.agent.compute.preparation_rows import PreparationRows
    from secureflow.engines.preparation import Columns

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


class PreparationWorker(SummedWorker):
    """`agent.compute.kind.WorkerKind`."""

    def rows(self, spec: PreparationSpec, columns: Columns, person: str | None) -> PreparationRows:
        """Return the rows; errors as of `PreparationRows`."""
        from secureflow.agent.compute.preparation_rows import PreparationRows

        return PreparationRows(spec, columns, person)


def _sums(rows: Any, totals: str | None, number: int, seed: str, key: str) -> NDArray[Any]:
    """Return the sums of a round."""
    path = None if totals is None else Path(totals)
    found: NDArray[Any] = rows.sums(path, number, bytes.fromhex(seed), bytes.fromhex(key))
    return found


PREPARATION_WORKER: Final = PreparationWorker(PREPARATION_SPEC, {SUMS: _sums}, held=False)
