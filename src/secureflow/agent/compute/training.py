"""Local training: what the agent requests from a job's worker, and how the worker computes it.

A step returns sums, in the layout of `engines.training.models`; models and updates are passed as
files of raw float32. The first half is the agent's, the second half the worker's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from secureflow.adapters.datasources import SourceLimits, open_source, read_with_keys
from secureflow.agent.compute.kind import NO_SECRETS, Prepared, Secrets, Step
from secureflow.domain.schemas import DatasetConfig, with_key
from secureflow.domain.specs.kind import SpecKind
from secureflow.domain.specs.kinds import TRAINING_SPEC
from secureflow.domain.specs.training import TrainingSpec
from secureflow.kit.canonical import JSON

if TYPE_CHECKING:  # NumPy loads with the first job
    from numpy.typing import NDArray

MOMENTS: Final = "moments"
"""The step that sums up columns; it takes no arguments."""
TRAIN: Final = "train"
EVALUATE: Final = "evaluate"
VALIDATION: Final = "validation"
"""The step that writes held-out rows, which the agent seals to an enclave."""
ROWS: Final = "rows"
"""The step that writes prepared rows for code of others (`adapters.frameworks.rows`)."""


def train_arguments(
    model: Path,
    update: Path,
    moments: Sequence[float] | None,
    seed: str,
    state: tuple[Path | None, Path] | None = None,
    number: int = 0,
) -> dict[str, JSON]:
    """Return the arguments of step `train`; it writes the delta, bit-equal when repeated.

    Args:
        model: the global model, raw float32, absolute path.
        update: where to write the delta, raw float32; a reused path saves page faults.
        moments: the released federated sums, or None if the spec needs none.
        seed: hex; it alone decides the shuffles, so derive it from the round.
        state: of a trainer that is not reproducible: the file of its own state after the newest
            recorded update, if there is one, and where to write the state after this one.
        number: the round's, for such a trainer.
    """
    asked = {"model": str(model), "update": str(update), "moments": _sums(moments), "seed": seed}
    if state is None:
        return asked
    before, after = state
    return {
        **asked,
        "state": [None if before is None else str(before), str(after)],
        "round": number,
    }


def rows_arguments(path: Path, moments: Sequence[float] | None) -> dict[str, JSON]:
    """Return the arguments of step `rows`, which writes the file at `path`."""
    return {"path": str(path), "moments": _sums(moments)}


def validation_arguments(
    path: Path, moments: Sequence[float] | None, seed: str, salt: str
) -> dict[str, JSON]:
    """Return the arguments of step `validation`, which writes rows, raw float32.

    Args:
        path: where to write them.
        moments: as in `train_arguments`.
        seed: hex; it alone decides which of the held-out rows are written.
        salt: hex, 32 bytes: that of the party's commitment to them.
    """
    return {"path": str(path), "moments": _sums(moments), "seed": seed, "salt": salt}


def evaluate_arguments(
    model: Path,
    moments: Sequence[float] | None,
    seed: str,
    own: tuple[Path | None, Path] | None = None,
) -> dict[str, JSON]:
    """Return the arguments of step `evaluate`; see `train_arguments`.

    Args:
        model: raw float32.
        moments: the released federated sums, or None if the spec needs none.
        seed: hex.
        own: where parties end with models of their own: the file of the trainer's state, if there
            is one, and where the party's model is written, raw float32.
    """
    asked: dict[str, JSON] = {"model": str(model), "moments": _sums(moments), "seed": seed}
    if own is None:
        return asked
    state, path = own
    return {**asked, "own": [None if state is None else str(state), str(path)]}


def _sums(moments: Sequence[float] | None) -> list[float] | None:
    return None if moments is None else list(moments)


class TrainingWorker:
    """`agent.compute.kind.WorkerKind`."""

    spec: Final[SpecKind] = TRAINING_SPEC

    def __init__(self) -> None:
        self.steps: Mapping[str, Step] = {
            MOMENTS: _moments,
            TRAIN: _train,
            EVALUATE: _evaluate,
            VALIDATION: _validation,
            ROWS: _rows,
        }

    def check(
        self, job: str, spec: TrainingSpec, config: DatasetConfig | None, limits: SourceLimits
    ) -> None:
        """Refuse columns that the file does not have."""
        del job
        if config is not None:
            names = spec.column_names
            if spec.splits_by_key:
                names = tuple(dict.fromkeys((*names, config.required_key())))
            open_source(with_key(config), limits, tolerant=True).check(names)

    def prepare(
        self,
        job: str,
        spec: TrainingSpec,
        config: DatasetConfig | None,
        limits: SourceLimits,
        secrets: Secrets = NO_SECRETS,
    ) -> Prepared:
        """Read the rows; a model family that needs some reports what is missing."""
        # Lazy: NumPy's start-up cost is paid once there is a job.
        from secureflow.adapters.frameworks import runner_of

        del job
        columns, held = None, None
        if config is not None:
            columns, held = _read(spec, config, limits, secrets)
        runner = runner_of(spec, columns, secrets.file, held)
        rows, validation = runner.rows
        return Prepared(runner, rows, validation)


def _read(
    spec: TrainingSpec, config: DatasetConfig, limits: SourceLimits, secrets: Secrets
) -> tuple[dict[str, NDArray[Any]], NDArray[Any] | None]:
    """Return the spec's columns, and which rows the keys hold out if the plan splits by key."""
    from secureflow.engines.preparation import held_by_key

    tolerant = spec.privacy is not None
    if not spec.splits_by_key:
        return open_source(config, limits, tolerant=tolerant).read(spec.column_names), None
    columns, keys = read_with_keys(config, limits, spec.column_names, tolerant=tolerant)
    return columns, held_by_key(spec.plan, keys, secrets.keys)


