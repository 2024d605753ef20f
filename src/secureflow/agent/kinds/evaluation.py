"""A party's part in an evaluation: its sums of each model, the same for the same model.

What a round starts from is the model that the approved spec names for it, whatever the centre says:
its parameters are fetched by their digest.
"""

from __future__ import annotations

from typing import Final

from secureflow.agent.compute.columns import check_contributions, check_no_code
from secureflow.agent.compute.evaluation import SUMS, sums_arguments
from secureflow.agent.job.context import AgentContext, Computing, Fetching
from secureflow.agent.kinds.blobs import Blob
from secureflow.agent.kinds.kind import Contributing
from secureflow.agent.kinds.summedrounds import Asked, RoundRequest, SummedRounds
from secureflow.agent.kinds.training.features import check_features
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.evaluation import EvaluationSpec
from secureflow.engines.evaluation.kind import EVALUATION_ENGINE
from secureflow.engines.evaluation.plan import longest
from secureflow.engines.evaluation.stage import STAGE
from secureflow.engines.run.kind import EngineKind
from secureflow.engines.run.messages import MaskRequest
from secureflow.engines.training.extras import check_extra
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


class MeasuredSums(SummedRounds):
    """Makes a party's sums; a round starts from the model that it measures."""

    @property
    def stage(self) -> str:
        """The stage of the rounds."""
        return STAGE

    def check_declared(self, spec: EvaluationSpec, dataset: DatasetConfig) -> None:
        """Refuse columns and bounds that do not match; see `check_declared`."""
        check_declared(spec, dataset)

    def starts_from(self, spec: EvaluationSpec, request: RoundRequest) -> Blob:
        """Return the round's model, which must be the one that the spec names.

        Raises:
            SecureFlowError: `invalid_request`.
        """
        wanted = spec.models[request.round - 1]
        model = request.model
        steps = request.steps if isinstance(request, MaskRequest) else ()
        fits = model is not None and model.digest == model.artifact == wanted.digest
        if not fits or request.moments is not None or steps:
            raise SecureFlowError(
                "invalid_request",
                Text(
                    "Round {round} of the evaluation {job} comes with another model than the "
                    "approved one.",
                    round=request.round,
                    job=request.job,
                ),
                "The centre must follow the spec that was approved.",
            )
        return Blob(wanted.digest, wanted.bytes)

    def asked(self, spec: EvaluationSpec, asked: Asked) -> tuple[str, dict[str, JSON], int]:
        """Return the worker's step, its arguments, and how many sums it returns."""
        party = self._context.party
        arguments = sums_arguments(asked.blob, asked.number, party, asked.seed, asked.key)
        return SUMS, arguments, longest(spec)


class EvaluationAgentKind:
    """`agent.kinds.kind.AgentKind`."""

    engine: Final[EngineKind] = EVALUATION_ENGINE

    def check_columns(self, spec: EvaluationSpec, dataset: DatasetConfig) -> None:
        """Refuse columns that do not match; adds `missing_extra` to every kind's errors."""
        check_declared(spec, dataset)

    def contributing(
        self, context: AgentContext, computing: Computing, link: Fetching
    ) -> Contributing:
        """Return a party's part in evaluations."""
        return MeasuredSums(context, computing, link)


EVALUATION_AGENT: Final = EvaluationAgentKind()


def check_declared(spec: EvaluationSpec, dataset: DatasetConfig) -> None:
    """Refuse columns, bounds and contributions that do not match the owner's declaration.

    Raises:
        SecureFlowError: those of `check_features` for each model, which hold the label's bounds to
            the owner's; `bounds_too_narrow` for contributions; `key_undeclared`;
            `privacy_required` for code where nothing of single rows may leave.
    """
    check_no_code(spec, dataset)
    if spec.splits_by_key:
        dataset.required_key()
    for one in spec.models:
        check_extra(one.trained)
        check_features(one.trained, dataset)
    if spec.privacy is not None:
        check_contributions(spec.privacy.unit, spec.contributions, dataset)
