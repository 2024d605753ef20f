"""A party's part in fitting a preparation: its sums of each round, the same for the same totals.

What a round starts from is the file of all totals before it, which the centre stores and the masks
are bound to. The worker replays the fits from it: a party computes with what was opened, not with
what the centre says follows from it.
"""

from __future__ import annotations

from typing import Final

from secureflow.agent.compute.columns import (
    check_asked,
    check_bounds,
    check_contributions,
    check_label,
)
from secureflow.agent.compute.preparation import SUMS, sums_arguments
from secureflow.agent.job.context import AgentContext, Computing, Fetching
from secureflow.agent.kinds.blobs import Blob
from secureflow.agent.kinds.kind import Contributing
from secureflow.agent.kinds.summedrounds import Asked, RoundRequest, SummedRounds
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.passes import schedule
from secureflow.domain.specs.preparation import PreparationSpec
from secureflow.engines.recipes.kind import PREPARATION_ENGINE
from secureflow.engines.recipes.plan import totals_bytes
from secureflow.engines.recipes.stage import STAGE
from secureflow.engines.run.kind import EngineKind
from secureflow.engines.run.messages import MaskRequest
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


class FittedSums(SummedRounds):
    """Makes a party's sums; a round starts from all totals before it, the first from the spec."""

    @property
    def stage(self) -> str:
        """The stage of the rounds."""
        return STAGE

    def check_declared(self, spec: PreparationSpec, dataset: DatasetConfig) -> None:
        """Refuse columns, bounds and contributions that do not match; see `check_declared`."""
        check_declared(spec, dataset)

    def starts_from(self, spec: PreparationSpec, request: RoundRequest) -> Blob | None:
        """Return the totals that a round starts from; only the first has none.

        Raises:
            SecureFlowError: `invalid_request`.
        """
        model = request.model
        steps = request.steps if isinstance(request, MaskRequest) else ()
        fits = (model is None) == (request.round == 1) and request.moments is None and not steps
        if not fits or (model is not None and model.artifact != model.digest):
            raise SecureFlowError(
                "invalid_request",
                Text(
                    "Round {round} of the preparation {job} comes with other inputs than totals.",
                    round=request.round,
                    job=request.job,
                ),
                "The centre must follow the spec that was approved.",
            )
        if model is None:
            return None
        return Blob(model.digest, totals_bytes(spec, request.round - 1))

    def asked(self, spec: PreparationSpec, asked: Asked) -> tuple[str, dict[str, JSON], int]:
        """Return the worker's step, its arguments, and how many sums it returns."""
        arguments = sums_arguments(asked.blob, asked.number, asked.seed, asked.key)
        return SUMS, arguments, schedule(spec).longest


class PreparationAgentKind:
    """`agent.kinds.kind.AgentKind`."""

    engine: Final[EngineKind] = PREPARATION_ENGINE

    def check_columns(self, spec: PreparationSpec, dataset: DatasetConfig) -> None:
        """Refuse columns, categories and bounds that do not match the owner's declaration."""
        check_declared(spec, dataset)

    def contributing(
        self, context: AgentContext, computing: Computing, link: Fetching
    ) -> Contributing:
        """Return a party's part in preparations."""
        return FittedSums(context, computing, link)


PREPARATION_AGENT: Final = PreparationAgentKind()


def check_declared(spec: PreparationSpec, dataset: DatasetConfig) -> None:
    """Refuse columns, bounds and contributions that do not match the owner's declaration.

    Raises:
        SecureFlowError: those of `check_bounds` and `check_label`; `unknown_category`,
            `bounds_too_narrow`.
    """
    check_bounds(spec, dataset)
    if spec.splits_by_key:
        dataset.required_key()
    check_asked(dataset, spec.columns)
    if spec.label is not None:
        check_label(dataset, spec.label)
    if spec.privacy is not None:
        check_contributions(spec.privacy.unit, spec.contributions, dataset)
