"""Private set intersection: the steps that the agent requests from a job's worker.

A job's worker reads the owner's file; what an engine or another party sent is read here as well,
and not in the agent. Each step can be repeated: it writes the same again. They find what earlier
steps read in memory, or read it anew in a process that has replaced the one of these steps.

| step       | reads                      | writes                                              |
|------------|----------------------------|-----------------------------------------------------|
| `keys`     | the key columns            | the keys as an engine takes them; a commitment      |
| `told`     | matches                    | the keys that all have, for the others              |
| `heard`    | the keys that all have     | nothing: it counts them, all of which are its own   |
| `shown`    | matches, granted columns   | this party's columns of rows that match, for a peer |
| `result`   | matches, columns of peers  | the result                                          |
| `selected` | matches                    | which rows match, for later steps of a pipeline     |
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from secureflow.adapters.datasources import SourceLimits, open_source
from secureflow.agent.compute.kind import NO_SECRETS, Prepared, Secrets, Step, declared
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.base import dataset_name
from secureflow.domain.specs.kind import SpecKind
from secureflow.domain.specs.kinds import PSI_SPEC
from secureflow.domain.specs.psi import PsiSpec
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

if TYPE_CHECKING:  # NumPy loads with the first job
    from numpy.typing import NDArray

KEYS: Final = "psi_keys"
TOLD: Final = "psi_told"
HEARD: Final = "psi_heard"
SHOWN: Final = "psi_shown"
RESULT: Final = "psi_result"
SELECTED: Final = "psi_selected"
MAX_SHOWN: Final = 1 << 34
"""Most bytes of a peer's columns."""


def keys_arguments(party: str, salt: bytes, result: Path) -> dict[str, JSON]:
    """Return the arguments of step `keys`.

    Args:
        party: this one.
        salt: of the commitment.
        result: where the keys are written: 16 bytes each, in ascending order.
    """
    return {"party": party, "salt": salt.hex(), "result": str(result)}


def told_arguments(party: str, matches: Path, most: int, result: Path) -> dict[str, JSON]:
    """Return the arguments of step `told`.

    Args:
        party: this one.
        matches: as of `shown`.
        most: keys that all can have: so long is the file.
        result: where they are written; see `agent.compute.psi_told`.
    """
    return {"party": party, "matches": str(matches), "most": most, "result": str(result)}


def heard_arguments(party: str, matches: Path) -> dict[str, JSON]:
    """Return the arguments of step `heard`; `matches` as of `shown`, with what a receiver told."""
    return {"party": party, "matches": str(matches)}


def shown_arguments(party: str, peer: str, matches: Path, result: Path) -> dict[str, JSON]:
    """Return the arguments of step `shown`.

    Args:
        party: this one.
        peer: for whom the columns are.
        matches: a folder with the engine's matches, a NumPy file for each peer.
        result: where they are written, as Parquet.
    """
    return {"party": party, "peer": peer, "matches": str(matches), "result": str(result)}


def result_arguments(
    party: str, matches: Path, theirs: Mapping[str, str], result: Path
) -> dict[str, JSON]:
    """Return the arguments of step `result`.

    Args:
        party: this one.
        matches: as of `shown`.
        theirs: peer → the file of its columns.
        result: where the result is written, as Parquet.
    """
    handed: list[JSON] = [[peer, path] for peer, path in sorted(theirs.items())]
    return {"party": party, "matches": str(matches), "theirs": handed, "result": str(result)}


def selected_arguments(party: str, matches: Path, result: Path) -> dict[str, JSON]:
    """Return the arguments of step `selected`.

    Args:
        party: this one.
        matches: as of `shown`.
        result: where the numbers of rows that match are written, int64 from 0, in the keys' order.
    """
    return {"party": party, "matches": str(matches), "result": str(result)}


class PsiWorker:
    """`agent.compute.kind.WorkerKind`."""

    spec: Final[SpecKind] = PSI_SPEC

    def __init__(self) -> None:
        self.steps: Mapping[str, Step] = {
            **{KEYS: _keys, TOLD: _told, HEARD: _heard, SHOWN: _shown, RESULT: _result},
            SELECTED: _selected,
        }

    def check(
        self, job: str, spec: PsiSpec, config: DatasetConfig | None, limits: SourceLimits
    ) -> None:
        """Refuse columns that the file does not have.

        Raises:
            SecureFlowError: `dataset_unknown`, those of `DataSource.check`.
        """
        own = declared(job, config)
        open_source(own, limits).check(_columns(spec, own))

    def prepare(
        self,
        job: str,
        spec: PsiSpec,
        config: DatasetConfig | None,
        limits: SourceLimits,
        secrets: Secrets = NO_SECRETS,
    ) -> Prepared:
        """Check the columns; the rows are read by the steps, block by block."""
        from secureflow.agent.compute.psi_rows import PsiRows

        del secrets
        self.check(job, spec, config, limits)
        own = declared(job, config)
        return Prepared(PsiRows(job, spec, open_source(own, limits)))


def _columns(spec: PsiSpec, config: DatasetConfig) -> tuple[str, ...]:
    """Return the columns of whoever's dataset this is; the worker does not know its party.

    Raises:
        SecureFlowError: `dataset_unknown`.
    """
    declared_here = {one.name for one in config.columns}
    for side in spec.sides:
        named = dataset_name(spec, side.party) == config.name
        if named and declared_here.issuperset(side.columns):
            return side.columns
    raise SecureFlowError(
        "dataset_unknown",
        Text("No party of the job brings dataset {name!r} with its columns.", name=config.name),
        "Publish the dataset with the columns that the job names.",
    )


def _keys(rows: Any, party: str, salt: str, result: str) -> NDArray[Any]:
    """Write the keys, and return counts, commitment and first rows."""
    found: NDArray[Any] = rows.write_keys(party, bytes.fromhex(salt), Path(result))
    return found


def _told(rows: Any, party: str, matches: str, most: int, result: str) -> NDArray[Any]:
    """Write the keys that all have, and return how many there are."""
    found: NDArray[Any] = rows.write_told(party, Path(matches), most, Path(result))
    return found


def _heard(rows: Any, party: str, matches: str) -> NDArray[Any]:
    """Return how many keys all have, by the receiver's word."""
    found: NDArray[Any] = rows.count_told(party, Path(matches))
    return found


def _shown(rows: Any, party: str, peer: str, matches: str, result: str) -> NDArray[Any]:
    """Write the columns for a peer, and return how many rows there are."""
    found: NDArray[Any] = rows.write_shown(party, peer, Path(matches), Path(result))
    return found


def _result(
    rows: Any, party: str, matches: str, theirs: list[list[str]], result: str
) -> NDArray[Any]:
    """Write the result, and return its counts."""
    handed = {peer: Path(path) for peer, path in theirs}
    found: NDArray[Any] = rows.write_result(party, Path(matches), handed, Path(result))
    return found


def _selected(rows: Any, party: str, matches: str, result: str) -> NDArray[Any]:
    """Write which rows match, and return how many do."""
    found: NDArray[Any] = rows.write_selected(party, Path(matches), Path(result))
    return found


PSI_WORKER: Final = PsiWorker()
