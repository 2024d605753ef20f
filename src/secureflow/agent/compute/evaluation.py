"""Evaluation: the step that the agent requests from a job's worker, and the worker's part of it.

A step returns a round's sums, with this party's share of the noise under privacy: the same ones for
the same arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from secureflow.agent.compute.summed import SummedWorker
from secureflow.domain.specs.evaluation import EvaluationSpec
from secureflow.domain.specs.kinds import EVALUATION_SPEC
from secureflow.kit.canonical import JSON

if TYPE_CHECKING:  # NumPy loads with the first job
    from numpy.typing import NDArray

    from secureflow.agent.compute.evaluation_rows import EvaluationRows
    from secureflow.engines.preparation import Columns

SUMS: Final = "measure"
"""The step that returns a round's sums, integers in the layout of `engines.evaluation.plan`."""
ROWS: Final = "rows"
"""The step that writes the rows for code of others, without their labels."""
COUNT: Final = "count"
"""The step that returns the sums of what such code says of the rows."""


def sums_arguments(
    model: Path | None, number: int, party: str, seed: str, key: str
) -> dict[str, JSON]:
    """Return the arguments of step `measure`.

    Args:
        model: the file of the round's model: raw float32.
        number: the round's, from 1.
        party: whose rows they are.
        seed: hex, of the noise; it belongs to this round and this model.
        key: hex, which selects among the rows of a unit that has too many.
    """
    return {"model": str(model), "number": number, "party": party, "seed": seed, "key": key}


def counted_arguments(outputs: Path, asked: Mapping[str, Any]) -> tuple[str, dict[str, JSON]]:
    """Return step `count`, and its arguments.

    Args:
        outputs: the file of what code says of the rows (`predicted_outputs`).
        asked: those of step `measure`, which it answers.
    """
    return COUNT, {**asked, "outputs": str(outputs)}


class EvaluationWorker(SummedWorker):
    """`agent.compute.kind.WorkerKind`."""

    def rows(self, spec: EvaluationSpec, columns: Columns, person: str | None) -> EvaluationRows:
        """Return the rows; errors as of `EvaluationRows`."""
        from secureflow.agent.compute.evaluation_rows import EvaluationRows

        return EvaluationRows(spec, columns, person)


def _sums(rows: Any, model: str, number: int, party: str, seed: str, key: str) -> NDArray[Any]:
    """Return the sums of a round."""
    secrets = bytes.fromhex(seed), bytes.fromhex(key)
    found: NDArray[Any] = rows.sums(Path(model), number, party, *secrets)
    return found


def _rows(rows: Any, path: str) -> NDArray[Any]:
    """Write the rows for code, and return how many there are."""
    found: NDArray[Any] = rows.write_rows(Path(path))
    return found


def _count(
    rows: Any, model: str, number: int, party: str, seed: str, key: str, outputs: str
) -> NDArray[Any]:
    """Return the sums of a round whose model code has computed."""
    del model, seed, key  # of a job with privacy, which brings no code
    found: NDArray[Any] = rows.count_up(Path(outputs), number, party)
    return found


EVALUATION_WORKER: Final = EvaluationWorker(
    EVALUATION_SPEC, {SUMS: _sums, ROWS: _rows, COUNT: _count}, held=True
)
