"""A party's part in a computation among parties: its numbers of `joint-sums`, to be masked.

They are made again, bit by bit, from the job's secret, so that nothing of them has to be kept. The
worker writes them into a file, of which the agent takes a copy: millions of numbers pass no line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from secureflow.agent.compute.columns import check_asked, check_bounds, check_contributions
from secureflow.agent.compute.jobfiles import UPDATE, emptied, held_folder, take
from secureflow.agent.compute.mpc import ADD, add_arguments
from secureflow.agent.job.context import AgentContext, Computing, Fetching, RunningEngines
from secureflow.agent.kinds.kind import Contributing, Peering
from secureflow.agent.kinds.mpc_engines import EnginePart, check_engines, check_side
from secureflow.agent.kinds.summedrounds import Asked, RoundRequest, SummedRounds
from secureflow.agent.kinds.wholesums import wrong_sums
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.mpc import MpcSpec
from secureflow.domain.specs.summed import LIMIT
from secureflow.engines.mpc.kind import MPC_ENGINE
from secureflow.engines.mpc.places import length_of
from secureflow.engines.mpc.stage import STAGE
from secureflow.engines.run.kind import EngineKind
from secureflow.engines.run.messages import MaskRequest
from secureflow.engines.secagg.wholenumbers import BYTES
from secureflow.kit.canonical import JSON
from secureflow.kit.disk import Place, writing
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


class JointNumbers(SummedRounds):
    """Makes a party's numbers; the only round starts from the spec."""

    @property
    def stage(self) -> str:
        """The stage of the round."""
        return STAGE

    def check_declared(self, spec: MpcSpec, dataset: DatasetConfig) -> None:
        """Refuse columns and bounds that do not match; see `check_declared`."""
        check_declared(spec, dataset)

    def starts_from(self, spec: MpcSpec, request: RoundRequest) -> None:
        """Refuse a model, means or moments: the job starts from its spec alone.

        Raises:
            SecureFlowError: `invalid_request`.
        """
        del spec
        steps = request.steps if isinstance(request, MaskRequest) else ()
        if request.model is not None or request.moments is not None or steps:
            raise SecureFlowError(
                "invalid_request",
                Text("The computation {job} comes with a model, means or moments.",
                     job=request.job),
                "It has none: the centre must follow the spec that was approved.",
            )  # fmt: skip

    def asked(self, spec: MpcSpec, asked: Asked) -> tuple[str, dict[str, JSON], int]:
        """Return the worker's step, its arguments, and how many numbers it writes."""
        return ADD, add_arguments(self._written(asked.job), asked.seed, asked.key), length_of(spec)

    async def made_ready(self, job: str, length: int) -> None:
        """Empty the file that the worker writes, before the work.

        Raises:
            InfrastructureError: `disk_full`.
        """
        await asyncio.to_thread(self._emptied, job, BYTES * length)

    async def taken(self, job: str, answer: Mapping[str, JSON], length: int) -> bytes:
        """Return a copy of the numbers that the worker wrote, which nothing can change any more.

        Raises:
            SecureFlowError: `update_length_wrong`.
        """
        if answer["sums"] != [length]:
            raise wrong_sums(length, len(answer["sums"]))
        return await asyncio.to_thread(self._copied, job, length)

    def _emptied(self, job: str, size: int) -> None:
        path = self._written(job)
        with writing(self._place, 2 * size):  # and this agent's own copy
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            emptied(path)

    def _copied(self, job: str, length: int) -> bytes:
        own = held_folder(self._context.settings.models, job)
        size, copy = BYTES * length, own / UPDATE
        with writing(self._place, size):
            own.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = take(self._written(job), copy, size)
            if found != size:
                raise wrong_sums(length, found // BYTES)
            data = copy.read_bytes()
            copy.unlink()
        numbers = np.frombuffer(data, "<i8")
        if bool((np.abs(numbers) > LIMIT).any()) or int(numbers.min()) < -LIMIT:
            raise wrong_sums(length, length)
        return data

    def _written(self, job: str) -> Path:
        return self._folder(job) / UPDATE

    @property
    def _place(self) -> Place:
        return Place(self._context.settings.models, "model files", self._context.party)


class MpcAgentKind:
    """`agent.kinds.kind.AgentKind`, `SidedKind`, `EnginedKind` and `PeeredKind`."""

    engine: Final[EngineKind] = MPC_ENGINE

    def check_columns(self, spec: MpcSpec, dataset: DatasetConfig) -> None:
        """Refuse columns of a masked sum that do not match the owner's declaration."""
        if spec.masked:
            check_declared(spec, dataset)

    def check_side(self, spec: MpcSpec, dataset: DatasetConfig, party: str) -> None:
        """Refuse columns of an engine's program that do not match it."""
        if not spec.masked:
            check_side(spec, dataset, party)

    def check_engines(self, spec: MpcSpec, engines: RunningEngines, party: str) -> None:
        """Refuse a job whose engine is not here."""
        check_engines(spec, engines, party)

    def contributing(
        self, context: AgentContext, computing: Computing, link: Fetching
    ) -> Contributing:
        """Return a party's part in joint sums."""
        return JointNumbers(context, computing, link)

    def peering(self, context: AgentContext, computing: Computing) -> Peering:
        """Return a party's part in engines' programs."""
        return EnginePart(context, computing)


MPC_AGENT: Final = MpcAgentKind()


def check_declared(spec: MpcSpec, dataset: DatasetConfig) -> None:
    """Refuse columns, bounds and contributions that do not match the owner's declaration.

    Raises:
        SecureFlowError: those of `check_bounds` and `check_asked`; `bounds_too_narrow`.
    """
    check_bounds(spec, dataset)
    check_asked(dataset, spec.columns)
    if spec.privacy is not None:
        check_contributions(spec.privacy.unit, spec.contributions, dataset)
