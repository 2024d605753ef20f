"""Checks the model and the moments that the centre sends as the start of a round.

And, of a private job, the update that this party's own worker made.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from secureflow.agent.job.guards import released
from secureflow.agent.record.records import AdmittedEnclave, RoundRecord
from secureflow.domain.specs.privacy import MAX_COORDINATE
from secureflow.domain.specs.protections import traits_of
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.run.messages import MaskRequest, ReleasedMoments, TrainRequest
from secureflow.engines.sealing.fold import FixedPointAccumulator
from secureflow.engines.sealing.wiretypes import BYTES, DTYPES, WidenedBlocks
from secureflow.engines.training.models import Stage, update_layout
from secureflow.engines.training.noising import split_sums
from secureflow.engines.training.private import draws_noise, norm_cap
from secureflow.engines.training.summedtrees import check_private_histograms, is_histogram
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


def check_model(request: TrainRequest, initial: str, admissions: Sequence[AdmittedEnclave]) -> str:
    """Return the digest of the model to start from, if an attested enclave released it.

    The model of round n is the one that round n-1 released; only the first round starts from the
    spec's initial model.

    Raises:
        SecureFlowError: `unreleased_model`, `stale_round`.
    """
    model = request.model
    if model is None or model.release is None:
        first = request.round == 0 or (request.stage == "train" and request.round == 1)
        if not first or (model is not None and model.digest != initial):
            raise SecureFlowError(
                "unreleased_model",
                Text(
                    "Round {round} ({stage}) comes with a model that no enclave released.",
                    round=request.round,
                    stage=request.stage,
                ),
                "Only the first round starts from the spec's initial model.",
            )
        return initial
    release = released(model.release, request.job, request.digest, admissions)
    if release.model != model.digest:
        raise SecureFlowError(
            "unreleased_model",
            Text(
                "The release is for model {model}…, not {digest}….",
                model=release.model[:16],
                digest=model.digest[:16],
            ),
            "Refuse it: the centre shows another model than the enclave signed.",
        )
    if (release.stage, release.round) != ("train", request.round - 1):
        raise SecureFlowError(
            "stale_round",
            Text(
                "Round {round} comes with the model of round {release_round} ({stage}).",
                round=request.round,
                release_round=release.round,
                stage=release.stage,
            ),
            Text("It must start from what round {round} released.", round=request.round - 1),
        )
    return model.digest


def check_not_measured(newest: RoundRecord, request: TrainRequest | MaskRequest) -> None:
    """Refuse any round after the evaluation.

    Raises:
        SecureFlowError: `stale_round`.
    """
    if newest.stage == "evaluate":
        raise SecureFlowError(
            "stale_round",
            Text(
                "{job} ended with the evaluation of round {round}; there is no round "
                "{request_round} ({stage}) after it.",
                job=request.job,
                round=newest.round,
                request_round=request.round,
                stage=request.stage,
            ),
            "The evaluated model is the output. If rounds could follow, a centre could have any "
            "intermediate model opened by evaluating it.",
            {"asked": request.round, "newest": newest.round},
        )


def check_output(spec: TrainingSpec, rounds: Sequence[RoundRecord], model: str | None) -> str:
    """Return the job's output, "" if this party cannot tell whether its rounds lead to it.

    Each of its rounds started from a model that it had verified as the one released before. The
    last one is that of the evaluation, and the output; with `keep: best` that may be any other from
    round 1 on. Which of them is best follows from sums of all parties: that is the centre's word. A
    party that missed the evaluation cannot tell, nor, with `keep: best`, one that missed a round.

    Raises:
        SecureFlowError: `model_inconsistent`.
    """
    last = next((one for one in rounds if one.stage == "evaluate"), None)
    if last is None:
        return ""
    if model == last.model:
        return model
    found = {one.round: one.model for one in rounds if one.stage == "train" and one.round > 1}
    if spec.plan.keep == "best":
        if model in found.values():
            return str(model)
        if found.keys() != set(range(2, last.round)):
            return ""
    raise SecureFlowError(
        "model_inconsistent",
        Text(
            "The centre ends the job with model {model}…, which is not what round {round} "
            "evaluated, nor one that the plan lets it keep.",
            model=(model or "-")[:16],
            round=last.round,
        ),
        "Refuse it: the output is a model that this job's rounds released.",
    )


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
    """Return the federated moments sent with a masked round, if the spec needs them.

    Whether all parties received the same ones is not checked here: they are part of what masks are
    bound to. If an enclave aggregates, it must have released them.

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


def check_private_update(
    spec: TrainingSpec, stage: Stage, number: int, plaintext: memoryview
) -> None:
    """Refuse an update of a private job beyond its caps, before anybody else sees it.

    Whoever adds it up would refuse it too, and name numbers of it; here it is a failure like any
    other. Within the caps noise hides what it says.

    Args:
        spec: the job's.
        stage: of the update.
        number: of its round: the first one of trees counts.
        plaintext: the update.

    Raises:
        SecureFlowError: `weight_out_of_bounds`, `noise_seed_malformed`, `update_not_finite`,
            `norm_exceeded`, `value_out_of_bounds`.
    """
    layout, wire = update_layout(spec, stage), spec.wire_type
    size = layout.parameters * BYTES[wire]
    sums, _ = split_sums(spec, stage, np.frombuffer(plaintext[size:], "<f8"))
    values = np.frombuffer(plaintext[:size], DTYPES[wire])
    if is_histogram(spec, stage):
        check_private_histograms(spec, values, first=number == 1)
        values = values[:0].astype(np.float32)
    later, clip = draws_noise(spec), spec.limits.clip_norm
    caps = FixedPointAccumulator(
        len(values),
        layout.sums - layout.seeds,
        max_weight=1.0,
        total_weight_cap=float(len(spec.roster)),
        clip_norm=norm_cap(spec) if later else clip,
        max_abs=MAX_COORDINATE if later else clip,
    )
    narrow = values.dtype != np.float32
    caps.check(WidenedBlocks(wire, values) if narrow else values, sums)
