"""Released models that code of others computes: what it is asked for, and who makes sums of it.

    worker  ──rows without labels──▶  code's process  ──what it says of each──▶  this process
    (reads the dataset)               (sandbox, owner's                          (checks it, keeps
       ▲                               environment)                               it in a file)
       └──────────────────────────────────────────────────────────────────────────────┘
       sums, or the file of predictions: with the labels, which the code never sees

A model's code runs once in a job, in a process of its own that is ended after it: nothing that it
kept of other rows, or of training, is in what it says. What it said stays in a file, so that a
request that is repeated is answered with the same sums. A failure stays, too: the centre may repeat
a request, and by one failure after another code could tell it as much as it likes. That it failed
is told: these kinds of job have no differential privacy (`domain.specs.evaluation`), and an owner
that demands some takes no part.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from secureflow.agent.compute import evaluation, prediction
from secureflow.agent.compute.bundle_errors import failed_before
from secureflow.agent.compute.jobfiles import HANDED
from secureflow.domain.specs.base import JobSpec, parse
from secureflow.domain.specs.bundle_family import BundleModel
from secureflow.domain.specs.bundles import CODE_ERRORS
from secureflow.domain.specs.evaluation import EvaluationSpec
from secureflow.domain.specs.prediction import PredictionSpec
from secureflow.domain.specs.scored import ScoredModel
from secureflow.kit.atomic import write_atomically
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError

if TYPE_CHECKING:  # NumPy loads with the first job
    from secureflow.agent.compute.bundle_process import BundleProcess, BundleTask
    from secureflow.agent.compute.predicted_outputs import OutputsFile

_SUFFIX: Final = ".outputs"
"""Of the file of what code said: it lies beside the parameters, where the worker can read it."""
_FAILED: Final = ".failed"
_DIED: Final = "bundle_died"


@dataclass(frozen=True)
class ScoredCode:
    """`agent.compute.kind.CodeKind` of a kind of job that applies one model to rows.

    Args:
        step: the step that the agent asks for.
        rows: the worker's step that writes the rows.
        of: the class of specs.
        model: returns the model that code computes.
        told: returns the worker's step, and its arguments, that goes on with what the code said.
    """

    step: str
    rows: str
    of: type[Any]
    model: Callable[[Any], ScoredModel]
    told: Callable[[Path, Mapping[str, Any]], tuple[str, dict[str, JSON]]]
    fresh: bool = True

    @property
    def steps(self) -> frozenset[str]:
        """The only step."""
        return frozenset({self.step})

    def spec(self, value: Mapping[str, Any]) -> JobSpec:
        """Parse a stored spec."""
        found: JobSpec = parse(self.of, dict(value), stored=True)
        return found

    def rows_arguments(self, path: Path, asked: Mapping[str, Any]) -> dict[str, JSON]:
        """Return the arguments of `rows`; all models of a job read the same rows."""
        del asked
        return {"path": str(path)}

    def task(self, spec: Any) -> BundleTask:
        """Return the bundle's task: nothing but to predict."""
        from secureflow.agent.compute.bundle_process import BundleTask
        from secureflow.agent.compute.tensor_layout import TensorLayout

        scored = self.model(spec)
        own = _own(scored)
        layout = (TensorLayout(one.name, one.dtype, one.shape) for one in scored.trained.tensors)
        return BundleTask(
            "", "", own.bundle.entry, dict(own.settings), scored.seed or 0, tuple(layout),
            predicts=True,
        )  # fmt: skip

    def paced(self, spec: Any) -> None:
        """Return None: its time is told."""
        del spec

    async def compute(
        self,
        process: BundleProcess,
        step: str,
        spec: Any,
        rows: tuple[int, int],
        asked: Mapping[str, Any],
        most: float,
        over: Callable[[], Awaitable[None]],
    ) -> list[float]:
        """Have the model applied to the rows, and keep what the code says of them; no sums."""
        from secureflow.engines.training.scoring import scored_parameters
        from secureflow.engines.training.tensors import NamedTensors

        del step
        scored = self.model(spec)
        raw = await asyncio.to_thread(Path(asked["model"]).read_bytes)
        weights = NamedTensors(scored.trained.tensors, scored_parameters(scored, raw))
        limit = min(float(_own(scored).seconds), most)
        file = self._file(spec, rows, asked)
        try:
            await process.predict(weights, HANDED, file, limit=limit)
        except SecureFlowError as error:
            if error.code in CODE_ERRORS - {_DIED}:  # it is asked once more then
                await asyncio.to_thread(write_atomically, _failure(file), error.code.encode())
            raise
        await over()
        return []

    def written(self, spec: Any, rows: tuple[int, int], asked: Mapping[str, Any]) -> bool:
        """Tell whether the code has said it all before; of no rows there is nothing to say.

        Raises:
            SecureFlowError: one of `CODE_ERRORS`, if it has failed before.
        """
        file = self._file(spec, rows, asked)
        if not rows[0]:
            file.path.touch(0o600)
        if not file.whole and (failure := _failure(file)).exists():
            raise failed_before(failure.read_text())
        return file.whole

    def further(self, spec: Any, asked: Mapping[str, Any]) -> tuple[str, dict[str, JSON]]:
        """Return what the worker makes of it."""
        return self.told(self._file(spec, (0, 0), asked).path, asked)

    def instead(
        self, step: str, spec: Any, rows: tuple[int, int], asked: Mapping[str, Any]
    ) -> None:
        """Return None: a failure is told, and stays."""
        del step
        if not (failure := _failure(self._file(spec, rows, asked))).exists():
            write_atomically(failure, _DIED.encode())

    def _file(self, spec: Any, rows: tuple[int, int], asked: Mapping[str, Any]) -> OutputsFile:
        from secureflow.agent.compute.predicted_outputs import OutputsFile
        from secureflow.engines.training.foreign_outputs import returned_problem, returned_shape

        scored = self.model(spec)
        label = scored.features.label
        return OutputsFile(
            Path(asked["model"]).with_name(f"{scored.digest}{_SUFFIX}"),
            returned_shape(label, rows[0]),
            partial(returned_problem, label),
        )


def _failure(file: OutputsFile) -> Path:
    """Return the file that holds the code of the error with which the model's code failed."""
    return file.path.with_suffix(_FAILED)


def _own(scored: ScoredModel) -> BundleModel:
    if not isinstance(scored.model, BundleModel):
        raise AssertionError  # the caller looked
    return scored.model


def _evaluated(spec: EvaluationSpec) -> ScoredModel:
    (only,) = spec.models  # `check_evaluation` refuses others beside it
    return only


def _predicted(spec: PredictionSpec) -> ScoredModel:
    return spec.model


EVALUATION_CODE: Final = ScoredCode(
    evaluation.SUMS, evaluation.ROWS, EvaluationSpec, _evaluated, evaluation.counted_arguments
)
PREDICTION_CODE: Final = ScoredCode(
    prediction.PREDICT, prediction.ROWS, PredictionSpec, _predicted, prediction.told_arguments
)
