"""Training by code of others: what a bundle is asked for, and what becomes of its answers.

Whatever the code returns has the tensors that the spec declares, every number finite. Its norm cap,
and under differential privacy its clipping to lattice steps, are applied in the agent's process:
the code shares no memory with it, and can neither leave them out nor see the seeds. Reported sums
are capped by the number of validation rows. Under differential privacy no sum leaves at all, and
code that fails contributes zeros, as a trainer that diverges does: its failure would be told
without noise, and could be made to depend on a row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from secureflow.agent.compute.training import EVALUATE, ROWS, TRAIN, rows_arguments
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.bundle_family import BundleModel
from secureflow.domain.specs.training import TrainingSpec
from secureflow.kit.canonical import JSON

if TYPE_CHECKING:  # NumPy loads with the first job
    from secureflow.agent.compute.bundle_process import BundleProcess, BundleTask


class TrainingCode:
    """`agent.compute.kind.CodeKind`."""

    steps: Final = frozenset({TRAIN, EVALUATE})
    rows: Final = ROWS
    fresh: Final = False

    def spec(self, value: Mapping[str, Any]) -> TrainingSpec:
        """Parse a stored spec."""
        return parse(TrainingSpec, dict(value), stored=True)

    def rows_arguments(self, path: Path, asked: Mapping[str, Any]) -> dict[str, JSON]:
        """Return the arguments for the released moments of the step."""
        return rows_arguments(path, asked["moments"])

    def task(self, spec: TrainingSpec) -> BundleTask:
        """Return the bundle's task."""
        from secureflow.agent.compute.bundle_process import BundleTask
        from secureflow.agent.compute.tensor_layout import TensorLayout

        model = _model(spec)
        layout = (TensorLayout(one.name, one.dtype, one.shape) for one in spec.tensors)
        return BundleTask(
            "", "", model.bundle.entry, dict(model.settings), spec.plan.seed, tuple(layout),
            model.sums,
        )  # fmt: skip

    def paced(self, spec: TrainingSpec) -> float | None:
        """Return the model's seconds under differential privacy."""
        return None if spec.privacy is None else float(_model(spec).seconds)

    async def compute(
        self,
        process: BundleProcess,
        step: str,
        spec: TrainingSpec,
        rows: tuple[int, int],
        asked: Mapping[str, Any],
        most: float,
        over: Callable[[], Awaitable[None]],
    ) -> list[float]:
        """Evaluate the model that the step is given, and train from it."""
        from secureflow.adapters.frameworks import Returned

        model = _model(spec)
        returned = await asyncio.to_thread(Returned.to_model, spec, Path(asked["model"]))
        limit, sums = min(float(model.seconds), most), dict[str, float]()
        if spec.privacy is None and model.sums:
            sums = await process.evaluate(returned.tensors, limit=limit)
        trained = None
        if step == TRAIN:
            trained = await process.train(returned.tensors, int(asked["round"]), limit=limit)
        await over()
        if trained is not None:
            await asyncio.to_thread(returned.write, trained, Path(asked["update"]))
        return returned.sums(sums, rows, bytes.fromhex(asked["seed"]))

    def written(self, spec: TrainingSpec, rows: tuple[int, int], asked: Mapping[str, Any]) -> bool:
        """Return False: updates are kept elsewhere (`agent.kinds.training.updates`)."""
        del spec, rows, asked
        return False

    def further(self, spec: TrainingSpec, asked: Mapping[str, Any]) -> None:
        """Return None: sums are the code's own, capped."""
        del spec, asked

    def instead(
        self, step: str, spec: TrainingSpec, rows: tuple[int, int], asked: Mapping[str, Any]
    ) -> list[float] | None:
        """Return zeros under differential privacy, as for a trainer that diverges."""
        from secureflow.adapters.frameworks import Returned

        if spec.privacy is None:
            return None
        returned = Returned.to_model(spec, Path(asked["model"]))
        if step == TRAIN:
            returned.write_zeros(Path(asked["update"]))
        return returned.sums({}, rows, bytes.fromhex(asked["seed"]))


def _model(spec: TrainingSpec) -> BundleModel:
    if not isinstance(spec.model, BundleModel):
        raise AssertionError  # the caller looked
    return spec.model


TRAINING_CODE: Final = TrainingCode()
