"""How a training update becomes a masked vector, and the opened sum a release again.

Each stage of a job is a masked session of its own, with its own keys: `moments` (one sum), `train`
(one a round) and `evaluate` (one). The vector of `train` is the update's coordinates, then its
metric sums; the other stages have a single zero in place of coordinates. The weight travels inside.

What a round's context binds as its model is the digest of model *and* moments: parties that were
shown different ones mask under different contexts, and nothing opens.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs import TrainingSpec
from secureflow.engines.preparation import federated_features
from secureflow.engines.sealing import tensor_digest
from secureflow.engines.secagg import Encoding, Metric, Plan
from secureflow.engines.secagg.encoding import mean_into, metric_sums
from secureflow.engines.secagg.masks import Ring
from secureflow.engines.training.models import Stage, update_layout
from secureflow.kit.errors import SecureFlowError

NORM_TOLERANCE = 1e-4
"""The published mean may exceed the cap by this share: clients clip in float32."""


def masked_stages(spec: TrainingSpec) -> tuple[Stage, ...]:
    """Return the stages of the job, in their order."""
    federated = spec.features is not None and bool(federated_features(spec.features))
    return ("moments", "train", "evaluate") if federated else ("train", "evaluate")


def masked_round(stage: Stage, number: int) -> int:
    """Return a round's number within its stage's session, from 0."""
    return number - 1 if stage == "train" else 0


def masked_plan(spec: TrainingSpec, job: str, spec_digest: str, stage: Stage) -> Plan:
    """Return the plan of a stage's masked sums.

    Raises:
        SecureFlowError: `invalid_encoding`, `invalid_roster`, `ring_overflow`.
    """
    layout = update_layout(spec, stage)
    encoding = Encoding(
        length=layout.parameters or 1,
        clip=spec.quantisation.clip,
        bits=spec.quantisation.bits,
        max_weight=spec.limits.max_weight,
        metrics=tuple(Metric(f"sum_{n}", layout.per_row) for n in range(1, layout.sums)),
    )
    rounds = spec.plan.rounds if stage == "train" else 1
    return Plan(f"{job}-{stage}", spec_digest, spec.roster, encoding, rounds)


def masked_parts(
    plan: Plan, parameters: NDArray[np.float32], sums: NDArray[np.float64]
) -> tuple[NDArray[np.float32], int, dict[str, float]]:
    """Return values, weight and metrics (per unit of weight) of an update."""
    weight = round(float(sums[0]))
    values = parameters if parameters.size else np.zeros(1, np.float32)
    means = (sums[1:] / max(weight, 1)).tolist()
    names = (metric.name for metric in plan.encoding.metrics)
    return values, weight, dict(zip(names, means, strict=True))


def opened_sums(plan: Plan, total: Ring, weight: int) -> list[float]:
    """Return the release's sums: the total weight, then the metric sums."""
    return [float(weight), *metric_sums(plan.encoding, total)]


def apply_mean(
    spec: TrainingSpec,
    plan: Plan,
    total: Ring,
    weight: int,
    model: NDArray[np.float32],
    mean: NDArray[np.float32],
) -> tuple[str, str]:
    """Write the mean update, add it to the model in place; return both hex BLAKE3 digests.

    Raises:
        SecureFlowError: `model_inconsistent`, `model_not_finite`; the model is unusable then.
    """
    mean_into(plan.encoding, total, weight, mean)
    check_mean(spec, mean)
    with np.errstate(over="ignore"):  # refused by name below
        np.add(model, mean, out=model)
    if not np.isfinite(model).all():
        raise SecureFlowError("model_not_finite", "The next model is not finite.")
    return tensor_digest(model), tensor_digest(mean)


def check_mean(spec: TrainingSpec, mean: NDArray[np.float32]) -> None:
    """Refuse a published mean update that no contributors within the spec's caps can have.

    Raises:
        SecureFlowError: `model_inconsistent`.
    """
    limits = spec.limits.clip_norm, spec.quantisation.clip
    squares, largest = 0.0, 0.0
    for start in range(0, mean.size, 1 << 16):
        block = mean[start : start + (1 << 16)].astype(np.float64)
        squares += float(np.add.reduce(block * block))
        largest = max(largest, float(np.abs(block).max(initial=0.0)))
    norm, (most, clip) = squares**0.5, limits
    # NaN compares as false: only a finite norm within the caps passes.
    if norm <= most * (1 + NORM_TOLERANCE) and largest <= clip * (1 + NORM_TOLERANCE):
        return
    raise SecureFlowError(
        "model_inconsistent",
        f"The published mean update has norm {norm:.6g} and a coordinate of {largest:.6g}; the "
        f"spec allows {most:.6g} and {clip:.6g}.",
        "Refuse it: no contributors within the caps have this mean.",
    )