def _moments(runner: Any) -> NDArray[Any]:
    """Return the sums of stage `moments`."""
    sums: NDArray[Any] = runner.moments()
    return sums


def _train(
    runner: Any,
    model: str,
    update: str,
    moments: list[float] | None,
    seed: str,
    state: list[str | None] | None = None,
    round: int = 0,  # noqa: A002 - the request's own word
) -> NDArray[Any]:
    """Train from the model file, write the update file, return the sums of `train`."""
    del round
    more: dict[str, Any] = {}
    if state is not None:
        before, after = state
        more["state"] = (None if before is None else Path(before), Path(str(after)))
    sums: NDArray[Any] = runner.train(
        Path(model), Path(update), moments, bytes.fromhex(seed), **more
    )
    return sums


def _evaluate(
    runner: Any,
    model: str,
    moments: list[float] | None,
    seed: str,
    own: list[str | None] | None = None,
) -> NDArray[Any]:
    """Return the sums of stage `evaluate`; write the party's own model, if it has one."""
    more: dict[str, Any] = {}
    if own is not None:
        before, path = own
        more["own"] = (None if before is None else Path(before), Path(str(path)))
    sums: NDArray[Any] = runner.evaluate(Path(model), moments, bytes.fromhex(seed), **more)
    return sums


def _validation(
    runner: Any, path: str, moments: list[float] | None, seed: str, salt: str
) -> NDArray[Any]:
    """Write held-out rows; return the sums of stage `validation`."""
    from secureflow.engines.contribution.sealedrows import sums_with

    runner.write_validation(Path(path), moments, bytes.fromhex(seed))
    return sums_with(bytes.fromhex(salt))


def _rows(runner: Any, path: str, moments: list[float] | None) -> NDArray[Any]:
    """Write the rows for a bundle; return how many train and how many validate."""
    counts: NDArray[Any] = runner.write_rows(Path(path), moments)
    return counts


TRAINING_WORKER: Final = TrainingWorker()
