"""What an agent believes of the federated moments that it is shown."""

from __future__ import annotations

from collections.abc import Sequence

from secureflow.agent.job.guards import released
from secureflow.agent.record.records import AdmittedEnclave
from secureflow.domain.specs.protections import traits_of
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.run.messages import MaskRequest, ReleasedMoments, TrainRequest
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


def check_moments(
    request: TrainRequest, spec: TrainingSpec, initial: str, admissions: Sequence[AdmittedEnclave]
) -> list[float] | None:
    """Return the federated moments, if the spec needs them and an attested enclave released them.

    Raises:
        SecureFlowError: `invalid_request`, `unreleased_model`.
    """
    moments = request.moments
    if request.stage == "moments" or not spec.needs_moments:
        if moments is None:
            return None
        raise _invalid_moments(request, "the job needs none at this stage")
    if moments is None:
        raise _invalid_moments(request, "the job needs them and none came")
    return _released_sums(request, moments, initial, admissions)


def check_masked_moments(
    request: MaskRequest, spec: TrainingSpec, initial: str, admissions: Sequence[AdmittedEnclave]
) -> list[float] | None:
    """Return the federated moments that came with a masked round, if the spec needs them.

    Whether all parties are shown the same ones is no question here: they are part of what masks
    are bound to. Where an enclave folds, it must have released them.

    Raises:
        SecureFlowError: `invalid_request`, `unreleased_model`.
    """
    moments, needed = request.moments, request.stage != "moments" and spec.needs_moments
    if (moments is not None) != needed:
        raise _invalid_moments(request, "they must come exactly where the job needs them")
    if moments is None or not traits_of(spec).enclave:
        return moments
    shown = ReleasedMoments(moments, request.moments_release or {})
    return _released_sums(request, shown, initial, admissions)


def _released_sums(
    request: TrainRequest | MaskRequest,
    moments: ReleasedMoments,
    initial: str,
    admissions: Sequence[AdmittedEnclave],
) -> list[float]:
    release = released(moments.release, request.job, request.digest, admissions)
    place = (release.round, release.stage, release.model)
    if place != (0, "moments", initial) or list(release.sums) != moments.sums:
        raise SecureFlowError(
            "unreleased_model",
            Text(
                "The moments that came with round {round} are not those that the enclave released.",
                round=request.round,
            ),
            "Refuse them: with false moments a centre could steer what the updates reveal.",
        )
    return list(release.sums)


def _invalid_moments(request: TrainRequest | MaskRequest, reason: str) -> SecureFlowError:
    return SecureFlowError(
        "invalid_request",
        Text(
            "The moments of round {round} ({stage}) are wrong: {reason}.",
            round=request.round,
            stage=request.stage,
            reason=reason,
        ),
    )
