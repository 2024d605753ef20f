"""Computations among parties: what the agent requests from a job's worker, and what it does.

| step         | writes                                                                         |
|--------------|--------------------------------------------------------------------------------|
| `mpc_add`    | the numbers of `joint-sums`, int64: there may be millions; noised under privacy |
| `mpc_bring`  | what a party brings to an engine's program, as NumPy's file, or CSV           |
| `mpc_result` | the result, from what the engine says                                          |

Each can be repeated, and writes the same again.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from secureflow.adapters.datasources import SourceLimits
from secureflow.agent.compute.kind import NO_SECRETS, Prepared, Secrets
from secureflow.agent.compute.summed import SummedWorker
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.kinds import MPC_SPEC
from secureflow.domain.specs.mpc import MpcSpec
from secureflow.kit.canonical import JSON

if TYPE_CHECKING:  # NumPy loads with the first job
    from numpy.typing import NDArray

    from secureflow.agent.compute.mpc_rows import MpcRows
    from secureflow.engines.preparation import Columns

ADD: Final = "mpc_add"
"""The step that writes the numbers of `joint-sums`, and returns how many there are."""
BRING: Final = "mpc_bring"
"""The step that writes what a party brings to an engine's program; it returns `BROUGHT` numbers."""
BROUGHT: Final = 2
"""Rows and columns."""
RESULT: Final = "mpc_result"
"""The step that writes the result from what an engine says, and returns how many lines it has."""


def add_arguments(path: Path, seed: str, key: str) -> dict[str, JSON]:
    """Return the arguments of step `mpc_add`.

    Args:
        path: the file to write.
        seed: hex, of the noise; it belongs to this job.
        key: hex, which selects among the rows of a unit that has too many.
    """
    return {"path": str(path), "seed": seed, "key": key}


def bring_arguments(party: str, path: Path) -> dict[str, JSON]:
    """Return the arguments of step `mpc_bring`: this party, and the file to write (NumPy's)."""
    return {"party": party, "path": str(path)}


def result_arguments(party: str, outputs: Path, path: Path) -> dict[str, JSON]:
    """Return the arguments of step `mpc_result`.

    Args:
        party: this one.
        outputs: a folder with a NumPy file for each output of the engine; or, of a program of
            others, with the files that it wrote.
        path: the file to write, Parquet.
    """
    return {"party": party, "outputs": str(outputs), "path": str(path)}


class MpcWorker(SummedWorker):
    """`agent.compute.kind.WorkerKind`: of masked sums as others', of engines' programs its own."""

    def rows(self, spec: MpcSpec, columns: Columns, person: str | None) -> MpcRows:
        """Return the rows of a masked sum; errors as of `MpcRows`."""
        from secureflow.agent.compute.mpc_rows import MpcRows

        return MpcRows(spec, columns, person)

    def check(
        self, job: str, spec: MpcSpec, config: DatasetConfig | None, limits: SourceLimits
    ) -> None:
        """Refuse columns that the file does not have.

        Raises:
            SecureFlowError: `dataset_unknown`, those of `DataSource.check`.
        """
        if spec.masked:
            super().check(job, spec, config, limits)

    def prepare(
        self,
        job: str,
        spec: MpcSpec,
        config: DatasetConfig | None,
        limits: SourceLimits,
        secrets: Secrets = NO_SECRETS,
    ) -> Prepared:
        """Read the rows of a masked sum; what is brought to an engine is read when it is asked."""
        if spec.masked:
            return super().prepare(job, spec, config, limits, secrets)
        from secureflow.agent.compute.mpc_engine_rows import EngineRows

        return Prepared(EngineRows(spec, config, limits))


def _add(rows: Any, path: str, seed: str, key: str) -> NDArray[Any]:
    """Write the numbers of the round."""
    found: NDArray[Any] = rows.write(Path(path), bytes.fromhex(seed), bytes.fromhex(key))
    return found


def _bring(rows: Any, party: str, path: str) -> NDArray[Any]:
    """Write what a party brings."""
    found: NDArray[Any] = rows.write_input(party, Path(path))
    return found


def _result(rows: Any, party: str, outputs: str, path: str) -> NDArray[Any]:
    """Write the result."""
    found: NDArray[Any] = rows.write_result(party, Path(outputs), Path(path))
    return found


MPC_WORKER: Final = MpcWorker(MPC_SPEC, {ADD: _add, BRING: _bring, RESULT: _result}, held=True)
